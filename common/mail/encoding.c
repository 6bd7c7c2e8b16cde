/* SPDX-License-Identifier: ISC */
/*
 * Content transfer encodings.  Linked by deliverd and imapd, fed with bytes that nobody trusts;
 * every byte costs the same, however broken the text is.
 */
#include "common/mail/encoding.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/base64.h"
#include "common/mail/header.h"

enum { LINE_BYTES = 57, QUOTED_LINE_MAX = 76, CHUNK = 16384, NO_SEXTET = 64 };

static bool
is_encoding_name(char c)
{
	return ascii_is_graphic(c) && c != '(' && c != ';';
}

enum encoding
encoding_parse(struct slice value)
{
	static const struct {
		struct slice name;
		enum encoding encoding;
	} table[] = {
		{SLICE_LITERAL(""), ENCODING_7BIT},
		{SLICE_LITERAL("7bit"), ENCODING_7BIT},
		{SLICE_LITERAL("8bit"), ENCODING_8BIT},
		{SLICE_LITERAL("binary"), ENCODING_BINARY},
		{SLICE_LITERAL("quoted-printable"), ENCODING_QUOTED_PRINTABLE},
		{SLICE_LITERAL("base64"), ENCODING_BASE64},
	};
	struct cursor c = cursor_of(value);

	take_cfws(&c);
	struct slice name = take_run(&c, is_encoding_name);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (slice_equal_nocase(name, table[i].name))
			return table[i].encoding;
	}
	return ENCODING_UNKNOWN;
}

/* ---- base64 ---- */

/* For bytes under 128; NO_SEXTET for what is not in the alphabet. */
/* clang-format off */
static const uint8_t sextets[128] = {
	64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
	64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
	64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
	64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64,
	64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
};
/* clang-format on */

static uint32_t
sextet_of(char c)
{
	return ascii_is_8bit(c) ? NO_SEXTET : sextets[(unsigned char)c];
}

/* Two sextets make a byte, three make two; one alone is noise. */
static void
flush_base64(struct decoder *d, struct buffer *out)
{
	if (d->held == 2)
		buffer_add_byte(out, (char)(d->bits >> 4));
	if (d->held == 3) {
		buffer_add_byte(out, (char)(d->bits >> 10));
		buffer_add_byte(out, (char)(d->bits >> 2));
	}
	d->held = 0;
	d->bits = 0;
}

static char *
put_three(char *to, uint32_t bits)
{
	to[0] = (char)(bits >> 16);
	to[1] = (char)(bits >> 8);
	to[2] = (char)bits;
	return to + 3;
}

/* Groups of four good bytes; stops at the first other byte.  Returns the bytes read. */
static size_t
decode_groups(struct slice in, char **to)
{
	size_t i = 0;

	for (; i + 4 <= in.len; i += 4) {
		uint32_t a = sextet_of(in.data[i]), b = sextet_of(in.data[i + 1]);
		uint32_t c = sextet_of(in.data[i + 2]), d = sextet_of(in.data[i + 3]);
		if (((a | b | c | d) & NO_SEXTET) != 0)
			break;
		*to = put_three(*to, a << 18 | b << 12 | c << 6 | d);
	}
	return i;
}

/* One byte: alphabet, padding, or something to be skipped (RFC 2045 6.8). */
static void
decode_sextet(struct decoder *d, char byte, char **to)
{
	uint32_t sextet = sextet_of(byte);

	if (byte == '=' && d->held >= 2)
		d->finished = true;
	if (sextet == NO_SEXTET)
		return;
	d->bits = d->bits << 6 | sextet;
	if (++d->held == 4) {
		*to = put_three(*to, d->bits);
		d->held = 0;
		d->bits = 0;
	}
}

