/* SPDX-License-Identifier: ISC */
#include "imapd/grammar.h"

#include "common/store/store.h"
#include "imapd/fetch_att.h"
#include "imapd/list_options.h"
#include "imapd/search_key.h"
#include "tests/unit/unit.h"

/* A NULL value: the rule does not take it, and the cursor stays. */
static const struct {
	const char *text, *value, *rest;
} astrings[] = {
	{"abc def", "abc", " def"},
	{"a]b)", "a]b", ")"},
	{"\"quoted text\" x", "quoted text", " x"},
	{"\"a\\\"b\\\\c\"", "a\"b\\c", ""},
	{"\"w\\ord\"", "w\\ord", ""}, /* lenient: imapfilter */
	{"\"\"", "", ""},
	{"\"\xc3\xa9\"", "\xc3\xa9", ""}, /* lenient: 8 bit */
	{"{3}\r\nabcd", "abc", "d"},
	{"{3+}\r\na\rb", "a\rb", ""},
	{"{0}\r\n", "", ""},
	{"\"open", NULL, NULL},
	{"\"line\r\nend\"", NULL, NULL},
	{"\"end\\", NULL, NULL},
	{"{3}\r\nab", NULL, NULL},
	{"{3}abc", NULL, NULL},
	{"{99999999999}\r\na", NULL, NULL},
	{"(", NULL, NULL},
	{"%", NULL, NULL},
	{"", NULL, NULL},
};

START_TEST(astring)
{
	struct arena arena;
	struct slice found = SLICE("untouched");
	struct cursor c = cursor_of(slice_text(astrings[_i].text));

	arena_init(&arena, 4096);
	bool taken = take_astring(&c, &arena, &found);
	ck_assert_msg(taken == (astrings[_i].value != NULL), "%s", astrings[_i].text);
	if (taken) {
		ck_assert_slice_eq(found, astrings[_i].value);
		ck_assert_slice_eq(c.rest, astrings[_i].rest);
	} else {
		ck_assert_slice_eq(c.rest, astrings[_i].text);
		ck_assert_slice_eq(found, "untouched");
	}
	arena_clear(&arena);
}
END_TEST

static const struct {
	const char *text;
	size_t count; /* 0: not taken */
	uint32_t first, last; /* of the last range */
} sequences[] = {
	{"1", 1, 1, 1},
	{"*", 1, SEQUENCE_LAST, SEQUENCE_LAST},
	{"2:4", 1, 2, 4},
	{"4:2", 1, 4, 2},
	{"1,3:*,7", 3, 7, 7},
	{"*:4,5:7", 2, 5, 7},
	{"4294967295", 1, 4294967295u, 4294967295u},
	{"0", 0, 0, 0},
	{"4294967296", 0, 0, 0},
	{"1,", 0, 0, 0},
	{",1", 0, 0, 0},
	{"1:", 0, 0, 0},
	{":1", 0, 0, 0},
	{"1:2:3", 0, 0, 0},
	{"**", 0, 0, 0},
	{"", 0, 0, 0},
};

START_TEST(sequence_set)
{
	struct arena arena;
	struct sequence_set set = {.count = 0};
	struct cursor c = cursor_of(slice_text(sequences[_i].text));

	arena_init(&arena, 4096);
	bool taken = take_sequence_set(&c, &arena, &set) && cursor_at_end(&c);
	ck_assert_msg(taken == (sequences[_i].count > 0), "%s", sequences[_i].text);
	if (taken) {
		ck_assert_uint_eq(set.count, sequences[_i].count);
		ck_assert_uint_eq(set.ranges[set.count - 1].first, sequences[_i].first);
		ck_assert_uint_eq(set.ranges[set.count - 1].last, sequences[_i].last);
	}
	arena_clear(&arena);
}
END_TEST

static const struct {
	const char *text;
	uint32_t flags;
	const char *keywords; /* NULL: not taken */
} flag_lists[] = {
	{"()", 0, ""},
	{"(\\Seen)", STORE_SEEN, ""},
	{"(\\DELETED \\answered \\Flagged \\Draft)",
		STORE_DELETED | STORE_ANSWERED | STORE_FLAGGED | STORE_DRAFT, ""},
	{"($label1 Junk \\Seen NonJunk)", STORE_SEEN, "$label1 Junk NonJunk"},
	{"(\\Recent)", 0, ""},
	{"(\\Bogus)", 0, NULL},
	{"(\\*)", 0, NULL},
	{"(a  b)", 0, NULL},
	{"( a)", 0, NULL},
	{"(a", 0, NULL},
	{"a", 0, NULL},
	{"(\"a\")", 0, NULL},
};

START_TEST(flag_list)
{
	struct arena arena;
	struct flag_list list;
	struct cursor c = cursor_of(slice_text(flag_lists[_i].text));

	arena_init(&arena, 4096);
	bool taken = take_flag_list(&c, &arena, &list) && cursor_at_end(&c);
	ck_assert_msg(taken == (flag_lists[_i].keywords != NULL), "%s", flag_lists[_i].text);
	if (taken) {
		ck_assert_uint_eq(list.flags, flag_lists[_i].flags);
		ck_assert_slice_eq(list.keywords, flag_lists[_i].keywords);
	}
	arena_clear(&arena);
}
END_TEST

