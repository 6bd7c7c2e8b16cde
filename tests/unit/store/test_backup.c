/* SPDX-License-Identifier: ISC */
#include "common/store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/restore.h"
#include "tests/unit/store/fixture.h"

/* A message that does not pack, so that segments grow. */
static void
append_noise(struct fixture *f, uint32_t number)
{
	static char body[60000];
	uint64_t state = number;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)fixture_random(&state, 256);
	(void)fixture_append(f, ALICE, STORE_INBOX, slice_make(body, sizeof(body)));
}

/* LMDB allows an environment once in a process: a backup runs in another one, like mailctl. */
struct job {
	const char *from;
	const char *to;
	struct backup_options backup;
	struct restore_options restore;
	bool is_restore;
	/* result */
	enum fault fault;
	uint64_t bytes;
	struct restore_result restored;
};

static void
job_do(struct job *j)
{
	if (!j->is_restore) {
		j->fault = store_backup(j->from, j->to, &j->backup, &j->bytes);
		return;
	}
	j->fault = store_restore(j->from, j->to, &j->restore, &j->restored);
	j->bytes = j->restored.bytes;
}

static enum fault
job_run(struct job *j)
{
	int ends[2];

	must(pipe(ends) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		job_do(j);
		_exit(write(ends[1], j, sizeof(*j)) != sizeof(*j));
	}
	close(ends[1]);
	must(read(ends[0], j, sizeof(*j)) == sizeof(*j));
	close(ends[0]);
	must(waitpid(child, NULL, 0) == child);
	return j->fault;
}

static enum fault
backup_in_child(const char *from, const char *to, bool may_update, uint64_t *bytes)
{
	struct job j = {.from = from, .to = to, .backup = {.may_update = may_update}};
	enum fault fault = job_run(&j);

	*bytes = j.bytes;
	return fault;
}

/* A backup with the fixture's time. */
static void
backup_now(struct fixture *f, const char *to, unsigned keep)
{
	struct job j = {.from = f->dir,
		.to = to,
		.backup = {.may_update = true, .clock = &f->clock, .keep_count = keep}};

	ck_assert_ok(job_run(&j));
}

static enum fault
restore_at(const char *from, const char *to, int64_t at, struct restore_result *result)
{
	struct job j = {.from = from, .to = to, .restore = {.at = at}, .is_restore = true};
	enum fault fault = job_run(&j);

	*result = j.restored;
	return fault;
}

static void
finding_print(void *arg, const struct store_finding *finding)
{
	(void)arg;
	fprintf(stderr, "found: account %llu mailbox %u uid %u: %s\n",
		(unsigned long long)finding->account, finding->mailbox, finding->uid,
		finding->text);
}

/* Opens a backup as a store, verifies it and counts. */
static uint32_t
messages_in(const char *dir)
{
	struct verify_options options = {.bodies = true, .found = finding_print};
	struct verify_progress progress = {0};
	struct store_reader *reader;

	ck_assert_ok(reader_open(dir, &reader));
	ck_assert_ok(store_verify(reader, &options, &progress));
	ck_assert_uint_eq(progress.findings, 0);
	reader_close(reader);
	return (uint32_t)progress.messages;
}

