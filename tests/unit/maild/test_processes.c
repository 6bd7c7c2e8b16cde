/* SPDX-License-Identifier: ISC */
#include "maild/processes.h"
#include "tests/unit/unit.h"

static const struct process_row *
row_of(enum process process)
{
	for (size_t i = 0; i < process_row_count; i++) {
		if (process_rows[i].process == process)
			return &process_rows[i];
	}
	return NULL;
}

START_TEST(every_child_has_one_row_and_a_user_of_its_own)
{
	ck_assert_uint_eq(process_row_count, PROCESS_COUNT - 2);
	for (int p = 0; p < PROCESS_COUNT; p++) {
		const struct process_row *row = row_of((enum process)p);

		ck_assert_int_eq(row == NULL, p == PROCESS_MAILD || p == PROCESS_MAILCTL);
		if (row == NULL)
			continue;
		ck_assert_str_eq(row->user + 1, process_name(row->process));
		ck_assert_uint_lt(row->stop_stage, STOP_STAGES);
	}
}
END_TEST

/* Whoever takes work in ends before those it hands the work to. */
START_TEST(who_is_needed_stops_later)
{
	for (size_t i = 0; i < process_link_count; i++) {
		const struct process_row *left = row_of(process_links[i].left);
		const struct process_row *right = row_of(process_links[i].right);

		ck_assert_uint_lt(left->stop_stage, right->stop_stage);
		ck_assert(process_is_linked(left->process, right->process));
		ck_assert(process_is_linked(right->process, left->process));
	}
}
END_TEST

/* No way from the network to the store's writer or to the keys but through a checked message. */
START_TEST(what_is_not_linked_cannot_talk)
{
	ck_assert(!process_is_linked(PROCESS_SMTPD, PROCESS_MAILBOXD));
	ck_assert(!process_is_linked(PROCESS_RELAYD, PROCESS_AUTHD));
	ck_assert(!process_is_linked(PROCESS_RELAYD, PROCESS_MAILBOXD));
	ck_assert(!process_is_linked(PROCESS_IMAPD, PROCESS_POP3D));
	ck_assert(!process_is_linked(PROCESS_SMTPD, PROCESS_SMTPD));
}
END_TEST

UNIT(processes)
{
	unit_add(tc, every_child_has_one_row_and_a_user_of_its_own);
	unit_add(tc, who_is_needed_stops_later);
	unit_add(tc, what_is_not_linked_cannot_talk);
}
