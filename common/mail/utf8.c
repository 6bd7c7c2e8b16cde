/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 checking and folding.  Linked by every process; trusts no byte.  libunistring knows the
 * tables of Unicode; what needs no table (ASCII, Hangul, Han, Kana, Cyrillic) is done here, since
 * SEARCH folds whole mailboxes.
 */
#include "common/mail/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

#include "common/base/ascii.h"

bool
utf8_is_ascii(struct slice s)
{
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		uint64_t eight;
		memcpy(&eight, s.data + i, 8);
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			return false;
	}
	for (; i < s.len; i++) {
		if (ascii_is_8bit(s.data[i]))
			return false;
	}
	return true;
}

/* What the first byte says: bytes of the character, and its bits; 0 for no first byte. */
static size_t
lead_len(uint8_t lead, uint32_t *bits, uint32_t *least)
{
	if (lead < 0x80) {
		*bits = lead;
		*least = 0;
		return 1;
	}
	if (lead >= 0xc2 && lead <= 0xdf) {
		*bits = lead & 0x1fU;
		*least = 0x80;
		return 2;
	}
	if (lead >= 0xe0 && lead <= 0xef) {
		*bits = lead & 0x0fU;
		*least = 0x800;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		*bits = lead & 0x07U;
		*least = 0x10000;
		return 4;
	}
	return 0;
}

bool
take_utf8(struct cursor *c, uint32_t *code_point)
{
	uint32_t value, least;

	if (cursor_at_end(c))
		return false;
	const uint8_t *at = (const uint8_t *)c->rest.data;
	size_t len = lead_len(at[0], &value, &least);
	if (len == 0 || len > c->rest.len)
		return false;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return false;
		value = value << 6 | (at[i] & 0x3fU);
	}
	if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return false;
	*code_point = value;
	c->rest = slice_after(c->rest, len);
	return true;
}

/* ASCII bytes at the start of s. */
static size_t
ascii_run(struct slice s)
{
	size_t i = 0;

	while (i + 8 <= s.len && utf8_is_ascii(slice_make(s.data + i, 8)))
		i += 8;
	while (i < s.len && !ascii_is_8bit(s.data[i]))
		i++;
	return i;
}

bool
utf8_is_valid(struct slice s)
{
	struct cursor c = cursor_of(s);
	uint32_t code_point;

	for (;;) {
		c.rest = slice_after(c.rest, ascii_run(c.rest));
		if (cursor_at_end(&c))
			return true;
		if (!take_utf8(&c, &code_point))
			return false;
	}
}

void
utf8_add(struct buffer *out, uint32_t code_point)
{
	char bytes[4];
	size_t len;

	if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
		code_point = UTF8_REPLACEMENT;
	if (code_point < 0x80) {
		buffer_add_byte(out, (char)code_point);
		return;
	}
	if (code_point < 0x800) {
		bytes[0] = (char)(0xc0 | code_point >> 6);
		len = 2;
	} else if (code_point < 0x10000) {
		bytes[0] = (char)(0xe0 | code_point >> 12);
		len = 3;
	} else {
		bytes[0] = (char)(0xf0 | code_point >> 18);
		len = 4;
	}
	for (size_t i = 1; i < len; i++)
		bytes[i] = (char)(0x80 | (code_point >> 6 * (len - 1 - i) & 0x3f));
	buffer_add(out, bytes, len);
}

void
utf8_add_repaired(struct buffer *out, struct slice s)
{
	struct cursor c = cursor_of(s);
	uint32_t code_point;
	char broken;

	for (;;) {
		struct cursor mark = c;
		do
			c.rest = slice_after(c.rest, ascii_run(c.rest));
		while (take_utf8(&c, &code_point));
		buffer_add_slice(out, cursor_since(&c, mark));
		if (!take_any(&c, &broken))
			return;
		utf8_add(out, UTF8_REPLACEMENT);
	}
}

struct slice
utf8_first(struct slice s, size_t max)
{
	if (s.len <= max)
		return s;
	/* At most three bytes back; without a first byte there, this is no UTF-8 to respect. */
	for (size_t back = 0; back <= 3 && back <= max; back++) {
		if (((uint8_t)s.data[max - back] & 0xc0) != 0x80)
			return slice_first(s, max - back);
	}
	return slice_first(s, max);
}

