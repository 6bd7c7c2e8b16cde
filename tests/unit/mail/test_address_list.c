/* SPDX-License-Identifier: ISC */
#include "common/mail/address_list.h"

#include <stdlib.h>

#include "common/base/buffer.h"
#include "tests/unit/unit.h"

/* Entries as "name|route|mailbox|host", NIL as "-", one behind the other with a space. */
static const struct {
	const char *rule, *value, *entries;
} rows[] = {
	{"addr-spec", "a@b.c", "-|-|a|b.c"},
	{"name-addr", "John Doe <j@x.org>", "John Doe|-|j|x.org"},
	{"quoted name", "\"Doe, John\" <j@x.org>", "Doe, John|-|j|x.org"},
	{"escapes in a quoted name", "\"a \\\"b\\\"\" <j@x.org>", "a \"b\"|-|j|x.org"},
	{"folded", "John\r\n Doe\r\n\t<j@x.org>", "John Doe|-|j|x.org"},
	{"two", "a@b, c@d", "-|-|a|b -|-|c|d"},
	{"empty entries (RFC 5322 4.4)", ", a@b,, c@d,", "-|-|a|b -|-|c|d"},
	{"comment as name", "j@x.org (John Doe)", "John Doe|-|j|x.org"},
	{"comment with escapes", "j@x.org (John \\(x\\))", "John (x)|-|j|x.org"},
	{"comment inside", "John (the) Doe <j(x)@(y)x.org>", "John Doe|-|j|x.org"},
	{"spaces in addr-spec (RFC 5322 4.4)", "j . d @ x . org", "-|-|j.d|x.org"},
	{"route", "<@a.b,@c.d:j@x.org>", "-|@a.b,@c.d|j|x.org"},
	{"group", "friends: a@b, C <c@d>;", "-|-|friends|- -|-|a|b C|-|c|d -|-|-|-"},
	{"empty group", "undisclosed-recipients:;", "-|-|undisclosed-recipients|- -|-|-|-"},
	{"group and more", "g: a@b; , c@d", "-|-|g|- -|-|a|b -|-|-|- -|-|c|d"},
	{"open group", "g: a@b", "-|-|g|- -|-|a|b -|-|-|-"},
	{"quoted local part", "\"a b\"@x", "-|-|a b|x"},
	{"domain literal", "a@[192.0.2.1]", "-|-|a|[192.0.2.1]"},
	{"encoded words stay", "=?utf-8?Q?a,b=40c?= <a@b>", "=?utf-8?Q?a,b=40c?=|-|a|b"},
	{"two encoded words", "=?utf-8?B?7JWI?=\r\n =?utf-8?B?64WV?= <a@b>",
		"=?utf-8?B?7JWI?= =?utf-8?B?64WV?=|-|a|b"},
	{"8-bit name", "철수 <a@b>", "철수|-|a|b"},
	{"dot in a phrase (RFC 5322 4.1)", "John Q. Doe <a@b>", "John Q. Doe|-|a|b"},
	{"word without at sign", "root", "-|-|root|"},
	{"word in angles", "Root <root>", "Root|-|root|"},
	{"missing angle", "J <a@b, c@d", "J|-|a|b -|-|c|d"},
	{"open quote", "\"J <a@b>, c@d", "\"J|-|a|b -|-|c|d"},
	{"open comment", "a@b (x, c@d", "-|-|a|b"},
	{"null address", "<>", ""},
	{"only a name", "J <>", "J|-||"},
	{"empty", "", ""},
	{"semicolons as commas", "a@b; c@d", "-|-|a|b -|-|c|d"},
};

static void
add_text(struct buffer *out, struct slice text)
{
	if (text.data == NULL)
		buffer_add_text(out, "-");
	buffer_add_slice(out, text);
}

static void
print_list(const struct address_list *list, struct buffer *out)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			buffer_add_byte(out, ' ');
		add_text(out, list->items[i].name);
		buffer_add_byte(out, '|');
		add_text(out, list->items[i].route);
		buffer_add_byte(out, '|');
		add_text(out, list->items[i].mailbox);
		buffer_add_byte(out, '|');
		add_text(out, list->items[i].host);
	}
}

START_TEST(list_is_read_leniently)
{
	struct address_list list;
	struct arena arena;
	struct buffer out;

	arena_init(&arena, 65536);
	buffer_init(&out, 4096);
	ck_assert_int_eq(
		address_list_parse(slice_text(rows[_i].value), 100, &arena, &list), FAULT_OK);
	print_list(&list, &out);
	ck_assert_slice_eq(buffer_slice(&out), rows[_i].entries);
	buffer_clear(&out);
	arena_clear(&arena);
}
END_TEST

START_TEST(max_and_budget_bound_the_list)
{
	struct address_list list;
	struct arena arena;

	arena_init(&arena, 65536);
	ck_assert_int_eq(
		address_list_parse(SLICE("g: a@b, c@d, e@f;"), 3, &arena, &list), FAULT_OK);
	ck_assert_uint_eq(list.count, 3);
	ck_assert(list_address_is_group_start(&list.items[0]));
	ck_assert(list_address_is_group_end(&list.items[2]));
	arena_clear(&arena);
	arena_init(&arena, 20);
	ck_assert_int_eq(address_list_parse(SLICE("a@b, c@d"), 9, &arena, &list), FAULT_BUDGET);
	arena_clear(&arena);
}
END_TEST

/* Values that would cost the square of their length in a careless parser. */
START_TEST(hostile_values_are_read_in_linear_time)
{
	static const char *const patterns[] = {
		"\"\\", "(", "[", "=?", "<", "@", "<@", ":", "a:;", ","};
	const size_t len = 200000;
	char *value = malloc(len);

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		struct address_list list;
		struct arena arena;
		arena_init(&arena, 64 << 20);
		for (size_t at = 0; at < len; at++)
			value[at] = patterns[i][at % strlen(patterns[i])];
		ck_assert_int_eq(
			address_list_parse(slice_make(value, len), 1000, &arena, &list), FAULT_OK);
		ck_assert_uint_le(list.count, 1000);
		arena_clear(&arena);
	}
	free(value);
}
END_TEST

UNIT(address_list)
{
	tcase_add_loop_test(tc, list_is_read_leniently, 0, sizeof rows / sizeof rows[0]);
	unit_add(tc, max_and_budget_bound_the_list);
	unit_add(tc, hostile_values_are_read_in_linear_time);
}
