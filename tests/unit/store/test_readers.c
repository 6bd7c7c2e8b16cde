/* SPDX-License-Identifier: ISC */
/*
 * Writer and readers of several processes: one that dies or stands still within a transaction, many
 * while the index grows, two writers, and locks that dead processes have left.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/journal.h"
#include "tests/unit/store/disk.h"
#include "tests/unit/store/fixture.h"

/* Another process, which does what single bytes tell it, and says 'k' when it is done. */
struct other {
	pid_t pid;
	int line;
};

static void
other_start(struct other *o, void (*run)(const char *dir, int line), const char *dir)
{
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	o->pid = fork();
	must(o->pid >= 0);
	if (o->pid == 0) {
		close(ends[0]);
		run(dir, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	o->line = ends[0];
}

static void
other_told(int line, char *order)
{
	if (read(line, order, 1) != 1)
		_exit(0);
}

static void
other_done(int line, bool well)
{
	if (!well || write(line, "k", 1) != 1)
		_exit(1);
}

static void
other_order(const struct other *o, char order)
{
	char done;

	must(write(o->line, &order, 1) == 1);
	must(read(o->line, &done, 1) == 1);
}

/* Returns its wait status. */
static int
other_end(struct other *o, int how)
{
	int status;

	if (how != 0)
		must(kill(o->pid, how) == 0);
	close(o->line);
	must(waitpid(o->pid, &status, 0) == o->pid);
	return status;
}

/* 'b' begins a transaction, 'e' ends it. */
static void
read_as_told(const char *dir, int line)
{
	struct store_reader *reader = NULL;
	char order;

	if (reader_open(dir, &reader) != FAULT_OK)
		_exit(1);
	for (;;) {
		other_told(line, &order);
		if (order == 'e')
			reader_end(reader);
		other_done(line, order == 'e' || reader_begin(reader) == FAULT_OK);
	}
}

enum { MESSAGES = 300, COMMITS = 150 };

static void
store_open(struct fixture *f)
{
	struct fixture_message m;

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	*f = (struct fixture){0};
	fixture_open(f);
	fixture_message(f, &m, SLICE("small"));
	fixture_begin(f);
	for (int i = 0; i < MESSAGES; i++)
		writer_append(f->writer, &m.request);
	fixture_commit(f);
	fixture_message_clear(&m);
}

/* Changes that take pages and free as many, with a checkpoint now and then. */
static uint64_t
change_much(struct fixture *f)
{
	for (int i = 0; i < COMMITS; i++) {
		struct uid_range all = {1, UINT32_MAX};
		struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &all, 1},
			.verb = i % 2 == 0 ? WRITER_FLAGS_ADD : WRITER_FLAGS_REMOVE,
			.flags = STORE_FLAGGED};
		if (i % 10 == 0)
			f->now_ms += 6000;
		fixture_begin(f);
		ck_assert_ok(writer_flags_store(f->writer, &flags));
		uid_set_clear(&flags.changed);
		fixture_commit(f);
	}
	return kv_size(journal_kv(writer_journal(f->writer)));
}

