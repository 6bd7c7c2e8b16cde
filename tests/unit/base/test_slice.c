/* SPDX-License-Identifier: ISC */
#include "common/base/slice.h"

#include "tests/unit/unit.h"

START_TEST(find_locates_text_at_start_middle_end)
{
	struct slice s = SLICE("abcabd");

	ck_assert_uint_eq(slice_find(s, SLICE("abc")), 0);
	ck_assert_uint_eq(slice_find(s, SLICE("abd")), 3);
	ck_assert_uint_eq(slice_find(s, SLICE("d")), 5);
	ck_assert_uint_eq(slice_find(s, SLICE("x")), s.len);
	ck_assert_uint_eq(slice_find(s, SLICE("abcabdx")), s.len);
	ck_assert_uint_eq(slice_find(s, SLICE("")), 0);
	ck_assert_uint_eq(slice_find(SLICE(""), SLICE("a")), 0);
}
END_TEST

START_TEST(parse_u64_refuses_overflow_and_other_bytes)
{
	uint64_t v = 7;

	ck_assert(slice_parse_u64(SLICE("18446744073709551615"), UINT64_MAX, &v));
	ck_assert(v == UINT64_MAX);
	ck_assert(!slice_parse_u64(SLICE("18446744073709551616"), UINT64_MAX, &v));
	ck_assert(!slice_parse_u64(SLICE(""), UINT64_MAX, &v));
	ck_assert(!slice_parse_u64(SLICE("-1"), UINT64_MAX, &v));
	ck_assert(!slice_parse_u64(SLICE("11"), 10, &v));
	ck_assert(v == UINT64_MAX);
}
END_TEST

START_TEST(compare_orders_a_prefix_first)
{
	ck_assert_int_lt(slice_compare(SLICE("ab"), SLICE("abc")), 0);
	ck_assert_int_gt(slice_compare(SLICE("b"), SLICE("abc")), 0);
	ck_assert_int_eq(slice_compare(SLICE(""), SLICE("")), 0);
}
END_TEST

START_TEST(trim_removes_white_space_at_both_ends)
{
	ck_assert_slice_eq(slice_trim(SLICE(" \r\n a b\t")), "a b");
	ck_assert_slice_eq(slice_trim(SLICE("  ")), "");
}
END_TEST

UNIT(slice)
{
	unit_add(tc, find_locates_text_at_start_middle_end);
	unit_add(tc, parse_u64_refuses_overflow_and_other_bytes);
	unit_add(tc, compare_orders_a_prefix_first);
	unit_add(tc, trim_removes_white_space_at_both_ends);
}