/* At most CHUNK bytes, which give no more than as many. */
static void
feed_base64(struct decoder *d, struct slice in, struct buffer *out)
{
	char *room = buffer_reserve(out, in.len);
	char *to = room;

	if (room == NULL)
		return;
	for (size_t i = 0; i < in.len && !d->finished;) {
		if (d->held == 0)
			i += decode_groups(slice_after(in, i), &to);
		if (i < in.len)
			decode_sextet(d, in.data[i++], &to);
	}
	buffer_added(out, (size_t)(to - room));
}

/* ---- quoted-printable ---- */

static void
flush_blanks(struct decoder *d, struct buffer *out)
{
	buffer_add(out, d->blank_bytes, d->blanks);
	d->blanks = 0;
}

/* An "=" with d->held bytes behind it so far; byte is the next. */
static void
feed_escape(struct decoder *d, char byte, struct buffer *out)
{
	if (d->held == 1 && byte == '\n') { /* a soft line break */
		d->held = 0;
		return;
	}
	if (d->held == 1 && (byte == '\r' || byte == ' ' || byte == '\t'))
		return;
	if (d->held == 1 && ascii_hex_value(byte) >= 0) {
		d->text[0] = byte;
		d->held = 2;
		return;
	}
	if (d->held == 2 && ascii_hex_value(byte) >= 0) {
		int value = ascii_hex_value(d->text[0]) << 4 | ascii_hex_value(byte);
		buffer_add_byte(out, (char)value);
		d->held = 0;
		return;
	}
	/* Broken: it stands for itself (RFC 2045 6.7). */
	buffer_add_byte(out, '=');
	buffer_add(out, d->text, d->held - 1);
	d->held = 0;
	if (byte == '=')
		d->held = 1;
	else
		buffer_add_byte(out, byte);
}

static void
feed_quoted_byte(struct decoder *d, char byte, struct buffer *out)
{
	if (d->held > 0) {
		feed_escape(d, byte, out);
		return;
	}
	if (byte == ' ' || byte == '\t' || byte == '\r') {
		if (d->blanks == sizeof d->blank_bytes)
			flush_blanks(d, out);
		d->blank_bytes[d->blanks++] = byte;
		return;
	}
	if (byte == '\n') {
		/* White space at the end of a line was added on the way (RFC 2045 6.7). */
		bool has_cr = d->blanks > 0 && d->blank_bytes[d->blanks - 1] == '\r';
		d->blanks = 0;
		if (has_cr)
			buffer_add_byte(out, '\r');
		buffer_add_byte(out, '\n');
		return;
	}
	flush_blanks(d, out);
	if (byte == '=')
		d->held = 1;
	else
		buffer_add_byte(out, byte);
}

/* Bytes up to the next that has a meaning. */
static size_t
plain_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] != '=' && s.data[n] != '\n' && s.data[n] != '\r')
		n++;
	return n;
}

/* Plain text at once, but for the white space at its end, which may be that of the line. */
static struct slice
feed_plain(struct decoder *d, struct slice in, struct buffer *out)
{
	size_t len = plain_len(in);

	while (len > 0 && (in.data[len - 1] == ' ' || in.data[len - 1] == '\t'))
		len--;
	if (len > 0)
		flush_blanks(d, out);
	buffer_add(out, in.data, len);
	return slice_after(in, len);
}

/* Whole escapes, as many as follow each other: text that is not Latin has hardly anything else. */
static struct slice
feed_escapes(struct decoder *d, struct slice in, struct buffer *out)
{
	char bytes[128];
	size_t n = 0;

	while (n < sizeof bytes && in.len >= 3 && in.data[0] == '=') {
		int high = ascii_hex_value(in.data[1]), low = ascii_hex_value(in.data[2]);
		if (high < 0 || low < 0)
			break;
		bytes[n++] = (char)(high << 4 | low);
		in = slice_after(in, 3);
	}
	if (n > 0)
		flush_blanks(d, out);
	buffer_add(out, bytes, n);
	return in;
}

