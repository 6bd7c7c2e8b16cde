/* SPDX-License-Identifier: ISC */
/*
 * Text of body parts.  Linked by deliverd (previews) and imapd (SEARCH); trusts no byte.  Html is
 * stripped, not understood: no tag has any effect but where words end and what is hidden.
 */
#include "common/mail/body_text.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/charset.h"
#include "common/mail/utf8.h"

enum { PREVIEW_INPUT = 16384, PREVIEW_ROOM = 8 * PREVIEW_INPUT, ENTITY_MAX = 10 };

enum fault
body_text_decode(const struct body_text *t, struct buffer *utf8)
{
	struct buffer raw;

	if (t->encoding != ENCODING_BASE64 && t->encoding != ENCODING_QUOTED_PRINTABLE)
		return charset_to_utf8_lossy(t->charset, t->bytes, utf8);
	buffer_init(&raw, utf8->cap);
	enum fault fault = encoding_decode(t->encoding, t->bytes, &raw);
	if (fault == FAULT_OK)
		fault = charset_to_utf8_lossy(t->charset, buffer_slice(&raw), utf8);
	buffer_clear(&raw);
	return fault;
}

/* ---- html ---- */

static bool
is_entity_byte(char c)
{
	return ascii_is_alnum(c) || c == '#';
}

/* "#233" or "#xe9". */
static bool
numeric_entity(struct slice name, uint32_t *code_point)
{
	uint64_t decimal;
	uint32_t value = 0;

	if (!slice_starts_nocase(name, SLICE("#x"))) {
		if (!slice_starts(name, SLICE("#")) ||
			!slice_parse_u64(slice_after(name, 1), 0x10ffff, &decimal))
			return false;
		*code_point = (uint32_t)decimal;
		return true;
	}
	name = slice_after(name, 2);
	for (size_t i = 0; i < name.len; i++) {
		int digit = ascii_hex_value(name.data[i]);
		if (digit < 0 || value > 0x10ffff)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*code_point = value;
	return name.len > 0;
}

static bool
named_entity(struct slice name, uint32_t *code_point)
{
	static const struct {
		struct slice name;
		uint32_t code_point;
	} table[] = {
		{SLICE_LITERAL("amp"), '&'},
		{SLICE_LITERAL("lt"), '<'},
		{SLICE_LITERAL("gt"), '>'},
		{SLICE_LITERAL("quot"), '"'},
		{SLICE_LITERAL("apos"), '\''},
		{SLICE_LITERAL("nbsp"), ' '},
		{SLICE_LITERAL("shy"), 0xad},
		{SLICE_LITERAL("copy"), 0xa9},
		{SLICE_LITERAL("reg"), 0xae},
		{SLICE_LITERAL("middot"), 0xb7},
		{SLICE_LITERAL("ndash"), 0x2013},
		{SLICE_LITERAL("mdash"), 0x2014},
		{SLICE_LITERAL("lsquo"), 0x2018},
		{SLICE_LITERAL("rsquo"), 0x2019},
		{SLICE_LITERAL("ldquo"), 0x201c},
		{SLICE_LITERAL("rdquo"), 0x201d},
		{SLICE_LITERAL("bull"), 0x2022},
		{SLICE_LITERAL("hellip"), 0x2026},
		{SLICE_LITERAL("zwnj"), 0x200c},
		{SLICE_LITERAL("euro"), 0x20ac},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (slice_equal(name, table[i].name)) {
			*code_point = table[i].code_point;
			return true;
		}
	}
	return false;
}

/* At "&": the character, or the "&" itself when this is no entity we know. */
static void
take_entity(struct cursor *c, struct buffer *out)
{
	struct cursor probe = *c;
	uint32_t code_point;

	take_byte(&probe, '&');
	struct slice name = take_run(&probe, is_entity_byte);
	if (name.len <= ENTITY_MAX &&
		(numeric_entity(name, &code_point) || named_entity(name, &code_point))) {
		take_byte(&probe, ';');
		utf8_add(out, code_point == 0xa0 ? ' ' : code_point);
		*c = probe;
		return;
	}
	take_byte(c, '&');
	buffer_add_byte(out, '&');
}

/* Tags within a line of text; all others end a word. */
static bool
is_inline_tag(struct slice name)
{
	static const struct slice tags[] = {
		SLICE_LITERAL("a"),
		SLICE_LITERAL("b"),
		SLICE_LITERAL("i"),
		SLICE_LITERAL("u"),
		SLICE_LITERAL("em"),
		SLICE_LITERAL("strong"),
		SLICE_LITERAL("span"),
		SLICE_LITERAL("font"),
		SLICE_LITERAL("small"),
		SLICE_LITERAL("big"),
		SLICE_LITERAL("wbr"),
		SLICE_LITERAL("mark"),
		SLICE_LITERAL("sub"),
		SLICE_LITERAL("sup"),
	};

	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
		if (slice_equal_nocase(name, tags[i]))
			return true;
	}
	return false;
}

static bool
is_hidden_tag(struct slice name)
{
	return slice_equal_nocase(name, SLICE("style")) ||
		slice_equal_nocase(name, SLICE("script")) ||
		slice_equal_nocase(name, SLICE("title"));
}

/* Up to "</" name, or to the end. */
static void
skip_hidden(struct cursor *c, struct slice name)
{
	while (!cursor_at_end(c)) {
		c->rest = slice_after(c->rest, slice_find(c->rest, SLICE("</")));
		if (slice_starts_nocase(slice_after(c->rest, 2), name))
			return;
		c->rest = slice_after(c->rest, 2);
	}
}

