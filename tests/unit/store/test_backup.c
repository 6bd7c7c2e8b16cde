/* SPDX-License-Identifier: ISC */
#include "common/store/backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
static enum fault
backup_in_child(const char *from, const char *to, bool may_update, uint64_t *bytes)
{
	struct backup_options options = {.may_update = may_update};
	struct {
		enum fault fault;
		uint64_t bytes;
	} result = {FAULT_INTERNAL, 0};
	int ends[2];

	must(pipe(ends) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		result.fault = store_backup(from, to, &options, &result.bytes);
		_exit(write(ends[1], &result, sizeof(result)) != sizeof(result));
	}
	close(ends[1]);
	must(read(ends[0], &result, sizeof(result)) == sizeof(result));
	close(ends[0]);
	must(waitpid(child, NULL, 0) == child);
	*bytes = result.bytes;
	return result.fault;
}

/* Opens a backup as a store, verifies it and counts. */
static uint32_t
messages_in(const char *dir)
{
	struct verify_options options = {.bodies = true};
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
	uint64_t bytes;
	bool more = true;

	fixture_open(&f);
	fixture_dir(to);
	for (uint32_t i = 0; i < 10; i++)
		append_noise(&f, i);
	ck_assert_ok(backup_in_child(f.dir, to, true, &bytes));
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
	ck_assert_ok(backup_in_child(f.dir, to, true, &bytes));
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

UNIT(backup)
{
	unit_add(tc, a_backup_is_a_store_and_is_brought_up_to_date);
	unit_add(tc, purged_segments_leave_the_backup_too);
	unit_add(tc, a_backup_is_not_written_over_segments_that_lost_their_index);
	unit_add(tc, another_store_or_an_older_one_is_a_conflict);
	unit_add(tc, a_backup_of_a_store_under_load_is_consistent);
}
