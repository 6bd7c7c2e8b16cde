/* SPDX-License-Identifier: ISC */
/*
 * An index (kv.h) and the segments (segment.h) beside it, as one thing that commits with a single
 * sync: the store (mailboxd) and the queue (queued).  The segments are the log of truth.  A commit
 * appends, behind the records of its batch, a record of all that it changed in the index, and syncs
 * the segment: that is the commit.  Then the index is committed without a sync, so that readers see
 * it; it is made durable now and then, by a checkpoint.
 *
 *	journal_begin(j, &txn);		or journal_append() first; both in any order
 *	kv_put(&txn, ...);
 *	journal_append(j, &record, &place);
 *	if (journal_commit(j, &txn) == FAULT_OK) ...it is durable, and readers see it
 *
 * After a crash of the process the page cache has the index of the last commit.  After a power cut
 * the index is put back to the last checkpoint, whose pages have not been used again since, and
 * the log is replayed from there.  A batch whose sync had not ended is there as a whole or not at
 * all.  pabal-store(5) has the formats.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "common/base/clock.h"
#include "common/store/kv.h"
#include "common/store/segment.h"

enum {
	JOURNAL_BOOT_SIZE = 16, /* bytes of a boot id */
	JOURNAL_CHAIN_SIZE = 16,
	JOURNAL_STORED_MAX = 64 * 1024 * 1024, /* bytes of a value for journal_put_stored() */
};

/* A point of the log, between two commits. */
struct journal_point {
	uint64_t sequence; /* commits so far */
	struct segment_tail tail; /* where the log ends */
	uint8_t chain[JOURNAL_CHAIN_SIZE]; /* checksum of the last commit's record; zero: none */
};

struct journal_options {
	const struct clock *clock; /* NULL: clock_system */
	const char *const *tables; /* as in kv_options: numbers are on disk and never change */
	unsigned meta_table; /* the one in which the journal keeps its point, under "log" */
	bool group_reads;
	uint64_t segment_size_max;
	uint64_t map_bytes;
	/* Of this start of the machine; NULL: asked of the kernel.  Tests play power cuts by it. */
	const uint8_t *boot_id;
	/* Checkpoints are taken by journal_checkpoint_start() alone, not within a commit. */
	bool checkpoints_apart;
	/* Looks at an index before anything is written: a fault ends the opening.  May be NULL. */
	enum fault (*check)(struct kv_txn *);
	/*
	 * An index without a point: the tail of an older format, or FAULT_NOT_FOUND for a new
	 * index. NULL: there was no older format.
	 */
	enum fault (*tail_of_older)(struct kv_txn *, struct segment_tail *);
	/* Salvage: a new index beside segments that hold records is what we came for. */
	bool rebuild;
};

struct journal;

/* Before a sandbox that hides /proc: asks the kernel for the boot id. */
void journal_preload(void);
/*
 * dir must exist and must be open only once; makes dir/index, dir/segments and dir/checkpoint,
 * recovers.  FAULT_DAMAGED: logged; nothing was touched.
 */
MUST_USE enum fault journal_open(
	const char *dir, const struct journal_options *, struct journal **);
/* With a checkpoint, when that is possible. */
void journal_close(struct journal *);
struct kv *journal_kv(struct journal *);
/* What the next commit comes after. */
const struct journal_point *journal_point(const struct journal *);
/* Where the next record goes, commits under way included. */
struct segment_tail journal_tail(const struct journal *);
/* For backups: the point that an index names.  FAULT_NOT_FOUND. */
MUST_USE enum fault journal_point_load(
	struct kv_txn *, unsigned meta_table, struct journal_point *);

/* Faults are temporary; when it fails for good (journal_is_broken) the process should end. */
MUST_USE enum fault journal_begin(struct journal *, struct kv_txn *);
/* Within a transaction or before it; part of the next commit. */
MUST_USE enum fault journal_append(
	struct journal *, const struct segment_record *, struct segment_place *);
/* Like kv_put, for a value that stands in a record appended since the last commit. */
void journal_put_stored(struct journal *, struct kv_txn *, const struct kv_change *,
	const struct segment_place *value_at);
/* Tells the log, not the index, which has it already; as journal_put_stored. */
void journal_repeat_stored(struct journal *, struct kv_txn *, const struct kv_change *,
	const struct segment_place *value_at);
/*
 * FAULT_OK: durable, and seen by readers.  FAULT_BUSY: the index had to grow, do it all again.
 * Else nothing happened; but when the journal is broken now, or when the power goes at this very
 * moment, it may turn out to have happened.
 */
MUST_USE enum fault journal_commit(struct journal *, struct kv_txn *);
/* Drops the transaction; what was appended since the last commit stays, for the next one. */
void journal_abort(struct journal *, struct kv_txn *);
/* Takes back what was appended since the last commit: now, or before the next append. */
void journal_cut(struct journal *);
/* True after a fault of the disk that only a new start, with a recovery, can mend. */
bool journal_is_broken(const struct journal *);

/* Space is given back only before the last checkpoint: FAULT_BUSY, ask again later. */
MUST_USE enum fault journal_punch(struct journal *, const struct segment_place *);
MUST_USE enum fault journal_remove(struct journal *, uint32_t segment);
/* Where the last checkpoint stands. */
const struct journal_point *journal_settled(const struct journal *);
/* The next record begins a new segment, unless this one is new. */
void journal_turn(struct journal *);
/* The age of the last checkpoint, and the commits since. */
int64_t journal_checkpoint_age_ms(const struct journal *, uint64_t *commits);

/* True when the log since the last checkpoint has become long or old. */
bool journal_checkpoint_is_due(const struct journal *);
/* All of it at once; between transactions. */
MUST_USE enum fault journal_checkpoint(struct journal *);
/*
 * In three parts, so that the middle one, which waits for the disk, can run in a thread beside
 * further commits.  At most one at a time; FAULT_BUSY.  finish() says whether it succeeded.
 */
struct journal_sync;
MUST_USE enum fault journal_checkpoint_start(struct journal *, struct journal_sync **);
void journal_sync_run(struct journal_sync *);
MUST_USE enum fault journal_checkpoint_finish(struct journal *);

#endif
