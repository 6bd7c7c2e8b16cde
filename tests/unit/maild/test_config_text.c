/* SPDX-License-Identifier: ISC */
#include "maild/config_text.h"
#include "tests/unit/unit.h"

struct row {
	const char *rule;
	const char *text;
	const char *blanked;
};

static const struct row rows[] = {
	{"a comment to the end of the line", "a = 1 # b\nc = 2\n", "a = 1    \nc = 2\n"},
	{"a comment of its own line", "# b\nc\n", "   \nc\n"},
	{"slashes too", "// b\nc\n", "    \nc\n"},
	{"over several lines, which stay lines", "/* a\nb */c\n", "    \n    c\n"},
	{"not in double quotes", "\"# a\" # b\n", "\"# a\"    \n"},
	{"not in single quotes", "'# a' # b\n", "'# a'    \n"},
	{"a quote that is escaped ends nothing", "\"\\\"# a\"\n", "\"\\\"# a\"\n"},
	{"not inside a word", "a = /b//c#d\n", "a = /b//c#d\n"},
	{"behind a brace", "{# a\n}# b\n", "{   \n}   \n"},
	{"without an end of line", "a # b", "a    "},
	{"a comment that never ends", "a /* b\nc", "a     \n "},
	{"a quote that never ends", "\"# a\n", "\"# a\n"},
	{"an escape at the end", "\"a\\", "\"a\\"},
	{"one byte of each kind", "/", "/"},
};

START_TEST(comments_become_spaces)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[64];
		size_t len = strlen(rows[i].text);

		memcpy(text, rows[i].text, len + 1);
		config_text_blank_comments(text, len);
		ck_assert_msg(strcmp(text, rows[i].blanked) == 0, "%s: \"%s\" is not \"%s\"",
			rows[i].rule, text, rows[i].blanked);
	}
}
END_TEST

UNIT(config_text)
{
	unit_add(tc, comments_become_spaces);
}
