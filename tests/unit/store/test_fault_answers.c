/* SPDX-License-Identifier: ISC */
/* What each fault of the disk is answered with, and what the log says: the table in mailboxd(8). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/journal.h"
#include "tests/unit/store/disk.h"
#include "tests/unit/store/fixture.h"

static uint8_t boot[16];

static void
store_open(struct fixture *f, uint64_t segment_size)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	*f = (struct fixture){.options = {.segment_size_max = segment_size, .boot_id = boot}};
	fixture_open(f);
	for (int i = 0; i < 3; i++)
		fixture_append(f, ALICE, STORE_INBOX, SLICE("a message from before"));
}

/* As after a power cut. */
static void
store_restart(struct fixture *f)
{
	boot[0]++;
	fixture_reopen(f);
}

static void
store_close(struct fixture *f)
{
	fixture_verify(f);
	fixture_close(f);
}

static enum fault
try_append(struct fixture *f)
{
	struct fixture_message m;
	enum fault fault = writer_begin(f->writer);

	if (fault != FAULT_OK)
		return fault;
	fixture_message(f, &m, SLICE("a new message"));
	writer_append(f->writer, &m.request);
	fault = writer_commit(f->writer);
	if (fault == FAULT_OK)
		fault = m.targets[0].fault;
	fixture_message_clear(&m);
	return fault;
}

static enum fault
try_expunge(struct fixture *f, uint32_t uid)
{
	struct uid_range one = {uid, uid};
	struct writer_expunge gone = {.uids = {ALICE, STORE_INBOX, &one, 1}};
	enum fault fault = writer_begin(f->writer);

	if (fault == FAULT_OK)
		fault = writer_expunge(f->writer, &gone);
	uid_set_clear(&gone.expunged);
	return fault == FAULT_OK ? writer_commit(f->writer) : fault;
}

/* The plan is on while a message is appended: with this fault, and this line. */
static void
append_with(struct fixture *f, const struct disk_plan *plan, enum fault fault, const char *line)
{
	disk_log_gather();
	disk_plan(plan);
	enum fault answer = try_append(f);
	unsigned failed = disk_heal();
	must(disk_log_told(line));
	ck_assert_uint_gt(failed, 0);
	ck_assert_fault(answer, fault);
}

/* "00000007.seg": what the next message begins. */
static const char *
next_segment(struct fixture *f)
{
	static char name[16];

	(void)snprintf(name, sizeof(name), "%08u.seg",
		journal_tail(writer_journal(f->writer)).segment + 1);
	return name;
}

static uint32_t
exists(struct fixture *f)
{
	return fixture_mailbox(f, ALICE, "INBOX").exists;
}

START_TEST(no_room_in_the_segment)
{
	static const struct disk_plan full = {
		.calls = DISK_ALLOCATE, .name = ".seg", .error = ENOSPC, .lasts = true};
	struct fixture f;

	/* A new file for each message, so that room is asked for. */
	store_open(&f, 1);
	append_with(&f, &full, FAULT_NO_SPACE,
		".seg: cannot take room for mail at 152: No space left on device");
	ck_assert_uint_eq(exists(&f), 3);
	disk_plan(&full);
	ck_assert_ok(try_expunge(&f, 1));
	fixture_expect(&f, ALICE, STORE_INBOX, 2, SLICE("a message from before"));
	(void)disk_heal();
	ck_assert_ok(try_append(&f));
	ck_assert_uint_eq(exists(&f), 3);
	store_restart(&f);
	ck_assert_uint_eq(exists(&f), 3);
	store_close(&f);
}
END_TEST

START_TEST(no_room_in_the_index)
{
	static const struct disk_plan full = {
		.calls = DISK_ALLOCATE, .name = "data.mdb", .error = ENOSPC, .lasts = true};
	struct fixture f;
	enum fault fault = FAULT_OK;

	store_open(&f, 0);
	disk_log_gather();
	disk_plan(&full);
	/* What was taken ahead lasts for some thousands. */
	struct fixture_message m;
	fixture_message(&f, &m, SLICE("small"));
	for (int batch = 0; batch < 100 && fault == FAULT_OK; batch++) {
		fixture_begin(&f);
		for (int i = 0; i < 500; i++)
			writer_append(f.writer, &m.request);
		fixture_commit(&f);
		fault = m.targets[0].fault;
	}
	fixture_message_clear(&m);
	must(disk_log_told("index/data.mdb: cannot take room: No space left on device"));
	ck_assert_fault(fault, FAULT_NO_SPACE);
	ck_assert_ok(try_expunge(&f, 1));
	ck_assert_uint_gt(disk_heal(), 0);
	ck_assert_ok(try_append(&f));
	store_close(&f);
}
END_TEST

START_TEST(a_write_to_the_segment_fails)
{
	struct fixture f;

	store_open(&f, 0);
	append_with(&f, &(struct disk_plan){.calls = DISK_WRITE, .name = ".seg", .error = EIO},
		FAULT_IO, "segment 00000001.seg: cannot write at ");
	ck_assert_ok(try_append(&f));
	store_restart(&f);
	ck_assert_uint_eq(exists(&f), 4);
	store_close(&f);
}
END_TEST

