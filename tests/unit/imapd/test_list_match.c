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

UNIT(list_match)
{
	tcase_add_loop_test(tc, wildcards, 0, (int)(sizeof rows / sizeof *rows));
	unit_add(tc, a_pattern_that_is_too_long_matches_nothing);
}
