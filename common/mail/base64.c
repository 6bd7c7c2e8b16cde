/* SPDX-License-Identifier: ISC */
/* Strict base64.  Linked by every process that speaks SASL; trusts no byte. */
#include "common/mail/base64.h"

#include "common/base/ascii.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct slice in, struct buffer *out)
{
	const uint8_t *at = (const uint8_t *)in.data;

	for (size_t i = 0; i < in.len; i += 3) {
		size_t n = in.len - i < 3 ? in.len - i : 3;
		uint32_t bits = (uint32_t)at[i] << 16;
		if (n > 1)
			bits |= (uint32_t)at[i + 1] << 8;
		if (n > 2)
			bits |= at[i + 2];
		char four[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
			n > 1 ? alphabet[bits >> 6 & 63] : '=', n > 2 ? alphabet[bits & 63] : '='};
		buffer_add(out, four, sizeof four);
	}
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters of which the last pad ones are "=". */
static bool
decode_group(const char *four, size_t pad, struct buffer *out)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - pad ? value_of(four[i]) : 0;
		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
	}
	char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
	buffer_add(out, bytes, 3 - pad);
	/* One spelling only: the bits that pad does not use are zero. */
	return (bits & ((1U << 8 * pad) - 1)) == 0;
}

enum fault
base64_decode(struct slice in, struct buffer *out)
{
	size_t before = buffer_len(out);
	size_t pad = 0;

	if (in.len % 4 != 0)
		return FAULT_SYNTAX;
	while (pad < 2 && pad < in.len && in.data[in.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < in.len; i += 4) {
		if (!decode_group(in.data + i, i + 4 == in.len ? pad : 0, out)) {
			buffer_truncate(out, before);
			return FAULT_SYNTAX;
		}
	}
	return buffer_fault(out);
}