static void
skip_past(struct cursor *c, struct slice stop)
{
	c->rest = slice_after(c->rest, slice_find(c->rest, stop) + stop.len);
}

/* At "<": a comment, a tag, or a less-than sign. */
static void
take_tag(struct cursor *c, struct buffer *out)
{
	struct cursor probe = *c;

	take_byte(&probe, '<');
	if (take_text(&probe, SLICE("!--"))) {
		skip_past(&probe, SLICE("-->"));
		*c = probe;
		return;
	}
	bool is_close = take_byte(&probe, '/');
	struct slice name = take_run(&probe, ascii_is_alnum);
	if (name.len == 0 && peek_byte(&probe) != '!' && peek_byte(&probe) != '?') {
		take_byte(c, '<');
		buffer_add_byte(out, '<');
		return;
	}
	skip_past(&probe, SLICE(">"));
	if (!is_inline_tag(name))
		buffer_add_byte(out, '\n');
	if (is_hidden_tag(name) && !is_close)
		skip_hidden(&probe, name);
	*c = probe;
}

static bool
is_html_text(char c)
{
	return c != '<' && c != '&';
}

void
html_add_text(struct buffer *out, struct slice html)
{
	struct cursor c = cursor_of(html);

	while (!cursor_at_end(&c) && buffer_fault(out) == FAULT_OK) {
		buffer_add_slice(out, take_run(&c, is_html_text));
		if (peek_byte(&c) == '<')
			take_tag(&c, out);
		else if (peek_byte(&c) == '&')
			take_entity(&c, out);
	}
}

/* ---- preview ---- */

/* Invisible characters that mailers pad their own previews with. */
static bool
is_invisible(uint32_t v)
{
	return (v >= 0x200b && v <= 0x200f) || v == 0xfeff || v == 0xad || v == 0x34f ||
		(v >= 0x2060 && v <= 0x2064);
}

static bool
is_blank(uint32_t v)
{
	return v <= 0x20 || v == 0x7f || v == 0xa0 || v == 0x3000 || (v >= 0x2000 && v <= 0x200a) ||
		v == 0x2028 || v == 0x2029 || (v >= 0x80 && v <= 0x9f);
}

/* Adds one line with runs of blanks as one; false when max_bytes since start are reached. */
static bool
add_line(struct buffer *out, struct slice line, size_t stop)
{
	struct cursor c = cursor_of(line);
	bool wants_space = true;
	uint32_t v;

	for (;;) {
		struct cursor mark = c;
		if (!take_utf8(&c, &v))
			return true;
		if (is_invisible(v))
			continue;
		if (is_blank(v)) {
			wants_space = true;
			continue;
		}
		struct slice bytes = cursor_since(&c, mark);
		if (buffer_len(out) + wants_space + bytes.len > stop)
			return false;
		if (wants_space)
			buffer_add_byte(out, ' ');
		buffer_add_slice(out, bytes);
		wants_space = false;
	}
}

/* Quoted text, and lines of nothing but signs. */
static bool
is_uninteresting(struct slice line)
{
	line = slice_trim(line);
	if (slice_starts(line, SLICE(">")))
		return true;
	for (size_t i = 0; i < line.len; i++) {
		if (ascii_is_alnum(line.data[i]) || ascii_is_8bit(line.data[i]))
			return false;
	}
	return true;
}

static void
add_lines(struct buffer *out, struct slice text, size_t max_bytes, bool all)
{
	size_t stop = max_bytes + 1; /* the first line begins with a space that goes */

	while (text.len > 0) {
		struct slice line = slice_first(text, slice_find_byte(text, '\n'));
		text = slice_after(text, line.len + 1);
		/* What follows a signature separator is no news. */
		if (!all && slice_equal(slice_trim(line), SLICE("--")) && buffer_len(out) > 0)
			return;
		if (!all && is_uninteresting(line))
			continue;
		if (!add_line(out, line, stop))
			return;
	}
}

static void
add_preview(struct buffer *out, struct slice text, size_t max_bytes)
{
	struct buffer preview;

	buffer_init(&preview, max_bytes + 1);
	add_lines(&preview, text, max_bytes, false);
	if (buffer_len(&preview) == 0)
		add_lines(&preview, text, max_bytes, true);
	buffer_add_slice(out, slice_after(buffer_slice(&preview), 1));
	if (buffer_fault(&preview) == FAULT_NOMEM)
		out->fault = FAULT_NOMEM;
	buffer_clear(&preview);
}

enum fault
body_text_preview(const struct body_text *t, size_t max_bytes, struct buffer *out)
{
	struct body_text start = *t;
	struct buffer text, plain;

	start.bytes = slice_first(t->bytes, PREVIEW_INPUT);
	buffer_init(&text, PREVIEW_ROOM);
	buffer_init(&plain, PREVIEW_ROOM);
	enum fault fault = body_text_decode(&start, &text);
	if (fault == FAULT_OK && t->is_html) {
		html_add_text(&plain, buffer_slice(&text));
		fault = buffer_fault(&plain);
	}
	if (fault == FAULT_OK) {
		add_preview(out, buffer_slice(t->is_html ? &plain : &text), max_bytes);
		fault = buffer_fault(out);
	}
	buffer_clear(&text);
	buffer_clear(&plain);
	return fault;
}
