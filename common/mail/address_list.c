/* SPDX-License-Identifier: ISC */
/*
 * Address lists of header fields.  Linked by deliverd and imapd; trusts no byte.  Two steps: find
 * where each piece ends (at one of , ; : < > @ outside quotes and comments), then read the piece in
 * the way its place asks for.  Each byte is looked at a bounded number of times.
 */
#include "common/mail/address_list.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/header.h"

enum { FIRST_ITEMS = 4, ENCODED_WORD_MAX = 256, LITERAL_MAX = 256 };

/* How a piece is read. */
enum piece {
	PIECE_PHRASE, /* words with one space between them */
	PIECE_SPEC, /* words without any space: local part, domain, route */
};

struct reader {
	struct cursor c;
	struct arena *arena;
	struct address_list *list;
	size_t room, max;
	bool in_group;
	bool has_open_quote; /* one that never ends was seen: quotes mean nothing any more */
	enum fault fault;
};

/* ---- tokens ---- */

/* A whole quoted string; false without an end, so that the quote stands for itself. */
static bool
take_quoted(struct cursor *c, struct slice *inside)
{
	size_t at = 1;

	if (peek_byte(c) != '"')
		return false;
	while (at < c->rest.len && c->rest.data[at] != '"')
		at += c->rest.data[at] == '\\' ? 2 : 1;
	if (at >= c->rest.len)
		return false;
	*inside = slice_make(c->rest.data + 1, at - 1);
	c->rest = slice_after(c->rest, at + 1);
	return true;
}

/* "=?...?=" without white space: it may hold specials that are none. */
static bool
take_encoded_word(struct cursor *c, struct slice *word)
{
	struct slice s = slice_first(c->rest, ENCODED_WORD_MAX);
	unsigned marks = 0;

	if (!slice_starts(s, SLICE("=?")))
		return false;
	for (size_t i = 2; i + 1 < s.len && !ascii_is_space(s.data[i]); i++) {
		/* charset ? encoding ? text ?= */
		if (s.data[i] == '?' && ++marks >= 3 && s.data[i + 1] == '=') {
			*word = slice_first(s, i + 2);
			c->rest = slice_after(c->rest, i + 2);
			return true;
		}
	}
	return false;
}

/* "[...]" of a domain literal. */
static bool
take_literal(struct cursor *c, struct slice *literal)
{
	struct slice s = slice_first(c->rest, LITERAL_MAX);
	size_t end = slice_find_byte(s, ']');

	if (peek_byte(c) != '[' || end == s.len)
		return false;
	*literal = slice_first(s, end + 1);
	c->rest = slice_after(c->rest, end + 1);
	return true;
}

static bool
is_delimiter(char c)
{
	return c == ',' || c == ';' || c == ':' || c == '<' || c == '>' || c == '@';
}

/* Takes up to the next delimiter of the piece. */
static struct slice
take_piece(struct reader *r)
{
	struct cursor mark = r->c;
	struct slice skipped;

	while (!cursor_at_end(&r->c) && !is_delimiter(r->c.rest.data[0])) {
		int byte = peek_byte(&r->c);
		if (byte == '(') {
			take_cfws(&r->c);
			continue;
		}
		if (byte == '"' && !r->has_open_quote) {
			if (take_quoted(&r->c, &skipped))
				continue;
			r->has_open_quote = true;
		}
		if (byte == '[' && take_literal(&r->c, &skipped))
			continue;
		if (byte == '=' && take_encoded_word(&r->c, &skipped))
			continue;
		r->c.rest = slice_after(r->c.rest, 1);
	}
	return cursor_since(&r->c, mark);
}

/* ---- pieces ---- */

/* Text in the making: as long as its piece at most. */
struct text {
	char *at;
	size_t len;
	bool wants_space;
	enum piece piece;
};

