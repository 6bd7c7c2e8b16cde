/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 checking and folding.  Linked by every process; trusts no byte.  libunistring knows the
 * tables of Unicode; what needs no table (ASCII, Hangul, Han, Kana, Cyrillic) is done here, since
 * SEARCH folds whole mailboxes.
 */
#include "common/mail/utf8.h"

#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>

#include "common/base/ascii.h"

enum { ASCII_BLOCK = 64 };

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

	/* The compiler makes one wide test of the inner loop. */
	for (; i + ASCII_BLOCK <= s.len; i += ASCII_BLOCK) {
		uint8_t seen = 0;
		for (size_t j = 0; j < ASCII_BLOCK; j++)
			seen |= (uint8_t)s.data[i + j];
		if (seen >= 0x80)
			break;
	}
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

/* One to four bytes; what is no character becomes U+FFFD. */
static size_t
encode(uint32_t code_point, char bytes[4])
{
	size_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;

	if (code_point < 0x80) {
		bytes[0] = (char)code_point;
		return 1;
	}
	if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) {
		code_point = UTF8_REPLACEMENT;
		len = 3;
	}
	/* As many high bits as there are bytes, then a zero. */
	bytes[0] = (char)((0xf00 >> len & 0xf0) | code_point >> 6 * (len - 1));
	for (size_t i = 1; i < len; i++)
		bytes[i] = (char)(0x80 | (code_point >> 6 * (len - 1 - i) & 0x3f));
	return len;
}

void
utf8_add(struct buffer *out, uint32_t code_point)
{
	char bytes[4];
	size_t len = encode(code_point, bytes);

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

/*
 * What libunistring said about the small alphabets (Latin, Greek, Cyrillic, Hebrew), asked once per
 * letter: 0 not asked yet, 1 no simple answer, else the letter that it folds to.  For one thread.
 */
enum { ALPHABETS_END = 0x600, NOT_SIMPLE = 1 };
static uint16_t simple_folds[ALPHABETS_END];

static uint16_t
ask_table(uint32_t v)
{
	struct buffer letter, folded;
	uint16_t answer = NOT_SIMPLE;
	uint32_t to;

	buffer_init(&letter, 16);
	buffer_init(&folded, 256);
	utf8_add(&letter, v);
	if (uc_combining_class(v) == 0 &&
		fold_by_table(buffer_slice(&letter), &folded) == FAULT_OK) {
		struct cursor c = cursor_of(buffer_slice(&folded));
		if (take_utf8(&c, &to) && cursor_at_end(&c) && to < 0x10000)
			answer = (uint16_t)to;
	}
	buffer_clear(&letter);
	buffer_clear(&folded);
	return answer;
}

/*
 * Characters that fold to one character, whatever stands around them within this same set.  One
 * outside the set may be a combining mark that joins the character before it, so that fold_run
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
	if (v < ALPHABETS_END) {
		if (simple_folds[v] == 0)
			simple_folds[v] = ask_table(v);
		if (simple_folds[v] == NOT_SIMPLE)
			return false;
		*c = simple_folds[v];
		return true;
	}
	return (v >= 0xac00 && v <= 0xd7a3) || (v >= 0x4e00 && v <= 0x9fff) ||
		(v >= 0x3041 && v <= 0x3096) || (v >= 0x30a1 && v <= 0x30fa);
}

/* ASCII letters made small, eight bytes at a time. */
static void
lower_ascii(char *to, const char *from, size_t len)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t eight;
		memcpy(&eight, from + i, 8);
		/* No byte has its top bit set: it shows which are from A on, and which past Z. */
		uint64_t from_a = eight + each * (0x80 - 'A');
		uint64_t past_z = eight + each * (0x80 - 'Z' - 1);
		eight |= ((from_a ^ past_z) & each * 0x80) >> 2;
		memcpy(to + i, &eight, 8);
	}
	for (; i < len; i++)
		to[i] = ascii_lower(from[i]);
}

static void
fold_ascii(struct cursor *c, struct buffer *out)
{
	/* The last byte may be the base of a combining mark: leave it to fold_run. */
	size_t run = ascii_run(c->rest);
	size_t safe = run == c->rest.len || run == 0 ? run : run - 1;
	char *to = buffer_reserve(out, safe);

	if (to != NULL) {
		lower_ascii(to, c->rest.data, safe);
		buffer_added(out, safe);
	}
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

/*
 * Folded characters on their way into the buffer.  The last simple one is held back, since what
 * follows may join it.
 */
struct fold_run {
	char bytes[256];
	size_t len;
	bool has_base;
	uint32_t base; /* folded */
	struct cursor base_at;
};

static void
flush_run(struct fold_run *r, struct buffer *out)
{
	buffer_add(out, r->bytes, r->len);
	r->len = 0;
}

static void
put_base(struct fold_run *r, struct buffer *out)
{
	if (!r->has_base)
		return;
	if (r->len + 4 > sizeof r->bytes)
		flush_run(r, out);
	r->len += encode(r->base, r->bytes + r->len);
	r->has_base = false;
}

/* Up to the next ASCII (but for a first one), broken byte, or stretch that needs the table. */
static enum fault
fold_run(struct cursor *c, struct buffer *out)
{
	struct fold_run r;
	struct cursor mark = *c;
	uint32_t v;
	char broken;

	r.len = 0;
	r.has_base = false;
	while (take_utf8(c, &v)) {
		bool is_ascii = v < 0x80, is_first = !r.has_base;
		if (!fold_simply(&v)) {
			flush_run(&r, out);
			return fold_marked(c, is_first ? mark : r.base_at, out);
		}
		put_base(&r, out);
		if (is_ascii && !is_first) {
			*c = mark;
			flush_run(&r, out);
			return buffer_fault(out);
		}
		r.has_base = true;
		r.base = v;
		r.base_at = mark;
		mark = *c;
	}
	put_base(&r, out);
	flush_run(&r, out);
	if (take_any(c, &broken))
		utf8_add(out, UTF8_REPLACEMENT);
	return buffer_fault(out);
}

enum fault
utf8_fold(struct slice s, struct buffer *out)
{
	struct cursor c = cursor_of(s);
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && !cursor_at_end(&c)) {
		fold_ascii(&c, out);
		if (!cursor_at_end(&c))
			fault = fold_run(&c, out);
	}
	return fault == FAULT_OK ? buffer_fault(out) : fault;
}
