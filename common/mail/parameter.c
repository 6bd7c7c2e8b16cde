/* SPDX-License-Identifier: ISC */
/*
 * Content-Type and Content-Disposition.  Linked by deliverd and imapd; trusts no byte.  The walk
 * is linear whatever the value has, and what is odd is read the way mailers mean it.
 */
#include "common/mail/parameter.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/charset.h"
#include "common/mail/encoded_word.h"
#include "common/mail/header.h"

enum { SECTIONS_MAX = 64 }; /* continuations of one parameter */

/* token of RFC 2045 5.1, widened by 8-bit bytes. */
static bool
is_token(char c)
{
	return (ascii_is_graphic(c) || ascii_is_8bit(c)) && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static bool
take_token(struct cursor *c, struct slice *token)
{
	struct cursor probe = *c;

	take_cfws(&probe);
	if (!take_while(&probe, is_token, token))
		return false;
	*c = probe;
	return true;
}

/* The text between quotes into the arena, without folds; an open quote runs to the end. */
static enum fault
take_quoted(struct cursor *c, struct arena *arena, struct slice *value)
{
	struct slice rest = slice_after(c->rest, 1);
	size_t at = 0, n = 0;

	while (at < rest.len && rest.data[at] != '"')
		at += rest.data[at] == '\\' ? 2 : 1;
	size_t stop = at < rest.len ? at : rest.len;
	char *to = arena_alloc(arena, stop + 1);
	if (to == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < stop; i++) {
		if (rest.data[i] == '\\' && i + 1 < stop)
			i++;
		if (rest.data[i] != '\r' && rest.data[i] != '\n')
			to[n++] = rest.data[i];
	}
	*value = slice_make(to, n);
	c->rest = slice_after(rest, stop + 1);
	return FAULT_OK;
}

static bool
is_bare(char c)
{
	return c != ';' && c != '"' && c != '(' && !ascii_is_space(c);
}

/* Does another "name=" begin here, its semicolon forgotten? */
static bool
at_parameter(struct cursor c)
{
	struct slice name;

	return take_token(&c, &name) && take_byte(&c, '=');
}

/* A value without quotes: it may have spaces and bytes that are no token. */
static enum fault
take_unquoted(struct cursor *c, struct arena *arena, struct slice *value)
{
	struct cursor mark = *c, end;

	do {
		take_run(c, is_bare);
		end = *c;
		take_cfws(c);
	} while (!cursor_at_end(c) && peek_byte(c) != ';' && peek_byte(c) != '"' &&
		!at_parameter(*c));
	return header_unfold(cursor_since(&end, mark), arena, value);
}

static enum fault
take_parameter(struct cursor *c, struct arena *arena, struct parameter *parameter)
{
	*parameter = (struct parameter){.name = slice_first(c->rest, 0)};
	if (!take_token(c, &parameter->name))
		return FAULT_OK;
	take_cfws(c);
	if (!take_byte(c, '='))
		return FAULT_OK;
	take_cfws(c);
	return peek_byte(c) == '"' ? take_quoted(c, arena, &parameter->value)
				   : take_unquoted(c, arena, &parameter->value);
}

/* Upper bound of the parameters in s: one per equals sign. */
static size_t
count_equals(struct slice s, size_t max)
{
	size_t count = 0;

	while (count < max) {
		s = slice_after(s, slice_find_byte(s, '='));
		if (s.len == 0)
			break;
		s = slice_after(s, 1);
		count++;
	}
	return count;
}

static bool
is_semicolon_or_space(char c)
{
	return c == ';' || ascii_is_space(c);
}

static enum fault
take_parameters(struct cursor *c, size_t max, struct arena *arena, struct parameters *all)
{
	size_t room = count_equals(c->rest, max);

	*all = (struct parameters){0};
	if (room == 0)
		return FAULT_OK;
	all->items = arena_array(arena, room, sizeof *all->items);
	if (all->items == NULL)
		return FAULT_BUDGET;
	/* Junk is bounded too: each piece may cost a look to the end of the value. */
	for (size_t tries = 0; all->count < room && tries < 2 * max; tries++) {
		struct parameter *next = &all->items[all->count];
		take_run(c, is_semicolon_or_space);
		if (cursor_at_end(c))
			break;
		enum fault fault = take_parameter(c, arena, next);
		if (fault != FAULT_OK)
			return fault;
		if (next->name.len > 0 && next->value.data != NULL)
			all->count++;
		else if (next->name.len == 0) /* junk: go on behind the next semicolon */
			c->rest = slice_after(c->rest, slice_find_byte(c->rest, ';') + 1);
	}
	return FAULT_OK;
}

enum fault
parameter_parse(struct slice value, size_t max, struct arena *arena, struct parameter_value *parsed)
{
	struct cursor c = cursor_of(value);

	*parsed = (struct parameter_value){.type = SLICE(""), .subtype = SLICE("")};
	if (take_token(&c, &parsed->type)) {
		take_cfws(&c);
		if (take_byte(&c, '/'))
			take_token(&c, &parsed->subtype);
	}
	/* What stands between the type and the first semicolon has no meaning. */
	take_cfws(&c);
	if (!at_parameter(c))
		c.rest = slice_after(c.rest, slice_find_byte(c.rest, ';'));
	return take_parameters(&c, max, arena, &parsed->parameters);
}

bool
parameter_find(const struct parameters *all, struct slice name, struct slice *value)
{
	for (size_t i = 0; i < all->count; i++) {
		if (slice_equal_nocase(all->items[i].name, name)) {
			*value = all->items[i].value;
			return true;
		}
	}
	return false;
}

/* RFC 2231: "name*3*" is section 3, percent-encoded; "name*" is the only section. */
struct section {
	struct slice value;
	bool is_encoded;
};

static bool
read_section(const struct parameter *p, struct slice name, uint32_t *number, struct section *s)
{
	struct cursor c = cursor_of(p->name);

	*number = 0;
	*s = (struct section){.value = p->value};
	if (!take_text_nocase(&c, name) || !take_byte(&c, '*'))
		return false;
	if (cursor_at_end(&c)) {
		s->is_encoded = true;
		return true;
	}
	if (!take_u32(&c, number))
		return false;
	s->is_encoded = take_byte(&c, '*');
	return cursor_at_end(&c);
}

/* The sections in their order; a gap ends them.  Returns their number. */
static size_t
collect_sections(const struct parameters *all, struct slice name, struct section *sections)
{
	struct section found;
	uint32_t number;
	size_t count = 0;

	for (size_t i = 0; i < all->count; i++) {
		if (read_section(&all->items[i], name, &number, &found) && number < SECTIONS_MAX &&
			sections[number].value.data == NULL)
			sections[number] = found;
	}
	while (count < SECTIONS_MAX && sections[count].value.data != NULL)
		count++;
	return count;
}

static void
add_percent_decoded(struct buffer *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		int high = i + 2 < s.len ? ascii_hex_value(s.data[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex_value(s.data[i + 2]) : -1;
		if (s.data[i] == '%' && low >= 0) {
			buffer_add_byte(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buffer_add_byte(out, s.data[i]);
		}
	}
}

/* charset'language'text; without the quotes it is all text. */
static void
split_extended(struct slice value, struct slice *charset, struct slice *text)
{
	size_t first = slice_find_byte(value, '\'');
	struct slice behind = slice_after(value, first + 1);
	size_t second = slice_find_byte(behind, '\'');

	*text = value;
	if (second == behind.len)
		return;
	*charset = slice_first(value, first);
	*text = slice_after(behind, second + 1);
}

static enum fault
decode_sections(const struct section *sections, size_t count, struct buffer *out)
{
	struct slice charset = SLICE("utf-8");
	struct buffer raw;

	buffer_init(&raw, out->cap);
	for (size_t i = 0; i < count; i++) {
		struct slice text = sections[i].value;
		if (i == 0 && sections[i].is_encoded)
			split_extended(text, &charset, &text);
		if (sections[i].is_encoded)
			add_percent_decoded(&raw, text);
		else
			buffer_add_slice(&raw, text);
	}
	enum fault fault = buffer_fault(&raw);
	if (fault == FAULT_OK)
		fault = charset_to_utf8_lossy(charset, buffer_slice(&raw), out);
	buffer_clear(&raw);
	return fault;
}

enum fault
parameter_decode(const struct parameters *all, struct slice name, struct buffer *out)
{
	struct section sections[SECTIONS_MAX] = {0};
	size_t count = collect_sections(all, name, sections);
	struct slice value;

	if (count > 0)
		return decode_sections(sections, count, out);
	if (!parameter_find(all, name, &value))
		return FAULT_NOT_FOUND;
	return encoded_word_decode(value, out);
}
