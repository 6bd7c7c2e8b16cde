/* SPDX-License-Identifier: ISC */
/* Finding message ids.  Linked by deliverd and imapd; trusts no byte. */
#include "common/mail/message_id.h"

#include "common/base/ascii.h"

enum { ID_MAX = 998 };

/* The id that begins at the "<" of s, or an empty slice. */
static struct slice
id_at(struct slice s)
{
	for (size_t i = 1; i < s.len && i < ID_MAX; i++) {
		char c = s.data[i];
		if (c == '>')
			return i > 1 ? slice_first(s, i + 1) : slice_first(s, 0);
		if (c == '<' || ascii_is_space(c) || ascii_is_control(c))
			break;
	}
	return slice_first(s, 0);
}

bool
take_message_id(struct cursor *c, struct slice *id)
{
	for (;;) {
		size_t at = slice_find_byte(c->rest, '<');
		c->rest = slice_after(c->rest, at);
		if (cursor_at_end(c))
			return false;
		struct slice found = id_at(c->rest);
		if (found.len > 0) {
			*id = found;
			c->rest = slice_after(c->rest, found.len);
			return true;
		}
		c->rest = slice_after(c->rest, 1);
	}
}