static void
add_byte(struct text *t, char c)
{
	if (t->wants_space && t->len > 0 && t->piece == PIECE_PHRASE)
		t->at[t->len++] = ' ';
	t->wants_space = false;
	t->at[t->len++] = c;
}

static void
add_unquoted(struct text *t, struct slice inside)
{
	for (size_t i = 0; i < inside.len; i++) {
		if (inside.data[i] == '\\' && i + 1 < inside.len)
			i++;
		if (inside.data[i] != '\r' && inside.data[i] != '\n')
			add_byte(t, inside.data[i]);
	}
}

static void
read_piece(struct slice raw, struct text *t)
{
	struct cursor c = cursor_of(raw);
	bool has_open_quote = false;
	struct slice inside;
	char byte;

	while (!cursor_at_end(&c)) {
		struct cursor mark = c;
		take_cfws(&c);
		if (cursor_since(&c, mark).len > 0) {
			t->wants_space = true;
			continue;
		}
		if (peek_byte(&c) == '"' && !has_open_quote) {
			if (take_quoted(&c, &inside)) {
				add_unquoted(t, inside);
				continue;
			}
			has_open_quote = true;
		}
		if (take_encoded_word(&c, &inside)) {
			for (size_t i = 0; i < inside.len; i++)
				add_byte(t, inside.data[i]);
		} else if (take_any(&c, &byte)) {
			add_byte(t, byte);
		}
	}
}

/* Empty data, not NULL, for a piece without words. */
static struct slice
piece_text(struct reader *r, struct slice raw, enum piece piece)
{
	/* Words and the spaces between them are never longer than what they come from. */
	struct text text = {.at = arena_alloc(r->arena, raw.len + 1), .piece = piece};

	if (text.at == NULL) {
		r->fault = FAULT_BUDGET;
		return SLICE("");
	}
	read_piece(raw, &text);
	return slice_make(text.at, text.len);
}

/* The display name, or NIL. */
static struct slice
name_text(struct reader *r, struct slice raw)
{
	struct slice name = piece_text(r, raw, PIECE_PHRASE);

	return name.len > 0 ? name : slice_make(NULL, 0);
}

/* The last comment of raw, without its parentheses, or NIL. */
static struct slice
comment_text(struct reader *r, struct slice raw)
{
	struct cursor c = cursor_of(raw);
	struct slice found = {NULL, 0};
	char byte;

	while (!cursor_at_end(&c)) {
		take_run(&c, ascii_is_space);
		struct cursor mark = c;
		take_cfws(&c);
		struct slice comment = slice_trim(cursor_since(&c, mark));
		if (comment.len > 2 && comment.data[comment.len - 1] == ')')
			found = slice_make(comment.data + 1, comment.len - 2);
		take_any(&c, &byte);
	}
	if (found.data == NULL)
		return found;
	struct text text = {.at = arena_alloc(r->arena, found.len + 1), .piece = PIECE_PHRASE};
	if (text.at == NULL) {
		r->fault = FAULT_BUDGET;
		return slice_make(NULL, 0);
	}
	add_unquoted(&text, found);
	return slice_trim(slice_make(text.at, text.len));
}

/* ---- entries ---- */

static void
add_item(struct reader *r, struct list_address item)
{
	struct address_list *list = r->list;

	if (list->count == r->max || r->fault != FAULT_OK)
		return;
	if (list->count == r->room) {
		size_t room = r->room == 0 ? FIRST_ITEMS : r->room * 2;
		struct list_address *items = arena_array(r->arena, room, sizeof *items);
		if (items == NULL) {
			r->fault = FAULT_BUDGET;
			return;
		}
		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		r->room = room;
	}
	list->items[list->count++] = item;
}

/* At "@": the domain, up to the next delimiter. */
static struct slice
take_host(struct reader *r, struct slice *raw)
{
	take_byte(&r->c, '@');
	*raw = take_piece(r);
	return piece_text(r, *raw, PIECE_SPEC);
}

