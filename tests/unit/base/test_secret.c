/* SPDX-License-Identifier: ISC */
#include "common/base/secret.h"

#include "tests/unit/unit.h"

START_TEST(a_secret_is_copied_and_wiped)
{
	struct secret s = {0};
	static const struct secret zero;

	ck_assert_int_eq(secret_set(&s, SLICE("pass\0word")), FAULT_OK);
	ck_assert(slice_equal(secret_slice(&s), SLICE("pass\0word")));
	ck_assert_int_eq(secret_set(&s, SLICE("x")), FAULT_OK);
	/* Nothing of the longer one is left behind the shorter. */
	ck_assert_int_eq(s.bytes[1], 0);
	ck_assert_int_eq(s.bytes[5], 0);
	secret_clear(&s);
	secret_clear(&s);
	ck_assert_int_eq(memcmp(&s, &zero, sizeof s), 0);
}
END_TEST

START_TEST(one_too_long_is_refused_whole)
{
	struct secret s;
	char bytes[sizeof s.bytes + 1] = "x";

	ck_assert_int_eq(secret_set(&s, slice_make(bytes, sizeof s.bytes)), FAULT_OK);
	ck_assert_int_eq(secret_set(&s, slice_make(bytes, sizeof bytes)), FAULT_TOO_LONG);
	ck_assert_uint_eq(secret_slice(&s).len, 0);
}
END_TEST

START_TEST(equal_means_every_byte)
{
	ck_assert(secret_equal(SLICE("a\0b"), SLICE("a\0b")));
	ck_assert(!secret_equal(SLICE("a\0b"), SLICE("a\0c")));
	ck_assert(!secret_equal(SLICE("abc"), SLICE("ab")));
	ck_assert(!secret_equal(SLICE("ab"), SLICE("abc")));
	ck_assert(secret_equal(slice_make(NULL, 0), SLICE("")));
}
END_TEST

UNIT(secret)
{
	unit_add(tc, a_secret_is_copied_and_wiped);
	unit_add(tc, one_too_long_is_refused_whole);
	unit_add(tc, equal_means_every_byte);
}
