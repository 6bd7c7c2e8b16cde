/* SPDX-License-Identifier: ISC */
/* Does all that the log says again, into an index of its own, and compares. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/journal_private.h"
#include "common/store/journal_walk.h"
#include "common/store/reader_private.h"
#include "common/store/space.h"
#include "common/store/writer_private.h"
#include "tests/unit/store/fixture.h"

struct replay {
	struct segment_files *files;
	struct kv_txn txn;
};

/* A value that stands in a segment that is gone, or in a hole, was put or deleted again later. */
static enum fault
change_do(void *arg, const struct journal_logged *l)
{
	struct replay *r = arg;
	struct slice value = l->change.value;

	if (l->change.is_delete) {
		(void)kv_delete(&r->txn, l->change.table, l->change.key);
		return FAULT_OK;
	}
	if (l->is_stored && journal_value_read(r->files, l, &value) != FAULT_OK)
		return FAULT_OK;
	kv_put(&r->txn, l->change.table, l->change.key, value);
	if (l->is_stored)
		free((void *)(uintptr_t)value.data);
	return FAULT_OK;
}

static void
segment_do(struct fixture *f, struct replay *r, const struct space_file *file)
{
	struct journal_walk walk = {.files = r->files, .bodies = f->reader->bodies};
	struct segment_place place = {.segment = file->segment};
	struct segment_tail tail = journal_point(f->writer->journal)->tail;
	uint64_t end = file->segment == tail.segment ? tail.length : file->length;

	for (; place.offset < end; place.offset += place.length) {
		struct segment_record record;
		struct slice changes;
		ck_assert_ok(segment_files_header(r->files, &place, &record));
		if (record.kind != SEGMENT_CHANGES)
			continue;
		ck_assert_ok(journal_changes_read(&walk, &place, &record, &changes));
		ck_assert_ok(journal_changes_each(changes, INDEX_TABLE_COUNT, change_do, r));
		free((void *)(uintptr_t)changes.data);
	}
}

static void
tables_compare(struct kv_txn *index, struct kv_txn *log, unsigned table)
{
	struct kv_cursor a, b;

	kv_cursor_open(index, table, &a);
	kv_cursor_open(log, table, &b);
	bool more_a = kv_first(&a), more_b = kv_first(&b);
	while (more_a || more_b) {
		if (more_a && table == INDEX_META && slice_equal(a.key, JOURNAL_POINT_KEY)) {
			more_a = kv_next(&a);
			continue;
		}
		if (!more_a || !more_b || !slice_equal(a.key, b.key) ||
			!slice_equal(a.value, b.value))
			ck_abort_msg("the log tells something else of table %s: %d %d",
				index_tables[table], more_a, more_b);
		more_a = kv_next(&a);
		more_b = kv_next(&b);
	}
	kv_cursor_close(&a);
	kv_cursor_close(&b);
}

void
fixture_log_check(struct fixture *f)
{
	char dir[64], path[128];
	struct space_files list;
	struct kv_options options = {.tables = index_tables};
	struct replay r = {.files = f->reader->files};
	struct kv *kv;

	fixture_dir(dir);
	ck_assert_ok(kv_open(dir, &options, &kv));
	ck_assert_ok(kv_begin_write(kv, &r.txn));
	(void)snprintf(path, sizeof(path), "%s/segments", f->dir);
	ck_assert_ok(space_files_list(path, &list));
	for (size_t i = 0; i < list.count; i++)
		segment_do(f, &r, &list.files[i]);
	space_files_clear(&list);
	ck_assert_ok(r.txn.fault);
	ck_assert_ok(reader_begin(f->reader));
	for (unsigned table = 0; table < INDEX_TABLE_COUNT; table++)
		if (index_is_carried(table))
			tables_compare(&f->reader->txn, &r.txn, table);
	reader_end(f->reader);
	kv_abort(&r.txn);
	kv_close(kv);
	fixture_dir_remove(dir);
}

struct compact_slice
fixture_compact(struct fixture *f, const struct compact_options *options)
{
	struct compact_slice sum = {0}, slice = {0};
	struct compact_options once = *options;

	once.last = writer_compact_last(f->writer);
	for (unsigned i = 0; slice.next != COMPACT_DONE; i++) {
		ck_assert_ok(writer_compact(f->writer, &once, &slice));
		must(i < 1000000);
		sum.moved += slice.moved;
		sum.carried += slice.carried;
		sum.read += slice.read;
		sum.freed += slice.freed;
		sum.waiting = slice.waiting;
	}
	sum.next = COMPACT_DONE;
	return sum;
}
