/* SPDX-License-Identifier: ISC */
/* Wildcards by the set of places in the pattern that can be reached: no backtracking. */
#include "imapd/list_match.h"

#include "common/base/ascii.h"
#include "common/store/name.h"

struct places {
	bool at[LIST_PATTERN_MAX + 1];
	size_t first, end; /* all that are reached lie between */
};

static bool
is_wildcard(char c)
{
	return c == '*' || c == '%';
}

/*
 * Whatever matches from a place before a "*" matches from the "*" too, and the same holds for "%"
 * within a level: earlier places need not be followed.
 */
static void
drop_before(struct places *p, struct slice pattern, size_t place)
{
	size_t from = place;

	if (pattern.data[place] == '*')
		from = p->first;
	while (from > p->first && pattern.data[from - 1] != STORE_DELIMITER &&
		pattern.data[from - 1] != '*')
		from--;
	memset(p->at + from, 0, place - from);
	if (from == p->first)
		p->first = place;
}

/* A wildcard may match nothing: what is behind it is reached too. */
static void
reach(struct places *p, struct slice pattern, size_t place)
{
	if (p->end == 0)
		p->first = place;
	p->at[place] = true;
	while (place < pattern.len && is_wildcard(pattern.data[place])) {
		drop_before(p, pattern, place);
		p->at[++place] = true;
	}
	if (p->end <= place)
		p->end = place + 1;
}

static void
forget(struct places *p)
{
	memset(p->at + p->first, 0, p->end - p->first);
	p->first = p->end = 0;
}

static bool
byte_matches(char pattern, char byte, bool ignore_case)
{
	if (ignore_case)
		return ascii_lower(pattern) == ascii_lower(byte);
	return pattern == byte;
}

static bool
step(const struct places *from, struct places *to, struct slice pattern, char byte,
	bool ignore_case)
{
	forget(to);
	for (size_t i = from->first; i < from->end && i < pattern.len; i++) {
		char want = pattern.data[i];
		if (!from->at[i])
			continue;
		if (want == '*' || (want == '%' && byte != STORE_DELIMITER))
			reach(to, pattern, i);
		else if (!is_wildcard(want) && byte_matches(want, byte, ignore_case))
			reach(to, pattern, i + 1);
	}
	return to->end > 0;
}

/* How many bytes of the name are those of "INBOX" as a level. */
static size_t
inbox_len(struct slice name)
{
	struct slice inbox = SLICE("INBOX");

	if (!slice_starts_nocase(name, inbox))
		return 0;
	return name.len == inbox.len || name.data[inbox.len] == STORE_DELIMITER ? inbox.len : 0;
}

bool
list_match(struct slice pattern, struct slice name)
{
	struct places places[2];
	size_t inbox = inbox_len(name);

	if (pattern.len > LIST_PATTERN_MAX)
		return false;
	if (slice_equal(pattern, SLICE("*")))
		return true;
	for (int i = 0; i < 2; i++) {
		memset(places[i].at, 0, pattern.len + 1);
		places[i].first = places[i].end = 0;
	}
	reach(&places[0], pattern, 0);
	for (size_t i = 0; i < name.len; i++)
		if (!step(&places[i % 2], &places[(i + 1) % 2], pattern, name.data[i], i < inbox))
			return false;
	return places[name.len % 2].at[pattern.len];
}
