/* SPDX-License-Identifier: ISC */
/*
 * The journal while the disk fails, and killed twice in a row.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/body.h"
#include "common/store/journal.h"
#include "tests/unit/store/disk.h"
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

static void
append(uint32_t number)
{
	static char bytes[3000];
	struct segment_place place;
	struct segment_record record = {.kind = SEGMENT_QUEUE,
		.email_id = number,
		.body = slice_make(bytes, sizeof(bytes)),
		.plain_len = sizeof(bytes)};

	memset(bytes, (int)('a' + number % 26), sizeof(bytes));
	body_checksum(record.body, record.checksum);
	ck_assert_ok(journal_append(journal, &record, &place));
}

static enum fault
try_commit(uint32_t number)
{
	struct kv_txn txn;
	uint8_t key[4];

	put_u32(key, number);
	ck_assert_ok(journal_begin(journal, &txn));
	append(number);
	kv_put(&txn, THINGS, slice_make(key, sizeof(key)), SLICE("thing"));
	return journal_commit(journal, &txn);
}

static void
commit_up_to(uint32_t number)
{
	for (uint32_t i = (uint32_t)journal_point(journal)->sequence + 1; i <= number; i++)
		ck_assert_ok(try_commit(i));
}

static bool
has(uint32_t number)
{
	struct kv_txn txn;
	struct slice value;
	uint8_t key[4];

	put_u32(key, number);
	ck_assert_ok(kv_begin_read(journal_kv(journal), &txn));
	bool found = kv_get(&txn, THINGS, slice_make(key, sizeof(key)), &value);
	kv_abort(&txn);
	return found;
}

static void
path_of(const char *name, char path[static 128])
{
	(void)snprintf(path, 128, "%s/%s", dir, name);
}

static void
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char bytes[4096];
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(out, bytes, (size_t)n), n);
	ck_assert_int_eq(n, 0);
	close(in);
	close(out);
}

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
	(void)disk_heal();
	fixture_dir(dir);
}

static void
end(void)
{
	(void)disk_heal();
	if (journal != NULL)
		close_journal();
	fixture_dir_remove(dir);
}

#define SEGMENT "00000001.seg"
#define INDEX "data.mdb"

static void
fails(const struct disk_plan *plan)
{
	struct disk_plan lasting = *plan;

	lasting.lasts = true;
	disk_plan(&lasting);
}

static void
dies_at(unsigned calls)
{
	disk_plan(&(struct disk_plan){calls, SEGMENT, .ends = true});
}

/* Three commits, and a fourth that comes as far as its sync. */
static void
killed_before_a_sync(void)
{
	if (open_on(monday) != FAULT_OK)
		_exit(1);
	commit_up_to(3);
	dies_at(DISK_SYNC);
	(void)!try_commit(4);
	_exit(1);
}

static void
killed_before_a_sync_in_recovery(void)
{
	dies_at(DISK_SYNC);
	(void)!open_on(monday);
	_exit(1);
}

