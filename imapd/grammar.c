/* SPDX-License-Identifier: ISC */
/*
 * The basic rules of RFC 3501 9, which all commands share.  Linked by imapd; it trusts no byte
 * that it sees.
 */
#include "imapd/grammar.h"

#include "common/base/ascii.h"
#include "common/store/store.h"

static bool
is_atom_char(char c)
{
	return ascii_is_graphic(c) && strchr("(){%*\"\\]", c) == NULL;
}

static bool
is_astring_char(char c)
{
	return is_atom_char(c) || c == ']';
}

static bool
is_tag_char(char c)
{
	return is_astring_char(c) && c != '+';
}

static bool
is_list_char(char c)
{
	return is_astring_char(c) || c == '%' || c == '*';
}

static bool
is_sequence_char(char c)
{
	return ascii_is_digit(c) || c == ':' || c == ',' || c == '*';
}

bool
take_sp(struct cursor *c)
{
	return take_byte(c, ' ');
}

bool
take_word(struct cursor *c, struct slice word)
{
	struct cursor probe = *c;

	if (!take_text_nocase(&probe, word))
		return false;
	if (!cursor_at_end(&probe) && is_astring_char(probe.rest.data[0]))
		return false;
	*c = probe;
	return true;
}

bool
take_tag(struct cursor *c, struct slice *tag)
{
	return take_while(c, is_tag_char, tag);
}

bool
take_atom(struct cursor *c, struct slice *atom)
{
	return take_while(c, is_atom_char, atom);
}

/* Up to the closing quote, escapes still in it; false when there is none. */
static bool
take_quoted_raw(struct cursor *c, struct slice *raw, bool *has_escapes)
{
	struct cursor probe = *c;
	struct cursor mark;

	*has_escapes = false;
	if (!take_byte(&probe, '"'))
		return false;
	mark = probe;
	for (char byte; take_any(&probe, &byte);) {
		if (byte == '"') {
			*raw = slice_make(mark.rest.data, mark.rest.len - probe.rest.len - 1);
			*c = probe;
			return true;
		}
		if (byte == '\r' || byte == '\n')
			return false;
		if (byte != '\\')
			continue;
		*has_escapes = true;
		if (!take_any(&probe, &byte) || byte == '\r' || byte == '\n')
			return false;
	}
	return false;
}

static bool
unescape(struct slice raw, struct arena *arena, struct slice *text)
{
	char *at = arena_alloc(arena, raw.len);
	size_t len = 0;

	if (at == NULL)
		return false;
	for (size_t i = 0; i < raw.len; i++) {
		bool escapes = raw.data[i] == '\\' && i + 1 < raw.len &&
			(raw.data[i + 1] == '"' || raw.data[i + 1] == '\\');
		if (escapes)
			i++;
		at[len++] = raw.data[i];
	}
	*text = slice_make(at, len);
	return true;
}

static bool
take_quoted(struct cursor *c, struct arena *arena, struct slice *text)
{
	struct cursor probe = *c;
	struct slice raw;
	bool has_escapes;

	if (!take_quoted_raw(&probe, &raw, &has_escapes))
		return false;
	if (has_escapes && !unescape(raw, arena, &raw))
		return false;
	*text = raw;
	*c = probe;
	return true;
}

/* literal of RFC 3501 and the non-synchronising one of RFC 7888. */
static bool
take_literal(struct cursor *c, struct slice *text)
{
	struct cursor probe = *c;
	uint32_t len;

	if (!take_byte(&probe, '{') || !take_u32(&probe, &len))
		return false;
	(void)take_byte(&probe, '+');
	if (!take_text(&probe, SLICE("}\r\n")) || !take_bytes(&probe, len, text))
		return false;
	*c = probe;
	return true;
}

bool
take_string(struct cursor *c, struct arena *arena, struct slice *text)
{
	return take_quoted(c, arena, text) || take_literal(c, text);
}

bool
take_astring(struct cursor *c, struct arena *arena, struct slice *text)
{
	return take_while(c, is_astring_char, text) || take_string(c, arena, text);
}

bool
take_nstring(struct cursor *c, struct arena *arena, struct slice *text)
{
	if (take_word(c, SLICE("NIL"))) {
		*text = slice_make(NULL, 0);
		return true;
	}
	return take_string(c, arena, text);
}

