/* SPDX-License-Identifier: ISC */
/*
 * Space comes back, and nothing is lost by it: bodies move, the log alone still tells everything,
 * readers find what they were about to read, and a crash or a power cut at any moment does no harm.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/store/reader_private.h"
#include "common/store/segment_format.h"
#include "common/store/space.h"
#include "common/store/writer_private.h"
#include "tests/unit/store/fixture.h"

enum { UNDELETE_S = 14 * 86400, NUMBERS_MAX = 40000, BODY_MAX = 20000 };

static const struct compact_options all = {100, 4096, 1 << 20, 0};
static const struct compact_options usual = {COMPACT_PERCENT, 64 << 10, 1 << 20, 0};

/* What the test knows of message number i of ALICE's INBOX. */
struct known {
	uint32_t uid; /* 0: none */
	bool expunged;
};
static struct known known[NUMBERS_MAX];

/* A body that its number repeats; some kilobytes as a rule, as mail is. */
static size_t
body_of(uint32_t number, char body[static BODY_MAX])
{
	uint64_t state = number;
	size_t len = 300 + fixture_random(&state, number % 10 == 0 ? BODY_MAX - 300 : 6000);

	for (size_t i = 0; i < len; i++)
		body[i] = (char)fixture_random(&state, 256);
	return len;
}

static void
append(struct fixture *f, uint32_t first, uint32_t count)
{
	static char body[BODY_MAX];

	fixture_begin(f);
	for (uint32_t number = first; number < first + count; number++) {
		struct fixture_message m;
		fixture_message(f, &m, slice_make(body, body_of(number, body)));
		writer_append(f->writer, &m.request);
		ck_assert_ok(m.targets[0].fault);
		known[number] = (struct known){m.targets[0].uid, false};
		fixture_message_clear(&m);
	}
	fixture_commit(f);
}

static void
append_all(struct fixture *f, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i += 50)
		append(f, first + i, count - i < 50 ? count - i : 50);
}

static void
expunge(struct fixture *f, uint32_t number)
{
	struct uid_range range = {known[number].uid, known[number].uid};
	struct writer_expunge e = {.uids = {ALICE, STORE_INBOX, &range, 1}};

	ck_assert_ok(writer_expunge(f->writer, &e));
	uid_set_clear(&e.expunged);
	known[number].expunged = true;
}

/* Every n-th of the messages from first on. */
static void
expunge_some(struct fixture *f, uint32_t first, uint32_t end, uint32_t n)
{
	fixture_begin(f);
	for (uint32_t number = first; number < end; number += n)
		expunge(f, number);
	fixture_commit(f);
}

static void
housekeep(struct fixture *f)
{
	for (bool more = true; more;)
		ck_assert_ok(writer_housekeep(f->writer, &more));
}

static void
undelete_time_passes(struct fixture *f)
{
	f->now_ms += (UNDELETE_S + 1) * INT64_C(1000);
	housekeep(f);
}

static void
grace_passes(struct fixture *f)
{
	f->now_ms += COMPACT_GRACE_S * INT64_C(1000);
}

static void
expect_all(struct fixture *f, uint32_t first, uint32_t end)
{
	static char body[BODY_MAX];

	for (uint32_t n = first; n < end; n++)
		if (known[n].uid != 0 && !known[n].expunged)
			fixture_expect(f, ALICE, STORE_INBOX, known[n].uid,
				slice_make(body, body_of(n, body)));
}

static struct store_space
space(struct fixture *f)
{
	struct store_space s;

	ck_assert_ok(writer_space(f->writer, &s));
	return s;
}

static bool
has_segment(struct fixture *f, uint32_t segment)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f->dir, segment);
	return access(path, F_OK) == 0;
}

