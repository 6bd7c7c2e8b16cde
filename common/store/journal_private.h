/* SPDX-License-Identifier: ISC */
/* What the files of the journal share. */
#ifndef STORE_JOURNAL_PRIVATE_H
#define STORE_JOURNAL_PRIVATE_H

#include "common/base/buffer.h"
#include "common/store/body.h"
#include "common/store/checkpoint.h"

#define JOURNAL_POINT_KEY SLICE("log")

/* A checkpoint under way, or the last one. */
struct journal_sync {
	bool running;
	int data; /* the index's file */
	int file; /* the checkpoint's */
	struct checkpoint checkpoint;
	enum fault fault;
	bool has_lost; /* the index could not be synced: pages of it may be lost */
};

struct journal {
	char *dir;
	struct journal_options options;
	uint8_t boot_id[JOURNAL_BOOT_SIZE];
	bool lazy; /* the boot id is known: the index need not be synced with each commit */
	bool broken;
	bool is_continued; /* the machine has not been off since the last process that wrote */
	struct kv *kv;
	struct segments *segments;
	struct journal_point point; /* of the last commit */
	/* since the last commit */
	uint8_t digest[JOURNAL_CHAIN_SIZE]; /* over the headers of the records appended */
	struct segment_tail records_end; /* of the records before those of the changes */
	uint8_t records_digest[JOURNAL_CHAIN_SIZE]; /* of them */
	bool has_changes; /* a record of changes was appended */
	bool must_cut;
	struct segment_tail cut_to;
	struct kv_recorder recorder;
	struct kv_txn *txn;
	struct buffer changes;
	uint32_t change_count; /* in the buffer */
	uint32_t changes_made; /* by the transaction */
	/* checkpoints */
	int file;
	struct journal_sync sync;
	struct checkpoint durable; /* the last one that was written */
	int64_t durable_ms; /* monotonic time of that */
	uint64_t log_bytes; /* appended since then */
	uint64_t pages; /* of the index, estimated */
	uint32_t commits;
	int64_t first_ms; /* monotonic time of the first of them */
};

/* The body of a record of changes: see pabal-store(5). */
void journal_change_encode(struct buffer *, const struct kv_change *);
void journal_stored_encode(
	struct buffer *, const struct kv_change *, const struct segment_place *value_at);
/* One change as a record says it. */
struct journal_logged {
	struct kv_change change; /* without a value when that is stored elsewhere */
	bool is_stored;
	uint32_t value_len; /* where it is stored: segment and offset of the bytes */
	struct segment_place value_at;
};
typedef enum fault journal_each_change(void *arg, const struct journal_logged *);
/* Tells each the changes in order, up to its first fault; FAULT_DAMAGED: no row of changes. */
MUST_USE enum fault journal_changes_each(
	struct slice changes, unsigned tables, journal_each_change *each, void *arg);
/* Reads a value that is stored elsewhere, onto the heap. */
MUST_USE enum fault journal_value_read(
	struct segment_files *, const struct journal_logged *, struct slice *value);
/* Does again what it says; FAULT_DAMAGED.  files: for values that stand in other records. */
struct journal_reading {
	struct segment_files *files;
	struct body_reader *bodies;
	unsigned tables; /* in the index */
};
MUST_USE enum fault journal_changes_apply(
	struct kv_txn *, const struct journal_reading *, struct slice changes);

void journal_recorder_init(struct journal *);

/* Follows one header into the digest of a batch. */
void journal_digest_add(uint8_t digest[static JOURNAL_CHAIN_SIZE],
	const uint8_t header_checksum[static SEGMENT_CHECKSUM_SIZE]);

void journal_point_save(struct kv_txn *, unsigned meta_table, const struct journal_point *);
/*
 * After a rebuilding: what follows is logged, behind this point (its tail is the journal's).
 */
void journal_rebuild_end(struct journal *, const struct journal_point *);
/* Cuts off what the log has behind its end, and makes what is behind known durable. */
MUST_USE enum fault journal_log_end(
	struct journal *, struct segment_tail known, struct segment_tail end);
/* journal_replay.c: does again what the log has after *point, and moves it to the log's end. */
MUST_USE enum fault journal_replay(struct journal *, struct journal_point *);

#endif
