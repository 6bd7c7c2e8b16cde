/* SPDX-License-Identifier: ISC */
/*
 * The only way to parse: a cursor over borrowed bytes.  Each take_x moves the cursor only on
 * success; on failure the cursor stands where it stood and the result is untouched.  Modules add
 * one take_x per rule of their grammar, named as in the ABNF.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct cursor {
	struct slice rest;
};

/* True for the bytes of a class. */
typedef bool byte_class(char c);

static inline struct cursor
cursor_of(struct slice s)
{
	return (struct cursor){s};
}

static inline bool
cursor_at_end(const struct cursor *c)
{
	return c->rest.len == 0;
}

/* The next byte as 0-255, or -1 at the end. */
static inline int
peek_byte(const struct cursor *c)
{
	return c->rest.len > 0 ? (unsigned char)c->rest.data[0] : -1;
}

/* What was taken since mark, an earlier copy of the same cursor. */
static inline struct slice
cursor_since(const struct cursor *c, struct cursor mark)
{
	return slice_make(mark.rest.data, mark.rest.len - c->rest.len);
}

bool take_byte(struct cursor *c, char byte);
bool take_any(struct cursor *c, char *byte);
/* Exactly n bytes. */
bool take_bytes(struct cursor *c, size_t n, struct slice *bytes);
bool take_text(struct cursor *c, struct slice text);
/* ASCII case is ignored. */
bool take_text_nocase(struct cursor *c, struct slice text);
/* One byte or more of the class, up to the first that is not. */
bool take_while(struct cursor *c, byte_class *is_member, struct slice *run);
/* Zero bytes or more. */
struct slice take_run(struct cursor *c, byte_class *is_member);
/* All up to the byte stop, which stays; false when stop is missing. */
bool take_until(struct cursor *c, char stop, struct slice *run);
/* Everything that is left. */
struct slice take_rest(struct cursor *c);
/* One decimal digit or more; false without one, or when the value is over max. */
bool take_u64(struct cursor *c, uint64_t max, uint64_t *value);
bool take_u32(struct cursor *c, uint32_t *value);

#endif