static void
feed_quoted(struct decoder *d, struct slice in, struct buffer *out)
{
	while (in.len > 0) {
		if (d->held == 0)
			in = feed_escapes(d, feed_plain(d, in, out), out);
		if (in.len > 0)
			feed_quoted_byte(d, in.data[0], out);
		in = slice_after(in, 1);
	}
}

/* ---- both ---- */

void
decoder_init(struct decoder *d, enum encoding encoding)
{
	*d = (struct decoder){.encoding = encoding};
}

void
decoder_feed(struct decoder *d, struct slice in, struct buffer *out)
{
	if (d->encoding == ENCODING_QUOTED_PRINTABLE) {
		feed_quoted(d, in, out);
		return;
	}
	if (d->encoding != ENCODING_BASE64) {
		buffer_add_slice(out, in);
		return;
	}
	for (; in.len > 0 && buffer_fault(out) == FAULT_OK; in = slice_after(in, CHUNK))
		feed_base64(d, slice_first(in, CHUNK), out);
}

void
decoder_finish(struct decoder *d, struct buffer *out)
{
	if (d->encoding == ENCODING_BASE64)
		flush_base64(d, out);
	if (d->encoding == ENCODING_QUOTED_PRINTABLE && d->held > 1) {
		buffer_add_byte(out, '=');
		buffer_add(out, d->text, d->held - 1);
	}
	if (d->encoding == ENCODING_QUOTED_PRINTABLE && d->blanks > 0 &&
		d->blank_bytes[d->blanks - 1] == '\r')
		buffer_add_byte(out, '\r');
	decoder_init(d, d->encoding);
}

enum fault
encoding_decode(enum encoding encoding, struct slice in, struct buffer *out)
{
	struct decoder decoder;

	decoder_init(&decoder, encoding);
	decoder_feed(&decoder, in, out);
	decoder_finish(&decoder, out);
	return buffer_fault(out);
}

void
encoding_encode_base64(struct slice in, struct buffer *out)
{
	for (; in.len > 0; in = slice_after(in, LINE_BYTES)) {
		base64_encode(slice_first(in, LINE_BYTES), out);
		buffer_add_text(out, "\r\n");
	}
}

static bool
at_line_end(struct slice rest)
{
	return rest.len == 0 || rest.data[0] == '\n' || slice_starts(rest, SLICE("\r\n"));
}

/* The byte at the start of rest must be written as "=XX". */
static bool
must_quote(struct slice rest)
{
	char c = rest.data[0];

	if (c == ' ' || c == '\t')
		return at_line_end(slice_after(rest, 1));
	return c == '=' || !ascii_is_graphic(c);
}

static void
add_quoted(struct buffer *out, char c)
{
	static const char hex[] = "0123456789ABCDEF";
	char escape[3] = {'=', hex[(unsigned char)c >> 4], hex[c & 15]};

	buffer_add(out, escape, sizeof escape);
}

/* A lone dot, "From " and boundaries must not look like themselves. */
static bool
is_risky_start(struct slice line)
{
	return slice_starts(line, SLICE(".")) || slice_starts(line, SLICE("--")) ||
		slice_starts(line, SLICE("From "));
}

void
encoding_encode_quoted(struct slice in, struct buffer *out)
{
	size_t column = 0;

	while (in.len > 0) {
		if (at_line_end(in)) {
			buffer_add_text(out, "\r\n");
			in = slice_after(in, in.data[0] == '\n' ? 1 : 2);
			column = 0;
			continue;
		}
		size_t width = must_quote(in) ? 3 : 1;
		if (column + width > QUOTED_LINE_MAX - 1) {
			buffer_add_text(out, "=\r\n");
			column = 0;
		}
		if (column == 0 && is_risky_start(in))
			width = 3;
		if (width == 3)
			add_quoted(out, in.data[0]);
		else
			buffer_add_byte(out, in.data[0]);
		column += width;
		in = slice_after(in, 1);
	}
}