START_TEST(a_half_empty_segment_is_emptied_and_goes_after_its_time)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	append_all(&f, 1, 400);
	expunge_some(&f, 1, 401, 2);
	undelete_time_passes(&f);
	struct store_space before = space(&f);
	struct compact_slice done = fixture_compact(&f, &usual);
	ck_assert_uint_gt(done.moved, 100000);
	ck_assert_uint_gt(done.carried, 1000);
	ck_assert_uint_eq(done.freed, 0);
	ck_assert_uint_gt(done.waiting, 100000);
	ck_assert_uint_gt(space(&f).emptied, 2);
	ck_assert(has_segment(&f, 1));
	fixture_verify(&f);
	fixture_log_check(&f);
	expect_all(&f, 1, 401);
	/* Not a moment before. */
	f.now_ms += COMPACT_GRACE_S * INT64_C(1000) - 2000;
	ck_assert_uint_eq(fixture_compact(&f, &usual).freed, 0);
	f.now_ms += 2000;
	ck_assert_uint_gt(fixture_compact(&f, &usual).freed, 100000);
	ck_assert(!has_segment(&f, 1));
	fixture_verify(&f);
	fixture_log_check(&f);
	expect_all(&f, 1, 401);
	struct store_space after = space(&f);
	ck_assert_uint_lt(after.occupied, before.occupied);
	ck_assert_uint_eq(after.live, before.live);
	ck_assert_uint_eq(after.emptied, 0);
	fixture_reopen(&f);
	fixture_verify(&f);
	expect_all(&f, 1, 401);
	fixture_close(&f);
}
END_TEST

START_TEST(the_time_of_an_emptied_segment_survives_a_restart)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	append_all(&f, 1, 400);
	expunge_some(&f, 1, 401, 2);
	undelete_time_passes(&f);
	(void)fixture_compact(&f, &usual);
	fixture_reopen(&f);
	ck_assert_uint_gt(space(&f).emptied, 2);
	struct compact_slice again = fixture_compact(&f, &usual);
	ck_assert_uint_eq(again.freed, 0);
	ck_assert_uint_eq(again.moved, 0);
	grace_passes(&f);
	ck_assert_uint_gt(fixture_compact(&f, &usual).freed, 100000);
	fixture_log_check(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(what_was_looked_up_before_is_read_after_the_move)
{
	struct fixture f = {.options.segment_size_max = 300000};
	static char body[BODY_MAX], got[BODY_MAX];
	struct store_content content;

	fixture_open(&f);
	append_all(&f, 1, 200);
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, known[2].uid);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_content(f.reader, &m, &content));
	reader_end(f.reader);
	expunge_some(&f, 1, 201, 2);
	undelete_time_passes(&f);
	(void)fixture_compact(&f, &all);
	grace_passes(&f);
	(void)fixture_compact(&f, &all);
	ck_assert(!has_segment(&f, content.body.segment));
	size_t len = body_of(2, body);
	struct body_span span = {got, len};
	ck_assert_ok(reader_read(f.reader, &content, content.prefix_len, span));
	ck_assert(memcmp(got, body, len) == 0);
	/* The same within a transaction. */
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_read(f.reader, &content, content.prefix_len, span));
	reader_end(f.reader);
	fixture_close(&f);
}
END_TEST

/* Of another process, which has the file open. */
START_TEST(an_open_file_of_a_removed_segment_is_closed)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct segment_files *files;
	struct stat status;
	char path[128], link[64];
	uint8_t byte;
	unsigned deleted = 0;

	fixture_open(&f);
	append_all(&f, 1, 200);
	(void)snprintf(path, sizeof(path), "%s/segments", f.dir);
	ck_assert_ok(segment_files_open(path, 4, &files));
	ck_assert_ok(segment_files_read(files, 1, 0, &byte, 1));
	expunge_some(&f, 1, 201, 1);
	undelete_time_passes(&f);
	(void)fixture_compact(&f, &all);
	ck_assert(!has_segment(&f, 1));
	segment_files_sweep(files);
	ck_assert_fault(segment_files_read(files, 1, 0, &byte, 1), FAULT_NOT_FOUND);
	/* Nor has the writer's own process one. */
	for (int fd = 3; fd < 200; fd++) {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		if (n <= 0 || fstat(fd, &status) < 0)
			continue;
		path[n] = '\0';
		deleted += status.st_nlink == 0 && strstr(path, ".seg") != NULL;
	}
	ck_assert_uint_eq(deleted, 0);
	segment_files_close(files);
	fixture_close(&f);
}
END_TEST

