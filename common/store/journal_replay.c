/* SPDX-License-Identifier: ISC */
/*
 * Recovery: the commits that the log has and the index has not.  All but the last were synced
 * before the next one was begun; the last may be torn, and counts only when every byte of it is
 * there.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/store/journal_private.h"
#include "common/store/journal_walk.h"

enum { APPLY_TRIES = 8, FILES_OPEN = 8 };
/* Changes that go into one transaction of the index. */
#define APPLY_BYTES (UINT64_C(8) << 20)

struct replay {
	struct journal *journal;
	struct segment_files *files;
	struct body_reader *bodies;
	struct journal_walk walk;
	struct kv_txn *txn;
	uint64_t applied; /* bytes in this transaction */
	struct segment_tail end; /* of the last commit that counts */
};

static enum fault
files_open(struct replay *r)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/segments", r->journal->dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	enum fault fault = segment_files_open(path, FILES_OPEN, &r->files);
	if (fault != FAULT_OK)
		return fault;
	r->bodies = body_reader_new(r->files);
	return r->bodies != NULL ? FAULT_OK : FAULT_NOMEM;
}

static enum fault
record_check(void *arg, const struct segment_place *place, const struct segment_record *record)
{
	struct replay *r = arg;

	return journal_record_is_stored(&r->walk, place, record) ? FAULT_OK : FAULT_DAMAGED;
}

/* How many commits follow, the last one without its torn end. */
static enum fault
commits_count(struct replay *r, const struct journal_point *from, uint64_t *count)
{
	struct journal_point before = *from, last = *from;
	enum fault fault;

	*count = 0;
	journal_walk_init(&r->walk, r->files, r->bodies, from);
	while ((fault = journal_walk_commit(&r->walk, NULL, NULL)) == FAULT_OK) {
		before = last;
		last = r->walk.point;
		(*count)++;
	}
	if (fault != FAULT_NOT_FOUND)
		return fault;
	r->walk.at = last.tail.segment != 0 ? last.tail : (struct segment_tail){1, 0};
	if (journal_walk_has_later(&r->walk, last.sequence + 1)) {
		log_error("%s: the log is damaged behind commit %llu (segment %u at %llu), and "
			  "commits follow: not touched; restore a backup, or salvage",
			r->journal->dir, (unsigned long long)last.sequence, last.tail.segment,
			(unsigned long long)last.tail.length);
		return FAULT_DAMAGED;
	}
	r->end = last.tail;
	if (*count == 0)
		return FAULT_OK;
	journal_walk_init(&r->walk, r->files, r->bodies, &before);
	fault = journal_walk_commit(&r->walk, record_check, r);
	if (fault != FAULT_DAMAGED)
		return fault;
	(*count)--;
	r->end = before.tail;
	return FAULT_OK;
}

static enum fault
record_apply(void *arg, const struct segment_place *place, const struct segment_record *record)
{
	struct replay *r = arg;
	struct journal_reading reading = {r->files, r->bodies, 0};
	struct slice changes;

	if (record->kind != SEGMENT_CHANGES)
		return FAULT_OK;
	while (r->journal->options.tables[reading.tables] != NULL)
		reading.tables++;
	enum fault fault = journal_changes_read(&r->walk, place, record, &changes);
	if (fault != FAULT_OK)
		return fault;
	r->applied += changes.len;
	fault = journal_changes_apply(r->txn, &reading, changes);
	free((void *)(uintptr_t)changes.data);
	return fault;
}

/* Some of the commits, in one transaction; *left counts down. */
static enum fault
commits_apply(struct replay *r, struct journal_point *point, uint64_t *left)
{
	struct kv_txn txn;
	uint64_t now_left = *left;
	enum fault fault = kv_begin_write(r->journal->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	r->txn = &txn;
	r->applied = 0;
	journal_walk_init(&r->walk, r->files, r->bodies, point);
	for (; fault == FAULT_OK && now_left > 0 && r->applied < APPLY_BYTES; now_left--)
		fault = journal_walk_commit(&r->walk, record_apply, r);
	if (fault != FAULT_OK) {
		kv_abort(&txn);
		return fault;
	}
	journal_point_save(&txn, r->journal->options.meta_table, &r->walk.point);
	fault = kv_commit(&txn);
	if (fault != FAULT_OK)
		return fault;
	*point = r->walk.point;
	*left = now_left;
	return FAULT_OK;
}

static enum fault
replay_run(struct replay *r, struct journal_point *point)
{
	uint64_t left = 0;
	enum fault fault = commits_count(r, point, &left);

	/* The index must never be ahead of what is durable of the log, here too. */
	if (fault == FAULT_OK)
		fault = journal_log_end(r->journal, point->tail, r->end);
	if (fault == FAULT_OK && left > 0)
		log_info("%s: replaying %llu commits from the log", r->journal->dir,
			(unsigned long long)left);
	/* FAULT_BUSY: the index had to grow. */
	for (int tries = 0; fault == FAULT_OK && left > 0 && tries < APPLY_TRIES;) {
		fault = commits_apply(r, point, &left);
		tries = fault == FAULT_BUSY ? tries + 1 : 0;
		if (fault == FAULT_BUSY && tries < APPLY_TRIES)
			fault = FAULT_OK;
	}
	if (fault == FAULT_DAMAGED && left > 0)
		log_error("%s: the log is damaged behind commit %llu: restore a backup, or salvage",
			r->journal->dir, (unsigned long long)point->sequence);
	return fault;
}

enum fault
journal_log_end(struct journal *j, struct segment_tail known, struct segment_tail end)
{
	enum fault fault = segments_recover(j->segments, end);

	/*
	 * Of a process that died before its sync, or whose sync failed: then the kernel takes for
	 * clean what has never come to the disk.
	 */
	if (fault == FAULT_OK && j->is_continued)
		fault = segments_rewrite(j->segments, known);
	return fault != FAULT_OK ? fault : segments_sync(j->segments);
}

enum fault
journal_replay(struct journal *j, struct journal_point *point)
{
	struct replay r = {.journal = j};
	enum fault fault = files_open(&r);

	if (fault == FAULT_OK)
		fault = replay_run(&r, point);
	body_reader_free(r.bodies);
	segment_files_close(r.files);
	return fault;
}