/* "@a,@b:" of an obsolete route, when one stands here. */
static struct slice
take_route(struct reader *r)
{
	struct cursor mark = r->c;

	take_cfws(&r->c);
	if (peek_byte(&r->c) != '@') {
		r->c = mark;
		return slice_make(NULL, 0);
	}
	struct cursor start = r->c;
	while (take_byte(&r->c, '@') || take_byte(&r->c, ','))
		take_piece(r);
	struct slice raw = cursor_since(&r->c, start);
	if (!take_byte(&r->c, ':'))
		return slice_make(NULL, 0);
	return piece_text(r, raw, PIECE_SPEC);
}

/* Whatever is left of an entry, up to the comma or semicolon. */
static struct slice
skip_entry(struct reader *r)
{
	struct cursor mark = r->c;

	while (!cursor_at_end(&r->c) && peek_byte(&r->c) != ',' && peek_byte(&r->c) != ';') {
		take_piece(r);
		if (peek_byte(&r->c) != ',' && peek_byte(&r->c) != ';')
			r->c.rest = slice_after(r->c.rest, 1);
	}
	return cursor_since(&r->c, mark);
}

/* phrase "<" [route] local "@" domain ">" */
static void
take_angle_address(struct reader *r, struct slice phrase)
{
	struct list_address item = {.name = name_text(r, phrase)};
	struct slice raw;

	take_byte(&r->c, '<');
	item.route = take_route(r);
	item.mailbox = piece_text(r, take_piece(r), PIECE_SPEC);
	item.host = SLICE("");
	if (peek_byte(&r->c) == '@')
		item.host = take_host(r, &raw);
	take_byte(&r->c, '>');
	struct slice behind = skip_entry(r);
	if (item.name.data == NULL)
		item.name = comment_text(r, behind);
	if (item.mailbox.len > 0 || item.host.len > 0 || item.name.data != NULL)
		add_item(r, item);
}

/* local "@" domain (name) */
static void
take_bare_address(struct reader *r, struct slice local)
{
	struct list_address item = {.mailbox = piece_text(r, local, PIECE_SPEC)};
	struct slice raw;

	item.host = take_host(r, &raw);
	item.name = comment_text(r, raw);
	skip_entry(r);
	add_item(r, item);
}

static void
start_group(struct reader *r, struct slice phrase)
{
	take_byte(&r->c, ':');
	add_item(r, (struct list_address){.mailbox = piece_text(r, phrase, PIECE_PHRASE)});
	r->in_group = true;
}

static void
end_group(struct reader *r)
{
	if (r->in_group)
		add_item(r, (struct list_address){0});
	r->in_group = false;
}

/* Words alone: a local name. */
static void
take_lone_words(struct reader *r, struct slice raw)
{
	struct slice words = piece_text(r, raw, PIECE_PHRASE);

	if (words.len > 0)
		add_item(r, (struct list_address){.mailbox = words, .host = SLICE("")});
}

static void
take_entry(struct reader *r)
{
	struct slice piece = take_piece(r);

	switch (peek_byte(&r->c)) {
	case '<':
		take_angle_address(r, piece);
		break;
	case '@':
		take_bare_address(r, piece);
		break;
	case ':':
		if (!r->in_group)
			start_group(r, piece);
		else
			take_byte(&r->c, ':');
		return;
	default:
		take_lone_words(r, piece);
		break;
	}
	take_byte(&r->c, '>');
	if (take_byte(&r->c, ';'))
		end_group(r);
	take_byte(&r->c, ',');
}

enum fault
address_list_parse(struct slice value, size_t max, struct arena *arena, struct address_list *list)
{
	struct reader r = {.c = cursor_of(value), .arena = arena, .list = list, .max = max};

	*list = (struct address_list){0};
	/* One entry of max is kept for the end of a group. */
	while (!cursor_at_end(&r.c) && r.fault == FAULT_OK && list->count + 1 < max)
		take_entry(&r);
	end_group(&r);
	return r.fault;
}
