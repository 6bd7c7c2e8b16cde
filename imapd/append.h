/* SPDX-License-Identifier: ISC */
/* APPEND's message: its octets go to a memfd as they come (RFC 3501 6.3.11). */
#ifndef IMAPD_APPEND_H
#define IMAPD_APPEND_H

#include "common/net/line.h"
#include "imapd/session.h"

/*
 * The command so far ends in the announcement of a literal.  True when that is the message of an
 * APPEND: then it is asked for, or refused, and s->append or the reply is there.
 */
bool append_begins(struct imap_session *, const struct line_literal *);
size_t append_take_message(struct imap_session *, struct slice input);
/* All octets are here: the rest of the line follows. */
bool append_is_received(const struct imap_append *);
/* Frees s->append, if any. */
void append_free(struct imap_session *);

#endif
