/* SPDX-License-Identifier: ISC */
/* Modified UTF-7.  Linked by imapd; mailbox names come from clients, which nobody trusts. */
#include "common/mail/mutf7.h"

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Printable ASCII stands for itself. */
static bool
is_direct(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static int
sextet_value(char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* UTF-16 units on their way to characters. */
struct units {
	uint32_t high; /* a high surrogate that waits, or 0 */
	struct buffer *out;
};

static bool
add_unit(struct units *u, uint32_t unit)
{
	if (unit >= 0xdc00 && unit <= 0xdfff) {
		if (u->high == 0)
			return false;
		utf8_add(u->out, 0x10000 + ((u->high - 0xd800) << 10) + (unit - 0xdc00));
		u->high = 0;
		return true;
	}
	if (u->high != 0)
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		u->high = unit;
		return true;
	}
	if (unit < 0x80 && is_direct((char)unit))
		return false;
	utf8_add(u->out, unit);
	return true;
}

/* The text between "&" and "-". */
static bool
decode_shifted(struct slice text, struct buffer *out)
{
	struct units units = {.out = out};
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < text.len; i++) {
		int value = sextet_value(text.data[i]);
		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 16) {
			held -= 16;
			if (!add_unit(&units, bits >> held & 0xffff))
				return false;
			bits &= (1U << held) - 1;
		}
	}
	/* Less than a sextet of padding, all zero, and no half of a pair. */
	return held < 6 && bits == 0 && units.high == 0;
}

static bool
decode_all(struct slice in, struct buffer *out)
{
	struct cursor c = cursor_of(in);
	bool was_shifted = false;
	struct slice text;
	char byte;

	while (take_any(&c, &byte)) {
		if (!is_direct(byte))
			return false;
		if (byte != '&') {
			buffer_add_byte(out, byte);
			was_shifted = false;
			continue;
		}
		if (take_byte(&c, '-')) {
			buffer_add_byte(out, '&');
			was_shifted = false;
			continue;
		}
		/* RFC 3501 5.1.3: "-&" between two shifts is superfluous and forbidden. */
		if (was_shifted || !take_until(&c, '-', &text) || !decode_shifted(text, out))
			return false;
		take_byte(&c, '-');
		was_shifted = true;
	}
	return true;
}

enum fault
mutf7_decode(struct slice in, struct buffer *out)
{
	size_t before = buffer_len(out);

	if (!decode_all(in, out)) {
		buffer_truncate(out, before);
		return FAULT_SYNTAX;
	}
	return buffer_fault(out);
}

/* Base64 in the making. */
struct shift {
	uint32_t bits;
	unsigned held;
	struct buffer *out;
};

static void
put_unit(struct shift *s, uint32_t unit)
{
	s->bits = s->bits << 16 | unit;
	s->held += 16;
	while (s->held >= 6) {
		s->held -= 6;
		buffer_add_byte(s->out, alphabet[s->bits >> s->held & 63]);
	}
	s->bits &= (1U << s->held) - 1;
}

static void
encode_shifted(struct cursor *c, struct buffer *out)
{
	struct shift shift = {.out = out};
	uint32_t v;

	buffer_add_byte(out, '&');
	while (!cursor_at_end(c) && !is_direct(c->rest.data[0]) && take_utf8(c, &v)) {
		if (v >= 0x10000) {
			put_unit(&shift, 0xd800 + ((v - 0x10000) >> 10));
			put_unit(&shift, 0xdc00 + ((v - 0x10000) & 0x3ff));
		} else {
			put_unit(&shift, v);
		}
	}
	if (shift.held > 0)
		buffer_add_byte(out, alphabet[shift.bits << (6 - shift.held) & 63]);
	buffer_add_byte(out, '-');
}

enum fault
mutf7_encode(struct slice utf8, struct buffer *out)
{
	struct cursor c = cursor_of(utf8);
	char byte;

	if (!utf8_is_valid(utf8))
		return FAULT_SYNTAX;
	while (!cursor_at_end(&c)) {
		if (!is_direct(c.rest.data[0])) {
			encode_shifted(&c, out);
			continue;
		}
		take_any(&c, &byte);
		buffer_add_byte(out, byte);
		if (byte == '&')
			buffer_add_byte(out, '-');
	}
	return buffer_fault(out);
}
