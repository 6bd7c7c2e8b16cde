/* SPDX-License-Identifier: ISC */
/* The grammar of SEARCH.  Linked by imapd; its bytes come from clients. */
#include "imapd/search_key.h"

#include "common/mail/date.h"
#include "common/store/store.h"

enum shape {
	SHAPE_NONE,
	SHAPE_TEXT,
	SHAPE_DATE,
	SHAPE_NUMBER,
	SHAPE_ATOM,
	SHAPE_HEADER,
	SHAPE_SET
};

static const struct key_row {
	struct slice name;
	enum search_kind kind;
	enum shape shape;
	uint32_t flag;
	bool negated;
} rows[] = {
	{SLICE_LITERAL("ALL"), SEARCH_ALL, SHAPE_NONE, 0, false},
	{SLICE_LITERAL("ANSWERED"), SEARCH_FLAG, SHAPE_NONE, STORE_ANSWERED, false},
	{SLICE_LITERAL("DELETED"), SEARCH_FLAG, SHAPE_NONE, STORE_DELETED, false},
	{SLICE_LITERAL("DRAFT"), SEARCH_FLAG, SHAPE_NONE, STORE_DRAFT, false},
	{SLICE_LITERAL("FLAGGED"), SEARCH_FLAG, SHAPE_NONE, STORE_FLAGGED, false},
	{SLICE_LITERAL("SEEN"), SEARCH_FLAG, SHAPE_NONE, STORE_SEEN, false},
	{SLICE_LITERAL("UNANSWERED"), SEARCH_FLAG, SHAPE_NONE, STORE_ANSWERED, true},
	{SLICE_LITERAL("UNDELETED"), SEARCH_FLAG, SHAPE_NONE, STORE_DELETED, true},
	{SLICE_LITERAL("UNDRAFT"), SEARCH_FLAG, SHAPE_NONE, STORE_DRAFT, true},
	{SLICE_LITERAL("UNFLAGGED"), SEARCH_FLAG, SHAPE_NONE, STORE_FLAGGED, true},
	{SLICE_LITERAL("UNSEEN"), SEARCH_FLAG, SHAPE_NONE, STORE_SEEN, true},
	{SLICE_LITERAL("NEW"), SEARCH_NEW, SHAPE_NONE, 0, false},
	{SLICE_LITERAL("OLD"), SEARCH_RECENT, SHAPE_NONE, 0, true},
	{SLICE_LITERAL("RECENT"), SEARCH_RECENT, SHAPE_NONE, 0, false},
	{SLICE_LITERAL("KEYWORD"), SEARCH_KEYWORD, SHAPE_ATOM, 0, false},
	{SLICE_LITERAL("UNKEYWORD"), SEARCH_KEYWORD, SHAPE_ATOM, 0, true},
	{SLICE_LITERAL("BEFORE"), SEARCH_BEFORE, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("ON"), SEARCH_ON, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("SINCE"), SEARCH_SINCE, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("SENTBEFORE"), SEARCH_SENT_BEFORE, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("SENTON"), SEARCH_SENT_ON, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("SENTSINCE"), SEARCH_SENT_SINCE, SHAPE_DATE, 0, false},
	{SLICE_LITERAL("LARGER"), SEARCH_LARGER, SHAPE_NUMBER, 0, false},
	{SLICE_LITERAL("SMALLER"), SEARCH_SMALLER, SHAPE_NUMBER, 0, false},
	{SLICE_LITERAL("UID"), SEARCH_UID, SHAPE_SET, 0, false},
	{SLICE_LITERAL("FROM"), SEARCH_FROM, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("TO"), SEARCH_TO, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("CC"), SEARCH_CC, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("BCC"), SEARCH_BCC, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("SUBJECT"), SEARCH_SUBJECT, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("BODY"), SEARCH_BODY, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("TEXT"), SEARCH_TEXT, SHAPE_TEXT, 0, false},
	{SLICE_LITERAL("HEADER"), SEARCH_HEADER, SHAPE_HEADER, 0, false},
};

static bool take_search_key(struct cursor *, struct arena *, unsigned depth, struct search_key **);

static bool
take_argument(struct cursor *c, struct arena *arena, enum shape shape, struct search_key *key)
{
	if (shape == SHAPE_NONE)
		return true;
	if (!take_sp(c))
		return false;
	switch (shape) {
	case SHAPE_NONE:
		return true;
	case SHAPE_TEXT:
		return take_astring(c, arena, &key->text);
	case SHAPE_DATE:
		return take_imap_date(c, &key->day);
	case SHAPE_NUMBER:
		return take_u32(c, &key->number);
	case SHAPE_ATOM:
		return take_atom(c, &key->name);
	case SHAPE_HEADER:
		return take_astring(c, arena, &key->name) && take_sp(c) &&
			take_astring(c, arena, &key->text);
	case SHAPE_SET:
		return take_sequence_set(c, arena, &key->set);
	}
	return false;
}

static bool
take_named_key(struct cursor *c, struct arena *arena, struct search_key *key)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct cursor probe = *c;

		if (!take_word(&probe, rows[i].name))
			continue;
		key->kind = rows[i].kind;
		key->flag = rows[i].flag;
		key->negated = rows[i].negated;
		if (!take_argument(&probe, arena, rows[i].shape, key))
			return false;
		*c = probe;
		return true;
	}
	return false;
}

