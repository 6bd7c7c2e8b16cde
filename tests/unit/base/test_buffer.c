/* SPDX-License-Identifier: ISC */
#include "common/base/buffer.h"

#include "tests/unit/unit.h"

static struct buffer b;

static void
setup(void)
{
	buffer_init(&b, 1000);
}

static void
teardown(void)
{
	buffer_clear(&b);
	buffer_clear(&b);
}

START_TEST(an_empty_buffer_is_an_empty_slice)
{
	ck_assert_uint_eq(buffer_slice(&b).len, 0);
	buffer_consume(&b, 5);
	buffer_truncate(&b, 0);
	buffer_add(&b, "", 0);
	ck_assert_uint_eq(buffer_len(&b), 0);
	ck_assert_int_eq(buffer_fault(&b), FAULT_OK);
}
END_TEST

START_TEST(what_is_added_stands_in_order)
{
	buffer_add_text(&b, "ab");
	buffer_add_slice(&b, SLICE("cd"));
	buffer_add_byte(&b, 'e');
	buffer_add_u64(&b, 0);
	buffer_add_u64(&b, UINT64_MAX);
	buffer_printf(&b, "-%s-%d", "x", 7);
	ck_assert_slice_eq(buffer_slice(&b), "abcde018446744073709551615-x-7");
}
END_TEST

START_TEST(the_cap_is_reached_and_not_passed)
{
	char bytes[1000] = {0};

	buffer_add(&b, bytes, 1000);
	ck_assert_int_eq(buffer_fault(&b), FAULT_OK);
	buffer_add_byte(&b, 'x');
	ck_assert_int_eq(buffer_fault(&b), FAULT_BUDGET);
	ck_assert_uint_eq(buffer_len(&b), 1000);
}
END_TEST

START_TEST(the_first_fault_stays_until_reset)
{
	ck_assert_ptr_null(buffer_reserve(&b, SIZE_MAX));
	buffer_add_text(&b, "x");
	buffer_printf(&b, "%d", 1);
	ck_assert_int_eq(buffer_fault(&b), FAULT_BUDGET);
	ck_assert_uint_eq(buffer_len(&b), 0);
	buffer_reset(&b);
	buffer_add_text(&b, "x");
	ck_assert_slice_eq(buffer_slice(&b), "x");
}
END_TEST

/* The cap is of what is held: what was consumed makes room again. */
START_TEST(consuming_makes_room_at_the_front)
{
	char bytes[600] = {0};

	for (int i = 0; i < 100; i++) {
		buffer_add(&b, bytes, sizeof bytes);
		buffer_add_text(&b, "tail");
		buffer_consume(&b, sizeof bytes);
		ck_assert_slice_eq(buffer_slice(&b), "tail");
		buffer_consume(&b, 4);
		ck_assert_uint_eq(buffer_len(&b), 0);
	}
	ck_assert_int_eq(buffer_fault(&b), FAULT_OK);
	ck_assert_uint_le(b.size, 2048);
}
END_TEST

START_TEST(reserved_room_is_written_and_counted)
{
	char *at = buffer_reserve(&b, 300);

	memset(at, 'y', 300);
	buffer_added(&b, 2);
	ck_assert_slice_eq(buffer_slice(&b), "yy");
	ck_assert_ptr_nonnull(buffer_reserve(&b, 0));
}
END_TEST

START_TEST(truncating_drops_from_the_end)
{
	buffer_add_text(&b, "abcdef");
	buffer_consume(&b, 2);
	buffer_truncate(&b, 3);
	ck_assert_slice_eq(buffer_slice(&b), "cde");
	buffer_truncate(&b, 9);
	ck_assert_slice_eq(buffer_slice(&b), "cde");
}
END_TEST

UNIT(buffer)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, an_empty_buffer_is_an_empty_slice);
	unit_add(tc, what_is_added_stands_in_order);
	unit_add(tc, the_cap_is_reached_and_not_passed);
	unit_add(tc, the_first_fault_stays_until_reset);
	unit_add(tc, consuming_makes_room_at_the_front);
	unit_add(tc, reserved_room_is_written_and_counted);
	unit_add(tc, truncating_drops_from_the_end);
}