START_TEST(the_slot_of_a_dead_reader_is_freed_so_that_the_index_stops_growing)
{
	struct fixture f;
	struct other reader;
	bool more;

	store_open(&f);
	(void)change_much(&f);
	uint64_t before = change_much(&f);
	other_start(&reader, read_as_told, f.dir);
	other_order(&reader, 'b');
	uint64_t held = change_much(&f);
	int status = other_end(&reader, SIGKILL);
	must(WIFSIGNALED(status));
	uint64_t dead = change_much(&f);
	/* Nobody has noticed yet. */
	ck_assert_uint_gt(held, before + (1 << 20));
	ck_assert_uint_gt(dead, held + (1 << 20));
	disk_log_gather();
	ck_assert_ok(writer_housekeep(f.writer, &more));
	must(disk_log_told("slots of 1 dead readers are free again"));
	uint64_t after = change_much(&f);
	printf("index: %llu KiB, reader reading %llu, dead %llu, noticed %llu\n",
		(unsigned long long)before / 1024, (unsigned long long)held / 1024,
		(unsigned long long)dead / 1024, (unsigned long long)after / 1024);
	ck_assert_uint_eq(after, dead);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_reader_that_stands_still_is_told_and_costs_only_space)
{
	struct fixture f;
	struct other reader;
	char line[100];

	store_open(&f);
	(void)change_much(&f);
	uint64_t before = change_much(&f);
	other_start(&reader, read_as_told, f.dir);
	other_order(&reader, 'b');
	must(kill(reader.pid, SIGSTOP) == 0);
	struct kv *kv = journal_kv(writer_journal(f.writer));
	kv_check_readers(kv);
	uint64_t held = change_much(&f);
	/* What is written, and no more: some 40 pages a commit. */
	ck_assert_uint_lt(held, before + COMMITS * (UINT64_C(64) << 12));
	(void)snprintf(
		line, sizeof(line), "process %ld has been reading one state for", (long)reader.pid);
	disk_log_gather();
	f.now_ms += 31000;
	kv_check_readers(kv);
	must(disk_log_told(line));
	must(kill(reader.pid, SIGCONT) == 0);
	other_order(&reader, 'e');
	/* A little, as the last checkpoint may have held the same pages. */
	uint64_t after = change_much(&f);
	ck_assert_uint_le(after, held + (UINT64_C(1) << 19));
	ck_assert_uint_eq(change_much(&f), after);
	disk_log_gather();
	f.now_ms += 31000;
	kv_check_readers(kv);
	f.now_ms += 31000;
	kv_check_readers(kv);
	must(!disk_log_told("has been reading"));
	(void)other_end(&reader, SIGKILL);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

enum { RED, BLUE };
static const char *const tables[] = {"red", "blue", NULL};
enum { GROWTH_COMMITS = 150, PUTS = 100, VALUE = 500, LEAST_READS = 50 };

static uint32_t
number_of(struct kv_txn *txn, unsigned table)
{
	struct slice value;

	return kv_get(txn, table, SLICE("count"), &value) && value.len == 4 ? get_u32(value.data)
									    : 0;
}

/* One transaction; false when anything of it is not as one commit left it. */
static bool
read_once(struct kv *kv, uint32_t *count)
{
	struct kv_txn txn;
	struct kv_cursor c;
	uint32_t seen = 0;

	if (kv_begin_read(kv, &txn) != FAULT_OK)
		return false;
	*count = number_of(&txn, RED);
	bool well = *count == number_of(&txn, BLUE);
	kv_cursor_open(&txn, RED, &c);
	for (bool more = kv_first(&c); more; more = kv_next(&c))
		seen++;
	kv_cursor_close(&c);
	well = well && txn.fault == FAULT_OK && (*count == 0 || seen == *count * PUTS + 1);
	kv_abort(&txn);
	return well;
}

/* Reads all the time until the last commit is seen. */
static void
read_all_the_time(const char *dir, int line)
{
	struct kv_options options = {.tables = tables, .readonly = true};
	struct kv *kv;
	uint32_t count = 0;
	unsigned reads = 0;

	if (kv_open(dir, &options, &kv) != FAULT_OK)
		_exit(2);
	other_done(line, true);
	for (; count < GROWTH_COMMITS; reads++)
		if (!read_once(kv, &count))
			_exit(3);
	kv_close(kv);
	_exit(reads < LEAST_READS ? 4 : 0);
}

static enum fault
grow_once(struct kv *kv, uint32_t number)
{
	uint8_t count[4], key[8];
	char value[VALUE];
	struct kv_txn txn;
	enum fault fault = kv_begin_write(kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	memset(value, (int)number, sizeof(value));
	put_u32(count, number);
	for (uint32_t i = 0; i < PUTS; i++) {
		put_u32(key, i);
		put_u32(key + 4, number);
		kv_put(&txn, RED, slice_make(key, sizeof(key)), slice_make(value, VALUE));
	}
	kv_put(&txn, RED, SLICE("count"), slice_make(count, 4));
	kv_put(&txn, BLUE, SLICE("count"), slice_make(count, 4));
	return kv_commit(&txn);
}

START_TEST(the_map_grows_under_load_while_others_read)
{
	struct kv_options options = {
		.tables = tables, .lazy = true, .map_bytes = 128 * 1024, .margin_bytes = 32 * 1024};
	struct other readers[3];
	char dir[64], done;
	struct kv *kv;
	unsigned again = 0;

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	fixture_dir(dir);
	ck_assert_ok(kv_open(dir, &options, &kv));
	for (int i = 0; i < 3; i++) {
		other_start(&readers[i], read_all_the_time, dir);
		must(read(readers[i].line, &done, 1) == 1);
	}
	for (uint32_t number = 1; number <= GROWTH_COMMITS; number++) {
		enum fault fault;
		while ((fault = grow_once(kv, number)) == FAULT_BUSY)
			again++;
		ck_assert_ok(fault);
	}
	for (int i = 0; i < 3; i++) {
		int status = other_end(&readers[i], 0);
		ck_assert_msg(status == 0, "reader %d: status %x", i, (unsigned)status);
	}
	printf("the map grew to %llu KiB; %u transactions were done again\n",
		(unsigned long long)kv_size(kv) / 1024, again);
	ck_assert_uint_gt(kv_size(kv), UINT64_C(5) << 20);
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

static void
write_as_told(const char *dir, int line)
{
	struct store_writer *writer;
	char order;

	other_done(line, writer_open(dir, &(struct store_options){0}, &writer) == FAULT_OK);
	other_told(line, &order);
}

START_TEST(one_writer_at_a_time_and_a_dead_one_holds_nothing)
{
	char dir[64], line[100], done;
	struct store_writer *writer;
	struct other other;

	fixture_dir(dir);
	other_start(&other, write_as_told, dir);
	must(read(other.line, &done, 1) == 1);
	(void)snprintf(line, sizeof(line),
		"another process writes this store: it holds writer.lock (process %ld)",
		(long)other.pid);
	disk_log_gather();
	ck_assert_fault(writer_open(dir, &(struct store_options){0}, &writer), FAULT_BUSY);
	must(disk_log_told(line));
	(void)other_end(&other, SIGKILL);
	ck_assert_ok(writer_open(dir, &(struct store_options){0}, &writer));
	writer_close(writer);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(the_slots_of_readers_have_their_blocks)
{
	struct fixture f = {0};
	struct stat status;
	char path[128];

	fixture_open(&f);
	(void)snprintf(path, sizeof(path), "%s/index/lock.mdb", f.dir);
	must(stat(path, &status) == 0);
	int file = open(path, O_RDWR);
	bool can = file >= 0 && fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
	close(file);
	if (can)
		ck_assert_int_ge(status.st_blocks * 512, status.st_size);
	fixture_close(&f);
}
END_TEST

UNIT(readers)
{
	tcase_set_timeout(tc, 120);
	unit_add(tc, the_slot_of_a_dead_reader_is_freed_so_that_the_index_stops_growing);
	unit_add(tc, a_reader_that_stands_still_is_told_and_costs_only_space);
	unit_add(tc, the_map_grows_under_load_while_others_read);
	unit_add(tc, one_writer_at_a_time_and_a_dead_one_holds_nothing);
	unit_add(tc, the_slots_of_readers_have_their_blocks);
}
