/* SPDX-License-Identifier: ISC */
/*
 * Address lists of header fields (RFC 5322 3.4), read leniently: obsolete syntax, routes, groups,
 * comments, missing quotes, 8-bit text.  Nothing is refused; a word without "@" becomes a mailbox
 * with an empty host.
 */
#ifndef MAIL_ADDRESS_LIST_H
#define MAIL_ADDRESS_LIST_H

#include "common/base/arena.h"
#include "common/base/fault.h"

/*
 * The four fields of an RFC 3501 7.4.2 address structure; data is NULL for NIL.  A group begins
 * with an entry that has only a mailbox (the group's name) and no host, and ends with one that has
 * nothing at all.  name is without quotes and comments, with its encoded words raw; without a
 * display name, a comment behind the address serves as name.
 */
struct list_address {
	struct slice name, route, mailbox, host;
};

struct address_list {
	struct list_address *items;
	size_t count;
};

/*
 * Parses a raw field value, folds and all, into the arena.  At most max entries are taken, the
 * rest is left out.  FAULT_BUDGET when the arena is full.
 */
enum fault address_list_parse(
	struct slice value, size_t max, struct arena *, struct address_list *) MUST_USE;

static inline bool
list_address_is_group_start(const struct list_address *a)
{
	return a->mailbox.data != NULL && a->host.data == NULL;
}

static inline bool
list_address_is_group_end(const struct list_address *a)
{
	return a->mailbox.data == NULL && a->host.data == NULL;
}

#endif