START_TEST(the_head_of_a_new_segment_cannot_be_written)
{
	struct fixture f;

	store_open(&f, 1);
	append_with(&f,
		&(struct disk_plan){.calls = DISK_WRITE, .name = next_segment(&f), .error = ENOSPC},
		FAULT_NO_SPACE, ".seg: cannot write at 0: No space left");
	/* Once more to the same file: it must have its head. */
	ck_assert_ok(try_append(&f));
	store_restart(&f);
	fixture_expect(&f, ALICE, STORE_INBOX, 4, SLICE("a new message"));
	store_close(&f);
}
END_TEST

START_TEST(no_descriptor_for_a_new_segment)
{
	struct fixture f;

	store_open(&f, 1);
	append_with(&f,
		&(struct disk_plan){.calls = DISK_OPEN, .name = next_segment(&f), .error = EMFILE},
		FAULT_BUSY, "cannot begin the next file at ");
	ck_assert_ok(try_append(&f));
	store_restart(&f);
	ck_assert_uint_eq(exists(&f), 4);
	store_close(&f);
}
END_TEST

START_TEST(a_sync_of_the_segment_fails)
{
	struct fixture f;

	store_open(&f, 0);
	append_with(&f, &(struct disk_plan){.calls = DISK_SYNC, .name = ".seg", .error = EIO},
		FAULT_IO, "segment 00000001.seg: cannot sync at ");
	ck_assert_uint_eq(exists(&f), 3);
	ck_assert_ok(try_append(&f));
	/* The one that was refused is nowhere. */
	store_restart(&f);
	ck_assert_uint_eq(exists(&f), 4);
	store_close(&f);
}
END_TEST

/* Holds the index open until it is killed; and nothing of the writer's. */
static pid_t
reader_start(struct fixture *f)
{
	int ends[2];
	char byte;

	must(pipe(ends) == 0);
	writer_close(f->writer);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		struct store_reader *reader;
		if (reader_open(f->dir, &reader) == FAULT_OK && write(ends[1], "k", 1) == 1)
			(void)pause();
		_exit(1);
	}
	must(read(ends[0], &byte, 1) == 1);
	close(ends[0]);
	close(ends[1]);
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
	return child;
}

START_TEST(a_sync_of_the_index_fails_and_a_new_start_of_all_recovers)
{
	static const struct disk_plan plan = {.calls = DISK_SYNC, .name = "data.mdb", .error = EIO};
	struct fixture f;

	store_open(&f, 0);
	pid_t reader = reader_start(&f);
	ck_assert_ok(try_append(&f));
	/* This commit is durable; the checkpoint behind it fails. */
	f.now_ms += 6000;
	append_with(&f, &plan, FAULT_OK,
		"the index cannot be written to the disk: no more changes.  Stop all and start "
		"again to recover from the log");
	must(writer_is_broken(f.writer));
	ck_assert_fault(try_append(&f), FAULT_IO);
	ck_assert_uint_eq(exists(&f), 5);
	writer_close(f.writer);
	/* Even though the machine did not start anew: the kernel may have dropped pages. */
	disk_log_gather();
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_BUSY);
	must(disk_log_told("must be recovered, but is in use by other processes: stop them"));
	must(kill(reader, SIGKILL) == 0 && waitpid(reader, NULL, 0) == reader);
	disk_log_gather();
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	must(disk_log_told("recovering from the checkpoint of commit"));
	f.reader = writer_reader(f.writer);
	ck_assert_uint_eq(exists(&f), 5);
	ck_assert_ok(try_append(&f));
	store_close(&f);
}
END_TEST

START_TEST(the_checkpoint_file_fails_and_mail_goes_on)
{
	static const struct disk_plan plans[] = {
		{.calls = DISK_WRITE, .name = "/checkpoint", .error = ENOSPC},
		{.calls = DISK_WRITE, .name = "/checkpoint"},
		{.calls = DISK_SYNC, .name = "/checkpoint", .error = EIO},
		{.calls = DISK_WRITE, .name = "/checkpoint", .error = ENOSPC, .skip = 1},
		{.calls = DISK_SYNC, .name = "/checkpoint", .error = EIO, .skip = 1},
	};
	struct fixture f;

	store_open(&f, 0);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		ck_assert_ok(try_append(&f));
		f.now_ms += 6000;
		append_with(&f, &plans[i], FAULT_OK, ": checkpoint: ");
		must(!writer_is_broken(f.writer));
		ck_assert_ok(try_append(&f));
		/* One by itself some seconds later; in turn a power cut comes first. */
		if (i % 2 == 0)
			store_restart(&f);
		f.now_ms += 6000;
		ck_assert_ok(try_append(&f));
		store_restart(&f);
		ck_assert_uint_eq(exists(&f), 3 + 4 * (i + 1));
		fixture_verify(&f);
	}
	store_close(&f);
}
END_TEST

