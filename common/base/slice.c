/* SPDX-License-Identifier: ISC */
/* Comparing and searching borrowed bytes.  Linked by every process; trusts no input. */
#include "common/base/slice.h"

#include <stdlib.h>

#include "common/base/ascii.h"

bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
			return false;
	}
	return true;
}

bool
slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal(slice_first(s, prefix.len), prefix);
}

bool
slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal_nocase(slice_first(s, prefix.len), prefix);
}

bool
slice_ends_nocase(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
		slice_equal_nocase(slice_after(s, s.len - suffix.len), suffix);
}

int
slice_compare(struct slice a, struct slice b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

size_t
slice_find_byte(struct slice s, char c)
{
	const char *hit = s.len > 0 ? memchr(s.data, c, s.len) : NULL;

	return hit != NULL ? (size_t)(hit - s.data) : s.len;
}

size_t
slice_find_last(struct slice s, char c)
{
	for (size_t i = s.len; i > 0; i--) {
		if (s.data[i - 1] == c)
			return i - 1;
	}
	return s.len;
}

size_t
slice_find(struct slice s, struct slice what)
{
	const char *at;

	if (what.len == 0)
		return 0;
	at = s.len >= what.len ? memmem(s.data, s.len, what.data, what.len) : NULL;
	return at != NULL ? (size_t)(at - s.data) : s.len;
}

struct slice
slice_trim(struct slice s)
{
	while (s.len > 0 && ascii_is_space(s.data[0]))
		s = slice_after(s, 1);
	while (s.len > 0 && ascii_is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

bool
slice_parse_u64(struct slice s, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_digit(s.data[i]))
			return false;
		uint64_t digit = (uint64_t)(s.data[i] - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	if (sum > max)
		return false;
	*value = sum;
	return true;
}

char *
slice_dup(struct slice s)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
