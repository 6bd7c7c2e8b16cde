/* SPDX-License-Identifier: ISC */
/*
 * A slice borrows bytes: a pointer and a length, passed by value, never freed, not terminated.
 * It lives no longer than what it borrows from (a frame, an arena, a read transaction).
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *data;
	size_t len;
};

/* printf helpers: printf("%" SLICE_FMT, SLICE_ARG(s)); text longer than 1 MiB is cut. */
#define SLICE_FMT ".*s"
#define SLICE_ARG(s) ((int)((s).len < 1048576 ? (s).len : 1048576)), (s).data

/* A slice of a string literal, usable in static initialisers. */
/* clang-format off */
#define SLICE_LITERAL(text) {(text), sizeof(text) - 1}
#define SLICE(text) ((struct slice){(text), sizeof(text) - 1})
/* clang-format on */

static inline struct slice
slice_make(const void *data, size_t len)
{
	return (struct slice){data, len};
}

/* The bytes of a terminated string; NULL gives the empty slice. */
static inline struct slice
slice_text(const char *text)
{
	return (struct slice){text, text != NULL ? strlen(text) : 0};
}

static inline bool
slice_is_empty(struct slice s)
{
	return s.len == 0;
}

/* The first n bytes, or all of them when there are fewer. */
static inline struct slice
slice_first(struct slice s, size_t n)
{
	return (struct slice){s.data, n < s.len ? n : s.len};
}

/* What is left after the first n bytes; empty when there are no more. */
static inline struct slice
slice_after(struct slice s, size_t n)
{
	if (n > s.len)
		n = s.len;
	return (struct slice){s.data == NULL ? NULL : s.data + n, s.len - n};
}

bool slice_equal(struct slice a, struct slice b);
/* ASCII case only, no locale. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);
/* memcmp order, the shorter first on a tie: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);
/* Index of the first byte c, or s.len. */
size_t slice_find_byte(struct slice s, char c);
/* Index of the last byte c, or s.len. */
size_t slice_find_last(struct slice s, char c);
/* Index of the first occurrence of what, or s.len; an empty what is found at 0. */
size_t slice_find(struct slice s, struct slice what);
/* Without the spaces, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice s);
/*
 * All of s as a decimal number without sign; false when s is empty, has another byte, or the
 * value is over max.
 */
bool slice_parse_u64(struct slice s, uint64_t max, uint64_t *value);
/* A terminated copy on the heap, or NULL when memory is out.  A NUL inside stays as it is. */
char *slice_dup(struct slice s);

#endif
