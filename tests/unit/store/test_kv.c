/* SPDX-License-Identifier: ISC */
#include "common/store/kv.h"

#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "tests/unit/store/fixture.h"

enum { RED, BLUE };
static const char *const tables[] = {"red", "blue", NULL};

static struct kv *
environment_open(const char *dir, bool readonly)
{
	struct kv_options options = {.tables = tables, .readonly = readonly};
	struct kv *kv = NULL;

	ck_assert_ok(kv_open(dir, &options, &kv));
	return kv;
}

START_TEST(a_commit_keeps_and_an_abort_drops)
{
	char dir[64];
	struct kv_txn txn;
	struct slice value;

	fixture_dir(dir);
	struct kv *kv = environment_open(dir, false);
	ck_assert_ok(kv_begin_write(kv, &txn));
	kv_put(&txn, RED, SLICE("a"), SLICE("1"));
	kv_put(&txn, BLUE, SLICE("a"), SLICE("2"));
	ck_assert_ok(kv_commit(&txn));
	ck_assert_ok(kv_begin_write(kv, &txn));
	kv_put(&txn, RED, SLICE("a"), SLICE("3"));
	kv_abort(&txn);
	kv_close(kv);
	kv = environment_open(dir, true);
	ck_assert_ok(kv_begin_read(kv, &txn));
	ck_assert(kv_get(&txn, RED, SLICE("a"), &value));
	ck_assert_slice_eq(value, "1");
	ck_assert(kv_get(&txn, BLUE, SLICE("a"), &value));
	ck_assert_slice_eq(value, "2");
	ck_assert(!kv_get(&txn, BLUE, SLICE("b"), &value));
	ck_assert_uint_eq(kv_count(&txn, BLUE), 1);
	kv_abort(&txn);
	kv_abort(&txn);
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(a_transaction_keeps_its_first_fault_and_changes_nothing)
{
	char dir[64], key[KV_KEY_MAX + 1] = {0};
	struct kv_txn txn;
	struct slice value;

	fixture_dir(dir);
	struct kv *kv = environment_open(dir, false);
	ck_assert_ok(kv_begin_write(kv, &txn));
	kv_put(&txn, RED, SLICE("a"), SLICE("1"));
	kv_put(&txn, RED, slice_make(key, sizeof(key)), SLICE("1"));
	kv_fail(&txn, FAULT_DENIED);
	ck_assert(!kv_get(&txn, RED, SLICE("a"), &value));
	ck_assert_fault(kv_commit(&txn), FAULT_TOO_LONG);
	ck_assert_ok(kv_begin_read(kv, &txn));
	ck_assert(!kv_get(&txn, RED, SLICE("a"), &value));
	kv_abort(&txn);
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(cursors_move_both_ways_and_stop_at_a_prefix)
{
	char dir[64];
	struct kv_txn txn;
	struct kv_cursor c;

	fixture_dir(dir);
	struct kv *kv = environment_open(dir, false);
	ck_assert_ok(kv_begin_write(kv, &txn));
	kv_cursor_open(&txn, RED, &c);
	ck_assert(!kv_first(&c) && !kv_last(&c) && !kv_seek(&c, SLICE("a")));
	kv_cursor_close(&c);
	for (const char *k = "a b1 b2 b3 c"; *k != '\0'; k += strcspn(k, " "), k += *k == ' ')
		kv_put(&txn, RED, slice_make(k, strcspn(k, " ")), SLICE("v"));
	kv_cursor_open(&txn, RED, &c);
	ck_assert(kv_seek_prefix(&c, SLICE("b")));
	ck_assert_slice_eq(c.key, "b1");
	kv_cursor_put(&c, SLICE("other"));
	ck_assert(kv_next_prefix(&c, SLICE("b")));
	kv_cursor_delete(&c);
	ck_assert(kv_next_prefix(&c, SLICE("b")));
	ck_assert_slice_eq(c.key, "b3");
	ck_assert(!kv_next_prefix(&c, SLICE("b")));
	ck_assert(kv_seek_before(&c, SLICE("b3")));
	ck_assert_slice_eq(c.key, "b1");
	ck_assert_slice_eq(c.value, "other");
	ck_assert(kv_prev(&c));
	ck_assert(!kv_prev(&c));
	ck_assert(kv_seek_before(&c, SLICE("x")));
	ck_assert_slice_eq(c.key, "c");
	ck_assert(!kv_seek_before(&c, SLICE("a")));
	kv_cursor_close(&c);
	ck_assert_ok(kv_commit(&txn));
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(deleting_all_by_a_cursor_visits_each_once)
{
	char dir[64];
	struct kv_txn txn;
	struct kv_cursor c;
	unsigned seen = 0;

	fixture_dir(dir);
	struct kv *kv = environment_open(dir, false);
	ck_assert_ok(kv_begin_write(kv, &txn));
	for (uint32_t i = 0; i < 5000; i++) {
		uint8_t key[4];
		put_u32(key, i);
		kv_put(&txn, RED, slice_make(key, 4), SLICE("some value of some length"));
	}
	kv_cursor_open(&txn, RED, &c);
	for (bool more = kv_first(&c); more; more = kv_next(&c), seen++) {
		ck_assert_uint_eq(get_u32(c.key.data), seen);
		if (seen % 7 != 0)
			kv_cursor_delete(&c);
	}
	kv_cursor_close(&c);
	ck_assert_uint_eq(seen, 5000);
	ck_assert_uint_eq(kv_count(&txn, RED), 715);
	ck_assert_ok(kv_commit(&txn));
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(the_map_grows_and_a_reader_follows)
{
	char dir[64], value[4000] = {0};
	struct kv_options options = {
		.tables = tables, .map_bytes = 1 << 20, .margin_bytes = 1 << 18};
	struct kv *kv;
	struct kv_txn txn;
	struct slice found;
	unsigned busy = 0;

	fixture_dir(dir);
	ck_assert_ok(kv_open(dir, &options, &kv));
	/* A batch larger than the margin is told to come again, and fits then. */
	for (uint32_t batch = 0; batch < 8; batch++) {
		ck_assert_ok(kv_begin_write(kv, &txn));
		for (uint32_t i = 0; i < 200; i++) {
			uint8_t key[4];
			put_u32(key, batch * 200 + i);
			kv_put(&txn, RED, slice_make(key, 4), slice_make(value, sizeof(value)));
		}
		enum fault fault = kv_commit(&txn);
		if (fault == FAULT_BUSY && busy++ < 8)
			batch--;
		else
			ck_assert_ok(fault);
	}
	ck_assert_ok(kv_begin_read(kv, &txn));
	ck_assert_uint_eq(kv_count(&txn, RED), 1600);
	ck_assert(kv_get(&txn, RED, slice_make("\0\0\6\0", 4), &found));
	kv_abort(&txn);
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

static void
write_some(struct kv *kv, uint32_t from, uint32_t count)
{
	static char value[4000];
	struct kv_txn txn;

	for (int attempt = 0; attempt < 8; attempt++) {
		ck_assert_ok(kv_begin_write(kv, &txn));
		for (uint32_t i = from; i < from + count; i++) {
			uint8_t key[4];
			put_u32(key, i);
			kv_put(&txn, RED, slice_make(key, 4), slice_make(value, sizeof(value)));
		}
		enum fault fault = kv_commit(&txn);
		if (fault == FAULT_OK)
			return;
		ck_assert_fault(fault, FAULT_BUSY);
	}
	ck_abort_msg("it never fits");
}

/* Reads each time it is told how many there are at least, until nobody tells it any more. */
static void
read_as_told(const char *dir, int from)
{
	struct kv_options options = {.tables = tables, .readonly = true};
	struct kv *kv;
	struct kv_txn txn;

	if (kv_open(dir, &options, &kv) != FAULT_OK)
		_exit(1);
	for (uint32_t told; read(from, &told, sizeof(told)) == sizeof(told);) {
		if (kv_begin_read(kv, &txn) != FAULT_OK || kv_count(&txn, RED) < told)
			_exit(2);
		kv_abort(&txn);
	}
	kv_close(kv);
	_exit(0);
}

START_TEST(a_reader_in_another_process_follows_a_growing_map)
{
	char dir[64];
	struct kv_options options = {
		.tables = tables, .map_bytes = 1 << 20, .margin_bytes = 1 << 18};
	struct kv *kv;
	int ends[2], status;

	fixture_dir(dir);
	/* The child must not inherit an open environment. */
	ck_assert_ok(kv_open(dir, &options, &kv));
	kv_close(kv);
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		close(ends[1]);
		read_as_told(dir, ends[0]);
	}
	close(ends[0]);
	ck_assert_ok(kv_open(dir, &options, &kv));
	for (uint32_t total = 100; total <= 6400; total *= 2) {
		write_some(kv, total == 100 ? 0 : total / 2, total == 100 ? 100 : total / 2);
		ck_assert_int_eq(write(ends[1], &total, sizeof(total)), sizeof(total));
	}
	close(ends[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	kv_close(kv);
	fixture_dir_remove(dir);
}
END_TEST

START_TEST(a_reader_finds_nothing_before_the_writer_was_there_and_makes_no_files)
{
	char dir[64];
	struct kv_options options = {.tables = tables, .readonly = true};
	struct kv *kv;

	fixture_dir(dir);
	ck_assert_fault(kv_open(dir, &options, &kv), FAULT_NOT_FOUND);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

UNIT(kv)
{
	unit_add(tc, a_commit_keeps_and_an_abort_drops);
	unit_add(tc, a_transaction_keeps_its_first_fault_and_changes_nothing);
	unit_add(tc, cursors_move_both_ways_and_stop_at_a_prefix);
	unit_add(tc, deleting_all_by_a_cursor_visits_each_once);
	unit_add(tc, the_map_grows_and_a_reader_follows);
	unit_add(tc, a_reader_in_another_process_follows_a_growing_map);
	unit_add(tc, a_reader_finds_nothing_before_the_writer_was_there_and_makes_no_files);
}
