/* SPDX-License-Identifier: ISC */
/*
 * The journal by itself: what it has committed survives a power cut (played by another boot id: the
 * index is put back and the log replayed), and what it has not does not come back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/body.h"
#include "common/store/journal.h"
#include "tests/unit/store/fixture.h"

enum { META, THINGS };
static const char *const tables[] = {"meta", "things", NULL};
static const uint8_t monday[JOURNAL_BOOT_SIZE] = "monday", tuesday[JOURNAL_BOOT_SIZE] = "tuesday";

static char dir[64];
static struct journal *journal;

static enum fault
open_on(const uint8_t *boot)
{
	struct journal_options options = {.tables = tables, .meta_table = META, .boot_id = boot};

	return journal_open(dir, &options, &journal);
}

static void
close_journal(void)
{
	journal_close(journal);
	journal = NULL;
}

static struct slice
number_key(uint32_t number, uint8_t key[static 4])
{
	put_u32(key, number);
	return slice_make(key, 4);
}

static void
put(struct kv_txn *txn, uint32_t number, struct slice value)
{
	uint8_t key[4];

	kv_put(txn, THINGS, number_key(number, key), value);
}

/* Appends a record of its own to the segment, as mail does. */
static void
append(uint32_t number, size_t len)
{
	struct segment_place place;
	char *bytes = calloc(1, len + 1);
	struct segment_record record = {.kind = SEGMENT_QUEUE,
		.email_id = number,
		.body = slice_make(bytes, len),
		.plain_len = len};

	memset(bytes, (int)('a' + number % 26), len);
	body_checksum(record.body, record.checksum);
	ck_assert_ok(journal_append(journal, &record, &place));
	free(bytes);
}

static void
commit_one(uint32_t number)
{
	struct kv_txn txn;

	ck_assert_ok(journal_begin(journal, &txn));
	append(number, 3000);
	put(&txn, number, SLICE("thing"));
	ck_assert_ok(journal_commit(journal, &txn));
}

static bool
has(uint32_t number)
{
	struct kv_txn txn;
	struct slice value;
	uint8_t key[4];

	ck_assert_ok(kv_begin_read(journal_kv(journal), &txn));
	bool found = kv_get(&txn, THINGS, number_key(number, key), &value);
	kv_abort(&txn);
	return found;
}

static void
segment_path(char path[static 128])
{
	(void)snprintf(path, 128, "%s/segments/00000001.seg", dir);
}

