/* SPDX-License-Identifier: ISC */
/* Flags and keywords as IMAP writes them (RFC 3501 9 flag-fetch, flag-perm). */
#ifndef IMAPD_FLAGS_H
#define IMAPD_FLAGS_H

#include "imapd/session.h"

/* The names of an account's keywords, read once per turn, within a read transaction. */
struct flag_names {
	bool is_loaded;
	struct store_keyword_names names;
};

/* Loads the names into the turn's scratch when message has keywords and they are not there yet;
 * tells the client of names that it does not know. */
void flag_names_load(struct imap_session *, const struct store_message *, struct flag_names *);
/* "(" flags ")" */
void flags_format(struct imap_session *, const struct store_message *, const struct flag_names *);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]" */
void flags_announce(struct imap_session *, const struct store_keyword_names *);
/* Number of a keyword by its name, case ignored; STORE_KEYWORDS_MAX when there is none. */
unsigned flags_find_keyword(const struct store_keyword_names *, struct slice name);

#endif
