/* SPDX-License-Identifier: ISC */
/*
 * The arguments of LIST, LSUB and STATUS: RFC 3501 9, RFC 5258 6 (LIST-EXTENDED), RFC 6154 6
 * (SPECIAL-USE), RFC 5819 4 (LIST-STATUS), RFC 8438 (STATUS=SIZE).
 */
#ifndef IMAPD_LIST_OPTIONS_H
#define IMAPD_LIST_OPTIONS_H

#include "common/base/buffer.h"
#include "common/store/store.h"
#include "imapd/grammar.h"

enum {
	LIST_PATTERNS_MAX = 100,
	LIST_PATTERNS_BYTES_MAX = 4096, /* of all patterns together */
	LIST_WILDCARDS_MAX = 200, /* in all of them: each is another way to match */
};

enum list_option {
	LIST_SUBSCRIBED = 1,
	LIST_REMOTE = 2, /* there are no remote mailboxes: changes nothing */
	LIST_RECURSIVEMATCH = 4,
	LIST_SPECIAL_USE = 8,
	LIST_CHILDREN = 16,
	LIST_STATUS = 32,
};

enum status_item {
	STATUS_MESSAGES = 1,
	STATUS_RECENT = 2,
	STATUS_UIDNEXT = 4,
	STATUS_UIDVALIDITY = 8,
	STATUS_UNSEEN = 16,
	STATUS_SIZE = 32,
};

struct list_arguments {
	struct slice reference;
	struct slice *patterns;
	size_t pattern_count;
	unsigned selection; /* enum list_option bits */
	unsigned returns;
	uint32_t status_items; /* with LIST_STATUS */
};

/* list-select-opts; false too for RECURSIVEMATCH alone (RFC 5258 3.1). */
bool take_list_selection(struct cursor *, unsigned *options);
/* "RETURN" SP "(" ... ")" */
bool take_list_return(struct cursor *, struct list_arguments *);
/* mbox-or-pat */
bool take_list_patterns(struct cursor *, struct arena *, struct list_arguments *);
/* "(" status-att *(SP status-att) ")" */
bool take_status_items(struct cursor *, uint32_t *items);
/* "* STATUS" SP mailbox SP "(" ... ")" CRLF */
void status_format(const struct store_mailbox *, uint32_t items, struct buffer *);
/* A mailbox name as IMAP writes it: modified UTF-7 (RFC 3501 5.1.3), atom or quoted. */
void mailbox_name_format(struct slice name, struct buffer *);

#endif
