/* SPDX-License-Identifier: ISC */
#include "common/base/arena.h"

#include <stdalign.h>

#include "tests/unit/unit.h"

static struct arena a;

static void
setup(void)
{
	arena_init(&a, 20000);
}

static void
teardown(void)
{
	arena_clear(&a);
	arena_clear(&a);
}

START_TEST(memory_is_zeroed_aligned_and_apart)
{
	char *before = NULL;

	for (size_t size = 1; size < 100; size++) {
		char *at = arena_alloc(&a, size);
		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % alignof(max_align_t), 0);
		ck_assert_ptr_ne(at, before);
		for (size_t i = 0; i < size; i++)
			ck_assert_int_eq(at[i], 0);
		memset(at, 0xff, size);
		before = at;
	}
}
END_TEST

START_TEST(the_budget_is_reached_and_not_passed)
{
	ck_assert_ptr_null(arena_alloc(&a, 20001));
	ck_assert_ptr_nonnull(arena_alloc(&a, 15000));
	ck_assert_ptr_null(arena_alloc(&a, 5001));
	ck_assert_ptr_nonnull(arena_alloc(&a, 5000));
	ck_assert_ptr_null(arena_alloc(&a, 1));
	arena_clear(&a);
	ck_assert_ptr_nonnull(arena_alloc(&a, 20000));
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 2, 4));
	ck_assert_ptr_null(arena_array(&a, 3, SIZE_MAX / 2));
	ck_assert_ptr_nonnull(arena_array(&a, 10, 10));
	ck_assert_ptr_nonnull(arena_array(&a, SIZE_MAX, 0));
}
END_TEST

START_TEST(copies_are_terminated_and_may_hold_nul)
{
	struct slice copy;

	ck_assert(arena_copy(&a, SLICE("a\0b"), &copy));
	ck_assert_uint_eq(copy.len, 3);
	ck_assert_int_eq(memcmp(copy.data, "a\0b", 4), 0);
	ck_assert(arena_copy(&a, slice_make(NULL, 0), &copy));
	ck_assert_uint_eq(copy.len, 0);
	ck_assert_int_eq(copy.data[0], 0);
	ck_assert(!arena_copy(&a, slice_make("", SIZE_MAX), &copy));
}
END_TEST

START_TEST(a_zeroed_arena_gives_nothing)
{
	struct arena none = {0};

	ck_assert_ptr_null(arena_alloc(&none, 1));
	arena_clear(&none);
}
END_TEST

UNIT(arena)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, memory_is_zeroed_aligned_and_apart);
	unit_add(tc, the_budget_is_reached_and_not_passed);
	unit_add(tc, sizes_that_overflow_are_refused);
	unit_add(tc, copies_are_terminated_and_may_hold_nul);
	unit_add(tc, a_zeroed_arena_gives_nothing);
}