/* The process dies without a word; its files stay as they are. */
static void
in_a_process_that_dies(void (*run)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		run();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
start(void)
{
	fixture_dir(dir);
}

static void
end(void)
{
	if (journal != NULL)
		close_journal();
	fixture_dir_remove(dir);
}

static void
ten_commits(void)
{
	if (open_on(monday) != FAULT_OK)
		_exit(1);
	for (uint32_t i = 1; i <= 10; i++)
		commit_one(i);
}

START_TEST(what_was_committed_survives_a_power_cut)
{
	in_a_process_that_dies(ten_commits);
	ck_assert_ok(open_on(tuesday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 10);
	for (uint32_t i = 1; i <= 10; i++)
		ck_assert(has(i));
	ck_assert(!has(11));
	commit_one(11);
	close_journal();
	/* And again, over what was written since. */
	ck_assert_ok(open_on(monday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 11);
	ck_assert(has(11));
}
END_TEST

/* Makes to a copy of from; files of one process's making, so cp does. */
static void
copy_tree(const char *from, const char *to)
{
	int status;

	fixture_dir_remove(to);
	pid_t child = fork();
	if (child == 0) {
		execlp("cp", "cp", "-a", from, to, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Whatever is left of the last batch, it is there as a whole or not at all; the others are there.
 */
START_TEST(a_torn_batch_is_whole_or_gone)
{
	char path[128], copy[80];
	unsigned whole = 0;

	in_a_process_that_dies(ten_commits);
	segment_path(path);
	(void)snprintf(copy, sizeof(copy), "%s.copy", dir);
	copy_tree(dir, copy);
	ck_assert_ok(open_on(monday));
	uint64_t end = journal_point(journal)->tail.length;
	close_journal();
	/* The last batch has some 3400 bytes; zeros are what was not written. */
	for (off_t cut = 0; cut < 3600; cut += 90) {
		copy_tree(copy, dir);
		ck_assert_int_eq(truncate(path, (off_t)end - cut), 0);
		ck_assert_int_eq(truncate(path, (off_t)end + 4096), 0);
		ck_assert_ok(open_on(tuesday));
		ck_assert(has(9) || cut > 3300);
		ck_assert_int_eq(has(10), journal_point(journal)->sequence == 10);
		whole += has(10);
		commit_one(11);
		close_journal();
	}
	ck_assert_uint_eq(whole, 1);
	fixture_dir_remove(copy);
}
END_TEST

static void
flip_byte(const char *path, off_t at)
{
	int file = open(path, O_RDWR);
	char byte;

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(pread(file, &byte, 1, at), 1);
	byte ^= 0x20;
	ck_assert_int_eq(pwrite(file, &byte, 1, at), 1);
	close(file);
}

/* A message with its header, a record with one change. */
enum { BATCH_LEN = SEGMENT_HEADER_SIZE + 3000 + SEGMENT_HEADER_SIZE + 56 };

/* A rotten message harms nobody else: reading it will tell. */
START_TEST(damage_to_a_body_keeps_no_commit_back)
{
	char path[128];

	in_a_process_that_dies(ten_commits);
	segment_path(path);
	flip_byte(path, SEGMENT_HEAD_SIZE + 2 * BATCH_LEN + SEGMENT_HEADER_SIZE + 20);
	ck_assert_ok(open_on(tuesday));
	ck_assert(has(3) && has(10));
}
END_TEST

/* That is no power cut: acknowledged commits must not be cut off silently. */
START_TEST(damage_before_later_commits_is_told_and_not_touched)
{
	char path[128];
	struct stat before, after;

	in_a_process_that_dies(ten_commits);
	segment_path(path);
	ck_assert_int_eq(stat(path, &before), 0);
	flip_byte(path, SEGMENT_HEAD_SIZE + 2 * BATCH_LEN + 20);
	ck_assert_fault(open_on(tuesday), FAULT_DAMAGED);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
}
END_TEST

START_TEST(one_of_two_checkpoint_records_suffices)
{
	char path[128];

	in_a_process_that_dies(ten_commits);
	(void)snprintf(path, sizeof(path), "%s/checkpoint", dir);
	flip_byte(path, 100);
	ck_assert_ok(open_on(tuesday));
	ck_assert(has(10));
	close_journal();
	flip_byte(path, 100);
	flip_byte(path, 4096 + 100);
	ck_assert_fault(open_on(monday), FAULT_DAMAGED);
	journal = NULL;
}
END_TEST

/* A batch that was dropped leaves bytes in the segment; what comes after must not be led astray. */
START_TEST(what_was_taken_back_does_not_come_back)
{
	struct kv_txn txn;

	ck_assert_ok(open_on(monday));
	commit_one(1);
	for (uint32_t i = 2; i < 6; i++) {
		ck_assert_ok(journal_begin(journal, &txn));
		append(i, 3000);
		put(&txn, i, SLICE("never"));
		journal_abort(journal, &txn);
		journal_cut(journal);
	}
	commit_one(7);
	journal_close(journal);
	ck_assert_ok(open_on(tuesday));
	ck_assert(has(1) && has(7) && !has(2) && !has(5));
	ck_assert_uint_eq(journal_point(journal)->sequence, 2);
}
END_TEST

static void
one_large_commit(void)
{
	static char value[1000];
	struct kv_txn txn;

	if (open_on(monday) != FAULT_OK || journal_begin(journal, &txn) != FAULT_OK)
		_exit(1);
	append(1, 100);
	for (uint32_t i = 0; i < 20000; i++)
		put(&txn, i, slice_make(value, sizeof(value)));
	if (journal_commit(journal, &txn) != FAULT_OK)
		_exit(1);
	commit_one(30000);
}

START_TEST(a_large_commit_has_several_records_and_is_one)
{
	char path[128];

	in_a_process_that_dies(one_large_commit);
	ck_assert_ok(open_on(tuesday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 2);
	ck_assert(has(0) && has(19999) && has(30000));
	close_journal();
	segment_path(path);
	struct stat status;
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_gt(status.st_size, 20000 * 1000);
}
END_TEST

static void
commits_in_a_small_map(void)
{
	static char value[4000];
	struct journal_options options = {
		.tables = tables, .meta_table = META, .boot_id = monday, .map_bytes = 1 << 20};
	struct kv_txn txn;
	enum fault fault = FAULT_BUSY;

	if (journal_open(dir, &options, &journal) != FAULT_OK)
		_exit(1);
	/* More than the margin that is kept for one transaction. */
	for (int tries = 0; fault == FAULT_BUSY && tries < 10; tries++) {
		if (journal_begin(journal, &txn) != FAULT_OK)
			_exit(1);
		append((uint32_t)tries, 100);
		for (uint32_t i = 0; i < 20000; i++)
			put(&txn, i, slice_make(value, sizeof(value)));
		fault = journal_commit(journal, &txn);
	}
	if (fault != FAULT_OK)
		_exit(1);
	commit_one(30000);
}

START_TEST(a_commit_that_made_the_index_grow_leaves_a_sound_log)
{
	in_a_process_that_dies(commits_in_a_small_map);
	ck_assert_ok(open_on(tuesday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 2);
	ck_assert(has(19999) && has(30000));
}
END_TEST

/* Another process still has it open: then nothing was lost, and nothing may be put back. */
START_TEST(an_index_in_use_is_never_put_back)
{
	int status;

	ck_assert_ok(open_on(monday));
	commit_one(1);
	pid_t child = fork();
	if (child == 0) {
		journal = NULL;
		_exit(open_on(tuesday) == FAULT_BUSY ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	commit_one(2);
}
END_TEST

static void
three_kinds_of_change(void)
{
	struct kv_txn txn;
	struct segment_place place;
	uint8_t key[4];
	struct segment_record record = {.kind = SEGMENT_QUEUE, .structure = SLICE("a structure")};

	if (open_on(monday) != FAULT_OK)
		_exit(1);
	commit_one(1);
	commit_one(2);
	body_checksum(record.body, record.checksum);
	if (journal_begin(journal, &txn) != FAULT_OK ||
		journal_append(journal, &record, &place) != FAULT_OK)
		_exit(1);
	place.offset += SEGMENT_HEADER_SIZE;
	struct kv_change change = {THINGS, false, number_key(3, key), record.structure};
	journal_put_stored(journal, &txn, &change, &place);
	(void)kv_delete(&txn, THINGS, number_key(1, key));
	if (journal_commit(journal, &txn) != FAULT_OK)
		_exit(1);
}

START_TEST(every_kind_of_change_is_replayed)
{
	struct kv_txn txn;
	struct slice value;
	uint8_t key[4];

	in_a_process_that_dies(three_kinds_of_change);
	ck_assert_ok(open_on(tuesday));
	ck_assert(!has(1) && has(2));
	ck_assert_ok(kv_begin_read(journal_kv(journal), &txn));
	ck_assert(kv_get(&txn, THINGS, number_key(3, key), &value));
	ck_assert(slice_equal(value, SLICE("a structure")));
	kv_abort(&txn);
}
END_TEST

START_TEST(space_is_given_back_only_before_a_checkpoint)
{
	struct segment_place place = {1, 0, 3136};

	ck_assert_ok(open_on(monday));
	commit_one(1);
	ck_assert_fault(journal_punch(journal, &place), FAULT_BUSY);
	ck_assert_fault(journal_remove(journal, 1), FAULT_BUSY);
	ck_assert_ok(journal_checkpoint(journal));
	ck_assert_ok(journal_punch(journal, &place));
}
END_TEST

UNIT(journal)
{
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, start, end);
	unit_add(tc, what_was_committed_survives_a_power_cut);
	unit_add(tc, a_torn_batch_is_whole_or_gone);
	unit_add(tc, damage_to_a_body_keeps_no_commit_back);
	unit_add(tc, damage_before_later_commits_is_told_and_not_touched);
	unit_add(tc, one_of_two_checkpoint_records_suffices);
	unit_add(tc, what_was_taken_back_does_not_come_back);
	unit_add(tc, a_large_commit_has_several_records_and_is_one);
	unit_add(tc, a_commit_that_made_the_index_grow_leaves_a_sound_log);
	unit_add(tc, an_index_in_use_is_never_put_back);
	unit_add(tc, every_kind_of_change_is_replayed);
	unit_add(tc, space_is_given_back_only_before_a_checkpoint);
}
