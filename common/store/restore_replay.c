/* SPDX-License-Identifier: ISC */
/* To a time: does again, on a copy of the index, what the log has behind it. */
#include <stdlib.h>

#include "common/store/journal_private.h"
#include "common/store/journal_walk.h"
#include "common/store/restore_private.h"

enum { APPLY_TRIES = 8, FILES_OPEN = 8 };
/* Changes that go into one transaction. */
#define APPLY_BYTES (UINT64_C(8) << 20)

struct replay {
	struct restore_replay *want;
	struct kv *kv;
	struct segment_files *files;
	struct body_reader *bodies;
	struct journal_walk walk;
	struct kv_txn *txn;
	int64_t commit_at; /* time of the commit that was walked over last */
	uint64_t applied; /* bytes in this transaction */
};

static enum fault
time_note(void *arg, const struct segment_place *place, const struct segment_record *record)
{
	struct replay *r = arg;

	(void)place;
	if (record->kind == SEGMENT_CHANGES)
		r->commit_at = record->received_at;
	return FAULT_OK;
}

/* How many commits are wanted. */
static enum fault
commits_count(struct replay *r, uint64_t *count)
{
	enum fault fault;

	*count = 0;
	journal_walk_init(&r->walk, r->files, r->bodies, &r->want->point);
	while ((fault = journal_walk_commit(&r->walk, time_note, r)) == FAULT_OK) {
		r->want->was_stopped =
			r->commit_at > r->want->until || r->walk.point.sequence > r->want->last;
		if (r->want->was_stopped)
			return FAULT_OK;
		(*count)++;
	}
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

static enum fault
record_apply(void *arg, const struct segment_place *place, const struct segment_record *record)
{
	struct replay *r = arg;
	struct journal_reading reading = {r->files, r->bodies, INDEX_TABLE_COUNT};
	struct slice changes;

	if (record->kind != SEGMENT_CHANGES)
		return FAULT_OK;
	enum fault fault = journal_changes_read(&r->walk, place, record, &changes);
	if (fault != FAULT_OK)
		return fault;
	r->applied += changes.len;
	fault = journal_changes_apply(r->txn, &reading, changes);
	free((void *)(uintptr_t)changes.data);
	return fault;
}

/* Some of the commits; *left counts down. */
static enum fault
commits_apply(struct replay *r, uint64_t *left)
{
	struct kv_txn txn;
	uint64_t now_left = *left;
	enum fault fault = kv_begin_write(r->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	r->txn = &txn;
	r->applied = 0;
	journal_walk_init(&r->walk, r->files, r->bodies, &r->want->point);
	for (; fault == FAULT_OK && now_left > 0 && r->applied < APPLY_BYTES; now_left--)
		fault = journal_walk_commit(&r->walk, record_apply, r);
	if (fault != FAULT_OK) {
		kv_abort(&txn);
		return fault;
	}
	journal_point_save(&txn, INDEX_META, &r->walk.point);
	fault = kv_commit(&txn);
	if (fault != FAULT_OK)
		return fault;
	r->want->commits += *left - now_left;
	r->want->point = r->walk.point;
	*left = now_left;
	return FAULT_OK;
}

static enum fault
replay_run(struct replay *r)
{
	struct kv_txn txn;
	uint64_t left = 0;
	enum fault fault = kv_begin_read(r->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = journal_point_load(&txn, INDEX_META, &r->want->point);
	kv_abort(&txn);
	if (fault == FAULT_OK)
		fault = commits_count(r, &left);
	/* FAULT_BUSY: the index had to grow. */
	for (int tries = 0; fault == FAULT_OK && left > 0;) {
		fault = commits_apply(r, &left);
		tries = fault == FAULT_BUSY ? tries + 1 : 0;
		if (fault == FAULT_BUSY && tries < APPLY_TRIES)
			fault = FAULT_OK;
	}
	return fault;
}

enum fault
restore_replay(const char *index, struct restore_replay *want)
{
	struct replay r = {.want = want};
	char segments[PATH_MAX];
	enum fault fault = directory_path(want->dir, "segments", segments);

	want->commits = 0;
	want->was_stopped = false;
	if (fault == FAULT_OK)
		fault = segment_files_open(segments, FILES_OPEN, &r.files);
	if (fault == FAULT_OK) {
		r.bodies = body_reader_new(r.files);
		fault = r.bodies != NULL ? FAULT_OK : FAULT_NOMEM;
	}
	if (fault == FAULT_OK)
		fault = backup_index_open(index, false, &r.kv);
	if (fault == FAULT_OK)
		fault = replay_run(&r);
	kv_close(r.kv);
	body_reader_free(r.bodies);
	segment_files_close(r.files);
	return fault;
}