static const struct {
	const char *text, *label; /* NULL: not taken */
} fetch_atts[] = {
	{"BODY[]", "BODY[]"},
	{"body.peek[header]", "BODY[HEADER]"},
	{"BODY[1.2.3]", "BODY[1.2.3]"},
	{"BODY[1.MIME]<5.10>", "BODY[1.MIME]<5>"},
	{"BODY[HEADER.FIELDS (From \"to\" {2}\r\ncc)]", "BODY[HEADER.FIELDS (From to cc)]"},
	{"BODY[2.HEADER.FIELDS.NOT (\"a b\")]", "BODY[2.HEADER.FIELDS.NOT (\"a b\")]"},
	{"RFC822.TEXT", "RFC822.TEXT"},
	{"BODY[MIME]", NULL},
	{"BODY[1.2.]", NULL},
	{"BODY[01.]", NULL},
	{"BODY[HEADER.FIELDS]", NULL},
	{"BODY[HEADER.FIELDS From]", NULL},
	{"BODY[", NULL},
	{"BODY[]<>", NULL},
	{"BODY[]<1.4294967296>", NULL},
	{"RFC822.BOGUS", NULL},
};

START_TEST(fetch_att)
{
	struct arena arena;
	struct fetch_att *att = NULL;
	struct cursor c = cursor_of(slice_text(fetch_atts[_i].text));

	arena_init(&arena, 65536);
	bool taken = take_fetch_atts(&c, &arena, &att) && cursor_at_end(&c);
	ck_assert_msg(taken == (fetch_atts[_i].label != NULL), "%s", fetch_atts[_i].text);
	if (taken)
		ck_assert_slice_eq(att->label, fetch_atts[_i].label);
	arena_clear(&arena);
}
END_TEST

START_TEST(search_keys_have_a_depth_limit)
{
	struct arena arena;
	struct buffer text;

	for (int depth = 10; depth < 1000; depth *= 3) {
		struct search_arguments search = {.results = 0};
		arena_init(&arena, 1024 * 1024);
		buffer_init(&text, 1024 * 1024);
		buffer_add_byte(&text, ' ');
		for (int i = 0; i < depth; i++)
			buffer_add_text(&text, i % 2 == 0 ? "NOT " : "(");
		buffer_add_text(&text, "ALL");
		for (int i = 0; i < depth; i++)
			if (i % 2 != 0)
				buffer_add_byte(&text, ')');
		struct cursor c = cursor_of(buffer_slice(&text));
		ck_assert_int_eq(
			take_search_program(&c, &arena, &search), depth < GRAMMAR_SEARCH_DEPTH_MAX);
		buffer_clear(&text);
		arena_clear(&arena);
	}
}
END_TEST

START_TEST(an_arena_that_is_full_is_no_syntax_crash)
{
	static const char *const programs[] = {" SUBJECT \"a\\\"b\" OR SEEN 1,2,3:*",
		" RETURN (MIN) CHARSET x (FROM y NOT (TO z))"};

	for (size_t budget = 0; budget < 2000; budget += 16)
		for (size_t i = 0; i < 2; i++) {
			struct arena arena;
			struct search_arguments search = {.results = 0};
			struct cursor c = cursor_of(slice_text(programs[i]));
			arena_init(&arena, budget);
			(void)take_search_program(&c, &arena, &search);
			arena_clear(&arena);
		}
}
END_TEST

static const struct {
	const char *name, *written;
} names[] = {
	{"INBOX", "INBOX"},
	{"a b", "\"a b\""},
	{"a\"b\\c", "\"a\\\"b\\\\c\""},
	{"NIL", "\"NIL\""},
	{"\xed\x95\x9c\xea\xb8\x80", "&1VyuAA-"},
	{"a&b", "a&-b"},
	{"%", "\"%\""},
	{"", "\"\""},
};

START_TEST(mailbox_names_are_written_as_atoms_or_quoted)
{
	struct buffer out;

	buffer_init(&out, 1024);
	mailbox_name_format(slice_text(names[_i].name), &out);
	ck_assert_slice_eq(buffer_slice(&out), names[_i].written);
	buffer_clear(&out);
}
END_TEST

#define ROWS(table) ((int)(sizeof table / sizeof *table))

UNIT(grammar)
{
	tcase_add_loop_test(tc, astring, 0, ROWS(astrings));
	tcase_add_loop_test(tc, sequence_set, 0, ROWS(sequences));
	tcase_add_loop_test(tc, flag_list, 0, ROWS(flag_lists));
	tcase_add_loop_test(tc, fetch_att, 0, ROWS(fetch_atts));
	unit_add(tc, search_keys_have_a_depth_limit);
	unit_add(tc, an_arena_that_is_full_is_no_syntax_crash);
	tcase_add_loop_test(tc, mailbox_names_are_written_as_atoms_or_quoted, 0, ROWS(names));
}
