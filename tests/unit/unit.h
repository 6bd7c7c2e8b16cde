/* SPDX-License-Identifier: ISC */
/*
 * One libcheck program per folder of tests/unit: every test_<file>.c registers its cases with
 *
 *	UNIT(slice) { unit_add(tc, slice_compare_orders_prefix_first); ... }
 *
 * and tests/unit/main.c runs them all.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

/* For what cannot be tested under the address sanitizer. */
#if defined(__has_feature)
#define HAS_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif

typedef void unit_fill(TCase *tc);

/* Called before main by UNIT. */
void unit_register(const char *name, unit_fill *fill);

#define UNIT(name)                                                                                 \
	static void unit_fill_##name(TCase *tc);                                                   \
	__attribute__((constructor)) static void unit_register_##name(void)                        \
	{                                                                                          \
		unit_register(#name, unit_fill_##name);                                            \
	}                                                                                          \
	static void unit_fill_##name(TCase *tc)

#define unit_add(tc, test) tcase_add_test(tc, test)

/* A slice equals a terminated text; prints both when it does not. */
#define ck_assert_slice_eq(actual, expected)                                                       \
	do {                                                                                       \
		struct slice ck_s = (actual);                                                      \
		const char *ck_t = (expected);                                                     \
		bool ck_same = ck_s.len == strlen(ck_t) &&                                         \
			(ck_s.len == 0 || memcmp(ck_s.data, ck_t, ck_s.len) == 0);                 \
		ck_assert_msg(ck_same, "%s is \"%.*s\", not \"%s\"", #actual, (int)ck_s.len,       \
			ck_s.data, ck_t);                                                          \
	} while (0)

/* A line of /proc/PID/maps: true for private memory that may be written, and where that is. */
static inline bool
unit_is_private_memory(const char *line, unsigned long *from, unsigned long *to)
{
	char *end;

	*from = strtoul(line, &end, 16);
	*to = *end == '-' ? strtoul(end + 1, &end, 16) : 0;
	return *to > *from && strncmp(end, " rw-p ", 6) == 0;
}

#endif