START_TEST(a_dead_segment_leaves_its_words_behind)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct writer_create create = {.account = BOB, .name = SLICE("Archive/2026")};

	fixture_open(&f);
	/* All this stands in segment 1 alone. */
	fixture_begin(&f);
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	ck_assert_ok(writer_subscribe(f.writer, BOB, SLICE("Archive/2026"), true));
	fixture_commit(&f);
	append_all(&f, 1, 300);
	expunge_some(&f, 1, 301, 1);
	undelete_time_passes(&f);
	append_all(&f, 301, 100);
	struct compact_slice done =
		fixture_compact(&f, &(struct compact_options){20, 0, 1 << 20, 0});
	ck_assert_uint_gt(done.freed, 200000);
	ck_assert_uint_eq(done.moved, 0);
	ck_assert(!has_segment(&f, 1));
	fixture_log_check(&f);
	fixture_verify(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, BOB, "Archive/2026").id, create.id);
	fixture_close(&f);
}
END_TEST

/* Deletes are needed as long as an older segment says what they undo; not longer. */
START_TEST(what_was_deleted_does_not_come_back_from_an_older_segment)
{
	struct fixture f = {.options.segment_size_max = 200000};

	fixture_open(&f);
	append_all(&f, 1, 60);
	uint32_t old = journal_point(f.writer->journal)->tail.segment;
	append_all(&f, 61, 100);
	/* Of old mail, whose puts stay where they are. */
	expunge_some(&f, 1, 40, 4);
	append_all(&f, 161, 100);
	expunge_some(&f, 61, 261, 1);
	append_all(&f, 261, 20);
	undelete_time_passes(&f);
	append_all(&f, 281, 100);
	(void)fixture_compact(&f, &usual);
	ck_assert(has_segment(&f, 1));
	ck_assert(!has_segment(&f, old + 1));
	fixture_log_check(&f);
	expunge_some(&f, 2, 60, 4);
	undelete_time_passes(&f);
	append_all(&f, 381, 100);
	(void)fixture_compact(&f, &all);
	grace_passes(&f);
	(void)fixture_compact(&f, &all);
	fixture_log_check(&f);
	fixture_verify(&f);
	expect_all(&f, 1, 481);
	fixture_close(&f);
}
END_TEST

/* One small body, thousands of copies: its segment is full of log, and all of that is needed. */
START_TEST(a_log_that_is_needed_is_not_carried_round)
{
	struct fixture f = {.options.segment_size_max = 100000};
	struct uid_range one = {1, 1};

	fixture_open(&f);
	append(&f, 1, 1);
	for (unsigned batch = 0; batch < 20; batch++) {
		fixture_begin(&f);
		for (unsigned i = 0; i < 100; i++) {
			struct writer_copy copy = {
				.uids = {ALICE, STORE_INBOX, &one, 1}, .to = STORE_INBOX};
			ck_assert_ok(writer_copy(f.writer, &copy));
			uid_set_clear(&copy.copied);
		}
		fixture_commit(&f);
		append(&f, 2 + batch, 1);
	}
	(void)fixture_compact(&f, &usual);
	grace_passes(&f);
	(void)fixture_compact(&f, &usual);
	uint32_t tail = journal_point(f.writer->journal)->tail.segment;
	for (unsigned i = 0; i < 10; i++) {
		f.now_ms += INT64_C(90000000);
		struct compact_slice done = fixture_compact(&f, &usual);
		ck_assert_uint_eq(done.moved + done.carried, 0);
	}
	ck_assert_uint_eq(journal_point(f.writer->journal)->tail.segment, tail);
	fixture_log_check(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

static void
segment_overwrite(struct fixture *f, uint32_t segment, uint64_t offset)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f->dir, segment);
	FILE *file = fopen(path, "r+");
	must(file != NULL && fseek(file, (long)offset, SEEK_SET) == 0);
	must(fwrite("rotten", 1, 6, file) == 6 && fclose(file) == 0);
}

