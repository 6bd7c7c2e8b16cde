/* SPDX-License-Identifier: ISC */
#include "queued/schedule.h"

#include "common/ipc/payloads.h"
#include "tests/unit/unit.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static const struct schedule_policy policy = {
	.first = 5 * MINUTE, .last = 4 * HOUR, .lifetime = 120 * HOUR, .delay_notice = 4 * HOUR};

START_TEST(pause_doubles_up_to_the_last_within_the_jitter)
{
	int64_t expected = policy.first;

	for (uint32_t n = 0; n < 40; n++) {
		for (uint64_t random = 0; random < 1000; random += 37) {
			int64_t pause = schedule_pause(&policy, n, random * 7919 * 1000);

			ck_assert_int_ge(pause, expected * 3 / 4);
			ck_assert_int_le(pause, expected * 5 / 4 + 1);
		}
		expected = expected * 2 > policy.last ? policy.last : expected * 2;
	}
}
END_TEST

START_TEST(pause_never_overflows)
{
	struct schedule_policy huge = {.first = 86400000, .last = 86400000};

	ck_assert_int_le(schedule_pause(&huge, UINT32_MAX, UINT64_MAX), 86400000LL * 5 / 4 + 1);
}
END_TEST

static struct verdict
judge(enum fault fault, int64_t age_ms, uint32_t notify, const char *sender)
{
	struct queue_message m = {.arrived_ms = 1000, .sender = slice_text(sender)};
	struct queue_recipient r = {.notify = notify};
	struct attempt a = {.fault = fault};
	struct schedule_case c = {&m, &r, &a};

	return schedule_judge(&policy, &c, (struct schedule_moment){1000 + age_ms, 0});
}

START_TEST(verdicts_by_fault_and_age)
{
	static const struct {
		const char *rule;
		enum fault fault;
		int64_t age_ms;
		enum verdict_kind kind;
		bool expired;
	} rows[] = {
		{"success is done", FAULT_OK, 0, VERDICT_DONE, false},
		{"success after the lifetime is done too", FAULT_OK, 121 * HOUR, VERDICT_DONE,
			false},
		{"permanent fails", FAULT_NO_SUCH_USER, 0, VERDICT_FAILED, false},
		{"temporary is tried again", FAULT_TIMEOUT, 0, VERDICT_RETRY, false},
		{"until the lifetime", FAULT_TIMEOUT, 120 * HOUR - 1, VERDICT_RETRY, false},
		{"and then expires", FAULT_TIMEOUT, 120 * HOUR, VERDICT_FAILED, true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct verdict v = judge(rows[i].fault, rows[i].age_ms, 0, "s@x");

		ck_assert_msg(
			v.kind == rows[i].kind && v.expired == rows[i].expired, "%s", rows[i].rule);
	}
}
END_TEST

START_TEST(last_try_is_made_when_the_time_is_up)
{
	struct verdict v = judge(FAULT_TIMEOUT, 120 * HOUR - 1, 0, "s@x");

	ck_assert_int_eq(v.next_ms, 1000 + 120 * HOUR);
}
END_TEST

START_TEST(own_faults_are_tried_again_within_seconds)
{
	struct verdict v = judge(FAULT_PEER_LOST, 0, 0, "s@x");

	ck_assert_int_le(v.next_ms - 1000, 2 * SCHEDULE_SOON_MS);
}
END_TEST

START_TEST(own_faults_that_last_back_off_like_others)
{
	struct queue_message m = {.sender = SLICE("s@x")};
	struct queue_recipient r = {.attempts = SCHEDULE_SOON_TRIES};
	struct attempt a = {.fault = FAULT_PEER_LOST};
	struct schedule_case c = {&m, &r, &a};
	struct verdict v = schedule_judge(&policy, &c, (struct schedule_moment){0, 0});

	ck_assert_int_ge(v.next_ms, policy.first);
}
END_TEST

START_TEST(notices_by_notify)
{
	static const struct {
		const char *rule;
		enum fault fault;
		int64_t age_ms;
		uint32_t notify;
		const char *sender;
		bool tell;
	} rows[] = {
		{"failure by default", FAULT_NO_SUCH_USER, 0, 0, "s@x", true},
		{"no failure when not asked", FAULT_NO_SUCH_USER, 0, IPC_NOTIFY_SUCCESS, "s@x",
			false},
		{"failure when asked", FAULT_NO_SUCH_USER, 0, IPC_NOTIFY_FAILURE, "s@x", true},
		{"never", FAULT_NO_SUCH_USER, 0, IPC_NOTIFY_NEVER, "s@x", false},
		{"never for mail from <>", FAULT_NO_SUCH_USER, 0, IPC_NOTIFY_FAILURE, "", false},
		{"no success by default", FAULT_OK, 0, 0, "s@x", false},
		{"success when asked", FAULT_OK, 0, IPC_NOTIFY_SUCCESS, "s@x", true},
		{"no delay before its time", FAULT_TIMEOUT, 4 * HOUR - 1, 0, "s@x", false},
		{"delay by default", FAULT_TIMEOUT, 4 * HOUR, 0, "s@x", true},
		{"no delay when only failures", FAULT_TIMEOUT, 4 * HOUR, IPC_NOTIFY_FAILURE, "s@x",
			false},
		{"delay when asked", FAULT_TIMEOUT, 4 * HOUR, IPC_NOTIFY_DELAY, "s@x", true},
		{"expiry is a failure", FAULT_TIMEOUT, 120 * HOUR, IPC_NOTIFY_FAILURE, "s@x", true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct verdict v =
			judge(rows[i].fault, rows[i].age_ms, rows[i].notify, rows[i].sender);

		ck_assert_msg(v.tell == rows[i].tell, "%s", rows[i].rule);
	}
}
END_TEST

START_TEST(delay_is_told_once)
{
	struct queue_message m = {.sender = SLICE("s@x")};
	struct queue_recipient r = {0};
	struct attempt a = {.fault = FAULT_TIMEOUT};
	struct schedule_case c = {&m, &r, &a};
	struct schedule_moment later = {5 * HOUR, 0};
	struct verdict v = schedule_judge(&policy, &c, later);

	ck_assert(v.tell);
	schedule_record(&r, &a, &v);
	ck_assert(r.delay_told);
	ck_assert(!schedule_judge(&policy, &c, later).tell);
}
END_TEST

START_TEST(success_is_not_told_when_the_next_host_does_so)
{
	struct queue_message m = {.sender = SLICE("s@x")};
	struct queue_recipient r = {.notify = IPC_NOTIFY_SUCCESS};
	struct attempt a = {.fault = FAULT_OK, .dsn = true};
	struct schedule_case c = {&m, &r, &a};

	ck_assert(!schedule_judge(&policy, &c, (struct schedule_moment){0, 0}).tell);
}
END_TEST

UNIT(schedule)
{
	unit_add(tc, pause_doubles_up_to_the_last_within_the_jitter);
	unit_add(tc, pause_never_overflows);
	unit_add(tc, verdicts_by_fault_and_age);
	unit_add(tc, last_try_is_made_when_the_time_is_up);
	unit_add(tc, own_faults_are_tried_again_within_seconds);
	unit_add(tc, own_faults_that_last_back_off_like_others);
	unit_add(tc, notices_by_notify);
	unit_add(tc, delay_is_told_once);
	unit_add(tc, success_is_not_told_when_the_next_host_does_so);
}
