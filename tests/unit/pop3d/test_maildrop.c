/* SPDX-License-Identifier: ISC */
#include "common/base/bytes.h"
#include "pop3d/maildrop.h"
#include "tests/unit/unit.h"

static void
fill(struct maildrop *d, const uint32_t *uids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(maildrop_add(d, uids[i], 100 + i), FAULT_OK);
}

START_TEST(numbers_begin_at_one_and_skip_marked_messages)
{
	static const uint32_t uids[] = {4, 5, 9};
	struct maildrop d = {0};

	fill(&d, uids, 3);
	ck_assert_ptr_null(maildrop_find(&d, 0));
	ck_assert_ptr_null(maildrop_find(&d, 4));
	ck_assert_uint_eq(maildrop_find(&d, 3)->uid, 9);
	maildrop_delete(&d, maildrop_find(&d, 2));
	ck_assert_ptr_null(maildrop_find(&d, 2));
	ck_assert_uint_eq(d.deleted, 1);
	ck_assert_uint_eq(d.octets, 202);
	maildrop_reset(&d);
	ck_assert_uint_eq(d.octets, 303);
	ck_assert_uint_eq(maildrop_find(&d, 2)->uid, 5);
	maildrop_clear(&d);
	maildrop_clear(&d);
}
END_TEST

struct range_row {
	const char *rule;
	uint32_t uids[6];
	bool deleted[6];
	uint32_t ranges[6]; /* pairs; 0 ends */
};

static const struct range_row range_rows[] = {
	{"none", {1, 2, 3}, {false}, {0}},
	{"one", {1, 2, 3}, {false, true}, {2, 2}},
	{"neighbours are one range", {1, 2, 3}, {true, true, true}, {1, 3}},
	{"a kept message parts two", {1, 2, 3}, {true, false, true}, {1, 1, 3, 3}},
	{"a UID that is not there parts two", {1, 2, 4}, {true, true, true}, {1, 2, 4, 4}},
	{"the highest UID", {4294967294, 4294967295}, {true, true}, {4294967294, 4294967295}},
};

static void
check_ranges(const struct range_row *row)
{
	struct maildrop d = {0};
	struct buffer ranges;
	size_t n = 0;

	for (size_t i = 0; i < 6 && row->uids[i] != 0; i++) {
		ck_assert_int_eq(maildrop_add(&d, row->uids[i], 1), FAULT_OK);
		if (row->deleted[i])
			maildrop_delete(&d, &d.messages[i]);
	}
	buffer_init(&ranges, 1024);
	maildrop_format_deleted(&d, &ranges);
	while (n < 6 && row->ranges[n] != 0)
		n++;
	ck_assert_msg(buffer_len(&ranges) == 4 * n, "%s", row->rule);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(get_u32(buffer_slice(&ranges).data + 4 * i) == row->ranges[i], "%s",
			row->rule);
	buffer_clear(&ranges);
	maildrop_clear(&d);
}

START_TEST(marked_messages_become_ranges)
{
	for (size_t i = 0; i < sizeof range_rows / sizeof range_rows[0]; i++)
		check_ranges(&range_rows[i]);
}
END_TEST

UNIT(maildrop)
{
	unit_add(tc, numbers_begin_at_one_and_skip_marked_messages);
	unit_add(tc, marked_messages_become_ranges);
}