START_TEST(a_segment_with_damaged_mail_stays_and_the_others_go)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	append_all(&f, 1, 400);
	expunge_some(&f, 1, 401, 2);
	undelete_time_passes(&f);
	struct body_handle body = fixture_body(&f, ALICE, STORE_INBOX, known[4].uid);
	struct body_handle other = fixture_body(&f, ALICE, STORE_INBOX, known[10].uid);
	ck_assert_uint_eq(body.segment, other.segment);
	struct index_body record;
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, known[4].uid);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(index_body_load(&f.reader->txn, m.body_id, &record));
	reader_end(f.reader);
	/* The header of one, within the bytes of the other. */
	segment_overwrite(&f, body.segment, record.place.offset + 50);
	segment_overwrite(&f, other.segment, other.offset + 100);
	(void)fixture_compact(&f, &usual);
	grace_passes(&f);
	(void)fixture_compact(&f, &usual);
	ck_assert(has_segment(&f, body.segment));
	ck_assert(!has_segment(&f, body.segment + 1));
	/* What cannot be told from its header stays; what rotted only inside has moved as it is. */
	ck_assert_uint_eq(fixture_body(&f, ALICE, STORE_INBOX, known[4].uid).segment, body.segment);
	ck_assert_uint_ne(
		fixture_body(&f, ALICE, STORE_INBOX, known[10].uid).segment, body.segment);
	known[4].expunged = known[10].expunged = true;
	expect_all(&f, 1, 401);
	struct verify_options options = {.bodies = true};
	struct verify_progress progress;
	ck_assert_ok(store_verify(f.reader, &options, &progress));
	/* The header is missed by its body, and in the log. */
	ck_assert_uint_eq(progress.findings, 3);
	fixture_close(&f);
}
END_TEST

START_TEST(verify_passes_over_bodies_that_move_under_it)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct verify_options options = {.bodies = true};
	struct compact_options small = {100, 4096, 20000, 0};
	bool done = false;

	fixture_open(&f);
	append_all(&f, 1, 300);
	expunge_some(&f, 1, 301, 2);
	undelete_time_passes(&f);
	struct store_verify *v = verify_new(f.reader, &options);
	while (!done) {
		struct compact_slice slice;
		ck_assert_ok(verify_step(v, &done));
		for (unsigned i = 0; i < 3; i++)
			ck_assert_ok(writer_compact(f.writer, &small, &slice));
		grace_passes(&f);
	}
	ck_assert_uint_eq(verify_progress(v)->findings, 0);
	verify_free(v);
	fixture_close(&f);
}
END_TEST

/* Rounds of: delete half at random, let the undelete time pass, fill up again. */
enum { CHURN_MESSAGES = 1500, CHURN_ROUNDS = 5 };