START_TEST(a_backup_is_a_store_and_is_brought_up_to_date)
{
	struct fixture f = {.options.segment_size_max = 400000};
	char to[64], back[64];
	uint64_t first, second, third;
	uint32_t number = 0;

	fixture_open(&f);
	fixture_dir(to);
	fixture_dir(back);
	while (number < 30)
		append_noise(&f, number++);
	ck_assert_ok(backup_in_child(f.dir, to, false, &first));
	ck_assert_uint_eq(messages_in(to), 30);
	ck_assert_fault(backup_in_child(f.dir, to, false, &second), FAULT_EXISTS);
	while (number < 35)
		append_noise(&f, number++);
	ck_assert_ok(backup_in_child(f.dir, to, true, &second));
	ck_assert_uint_eq(messages_in(to), 35);
	ck_assert_uint_gt(first, second);
	/* Restored elsewhere it goes on where it was. */
	ck_assert_ok(backup_in_child(to, back, false, &third));
	uint32_t validity = fixture_mailbox(&f, ALICE, "INBOX").uidvalidity;
	uint64_t email = fixture_load(&f, ALICE, STORE_INBOX, 17).email_id;
	writer_close(f.writer);
	fixture_dir_remove(f.dir);
	(void)snprintf(f.dir, sizeof(f.dir), "%s", back);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").uidvalidity, validity);
	ck_assert(fixture_load(&f, ALICE, STORE_INBOX, 17).email_id == email);
	append_noise(&f, number++);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 36);
	fixture_verify(&f);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(purged_segments_leave_the_backup_too)
{
	struct fixture f = {.options.segment_size_max = 200000};
	char to[64], path[128];
	bool more = true;

	fixture_open(&f);
	fixture_dir(to);
	for (uint32_t i = 0; i < 10; i++)
		append_noise(&f, i);
	backup_now(&f, to, 1);
	struct writer_expunge e = {.uids = {.account = ALICE, .mailbox = STORE_INBOX}};
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	fixture_commit(&f);
	uid_set_clear(&e.expunged);
	append_noise(&f, 99);
	f.now_ms += INT64_C(15) * 86400 * 1000;
	while (more)
		ck_assert_ok(writer_housekeep(f.writer, &more));
	(void)fixture_compact(&f, &(struct compact_options){100, 0, 1 << 20, 0});
	backup_now(&f, to, 1);
	ck_assert_uint_eq(messages_in(to), 1);
	(void)snprintf(path, sizeof(path), "%s/segments/00000001.seg", to);
	ck_assert_int_ne(access(path, F_OK), 0);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(another_store_or_an_older_one_is_a_conflict)
{
	struct fixture f = {0}, g = {0};
	char to[64];
	uint64_t bytes;

	fixture_open(&f);
	fixture_open(&g);
	fixture_dir(to);
	ck_assert_fault(backup_in_child(to, to, true, &bytes), FAULT_NOT_FOUND);
	append_noise(&f, 1);
	ck_assert_ok(backup_in_child(f.dir, to, true, &bytes));
	append_noise(&g, 1);
	append_noise(&g, 2);
	ck_assert_fault(backup_in_child(g.dir, to, true, &bytes), FAULT_CONFLICT);
	append_noise(&f, 2);
	ck_assert_fault(backup_in_child(to, f.dir, true, &bytes), FAULT_CONFLICT);
	ck_assert_uint_eq(messages_in(to), 1);
	fixture_verify(&f);
	fixture_dir_remove(to);
	fixture_close(&g);
	fixture_close(&f);
}
END_TEST

START_TEST(a_backup_of_a_store_under_load_is_consistent)
{
	struct fixture f = {.options.segment_size_max = 300000};
	char to[64];
	uint32_t number = 0;

	fixture_open(&f);
	fixture_dir(to);
	for (int round = 0; round < 6; round++) {
		struct backup_options options = {.may_update = true};
		uint64_t bytes;
		pid_t child = fork();
		must(child >= 0);
		if (child == 0)
			_exit(store_backup(f.dir, to, &options, &bytes) != FAULT_OK);
		int status = -1;
		/* Until the backup is done, and at least once. */
		do
			append_noise(&f, number++);
		while (waitpid(child, &status, WNOHANG) == 0 && number < 2000);
		ck_assert_int_eq(status, 0);
		ck_assert_uint_le(messages_in(to), number);
	}
	fixture_verify(&f);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(a_backup_is_not_written_over_segments_that_lost_their_index)
{
	struct fixture f = {0};
	char to[64], path[128];
	uint64_t bytes;

	fixture_open(&f);
	append_noise(&f, 1);
	fixture_dir(to);
	(void)snprintf(path, sizeof(path), "%s/segments", to);
	must(mkdir(path, 0700) == 0);
	(void)snprintf(path, sizeof(path), "%s/segments/00000007.seg", to);
	FILE *left = fopen(path, "w");
	must(left != NULL && fputs("mail", left) >= 0 && fclose(left) == 0);
	ck_assert_fault(backup_in_child(f.dir, to, false, &bytes), FAULT_EXISTS);
	must(access(path, F_OK) == 0);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

static void
seconds_pass(struct fixture *f, int64_t seconds)
{
	f->now_ms += seconds * 1000;
}

static int64_t
seconds_now(const struct fixture *f)
{
	return f->now_ms / 1000;
}

static void
expunge_all(struct fixture *f)
{
	struct writer_expunge e = {.uids = {.account = ALICE, .mailbox = STORE_INBOX}};

	fixture_begin(f);
	ck_assert_ok(writer_expunge(f->writer, &e));
	fixture_commit(f);
	uid_set_clear(&e.expunged);
}

static void
housekeep(struct fixture *f)
{
	bool more = true;

	while (more)
		ck_assert_ok(writer_housekeep(f->writer, &more));
	(void)fixture_compact(f, &(struct compact_options){100, 0, 1 << 20, 0});
}

/* Restores to a time into a new directory, and counts the messages there. */
static uint32_t
messages_at(const char *backup, int64_t at)
{
	struct restore_result result;
	char to[64];

	fixture_dir(to);
	ck_assert_ok(restore_at(backup, to, at, &result));
	uint32_t count = messages_in(to);
	fixture_dir_remove(to);
	return count;
}

START_TEST(every_time_since_the_oldest_state_comes_back)
{
	struct fixture f = {.options.segment_size_max = 300000};
	int64_t start, times[60];
	struct restore_result result;
	char to[64], back[64];

	fixture_open(&f);
	fixture_dir(to);
	fixture_dir(back);
	seconds_pass(&f, 10);
	start = seconds_now(&f);
	for (uint32_t i = 0; i < 60; i++) {
		seconds_pass(&f, 2);
		times[i] = seconds_now(&f);
		append_noise(&f, i);
		if (i % 20 == 5) {
			seconds_pass(&f, 1);
			backup_now(&f, to, 10);
		}
	}
	ck_assert_fault(restore_at(to, back, start, &result), FAULT_EXPIRED);
	ck_assert_uint_eq(messages_at(to, times[5] + 1), 6);
	for (uint32_t i = 6; i <= 45; i += 13) {
		ck_assert_uint_eq(messages_at(to, times[i]), i + 1);
		ck_assert_uint_eq(messages_at(to, times[i] - 1), i);
	}
	/* What is behind the newest state is not in the backup. */
	ck_assert_uint_eq(messages_at(to, times[59]), 46);
	ck_assert_uint_eq(messages_at(to, RESTORE_NEWEST), 46);
	fixture_dir_remove(back);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(what_the_store_gave_up_stays_in_kept_states)
{
	struct fixture f = {.options.segment_size_max = 200000};
	char to[64], path[128];

	fixture_open(&f);
	fixture_dir(to);
	seconds_pass(&f, 10);
	for (uint32_t i = 0; i < 10; i++)
		append_noise(&f, i);
	backup_now(&f, to, 3);
	int64_t before = seconds_now(&f);
	seconds_pass(&f, 10);
	expunge_all(&f);
	append_noise(&f, 99);
	seconds_pass(&f, INT64_C(15) * 86400);
	housekeep(&f);
	backup_now(&f, to, 3);
	ck_assert_uint_eq(messages_in(to), 1);
	ck_assert_uint_eq(messages_at(to, RESTORE_NEWEST), 1);
	ck_assert_uint_eq(messages_at(to, before + 5), 10);
	(void)snprintf(path, sizeof(path), "%s/segments/00000001.seg", to);
	ck_assert_int_eq(access(path, F_OK), 0);
	for (int i = 0; i < 3; i++) {
		seconds_pass(&f, 60);
		append_noise(&f, 100);
		backup_now(&f, to, 3);
	}
	/* The last state that needed it has gone. */
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_uint_eq(messages_at(to, RESTORE_NEWEST), 4);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(states_are_kept_by_number_or_by_age)
{
	struct fixture f = {0};
	struct backup_snapshot *list;
	size_t count;
	char to[64];

	fixture_open(&f);
	fixture_dir(to);
	for (uint32_t i = 0; i < 6; i++) {
		seconds_pass(&f, 3600);
		append_noise(&f, i);
		backup_now(&f, to, 4);
	}
	ck_assert_ok(store_backup_list(to, &list, &count));
	ck_assert_uint_eq(count, 4);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(list[i].messages, 3 + i);
		ck_assert_int_eq(list[i].taken_at, seconds_now(&f) - 3600 * (int64_t)(3 - i));
	}
	free(list);
	/* One before the two hours, so that all of them can be reached. */
	seconds_pass(&f, 1800);
	struct job j = {.from = f.dir,
		.to = to,
		.backup = {.may_update = true, .clock = &f.clock, .keep_seconds = 7200}};
	append_noise(&f, 7);
	ck_assert_ok(job_run(&j));
	ck_assert_ok(store_backup_list(to, &list, &count));
	ck_assert_uint_eq(count, 4);
	ck_assert_uint_eq(list[0].messages, 4);
	free(list);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(a_restored_store_gives_nothing_twice)
{
	struct fixture f = {0};
	struct restore_result result;
	char to[64], back[64];

	fixture_open(&f);
	fixture_dir(to);
	fixture_dir(back);
	for (uint32_t i = 0; i < 3; i++)
		append_noise(&f, i);
	backup_now(&f, to, 0);
	struct store_mailbox before = fixture_mailbox(&f, ALICE, "INBOX");
	struct store_message first = fixture_load(&f, ALICE, STORE_INBOX, 2);
	/* Seen by clients, and lost. */
	append_noise(&f, 4);
	struct store_message lost = fixture_load(&f, ALICE, STORE_INBOX, 4);
	ck_assert_ok(restore_at(to, back, RESTORE_NEWEST, &result));
	writer_close(f.writer);
	fixture_dir_remove(f.dir);
	(void)snprintf(f.dir, sizeof(f.dir), "%s", back);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	struct store_message same = fixture_load(&f, ALICE, STORE_INBOX, 2);
	ck_assert_uint_eq(same.email_id, first.email_id);
	ck_assert_uint_eq(same.thread_id, first.thread_id);
	ck_assert_uint_eq(same.modseq, first.modseq);
	ck_assert_uint_eq(same.size, first.size);
	ck_assert_int_eq(same.received_at, first.received_at);
	ck_assert_uint_eq(same.flags, first.flags);
	append_noise(&f, 5);
	struct store_mailbox after = fixture_mailbox(&f, ALICE, "INBOX");
	ck_assert_uint_eq(after.uidvalidity, before.uidvalidity);
	ck_assert_uint_eq(after.exists, 4);
	struct store_message added = fixture_load(&f, ALICE, STORE_INBOX, after.uidnext - 1);
	ck_assert(added.uid > lost.uid && added.modseq > lost.modseq &&
		added.email_id > lost.email_id && added.body_id > lost.body_id);
	/* Once is enough. */
	fixture_reopen(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").uidnext, after.uidnext);
	fixture_verify(&f);
	/* It goes on from where the backup ended. */
	backup_now(&f, to, 0);
	ck_assert_uint_eq(messages_in(to), 4);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(a_store_that_went_another_way_is_a_conflict)
{
	struct fixture f = {0};
	struct restore_result result;
	char to[64], back[64];

	fixture_open(&f);
	fixture_dir(to);
	fixture_dir(back);
	append_noise(&f, 1);
	backup_now(&f, to, 0);
	int64_t at = seconds_now(&f);
	seconds_pass(&f, 10);
	append_noise(&f, 2);
	backup_now(&f, to, 0);
	ck_assert_ok(restore_at(to, back, at, &result));
	writer_close(f.writer);
	fixture_dir_remove(f.dir);
	(void)snprintf(f.dir, sizeof(f.dir), "%s", back);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	/* With fewer commits, as many, or more. */
	for (uint32_t i = 0; i < 4; i++) {
		struct job j = {.from = f.dir, .to = to, .backup = {.may_update = true}};
		ck_assert_fault(job_run(&j), FAULT_CONFLICT);
		append_noise(&f, i);
	}
	ck_assert_uint_eq(messages_in(to), 2);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

START_TEST(a_restore_goes_where_no_store_is)
{
	struct fixture f = {0};
	struct restore_result result;
	char to[64], back[64];

	fixture_open(&f);
	fixture_dir(to);
	fixture_dir(back);
	ck_assert_fault(restore_at(to, back, RESTORE_NEWEST, &result), FAULT_NOT_FOUND);
	append_noise(&f, 1);
	backup_now(&f, to, 0);
	/* The suite's own, in use or not. */
	ck_assert_fault(restore_at(to, f.dir, RESTORE_NEWEST, &result), FAULT_BUSY);
	writer_close(f.writer);
	ck_assert_fault(restore_at(to, f.dir, RESTORE_NEWEST, &result), FAULT_EXISTS);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	ck_assert_ok(restore_at(to, back, RESTORE_NEWEST, &result));
	ck_assert_uint_gt(result.bytes, 60000);
	ck_assert_fault(restore_at(to, back, RESTORE_NEWEST, &result), FAULT_EXISTS);
	fixture_dir_remove(back);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

/* Runs the job in a child that is killed after some time; true when it was done before. */
static bool
job_kill(struct job *j, unsigned microseconds)
{
	int status;
	pid_t child = fork();

	must(child >= 0);
	if (child == 0) {
		job_do(j);
		_exit(j->fault != FAULT_OK);
	}
	/* The moment is what is varied here. */
	usleep(microseconds);
	(void)kill(child, SIGKILL);
	must(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(killed_at_any_moment_a_backup_leaves_the_earlier_one)
{
	struct fixture f = {.options.segment_size_max = 300000};
	uint64_t seed = (uint64_t)getpid();
	uint32_t number = 0, done = 0, saved = 0;
	char to[64], back[64];

	printf("seed %llu\n", (unsigned long long)seed);
	fixture_open(&f);
	fixture_dir(to);
	for (int round = 0; round < 24; round++) {
		struct job j = {.from = f.dir,
			.to = to,
			.backup = {.may_update = true, .clock = &f.clock, .keep_count = 3}};
		for (uint32_t i = fixture_random(&seed, 12); i > 0; i--)
			append_noise(&f, number++);
		seconds_pass(&f, 10);
		if (job_kill(&j, fixture_random(&seed, 30000)))
			done++;
		if (round % 4 == 3) {
			backup_now(&f, to, 3);
			saved = number;
			must(messages_in(to) == number);
		} else if (saved > 0) {
			must(messages_in(to) >= saved);
		}
	}
	printf("%u of 24 were done before\n", done);
	/* A restore that is killed can be done again. */
	fixture_dir(back);
	struct job j = {
		.from = to, .to = back, .restore = {.at = RESTORE_NEWEST}, .is_restore = true};
	bool whole = false;
	for (int round = 0; round < 15 && !whole; round++)
		whole = job_kill(&j, fixture_random(&seed, 9000));
	if (!whole && job_run(&j) != FAULT_OK)
		ck_assert_fault(j.fault, FAULT_EXISTS);
	must(messages_in(back) == number);
	fixture_dir_remove(back);
	fixture_dir_remove(to);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

/* Mail comes and goes for good as fast as it can, while backups are made. */
START_TEST(a_backup_beside_housekeeping_is_consistent)
{
	struct fixture f = {.options = {.segment_size_max = 300000, .undelete_seconds = 1}};
	char to[64];
	uint32_t number = 0;

	fixture_open(&f);
	fixture_dir(to);
	for (int round = 0; round < 8; round++) {
		struct backup_options options = {.may_update = true, .keep_count = 2};
		uint64_t bytes;
		pid_t child = fork();
		must(child >= 0);
		if (child == 0)
			_exit((int)store_backup(f.dir, to, &options, &bytes));
		int status = -1;
		do {
			append_noise(&f, number++);
			if (number % 4 == 0)
				expunge_all(&f);
			seconds_pass(&f, 2);
			housekeep(&f);
		} while (waitpid(child, &status, WNOHANG) == 0 && number < 3000);
		ck_assert_int_eq(status, 0);
		ck_assert_uint_le(messages_in(to), number);
	}
	fixture_verify(&f);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

UNIT(backup)
{
	unit_add(tc, a_backup_is_a_store_and_is_brought_up_to_date);
	unit_add(tc, purged_segments_leave_the_backup_too);
	unit_add(tc, a_backup_is_not_written_over_segments_that_lost_their_index);
	unit_add(tc, another_store_or_an_older_one_is_a_conflict);
	unit_add(tc, a_backup_of_a_store_under_load_is_consistent);
	unit_add(tc, a_backup_beside_housekeeping_is_consistent);
	unit_add(tc, every_time_since_the_oldest_state_comes_back);
	unit_add(tc, what_the_store_gave_up_stays_in_kept_states);
	unit_add(tc, states_are_kept_by_number_or_by_age);
	unit_add(tc, a_restored_store_gives_nothing_twice);
	unit_add(tc, a_store_that_went_another_way_is_a_conflict);
	unit_add(tc, a_restore_goes_where_no_store_is);
	unit_add(tc, killed_at_any_moment_a_backup_leaves_the_earlier_one);
}