static bool
take_set_key(struct cursor *c, struct arena *arena, struct search_key *key)
{
	key->kind = SEARCH_SEQUENCE;
	return take_sequence_set(c, arena, &key->set);
}

/* "OR" SP search-key SP search-key */
static bool
take_or(struct cursor *c, struct arena *arena, unsigned depth, struct search_key *key)
{
	struct cursor probe = *c;

	key->kind = SEARCH_OR;
	if (!take_word(&probe, SLICE("OR")) || !take_sp(&probe) ||
		!take_search_key(&probe, arena, depth, &key->children) || !take_sp(&probe) ||
		!take_search_key(&probe, arena, depth, &key->children->next))
		return false;
	*c = probe;
	return true;
}

/* "NOT" SP search-key */
static bool
take_not(struct cursor *c, struct arena *arena, unsigned depth, struct search_key *key)
{
	struct cursor probe = *c;

	key->kind = SEARCH_AND;
	key->negated = true;
	if (!take_word(&probe, SLICE("NOT")) || !take_sp(&probe) ||
		!take_search_key(&probe, arena, depth, &key->children))
		return false;
	*c = probe;
	return true;
}

/* search-key *(SP search-key) */
static bool
take_keys(struct cursor *c, struct arena *arena, unsigned depth, struct search_key *parent)
{
	struct search_key **end = &parent->children;

	parent->kind = SEARCH_AND;
	do {
		if (!take_search_key(c, arena, depth, end))
			return false;
		end = &(*end)->next;
	} while (take_sp(c));
	return true;
}

static bool
take_group(struct cursor *c, struct arena *arena, unsigned depth, struct search_key *key)
{
	struct cursor probe = *c;

	if (!take_byte(&probe, '(') || !take_keys(&probe, arena, depth, key) ||
		!take_byte(&probe, ')'))
		return false;
	*c = probe;
	return true;
}

static bool
take_search_key(struct cursor *c, struct arena *arena, unsigned depth, struct search_key **key)
{
	struct search_key *found = arena_alloc(arena, sizeof *found);
	struct cursor probe = *c;
	bool taken;

	if (found == NULL || depth == 0)
		return false;
	if (peek_byte(&probe) == '(')
		taken = take_group(&probe, arena, depth - 1, found);
	else if (take_word(&(struct cursor){probe.rest}, SLICE("OR")))
		taken = take_or(&probe, arena, depth - 1, found);
	else if (take_word(&(struct cursor){probe.rest}, SLICE("NOT")))
		taken = take_not(&probe, arena, depth - 1, found);
	else
		taken = take_named_key(&probe, arena, found) || take_set_key(&probe, arena, found);
	if (!taken)
		return false;
	*key = found;
	*c = probe;
	return true;
}

static const struct {
	struct slice name;
	unsigned bit;
} results[] = {
	{SLICE_LITERAL("MIN"), SEARCH_MIN},
	{SLICE_LITERAL("MAX"), SEARCH_MAX},
	{SLICE_LITERAL("ALL"), SEARCH_RESULT_ALL},
	{SLICE_LITERAL("COUNT"), SEARCH_COUNT},
};

static bool
take_result(struct cursor *c, unsigned *bits)
{
	for (size_t i = 0; i < sizeof results / sizeof *results; i++)
		if (take_word(c, results[i].name)) {
			*bits |= results[i].bit;
			return true;
		}
	return false;
}

/* SP "RETURN" SP "(" ... ")"; "()" is the same as "(ALL)" (RFC 4731 3.1). */
static bool
take_search_return(struct cursor *c, struct search_arguments *search)
{
	struct cursor probe = *c;

	if (!take_sp(&probe) || !take_word(&probe, SLICE("RETURN")) || !take_sp(&probe) ||
		!take_byte(&probe, '('))
		return false;
	search->is_extended = true;
	if (peek_byte(&probe) != ')')
		do {
			if (!take_result(&probe, &search->results))
				return false;
		} while (take_sp(&probe));
	if (!take_byte(&probe, ')'))
		return false;
	if (search->results == 0)
		search->results = SEARCH_RESULT_ALL;
	*c = probe;
	return true;
}

static bool
take_search_charset(struct cursor *c, struct arena *arena, struct slice *charset)
{
	struct cursor probe = *c;

	if (!take_sp(&probe) || !take_word(&probe, SLICE("CHARSET")) || !take_sp(&probe) ||
		!take_astring(&probe, arena, charset))
		return false;
	*c = probe;
	return true;
}

bool
take_search_program(struct cursor *c, struct arena *arena, struct search_arguments *search)
{
	struct cursor probe = *c;

	search->root = arena_alloc(arena, sizeof *search->root);
	if (search->root == NULL)
		return false;
	(void)take_search_return(&probe, search);
	(void)take_search_charset(&probe, arena, &search->charset);
	if (!take_sp(&probe) || !take_keys(&probe, arena, GRAMMAR_SEARCH_DEPTH_MAX, search->root))
		return false;
	*c = probe;
	return true;
}