/* Nothing of the fourth commit was ever synced: no state of the index may be that says it is. */
START_TEST(the_index_is_never_ahead_of_the_log)
{
	char path[128];
	struct segment_tail tail;

	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	tail = journal_point(journal)->tail;
	close_journal();
	fixture_dir_remove(dir);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	in_a_process_that_dies(killed_before_a_sync);
	in_a_process_that_dies(killed_before_a_sync_in_recovery);
	in_a_process_that_dies(killed_before_a_sync_in_recovery);
	/* The power goes, and with it what was not synced. */
	path_of("segments/00000001.seg", path);
	ck_assert_int_eq(truncate(path, (off_t)tail.length), 0);
	ck_assert_ok(open_on(tuesday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 3);
	ck_assert(has(3) && !has(4));
}
END_TEST

static void
sync_in_recovery_fails(void)
{
	fails(&(struct disk_plan){DISK_SYNC, SEGMENT, .error = EIO});
	if (open_on(monday) != FAULT_IO)
		_exit(1);
}

static void
killed_when_it_writes_again(void)
{
	dies_at(DISK_WRITE);
	(void)!open_on(monday);
	_exit(1);
}

/* A page that could not be written counts as clean afterwards: a further sync proves nothing. */
START_TEST(what_a_failed_sync_leaves_is_written_again)
{
	in_a_process_that_dies(killed_before_a_sync);
	in_a_process_that_dies(sync_in_recovery_fails);
	in_a_process_that_dies(killed_when_it_writes_again);
	ck_assert_ok(open_on(monday));
	ck_assert(has(4));
}
END_TEST

/* The log has the batch durably by then, and its sender hears that it failed. */
START_TEST(what_failed_in_the_index_does_not_come_back)
{
	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	fails(&(struct disk_plan){DISK_WRITE, INDEX, .error = ENOSPC, .is_large = true});
	ck_assert_fault(try_commit(4), FAULT_NO_SPACE);
	ck_assert_uint_gt(disk_heal(), 0);
	ck_assert(!journal_is_broken(journal));
	close_journal();
	ck_assert_ok(open_on(monday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 3);
	ck_assert(!has(4));
}
END_TEST

static void
killed_after_a_failure(void)
{
	if (open_on(monday) != FAULT_OK)
		_exit(1);
	commit_up_to(3);
	fails(&(struct disk_plan){DISK_SYNC, SEGMENT, .error = EIO});
	if (try_commit(4) == FAULT_OK || disk_heal() == 0)
		_exit(1);
}

START_TEST(what_failed_in_the_log_does_not_come_back)
{
	in_a_process_that_dies(killed_after_a_failure);
	ck_assert_ok(open_on(monday));
	ck_assert_uint_eq(journal_point(journal)->sequence, 3);
	ck_assert(!has(4));
}
END_TEST

/* LMDB takes no more changes when its root could not be written: only a new start helps. */
START_TEST(an_index_that_has_given_up_breaks_the_journal)
{
	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	fails(&(struct disk_plan){DISK_WRITE, INDEX, .error = EIO, .is_small = true});
	ck_assert_fault(try_commit(4), FAULT_IO);
	ck_assert_uint_gt(disk_heal(), 0);
	ck_assert(journal_is_broken(journal));
	close_journal();
	ck_assert_ok(open_on(monday));
	ck_assert(has(3));
	ck_assert_ok(try_commit(5));
}
END_TEST

/* As after an upgrade, or when a backup was restored: there is no checkpoint to go back to yet. */
START_TEST(a_first_checkpoint_that_fails_harms_no_index)
{
	static const struct disk_plan plans[] = {
		{DISK_SYNC, INDEX, .error = ENOSPC},
		{DISK_WRITE, "checkpoint", .error = ENOSPC},
		{DISK_WRITE, "checkpoint", .error = ENOSPC, .skip = 1},
	};
	char path[128];

	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		close_journal();
		path_of("checkpoint", path);
		ck_assert_int_eq(unlink(path), 0);
		fails(&plans[i]);
		ck_assert_fault(open_on(monday), FAULT_NO_SPACE);
		ck_assert_uint_gt(disk_heal(), 0);
		ck_assert_ok(open_on(i == 1 ? tuesday : monday));
		ck_assert(has(3));
	}
}
END_TEST

static void
commits_behind_a_checkpoint(void)
{
	if (open_on(monday) != FAULT_OK)
		_exit(1);
	commit_up_to(1);
	if (journal_checkpoint(journal) != FAULT_OK)
		_exit(1);
	commit_up_to(3);
}

/* Rot, not a power cut: without its key nothing can be told, so nothing is cut off. */
START_TEST(a_damaged_head_ends_no_log)
{
	char path[128];
	const char damage[8] = "damage";

	in_a_process_that_dies(commits_behind_a_checkpoint);
	path_of("segments/00000000.seg", path);
	(void)unlink(path);
	path_of("segments/00000001.seg", path);
	int file = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(file, damage, sizeof(damage), 16), sizeof(damage));
	close(file);
	ck_assert_fault(open_on(tuesday), FAULT_DAMAGED);
}
END_TEST

/* The index is whole, so all is; but a file whose key nobody can read is written to no more. */
START_TEST(a_file_with_a_damaged_head_is_not_gone_on_with)
{
	char path[128];
	const char damage[8] = "damage";

	in_a_process_that_dies(commits_behind_a_checkpoint);
	path_of("segments/00000000.seg", path);
	(void)unlink(path);
	path_of("segments/00000001.seg", path);
	int file = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(file, damage, sizeof(damage), 16), sizeof(damage));
	close(file);
	ck_assert_ok(open_on(monday));
	commit_up_to(4);
	ck_assert_uint_eq(journal_point(journal)->tail.segment, 2);
	ck_assert_ok(journal_checkpoint(journal));
	commit_up_to(5);
	close_journal();
	ck_assert_ok(open_on(tuesday));
	ck_assert(has(5));
}
END_TEST

