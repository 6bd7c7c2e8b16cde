/* SPDX-License-Identifier: ISC */
/*
 * Walking header sections.  Linked by every process that touches mail; trusts no byte, and needs
 * no more than one pass over it.
 */
#include "common/mail/header.h"

#include "common/base/ascii.h"

#define HEADER_TEXT(name, text) [HEADER_##name] = SLICE_LITERAL(text),
static const struct slice names[HEADER_ID_COUNT] = {HEADER_IDS(HEADER_TEXT)};
#undef HEADER_TEXT

enum header_id
header_identify(struct slice name)
{
	for (int id = HEADER_OTHER + 1; id < HEADER_ID_COUNT; id++) {
		if (name.len == names[id].len && slice_equal_nocase(name, names[id]))
			return (enum header_id)id;
	}
	return HEADER_OTHER;
}

struct slice
header_name(enum header_id id)
{
	return names[id < HEADER_ID_COUNT ? id : HEADER_OTHER];
}

bool
take_line_end(struct cursor *c)
{
	return take_byte(c, '\n') || take_text(c, SLICE("\r\n"));
}

/* Bytes up to and with the last line end of the field at the start of s. */
static size_t
field_len(struct slice s)
{
	size_t at = 0;

	for (;;) {
		at += slice_find_byte(slice_after(s, at), '\n');
		if (at >= s.len)
			return s.len;
		at++;
		if (at == s.len || (s.data[at] != ' ' && s.data[at] != '\t'))
			return at;
	}
}

static struct slice
without_line_end(struct slice s)
{
	if (s.len > 0 && s.data[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.data[s.len - 1] == '\r')
		s.len--;
	return s;
}

static bool
is_name_byte(char c)
{
	return ascii_is_graphic(c) && c != ':';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
take_header_field(struct cursor *c, struct header_field *field)
{
	struct cursor probe = *c;

	if (cursor_at_end(c) || take_line_end(&probe))
		return false;
	struct slice whole = slice_first(c->rest, field_len(c->rest));
	struct cursor inside = cursor_of(without_line_end(whole));
	*field = (struct header_field){.whole = whole, .value = inside.rest};
	struct slice name = take_run(&inside, is_name_byte);
	take_run(&inside, is_blank); /* obsolete: white space before the colon */
	if (name.len > 0 && take_byte(&inside, ':')) {
		field->name = name;
		field->value = inside.rest;
	}
	c->rest = slice_after(c->rest, whole.len);
	return true;
}

size_t
header_section_len(struct slice message)
{
	struct cursor c = cursor_of(message);

	while (!cursor_at_end(&c) && !take_line_end(&c))
		c.rest = slice_after(c.rest, field_len(c.rest));
	return message.len - c.rest.len;
}

bool
header_find(struct slice section, struct slice name, struct header_field *found)
{
	struct cursor c = cursor_of(section);
	struct header_field field;

	while (take_header_field(&c, &field)) {
		if (field.name.len > 0 && slice_equal_nocase(field.name, name)) {
			*found = field;
			return true;
		}
	}
	return false;
}

size_t
header_count(struct slice section, struct slice name)
{
	struct cursor c = cursor_of(section);
	struct header_field field;
	size_t count = 0;

	while (take_header_field(&c, &field))
		count += field.name.len > 0 && slice_equal_nocase(field.name, name);
	return count;
}

size_t
header_received_count(struct slice section)
{
	return header_count(section, SLICE("Received"));
}

enum fault
header_unfold(struct slice value, struct arena *arena, struct slice *text)
{
	struct slice s = slice_trim(value);

	if (slice_find_byte(s, '\n') == s.len && slice_find_byte(s, '\r') == s.len) {
		*text = s;
		return FAULT_OK;
	}
	char *to = arena_alloc(arena, s.len);
	if (to == NULL)
		return FAULT_BUDGET;
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] != '\r' && s.data[i] != '\n')
			to[n++] = s.data[i];
	}
	*text = slice_make(to, n);
	return FAULT_OK;
}

/* The cursor stands at "("; comments nest and have quoted pairs. */
static void
take_comment(struct cursor *c)
{
	size_t depth = 0;
	size_t at = 0;

	for (; at < c->rest.len; at++) {
		char byte = c->rest.data[at];
		if (byte == '\\')
			at++;
		else if (byte == '(')
			depth++;
		else if (byte == ')' && --depth == 0)
			break;
	}
	c->rest = slice_after(c->rest, at + 1);
}

void
take_cfws(struct cursor *c)
{
	for (;;) {
		take_run(c, ascii_is_space);
		if (peek_byte(c) != '(')
			return;
		take_comment(c);
	}
}
