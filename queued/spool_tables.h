/* SPDX-License-Identifier: ISC */
/* What the files of the spool share: its state, its tables and their keys.  For spool*.c only. */
#ifndef QUEUED_SPOOL_TABLES_H
#define QUEUED_SPOOL_TABLES_H

#include "common/base/bytes.h"
#include "queued/spool.h"

enum spool_table {
	SPOOL_MESSAGES,
	SPOOL_RECIPIENTS,
	SPOOL_WAITING,
	SPOOL_DUE,
	SPOOL_SEGMENTS,
	SPOOL_META
};

enum {
	RECIPIENT_KEY_LEN = 12,
	WAITING_KEY_LEN = 20,
	DUE_KEY_MAX = RECORD_DESTINATION_MAX + 1 + WAITING_KEY_LEN,
};

struct body_reader;

struct spool {
	struct journal *journal;
	struct segment_files *files;
	struct body_reader *reader;
	struct segment_place *freed; /* waits for a checkpoint; FREED_MAX, made when needed */
	size_t freed_count;
	struct buffer record; /* scratch for encoding */
};

/* Counts messages per segment; a segment without any is removed after the commit. */
void spool_count_in_segment(struct spool_txn *, uint32_t segment, int change);
/* Bytes to be given back after the commit. */
void spool_note_freed(struct spool_txn *, struct segment_place);

/* waiting and due */
void spool_put_order(struct spool_txn *, const struct queue_recipient *);
void spool_delete_order(struct spool_txn *, const struct queue_recipient *);

#endif