/* Of another state of the store: its pages have nothing to do with that checkpoint. */
START_TEST(an_older_index_under_a_newer_checkpoint_is_told)
{
	char index[128], older[160];

	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	close_journal();
	path_of("index/data.mdb", index);
	path_of("older", older);
	copy_file(index, older);
	ck_assert_ok(open_on(monday));
	commit_up_to(30);
	close_journal();
	copy_file(older, index);
	ck_assert_fault(open_on(tuesday), FAULT_DAMAGED);
	/* As the message says. */
	path_of("checkpoint", older);
	ck_assert_int_eq(unlink(older), 0);
	ck_assert_ok(open_on(tuesday));
	ck_assert(has(3) && has(30));
}
END_TEST

START_TEST(a_start_with_all_in_order_writes_nothing_to_the_index)
{
	ck_assert_ok(open_on(monday));
	commit_up_to(3);
	close_journal();
	fails(&(struct disk_plan){DISK_WRITE, INDEX, .error = ENOSPC});
	ck_assert_ok(open_on(monday));
	ck_assert(has(3));
	ck_assert_uint_eq(disk_heal(), 0);
}
END_TEST

static struct fixture store;

/* The last batch before the power goes: a message as it should be, and one of a peer that lies. */
static void
batch_with_a_lie(void)
{
	struct fixture_message good, bad;

	if (writer_open(store.dir, &store.options, &store.writer) != FAULT_OK ||
		writer_begin(store.writer) != FAULT_OK)
		_exit(1);
	fixture_message(&store, &good, SLICE("as it should be"));
	good.targets[0].account = BOB;
	writer_append(store.writer, &good.request);
	fixture_message(&store, &bad, SLICE("not what its checksum says"));
	bad.request.info.checksum[0] ^= 1;
	writer_append(store.writer, &bad.request);
	if (writer_commit(store.writer) != FAULT_OK)
		_exit(1);
}

START_TEST(a_checksum_that_is_a_lie_makes_no_batch_look_torn)
{
	store = (struct fixture){.options.boot_id = monday};
	fixture_open(&store);
	writer_close(store.writer);
	in_a_process_that_dies(batch_with_a_lie);
	store.options.boot_id = tuesday;
	ck_assert_ok(writer_open(store.dir, &store.options, &store.writer));
	store.reader = writer_reader(store.writer);
	ck_assert_uint_eq(fixture_load(&store, ALICE, STORE_INBOX, 1).uid, 1);
	fixture_expect(&store, BOB, STORE_INBOX, 1, SLICE("as it should be"));
	fixture_close(&store);
}
END_TEST

/* A recovery reads it again from the record, and takes nothing larger. */
START_TEST(a_structure_that_could_not_be_recovered_is_refused)
{
	struct fixture_message m;
	size_t len = JOURNAL_STORED_MAX + 1;
	char *bytes = calloc(1, len);

	store = (struct fixture){.options.boot_id = monday};
	fixture_open(&store);
	fixture_begin(&store);
	fixture_message(&store, &m, SLICE("small"));
	m.request.structure = slice_make(bytes, len);
	writer_append(store.writer, &m.request);
	ck_assert_fault(m.targets[0].fault, FAULT_PEER_PROTOCOL);
	writer_abort(store.writer);
	fixture_message_clear(&m);
	free(bytes);
	fixture_close(&store);
}
END_TEST

UNIT(journal_faults)
{
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, start, end);
	unit_add(tc, the_index_is_never_ahead_of_the_log);
	unit_add(tc, what_a_failed_sync_leaves_is_written_again);
	unit_add(tc, what_failed_in_the_index_does_not_come_back);
	unit_add(tc, what_failed_in_the_log_does_not_come_back);
	unit_add(tc, an_index_that_has_given_up_breaks_the_journal);
	unit_add(tc, a_first_checkpoint_that_fails_harms_no_index);
	unit_add(tc, a_damaged_head_ends_no_log);
	unit_add(tc, a_file_with_a_damaged_head_is_not_gone_on_with);
	unit_add(tc, an_older_index_under_a_newer_checkpoint_is_told);
	unit_add(tc, a_checksum_that_is_a_lie_makes_no_batch_look_torn);
	unit_add(tc, a_structure_that_could_not_be_recovered_is_refused);
	unit_add(tc, a_start_with_all_in_order_writes_nothing_to_the_index);
}