START_TEST(lmdb_gives_up_and_a_new_start_goes_on)
{
	static const struct disk_plan plan = {
		.calls = DISK_WRITE, .name = "data.mdb", .error = EIO, .is_small = true};
	struct fixture f;

	store_open(&f, 0);
	append_with(&f, &plan, FAULT_IO, "no more changes by this process");
	must(writer_is_broken(f.writer));
	ck_assert_fault(try_append(&f), FAULT_IO);
	fixture_reopen(&f);
	/* Nobody knew whether the index had it: so the log keeps it, as a whole. */
	must(exists(&f) == 3 || exists(&f) == 4);
	ck_assert_ok(try_append(&f));
	store_close(&f);
}
END_TEST

/* Reads the whole message, with the fault and the line. */
static void
read_with(struct fixture *f, uint32_t uid, enum fault fault, const char *line)
{
	struct store_message m = fixture_load(f, ALICE, STORE_INBOX, uid);
	struct store_content content;
	char bytes[4000];

	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_content(f->reader, &m, &content));
	reader_end(f->reader);
	disk_log_gather();
	enum fault answer = reader_read(f->reader, &content, 0, (struct body_span){bytes, m.size});
	(void)disk_heal();
	must(disk_log_told(line));
	ck_assert_fault(answer, fault);
}

START_TEST(a_read_fails_for_one_message)
{
	struct fixture f;
	char line[100];

	store_open(&f, 0);
	struct body_handle body = fixture_body(&f, ALICE, STORE_INBOX, 2);
	(void)snprintf(line, sizeof(line),
		"segment 00000001.seg: cannot read at %llu: Input/output",
		(unsigned long long)body.offset);
	disk_plan(&(struct disk_plan){.calls = DISK_READ, .name = ".seg", .error = EIO});
	read_with(&f, 2, FAULT_IO, line);
	for (uint32_t uid = 1; uid <= 3; uid++)
		fixture_expect(&f, ALICE, STORE_INBOX, uid, SLICE("a message from before"));
	store_close(&f);
}
END_TEST

START_TEST(a_segment_is_gone_and_its_mail_is_told_damaged)
{
	struct fixture f;
	char path[128], away[128], line[100];

	store_open(&f, 1);
	struct body_handle body = fixture_body(&f, ALICE, STORE_INBOX, 2);
	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f.dir, body.segment);
	(void)snprintf(away, sizeof(away), "%s/away", f.dir);
	must(rename(path, away) == 0);
	(void)snprintf(line, sizeof(line),
		"segment %08u.seg: the body of %llu bytes at %llu cannot", body.segment,
		(unsigned long long)body.stored_len, (unsigned long long)body.offset);
	read_with(&f, 2, FAULT_NOT_FOUND, line);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("a message from before"));
	fixture_expect(&f, ALICE, STORE_INBOX, 3, SLICE("a message from before"));
	must(rename(away, path) == 0);
	fixture_expect(&f, ALICE, STORE_INBOX, 2, SLICE("a message from before"));
	store_close(&f);
}
END_TEST

START_TEST(a_reader_without_descriptors_gives_some_back)
{
	static const struct disk_plan plan = {.calls = DISK_OPEN, .name = ".seg", .error = EMFILE};
	struct fixture f;

	store_open(&f, 1);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("a message from before"));
	disk_plan(&plan);
	fixture_expect(&f, ALICE, STORE_INBOX, 2, SLICE("a message from before"));
	ck_assert_uint_eq(disk_heal(), 1);
	/* When it has none itself it cannot: for now. */
	fixture_reopen(&f);
	disk_plan(&(struct disk_plan){
		.calls = DISK_OPEN, .name = ".seg", .error = EMFILE, .lasts = true});
	read_with(&f, 3, FAULT_BUSY, "cannot read at 0: Too many open files");
	fixture_expect(&f, ALICE, STORE_INBOX, 3, SLICE("a message from before"));
	store_close(&f);
}
END_TEST

UNIT(fault_answers)
{
	tcase_set_timeout(tc, 120);
	unit_add(tc, no_room_in_the_segment);
	unit_add(tc, no_room_in_the_index);
	unit_add(tc, a_write_to_the_segment_fails);
	unit_add(tc, the_head_of_a_new_segment_cannot_be_written);
	unit_add(tc, no_descriptor_for_a_new_segment);
	unit_add(tc, a_sync_of_the_segment_fails);
	unit_add(tc, a_sync_of_the_index_fails_and_a_new_start_of_all_recovers);
	unit_add(tc, the_checkpoint_file_fails_and_mail_goes_on);
	unit_add(tc, lmdb_gives_up_and_a_new_start_goes_on);
	unit_add(tc, a_read_fails_for_one_message);
	unit_add(tc, a_segment_is_gone_and_its_mail_is_told_damaged);
	unit_add(tc, a_reader_without_descriptors_gives_some_back);
}