size_t
utf8_count(struct slice s)
{
	size_t count = 0;

	for (size_t i = 0; i < s.len; i++)
		count += ((uint8_t)s.data[i] & 0xc0) != 0x80;
	return count;
}

enum fault
utf8_to_nfc(struct slice s, struct buffer *out)
{
	size_t len = 0;

	if (utf8_is_ascii(s)) {
		buffer_add_slice(out, s);
		return buffer_fault(out);
	}
	if (!utf8_is_valid(s))
		return FAULT_SYNTAX;
	uint8_t *text = u8_normalize(UNINORM_NFC, (const uint8_t *)s.data, s.len, NULL, &len);
	if (text == NULL)
		return FAULT_NOMEM;
	buffer_add(out, text, len);
	free(text);
	return buffer_fault(out);
}

/*
 * Characters whose folding needs no table and that never join with one that follows from this
 * same set.  A following character outside the set may be a combining mark, so that fold_run
 * hands its base over to libunistring too.
 */
static bool
fold_simply(uint32_t *c)
{
	uint32_t v = *c;

	if (v < 0x80) {
		*c = (uint8_t)ascii_lower((char)v);
		return true;
	}
	if (v >= 0x410 && v <= 0x42f) {
		*c = v + 0x20;
		return true;
	}
	return (v >= 0x430 && v <= 0x44f) || (v >= 0x3041 && v <= 0x3096) ||
		(v >= 0x30a1 && v <= 0x30fa) || (v >= 0x4e00 && v <= 0x9fff) ||
		(v >= 0xac00 && v <= 0xd7a3);
}

/*
 * NFKC before and after: some characters fold only after they are decomposed (the C of U+2103),
 * some decompose only after they are folded.
 */
static enum fault
fold_by_table(struct slice s, struct buffer *out)
{
	size_t len = 0, folded_len = 0;
	uint8_t *plain = u8_normalize(UNINORM_NFKC, (const uint8_t *)s.data, s.len, NULL, &len);

	if (plain == NULL)
		return FAULT_NOMEM;
	uint8_t *folded = u8_casefold(plain, len, NULL, UNINORM_NFKC, NULL, &folded_len);
	free(plain);
	if (folded == NULL)
		return FAULT_NOMEM;
	buffer_add(out, folded, folded_len);
	free(folded);
	return buffer_fault(out);
}

static void
ascii_fold_run(struct cursor *c, struct buffer *out)
{
	/* The last byte may be the base of a combining mark: leave it to the caller. */
	size_t run = ascii_run(c->rest);
	size_t safe = run == c->rest.len || run == 0 ? run : run - 1;
	char *to = buffer_reserve(out, safe);

	for (size_t i = 0; to != NULL && i < safe; i++)
		to[i] = ascii_lower(c->rest.data[i]);
	if (to != NULL)
		buffer_added(out, safe);
	c->rest = slice_after(c->rest, safe);
}

/* What needs the table: from the base at mark to the next simple character. */
static enum fault
fold_marked(struct cursor *c, struct cursor mark, struct buffer *out)
{
	struct cursor probe = *c;
	uint32_t v;

	while (take_utf8(&probe, &v) && !fold_simply(&v))
		*c = probe;
	return fold_by_table(cursor_since(c, mark), out);
}

enum fault
utf8_fold(struct slice s, struct buffer *out)
{
	struct cursor c = cursor_of(s);
	enum fault fault = FAULT_OK;
	uint32_t v;
	char broken;

	while (fault == FAULT_OK && !cursor_at_end(&c)) {
		ascii_fold_run(&c, out);
		struct cursor mark = c;
		if (!take_utf8(&c, &v)) {
			if (take_any(&c, &broken))
				utf8_add(out, UTF8_REPLACEMENT);
			continue;
		}
		bool simple = fold_simply(&v);
		struct cursor ahead = c;
		uint32_t follower;
		bool joins = take_utf8(&ahead, &follower) && !fold_simply(&follower);
		if (simple && !joins)
			utf8_add(out, v);
		else
			fault = fold_marked(&c, mark, out);
	}
	return fault == FAULT_OK ? buffer_fault(out) : fault;
}
