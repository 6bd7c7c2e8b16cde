/* SPDX-License-Identifier: ISC */
/* The basic take functions.  Linked by every process; made for bytes that nobody trusts. */
#include "common/base/cursor.h"

#include "common/base/ascii.h"

bool
take_byte(struct cursor *c, char byte)
{
	if (c->rest.len == 0 || c->rest.data[0] != byte)
		return false;
	c->rest = slice_after(c->rest, 1);
	return true;
}

bool
take_any(struct cursor *c, char *byte)
{
	if (c->rest.len == 0)
		return false;
	*byte = c->rest.data[0];
	c->rest = slice_after(c->rest, 1);
	return true;
}

bool
take_bytes(struct cursor *c, size_t n, struct slice *bytes)
{
	if (c->rest.len < n)
		return false;
	*bytes = slice_first(c->rest, n);
	c->rest = slice_after(c->rest, n);
	return true;
}

bool
take_text(struct cursor *c, struct slice text)
{
	if (!slice_starts(c->rest, text))
		return false;
	c->rest = slice_after(c->rest, text.len);
	return true;
}

bool
take_text_nocase(struct cursor *c, struct slice text)
{
	if (!slice_starts_nocase(c->rest, text))
		return false;
	c->rest = slice_after(c->rest, text.len);
	return true;
}

struct slice
take_run(struct cursor *c, byte_class *is_member)
{
	size_t n = 0;

	while (n < c->rest.len && is_member(c->rest.data[n]))
		n++;
	struct slice run = slice_first(c->rest, n);
	c->rest = slice_after(c->rest, n);
	return run;
}

bool
take_while(struct cursor *c, byte_class *is_member, struct slice *run)
{
	struct slice taken = take_run(c, is_member);

	if (taken.len == 0)
		return false;
	*run = taken;
	return true;
}

bool
take_until(struct cursor *c, char stop, struct slice *run)
{
	size_t at = slice_find_byte(c->rest, stop);

	if (at == c->rest.len)
		return false;
	*run = slice_first(c->rest, at);
	c->rest = slice_after(c->rest, at);
	return true;
}

struct slice
take_rest(struct cursor *c)
{
	struct slice rest = c->rest;

	c->rest = slice_after(c->rest, c->rest.len);
	return rest;
}

bool
take_u64(struct cursor *c, uint64_t max, uint64_t *value)
{
	struct cursor probe = *c;
	struct slice digits = take_run(&probe, ascii_is_digit);

	if (!slice_parse_u64(digits, max, value))
		return false;
	*c = probe;
	return true;
}

bool
take_u32(struct cursor *c, uint32_t *value)
{
	uint64_t wide;

	if (!take_u64(c, UINT32_MAX, &wide))
		return false;
	*value = (uint32_t)wide;
	return true;
}
