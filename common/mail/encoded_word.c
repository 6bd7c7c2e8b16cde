/* SPDX-License-Identifier: ISC */
/*
 * Encoded words.  Linked by deliverd, imapd and queued; trusts no byte.  The bytes of neighbouring
 * words of one charset are gathered before conversion, since many mailers cut characters in two.
 */
#include "common/mail/encoded_word.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/base64.h"
#include "common/mail/charset.h"
#include "common/mail/encoding.h"
#include "common/mail/utf8.h"

enum {
	CHARSET_MAX = 60,
	TEXT_MAX = 2000, /* RFC 2047 2 says 75 in all, mailers say otherwise */
	ENCODED_BYTES = 45, /* 60 characters of base64: 72 with "=?utf-8?B?" and "?=" */
};

struct word {
	struct slice charset; /* without the language of RFC 2231 5 */
	char encoding; /* 'B' or 'Q' */
	struct slice text;
};

static bool
is_charset_byte(char c)
{
	return ascii_is_graphic(c) && c != '?' && c != '=';
}

/* Up to "?=", at most TEXT_MAX bytes; spaces are borne, line ends are not. */
static bool
take_word_text(struct cursor *c, struct slice *text)
{
	size_t at = 0;

	for (; at < TEXT_MAX && at + 1 < c->rest.len; at++) {
		char byte = c->rest.data[at];
		if (byte == '\r' || byte == '\n')
			return false;
		if (byte == '?' && c->rest.data[at + 1] == '=') {
			*text = slice_first(c->rest, at);
			c->rest = slice_after(c->rest, at + 2);
			return true;
		}
	}
	return false;
}

static bool
take_word(struct cursor *c, struct word *word)
{
	struct cursor probe = *c;
	struct word taken;

	if (!take_text(&probe, SLICE("=?")) ||
		!take_while(&probe, is_charset_byte, &taken.charset) ||
		taken.charset.len > CHARSET_MAX || !take_byte(&probe, '?') ||
		!take_any(&probe, &taken.encoding) || !take_byte(&probe, '?') ||
		!take_word_text(&probe, &taken.text))
		return false;
	taken.encoding = ascii_upper(taken.encoding);
	if (taken.encoding != 'B' && taken.encoding != 'Q')
		return false;
	taken.charset = slice_first(taken.charset, slice_find_byte(taken.charset, '*'));
	*word = taken;
	*c = probe;
	return true;
}

static void
add_q(struct buffer *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		int high = i + 2 < text.len ? ascii_hex_value(text.data[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex_value(text.data[i + 2]) : -1;
		if (text.data[i] == '=' && low >= 0) {
			buffer_add_byte(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buffer_add_byte(out, text.data[i] == '_' ? ' ' : text.data[i]);
		}
	}
}

/* What is known of the value so far. */
struct decoding {
	struct buffer *out;
	struct buffer raw; /* bytes of words of one charset that wait for conversion */
	struct slice charset;
	bool has_words;
};

/* Control characters would break whatever line the text is put on. */
static void
add_clean(struct buffer *out, struct slice utf8)
{
	for (size_t i = 0; i < utf8.len; i++) {
		char c = utf8.data[i];
		buffer_add_byte(out, ascii_is_control(c) ? ' ' : c);
	}
}

static void
flush_words(struct decoding *d)
{
	struct buffer text;

	if (!d->has_words)
		return;
	buffer_init(&text, d->out->cap);
	enum fault fault = charset_to_utf8_lossy(d->charset, buffer_slice(&d->raw), &text);
	if (fault == FAULT_OK)
		add_clean(d->out, buffer_slice(&text));
	else if (d->out->fault == FAULT_OK)
		d->out->fault = fault;
	buffer_clear(&text);
	buffer_reset(&d->raw);
	d->has_words = false;
}

static void
gather_word(struct decoding *d, const struct word *word)
{
	if (d->has_words && !slice_equal_nocase(d->charset, word->charset))
		flush_words(d);
	d->charset = word->charset;
	d->has_words = true;
	if (word->encoding == 'Q')
		add_q(&d->raw, word->text);
	else if (encoding_decode(ENCODING_BASE64, word->text, &d->raw) != FAULT_OK)
		d->out->fault = buffer_fault(&d->raw);
}

/* Text between words: UTF-8, or windows-1252 when it is not; line ends are folds. */
static void
add_plain(struct decoding *d, struct slice text)
{
	bool is_utf8 = utf8_is_valid(text);

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '\r' || c == '\n')
			continue;
		if (ascii_is_control(c))
			c = ' ';
		if (is_utf8 || !ascii_is_8bit(c))
			buffer_add_byte(d->out, c);
		else if (charset_to_utf8(SLICE("windows-1252"), slice_make(&c, 1), d->out))
			return;
	}
}

/* Up to the next "=?", which is no word when it comes first. */
static struct slice
take_plain(struct cursor *c)
{
	size_t at = 1 + slice_find(slice_after(c->rest, 1), SLICE("=?"));
	struct slice text = slice_first(c->rest, at);

	c->rest = slice_after(c->rest, text.len);
	return text;
}

static void
decode_value(struct decoding *d, struct slice value)
{
	struct cursor c = cursor_of(value);
	struct word word;

	while (!cursor_at_end(&c) && buffer_fault(d->out) == FAULT_OK) {
		struct cursor mark = c;
		struct slice blank = take_run(&c, ascii_is_space);
		bool is_word = take_word(&c, &word) && charset_is_known(word.charset);
		if (is_word && (d->has_words || blank.len == 0)) {
			gather_word(d, &word);
			continue;
		}
		flush_words(d);
		if (is_word) {
			add_plain(d, blank);
			gather_word(d, &word);
			continue;
		}
		/* An unknown charset: the word stays as it is. */
		c = mark;
		c.rest = slice_after(c.rest, blank.len);
		add_plain(d, blank);
		if (!cursor_at_end(&c))
			add_plain(d, take_plain(&c));
	}
	flush_words(d);
}

enum fault
encoded_word_decode(struct slice value, struct buffer *out)
{
	struct decoding d = {.out = out};

	buffer_init(&d.raw, out->cap);
	decode_value(&d, slice_trim(value));
	buffer_clear(&d.raw);
	return buffer_fault(out);
}

static bool
needs_encoding(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_graphic(text.data[i]) && text.data[i] != ' ')
			return true;
	}
	return slice_find(text, SLICE("=?")) < text.len;
}

void
encoded_word_encode(struct slice utf8, struct buffer *out)
{
	if (!needs_encoding(utf8)) {
		buffer_add_slice(out, utf8);
		return;
	}
	while (utf8.len > 0) {
		struct slice piece = utf8_first(utf8, ENCODED_BYTES);
		if (piece.len == 0)
			piece = slice_first(utf8, ENCODED_BYTES);
		buffer_add_text(out, "=?utf-8?B?");
		base64_encode(piece, out);
		utf8 = slice_after(utf8, piece.len);
		buffer_add_text(out, utf8.len > 0 ? "?=\r\n " : "?=");
	}
}