bool
take_list_mailbox(struct cursor *c, struct arena *arena, struct slice *pattern)
{
	return take_while(c, is_list_char, pattern) || take_string(c, arena, pattern);
}

bool
take_nz_number(struct cursor *c, uint32_t *number)
{
	struct cursor probe = *c;
	uint32_t value;

	if (!take_u32(&probe, &value) || value == 0)
		return false;
	*number = value;
	*c = probe;
	return true;
}

static bool
take_seq_number(struct cursor *c, uint32_t *number)
{
	if (take_byte(c, '*')) {
		*number = SEQUENCE_LAST;
		return true;
	}
	return take_nz_number(c, number);
}

static bool
take_sequence_range(struct cursor *c, struct sequence_range *range)
{
	struct cursor probe = *c;
	struct sequence_range found;

	if (!take_seq_number(&probe, &found.first))
		return false;
	found.last = found.first;
	if (take_byte(&probe, ':') && !take_seq_number(&probe, &found.last))
		return false;
	*range = found;
	*c = probe;
	return true;
}

static size_t
count_byte(struct slice s, char byte)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.data[i] == byte;
	return n;
}

bool
take_sequence_set(struct cursor *c, struct arena *arena, struct sequence_set *set)
{
	struct cursor rest = *c;
	struct slice text;

	if (!take_while(&rest, is_sequence_char, &text))
		return false;
	struct sequence_set found = {.count = 0};
	found.ranges = arena_array(arena, count_byte(text, ',') + 1, sizeof *found.ranges);
	if (found.ranges == NULL)
		return false;
	struct cursor inner = cursor_of(text);
	do {
		if (!take_sequence_range(&inner, &found.ranges[found.count]))
			return false;
		found.count++;
	} while (take_byte(&inner, ','));
	if (!cursor_at_end(&inner))
		return false;
	*set = found;
	*c = rest;
	return true;
}

static const struct {
	struct slice name;
	uint32_t flag;
} system_flags[] = {
	{SLICE_LITERAL("Answered"), STORE_ANSWERED},
	{SLICE_LITERAL("Flagged"), STORE_FLAGGED},
	{SLICE_LITERAL("Deleted"), STORE_DELETED},
	{SLICE_LITERAL("Seen"), STORE_SEEN},
	{SLICE_LITERAL("Draft"), STORE_DRAFT},
};

uint32_t
grammar_find_flag(struct slice name)
{
	for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
		if (slice_equal_nocase(name, system_flags[i].name))
			return system_flags[i].flag;
	return 0;
}

/* The keywords of a list gather at the front of room, which has the size of the list's text. */
struct keyword_room {
	char *at;
	size_t len;
};

static void
add_keyword(struct keyword_room *room, struct slice keyword)
{
	if (room->len > 0)
		room->at[room->len++] = ' ';
	memcpy(room->at + room->len, keyword.data, keyword.len);
	room->len += keyword.len;
}

static bool
take_flag(struct cursor *c, uint32_t *flags, struct keyword_room *room)
{
	struct cursor probe = *c;
	struct slice name;
	bool is_system = take_byte(&probe, '\\');

	if (!take_atom(&probe, &name))
		return false;
	uint32_t flag = grammar_find_flag(name);
	if (is_system && flag == 0 && !slice_equal_nocase(name, SLICE("Recent")))
		return false;
	if (is_system)
		*flags |= flag;
	else
		add_keyword(room, name);
	*c = probe;
	return true;
}

bool
take_flags(struct cursor *c, struct arena *arena, struct flag_list *list)
{
	struct cursor probe = *c;
	struct keyword_room room = {.at = arena_alloc(arena, probe.rest.len + 1)};
	uint32_t flags = 0;

	if (room.at == NULL)
		return false;
	do {
		if (!take_flag(&probe, &flags, &room))
			return false;
	} while (take_sp(&probe));
	*list = (struct flag_list){flags, slice_make(room.at, room.len)};
	*c = probe;
	return true;
}

bool
take_flag_list(struct cursor *c, struct arena *arena, struct flag_list *list)
{
	struct cursor probe = *c;
	struct flag_list found = {0, {"", 0}};

	if (!take_byte(&probe, '('))
		return false;
	if (peek_byte(&probe) != ')' && !take_flags(&probe, arena, &found))
		return false;
	if (!take_byte(&probe, ')'))
		return false;
	*list = found;
	*c = probe;
	return true;
}
