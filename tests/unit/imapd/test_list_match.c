/* SPDX-License-Identifier: ISC */
#include "imapd/list_match.h"

#include "tests/unit/unit.h"

static const struct {
	const char *pattern, *name;
	bool matches;
} rows[] = {
	{"*", "a/b/c", true},
	{"%", "a", true},
	{"%", "a/b", false},
	{"%/%", "a/b", true},
	{"a%", "a", true},
	{"a%", "ab/c", false},
	{"a*", "ab/c", true},
	{"*c", "a/b/c", true},
	{"*/c", "c", false},
	{"a", "a", true},
	{"a", "A", false},
	{"inbox", "INBOX", true},
	{"iNb%", "INBOX", true},
	{"inbox/Sub", "INBOX/Sub", true},
	{"inbox/sub", "INBOX/Sub", false},
	{"inboxes", "INBOXES", false},
	{"", "", true},
	{"", "a", false},
	{"%%*%", "a/b", true},
	{"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	{"a*/", "a/b/", true},
};

START_TEST(wildcards)
{
	ck_assert_msg(list_match(slice_text(rows[_i].pattern), slice_text(rows[_i].name)) ==
			rows[_i].matches,
		"%s %s", rows[_i].pattern, rows[_i].name);
}
END_TEST

START_TEST(a_pattern_that_is_too_long_matches_nothing)
{
	static char pattern[LIST_PATTERN_MAX + 2];

	memset(pattern, '*', LIST_PATTERN_MAX + 1);
	ck_assert(!list_match(slice_text(pattern), SLICE("a")));
	pattern[LIST_PATTERN_MAX] = '\0';
	ck_assert(list_match(slice_text(pattern), SLICE("a")));
}
END_TEST

static bool
match_simply(struct slice pattern, struct slice name)
{
	if (pattern.len == 0)
		return name.len == 0;
	struct slice rest = slice_after(pattern, 1);
	if (pattern.data[0] != '*' && pattern.data[0] != '%')
		return name.len > 0 && name.data[0] == pattern.data[0] &&
			match_simply(rest, slice_after(name, 1));
	for (size_t i = 0; i <= name.len; i++) {
		if (match_simply(rest, slice_after(name, i)))
			return true;
		if (i < name.len && pattern.data[0] == '%' && name.data[i] == '/')
			return false;
	}
	return false;
}

/* Every pattern and name over a small alphabet, against the definition. */
START_TEST(all_short_patterns)
{
	static const char in_pattern[] = "ab/*%", in_name[] = "ab/";
	char pattern[6], name[5];

	for (unsigned p = 0; p < 5 * 5 * 5 * 5 * 5 * 5; p++) {
		for (unsigned i = 0, rest = p; i < 6; i++, rest /= 5)
			pattern[i] = in_pattern[rest % 5];
		for (unsigned n = 0; n < 3 * 3 * 3 * 3 * 3; n++) {
			for (unsigned i = 0, rest = n; i < 5; i++, rest /= 3)
				name[i] = in_name[rest % 3];
			struct slice a = slice_make(pattern, 6), b = slice_make(name, n % 6);
			ck_assert_msg(list_match(a, b) == match_simply(a, b), "%.6s %.*s", pattern,
				(int)b.len, name);
		}
	}
}
END_TEST

UNIT(list_match)
{
	unit_add(tc, all_short_patterns);
	tcase_add_loop_test(tc, wildcards, 0, (int)(sizeof rows / sizeof *rows));
	unit_add(tc, a_pattern_that_is_too_long_matches_nothing);
}
