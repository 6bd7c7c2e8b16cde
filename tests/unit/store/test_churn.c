/* SPDX-License-Identifier: ISC */
/*
 * Mail comes and goes for long: disk use stays near what lives, and a crash or a power cut in the
 * middle of compaction does no harm.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/store/journal.h"
#include "tests/unit/store/churn.h"

/* Rounds of: delete half at random, let the undelete time pass, fill up again. */
enum { CHURN_MESSAGES = 1500, CHURN_ROUNDS = 5 };

static void
churn_round(struct fixture *f, uint32_t *end, uint64_t *state)
{
	uint32_t deleted = 0;

	fixture_begin(f);
	for (uint32_t n = 1; n < *end; n++)
		if (churn_known[n].uid != 0 && !churn_known[n].expunged &&
			fixture_random(state, 2) == 0) {
			churn_expunge(f, n);
			deleted++;
		}
	fixture_commit(f);
	churn_undelete_time_passes(f);
	(void)fixture_compact(f, &churn_usual);
	churn_append_all(f, *end, deleted);
	*end += deleted;
	churn_grace_passes(f);
	(void)fixture_compact(f, &churn_usual);
	churn_grace_passes(f);
	(void)fixture_compact(f, &churn_usual);
}

START_TEST(disk_use_stays_near_what_lives_round_after_round)
{
	struct fixture f = {.options.segment_size_max = 1 << 20};
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	uint64_t state = seed, index_first = 0;
	uint32_t end = 1 + CHURN_MESSAGES;

	printf("churn: SEED=%llu\n", (unsigned long long)seed);
	fixture_open(&f);
	churn_append_all(&f, 1, CHURN_MESSAGES);
	for (unsigned round = 1; round <= CHURN_ROUNDS; round++) {
		churn_round(&f, &end, &state);
		struct store_space s = churn_space(&f);
		printf("round %u: live %llu KiB in %llu messages, segments take %llu KiB, log %llu "
		       "KiB, index %llu KiB, %llu free\n",
			round, (unsigned long long)s.live >> 10, (unsigned long long)s.live_records,
			(unsigned long long)s.occupied >> 10, (unsigned long long)s.log >> 10,
			(unsigned long long)s.index_occupied >> 10,
			(unsigned long long)s.index_free >> 10);
		if (round == 1)
			index_first = s.index_length;
		/* A part for the share that is not worth it, one for the file that is written to.
		 */
		ck_assert_uint_lt(s.occupied, s.live * 100 / COMPACT_PERCENT + (2 << 20));
		ck_assert_uint_lt(s.index_length, 3 * index_first);
		fixture_verify(&f);
		fixture_log_check(&f);
		churn_expect_all(&f, 1, end);
	}
	fixture_reopen(&f);
	fixture_verify(&f);
	churn_expect_all(&f, 1, end);
	fixture_close(&f);
}
END_TEST

/* Compacts in small slices, with mail coming and going, until it is killed. */
static void
work_until_killed(struct fixture *f, uint32_t from, uint32_t end, int to)
{
	struct compact_options small = {100, 4096, 30000, 0};

	for (uint32_t i = 0;; i++) {
		struct compact_slice slice;
		ck_assert_ok(writer_compact(f->writer, &small, &slice));
		if (slice.next != COMPACT_MORE)
			f->now_ms += COMPACT_GRACE_S * INT64_C(1000);
		bool more;
		ck_assert_ok(writer_housekeep(f->writer, &more));
		if (write(to, "", 1) != 1)
			_exit(1);
		/* Flags change meanwhile; no message comes or goes, so the parent knows all. */
		uint32_t n = from + i * 7 % (end - from);
		struct uid_range range = {churn_known[n].uid, churn_known[n].uid};
		struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &range, 1},
			.verb = i % 2 == 0 ? WRITER_FLAGS_ADD : WRITER_FLAGS_REMOVE,
			.flags = STORE_FLAGGED};
		fixture_begin(f);
		ck_assert_ok(writer_flags_store(f->writer, &flags));
		fixture_commit(f);
		uid_set_clear(&flags.changed);
	}
}

static void
run_and_kill(struct fixture *f, uint32_t from, uint32_t end, uint32_t slices)
{
	int ends[2];
	char byte;

	must(pipe(ends) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		close(ends[0]);
		ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
		f->reader = writer_reader(f->writer);
		work_until_killed(f, from, end, ends[1]);
	}
	close(ends[1]);
	for (uint32_t i = 0; read(ends[0], &byte, 1) == 1; i++)
		if (i == slices)
			kill(child, SIGKILL);
	close(ends[0]);
	must(waitpid(child, NULL, 0) == child);
}

/* More by the variable of that name in the environment. */
enum { CRASH_ROUNDS = 25 };

static void
crashes(bool power)
{
	struct fixture f = {.options.segment_size_max = 150000};
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	uint64_t state = seed, freed = 0;
	uint8_t boot[JOURNAL_BOOT_SIZE] = {1};
	uint32_t end = 201;
	const char *rounds_given = getenv("CRASH_ROUNDS");
	unsigned long rounds =
		rounds_given != NULL ? strtoul(rounds_given, NULL, 10) : CRASH_ROUNDS;

	printf("compaction, %s: SEED=%llu\n", power ? "power cut" : "killed",
		(unsigned long long)seed);
	fflush(stdout);
	if (power)
		f.options.boot_id = boot;
	fixture_open(&f);
	churn_append_all(&f, 1, 200);
	for (unsigned round = 0; round < rounds && end < CHURN_MAX - 50; round++) {
		if (round % 6 == 0) {
			fixture_begin(&f);
			for (uint32_t n = 1; n < end; n++)
				if (!churn_known[n].expunged && fixture_random(&state, 3) == 0)
					churn_expunge(&f, n);
			fixture_commit(&f);
			churn_append_all(&f, end, 50);
			end += 50;
			churn_undelete_time_passes(&f);
		}
		struct store_space before = churn_space(&f);
		writer_close(f.writer);
		run_and_kill(&f, end - 50, end, fixture_random(&state, 40));
		boot[0]++;
		ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
		f.reader = writer_reader(f.writer);
		struct store_space after = churn_space(&f);
		freed += before.occupied > after.occupied ? before.occupied - after.occupied : 0;
		fixture_verify(&f);
		fixture_log_check(&f);
		churn_expect_all(&f, 1, end);
	}
	/* It did get on. */
	ck_assert_uint_gt(freed, 500000);
	(void)fixture_compact(&f, &churn_all);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	fixture_verify(&f);
	fixture_log_check(&f);
	churn_expect_all(&f, 1, end);
	fixture_close(&f);
}

START_TEST(killed_in_the_middle_it_only_begins_again)
{
	crashes(false);
}
END_TEST

START_TEST(a_power_cut_in_the_middle_loses_nothing)
{
	crashes(true);
}
END_TEST

UNIT(churn)
{
	tcase_set_timeout(tc, 600);
	unit_add(tc, disk_use_stays_near_what_lives_round_after_round);
	unit_add(tc, killed_in_the_middle_it_only_begins_again);
	unit_add(tc, a_power_cut_in_the_middle_loses_nothing);
}