static void
churn_round(struct fixture *f, uint32_t *end, uint64_t *state)
{
	uint32_t deleted = 0;

	fixture_begin(f);
	for (uint32_t n = 1; n < *end; n++)
		if (known[n].uid != 0 && !known[n].expunged && fixture_random(state, 2) == 0) {
			expunge(f, n);
			deleted++;
		}
	fixture_commit(f);
	undelete_time_passes(f);
	(void)fixture_compact(f, &usual);
	append_all(f, *end, deleted);
	*end += deleted;
	grace_passes(f);
	(void)fixture_compact(f, &usual);
	grace_passes(f);
	(void)fixture_compact(f, &usual);
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
	append_all(&f, 1, CHURN_MESSAGES);
	for (unsigned round = 1; round <= CHURN_ROUNDS; round++) {
		churn_round(&f, &end, &state);
		struct store_space s = space(&f);
		printf("round %u: live %llu KiB in %llu messages, segments take %llu KiB, log %llu "
		       "KiB, index %llu KiB, %llu free\n",
			round, (unsigned long long)s.live >> 10, (unsigned long long)s.live_records,
			(unsigned long long)s.occupied >> 10, (unsigned long long)s.log >> 10,
			(unsigned long long)s.index_occupied >> 10,
			(unsigned long long)s.index_free >> 10);
		if (round == 1)
			index_first = s.index_length;
		/* A part for the share that is worth nothing, one for the file that is written to.
		 */
		ck_assert_uint_lt(s.occupied, s.live * 100 / COMPACT_PERCENT + (8 << 20));
		ck_assert_uint_lt(s.index_length, 3 * index_first);
		fixture_verify(&f);
		fixture_log_check(&f);
		expect_all(&f, 1, end);
	}
	fixture_reopen(&f);
	fixture_verify(&f);
	expect_all(&f, 1, end);
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
		struct uid_range range = {known[n].uid, known[n].uid};
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

enum { CRASH_ROUNDS = 60 };

static void
crashes(bool power)
{
	struct fixture f = {.options.segment_size_max = 150000};
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	uint64_t state = seed, freed = 0;
	uint8_t boot[JOURNAL_BOOT_SIZE] = {1};
	uint32_t end = 201;

	printf("compaction, %s: SEED=%llu\n", power ? "power cut" : "killed",
		(unsigned long long)seed);
	fflush(stdout);
	if (power)
		f.options.boot_id = boot;
	fixture_open(&f);
	append_all(&f, 1, 200);
	for (unsigned round = 0; round < CRASH_ROUNDS; round++) {
		if (round % 6 == 0) {
			fixture_begin(&f);
			for (uint32_t n = 1; n < end; n++)
				if (!known[n].expunged && fixture_random(&state, 3) == 0)
					expunge(&f, n);
			fixture_commit(&f);
			append_all(&f, end, 50);
			end += 50;
			undelete_time_passes(&f);
		}
		struct store_space before = space(&f);
		writer_close(f.writer);
		run_and_kill(&f, end - 50, end, fixture_random(&state, 40));
		boot[0]++;
		ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
		f.reader = writer_reader(f.writer);
		struct store_space after = space(&f);
		freed += before.occupied > after.occupied ? before.occupied - after.occupied : 0;
		fixture_verify(&f);
		fixture_log_check(&f);
		expect_all(&f, 1, end);
	}
	/* It did get on. */
	ck_assert_uint_gt(freed, 500000);
	(void)fixture_compact(&f, &all);
	grace_passes(&f);
	(void)fixture_compact(&f, &all);
	fixture_verify(&f);
	fixture_log_check(&f);
	expect_all(&f, 1, end);
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

UNIT(compact)
{
	tcase_set_timeout(tc, 600);
	unit_add(tc, a_half_empty_segment_is_emptied_and_goes_after_its_time);
	unit_add(tc, the_time_of_an_emptied_segment_survives_a_restart);
	unit_add(tc, what_was_looked_up_before_is_read_after_the_move);
	unit_add(tc, an_open_file_of_a_removed_segment_is_closed);
	unit_add(tc, a_dead_segment_leaves_its_words_behind);
	unit_add(tc, what_was_deleted_does_not_come_back_from_an_older_segment);
	unit_add(tc, a_log_that_is_needed_is_not_carried_round);
	unit_add(tc, a_segment_with_damaged_mail_stays_and_the_others_go);
	unit_add(tc, verify_passes_over_bodies_that_move_under_it);
	unit_add(tc, disk_use_stays_near_what_lives_round_after_round);
	unit_add(tc, killed_in_the_middle_it_only_begins_again);
	unit_add(tc, a_power_cut_in_the_middle_loses_nothing);
}
