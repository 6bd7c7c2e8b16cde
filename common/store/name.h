/* SPDX-License-Identifier: ISC */
/*
 * Mailbox names: UTF-8 in normal form C, levels parted by '/', at most STORE_LEVEL_MAX bytes a
 * level and STORE_NAME_MAX in all, no empty level, no control characters.  INBOX is the same in
 * any case (RFC 3501 5.1), as the first level of a name too.
 */
#ifndef STORE_NAME_H
#define STORE_NAME_H

#include "common/base/cursor.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	STORE_DELIMITER = '/',
	STORE_LEVEL_MAX = 255,
	STORE_NAME_MAX = 1000,
};

struct store_name {
	char text[STORE_NAME_MAX + 1]; /* terminated */
	size_t len;
};

/*
 * The canonical form.  One trailing delimiter is dropped (RFC 3501 6.3.3: CREATE "a/").
 * FAULT_SYNTAX: no UTF-8, control characters, an empty name or level.  FAULT_TOO_LONG.
 */
MUST_USE enum fault store_name_parse(struct slice text, struct store_name *);
static inline struct slice
store_name_slice(const struct store_name *n)
{
	return slice_make(n->text, n->len);
}
/* Takes the next level of a canonical name and the delimiter behind it; false at the end. */
bool take_name_level(struct cursor *, struct slice *level);
/* All but the last level, empty at the top; and the last level. */
void store_name_split(struct slice name, struct slice *parent, struct slice *last);

#endif
