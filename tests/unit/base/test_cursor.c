/* SPDX-License-Identifier: ISC */
#include "common/base/cursor.h"

#include "common/base/ascii.h"
#include "tests/unit/unit.h"

/* A take that fails leaves cursor and result as they were. */
START_TEST(failing_takes_move_nothing)
{
	struct cursor c = cursor_of(SLICE("abc"));
	struct slice got = SLICE("untouched");
	uint64_t wide = 7;
	uint32_t narrow = 7;

	ck_assert(!take_byte(&c, 'x'));
	ck_assert(!take_bytes(&c, 4, &got));
	ck_assert(!take_text(&c, SLICE("ax")));
	ck_assert(!take_text(&c, SLICE("abcd")));
	ck_assert(!take_text_nocase(&c, SLICE("AX")));
	ck_assert(!take_while(&c, ascii_is_digit, &got));
	ck_assert(!take_until(&c, ';', &got));
	ck_assert(!take_u64(&c, UINT64_MAX, &wide));
	ck_assert(!take_u32(&c, &narrow));
	ck_assert_slice_eq(c.rest, "abc");
	ck_assert_slice_eq(got, "untouched");
	ck_assert_uint_eq(wide, 7);
	ck_assert_uint_eq(narrow, 7);
}
END_TEST

START_TEST(takes_move_behind_what_they_took)
{
	struct cursor c = cursor_of(SLICE("GeT 12;rest"));
	struct cursor mark = c;
	struct slice got;
	uint64_t number;

	ck_assert(take_text_nocase(&c, SLICE("get")));
	ck_assert_slice_eq(cursor_since(&c, mark), "GeT");
	ck_assert(take_byte(&c, ' '));
	ck_assert_int_eq(peek_byte(&c), '1');
	ck_assert(take_u64(&c, 12, &number));
	ck_assert_uint_eq(number, 12);
	ck_assert(take_until(&c, ';', &got));
	ck_assert_uint_eq(got.len, 0);
	ck_assert(take_byte(&c, ';'));
	ck_assert(take_bytes(&c, 2, &got));
	ck_assert_slice_eq(got, "re");
	ck_assert_slice_eq(take_run(&c, ascii_is_digit), "");
	ck_assert_slice_eq(take_rest(&c), "st");
	ck_assert(cursor_at_end(&c));
	ck_assert_int_eq(peek_byte(&c), -1);
}
END_TEST

START_TEST(bytes_are_never_negative)
{
	struct cursor c = cursor_of(SLICE("\xff\0x"));
	char byte;

	ck_assert_int_eq(peek_byte(&c), 255);
	ck_assert(take_any(&c, &byte));
	ck_assert_int_eq(peek_byte(&c), 0);
	ck_assert(take_byte(&c, '\0'));
	ck_assert(take_any(&c, &byte));
	ck_assert(!take_any(&c, &byte));
}
END_TEST

static const struct {
	struct slice text;
	uint64_t max;
	bool taken;
	uint64_t value;
	size_t left;
} numbers[] = {
	{SLICE_LITERAL("0"), 0, true, 0, 0},
	{SLICE_LITERAL("000000000000000000000000000001x"), 1, true, 1, 1},
	{SLICE_LITERAL("18446744073709551615"), UINT64_MAX, true, UINT64_MAX, 0},
	{SLICE_LITERAL("18446744073709551616"), UINT64_MAX, false, 0, 20},
	{SLICE_LITERAL("99999999999999999999999"), UINT64_MAX, false, 0, 23},
	{SLICE_LITERAL("11"), 10, false, 0, 2},
	{SLICE_LITERAL("-1"), 10, false, 0, 2},
	{SLICE_LITERAL("+1"), 10, false, 0, 2},
	{SLICE_LITERAL(" 1"), 10, false, 0, 2},
	{SLICE_LITERAL(""), 10, false, 0, 0},
};

START_TEST(numbers_by_rule)
{
	struct cursor c = cursor_of(numbers[_i].text);
	uint64_t value = 0;

	ck_assert_int_eq(take_u64(&c, numbers[_i].max, &value), numbers[_i].taken);
	ck_assert_uint_eq(value, numbers[_i].value);
	ck_assert_uint_eq(c.rest.len, numbers[_i].left);
}
END_TEST

UNIT(cursor)
{
	unit_add(tc, failing_takes_move_nothing);
	unit_add(tc, takes_move_behind_what_they_took);
	unit_add(tc, bytes_are_never_negative);
	tcase_add_loop_test(tc, numbers_by_rule, 0, (int)(sizeof numbers / sizeof numbers[0]));
}
