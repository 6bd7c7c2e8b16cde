/* SPDX-License-Identifier: ISC */
/*
 * The formal syntax of RFC 3501 9 as take functions: bytes of an untrusted client to typed values,
 * without side effects.  Each moves the cursor only on success.  The cursor walks over one whole
 * command, in which a literal is "{n}" CRLF and its n bytes.  Results borrow from that text or lie
 * in the arena.
 */
#ifndef IMAPD_GRAMMAR_H
#define IMAPD_GRAMMAR_H

#include "common/base/arena.h"
#include "common/base/cursor.h"

enum {
	GRAMMAR_SECTION_DEPTH_MAX = 100, /* numbers in a section */
	GRAMMAR_SEARCH_DEPTH_MAX = 50, /* NOT, OR and parentheses inside one another */
};

bool take_sp(struct cursor *);
/* Any of the reserved words, followed by SP, ")", "(" or the end; case is ignored. */
bool take_word(struct cursor *, struct slice word);
bool take_tag(struct cursor *, struct slice *tag);
bool take_atom(struct cursor *, struct slice *atom);
/*
 * quoted or literal.  More lenient than the RFC in two points that real clients need: 8-bit bytes
 * in a quoted string, and a backslash before an ordinary character, which then stands for itself.
 */
bool take_string(struct cursor *, struct arena *, struct slice *text);
bool take_astring(struct cursor *, struct arena *, struct slice *text);
/* nstring: *text has data NULL for NIL. */
bool take_nstring(struct cursor *, struct arena *, struct slice *text);
/* list-mailbox: an astring that may have wildcards. */
bool take_list_mailbox(struct cursor *, struct arena *, struct slice *pattern);
bool take_nz_number(struct cursor *, uint32_t *number);

/* seq-number or seq-range, in either order; SEQUENCE_LAST stands for "*". */
enum { SEQUENCE_LAST = 0 };
struct sequence_range {
	uint32_t first, last;
};
struct sequence_set {
	struct sequence_range *ranges;
	size_t count;
};
bool take_sequence_set(struct cursor *, struct arena *, struct sequence_set *);

/* System flags as enum store_flag, keywords separated by single spaces. */
struct flag_list {
	uint32_t flags;
	struct slice keywords;
};
/* flag-list in parentheses; \Recent, which nobody can set, is passed over. */
bool take_flag_list(struct cursor *, struct arena *, struct flag_list *);
/* One flag or more without parentheses. */
bool take_flags(struct cursor *, struct arena *, struct flag_list *);

/* The enumerator of a system flag; 0 for another name. */
uint32_t grammar_find_flag(struct slice name);

#endif
