/* SPDX-License-Identifier: ISC */
/*
 * The queue on disk, and the only code that knows its tables: queue/index (an LMDB environment) and
 * queue/segments (the messages).  Memory does not grow with the queue: both orders in which
 * recipients are looked up are tables.
 *
 *	messages    id                                    -> struct queue_message
 *	recipients  id, number                            -> struct queue_recipient
 *	waiting     next_ms, id, number                   -> nothing
 *	due         destination, 0, next_ms, id, number   -> nothing
 *	segments    segment                               -> messages in it
 *	meta        "log"                                 -> the journal's point
 *
 * A recipient stands in waiting or in due or, when held, in neither.  "In delivery" is not written:
 * after a crash such a recipient is due, which is what it must be.
 */
#ifndef QUEUED_SPOOL_H
#define QUEUED_SPOOL_H

#include "common/base/arena.h"
#include "common/store/journal.h"
#include "queued/record.h"

struct spool;

/* A transaction; see kv.h for its rules.  The first fault is kept until the commit. */
struct spool_txn {
	struct spool *spool;
	struct kv_txn kv;
	struct segment_tail before; /* the end of the log when it began */
	struct segment_place *freed; /* bytes of messages that this transaction removed */
	size_t freed_count, freed_room;
};

struct spool_options {
	uint64_t segment_size; /* when a new file is begun */
	bool checkpoints_apart; /* see journal.h */
};

/* Makes what is missing in dir, which must exist. */
MUST_USE enum fault spool_open(const char *dir, const struct spool_options *, struct spool **);
void spool_close(struct spool *);
struct journal *spool_journal(struct spool *);

/*
 * Appends the bytes of m (m->id) to the segments and fills in place, size and checksum.  Part of
 * the queue, and durable, after the commit of a spool_put_message().
 */
MUST_USE enum fault spool_append(struct spool *, struct slice bytes, struct queue_message *);
/* Forgets what was appended since the last commit. */
void spool_cut(struct spool *);

MUST_USE enum fault spool_begin(struct spool *, bool writing, struct spool_txn *);
/* Writing: durable on FAULT_OK.  FAULT_BUSY: do the whole transaction again. */
MUST_USE enum fault spool_commit(struct spool_txn *);
void spool_abort(struct spool_txn *);

/* A new message; FAULT_EXISTS shows at the commit when the id is taken. */
void spool_add_message(struct spool_txn *, const struct queue_message *);
/* Writes changed fields of one that is there. */
void spool_put_message(struct spool_txn *, const struct queue_message *);
/* A new recipient; the message's counters are the caller's. */
void spool_add_recipient(struct spool_txn *, const struct queue_recipient *);
/* Replaces the record; moves it between waiting, due and held.  Texts must not borrow from the
 * map.  Nothing happens when it is gone. */
void spool_change_recipient(struct spool_txn *, const struct queue_recipient *);
/* Removes it; the last one takes the message with it. */
void spool_remove_recipient(struct spool_txn *, uint64_t id, uint32_t number);

/* Texts are copied into the arena (NULL: they borrow from the map, until the next write). */
bool spool_get_message(struct spool_txn *, uint64_t id, struct arena *, struct queue_message *);
bool spool_get_recipient(struct spool_txn *, const struct queue_recipient *key, struct arena *,
	struct queue_recipient *);

/* Walks the recipients of a message in order of number; r->id and r->number name the place to
 * start from (included).  False at the end.  A damaged record is passed over and logged. */
bool spool_next_recipient(struct spool_txn *, struct queue_recipient *r);
/* The first message with an id >= *id. */
bool spool_next_message(struct spool_txn *, uint64_t id, struct queue_message *);

/* A place in one of the two orders. */
struct spool_entry {
	char destination[RECORD_DESTINATION_MAX + 1]; /* of due */
	int64_t next_ms;
	uint64_t id;
	uint32_t number;
};

/* The first waiting recipient at or after the entry's place (next_ms, id, number). */
bool spool_next_waiting(struct spool_txn *, struct spool_entry *);
/* Removes the entry itself, whatever it leads to. */
void spool_drop_waiting(struct spool_txn *, const struct spool_entry *);
/* The first due recipient of the entry's destination at or after its place; false when there is
 * none (then *entry is untouched). */
bool spool_next_due(struct spool_txn *, struct spool_entry *);
/* The first destination with due recipients after this one ("" with first: from the start). */
bool spool_next_destination(struct spool_txn *, bool first, struct spool_entry *);

uint64_t spool_count_messages(struct spool_txn *);
uint64_t spool_count_recipients(struct spool_txn *);

/* Copies the bytes of a message into a new sealed memfd; checks the checksum (FAULT_DAMAGED). */
MUST_USE enum fault spool_open_message(struct spool *, const struct queue_message *, int *fd);

#endif
