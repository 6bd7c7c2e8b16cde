/* SPDX-License-Identifier: ISC */
/*
 * Reading the log commit by commit.  Private to common/store: recovery, and whatever reads a log
 * without its index.
 */
#ifndef STORE_JOURNAL_WALK_H
#define STORE_JOURNAL_WALK_H

#include "common/store/body.h"
#include "common/store/journal.h"

/* A place before or between records. */
struct journal_walk {
	struct segment_files *files;
	struct body_reader *bodies;
	struct journal_point point; /* the commit that the walk stands behind */
	struct segment_tail at; /* the next record; point.tail after a whole commit */
	uint8_t digest[JOURNAL_CHAIN_SIZE]; /* of the records since then */
};

void journal_walk_init(struct journal_walk *, struct segment_files *, struct body_reader *,
	const struct journal_point *after);

/*
 * The next record at w->at, which moves behind it; goes on with the next segment at the end of one.
 * False: here is no whole header; the walk stands where one should be.
 */
bool journal_walk_record(struct journal_walk *, struct segment_place *, struct segment_record *);
/* Reads all of a record and compares its checksums. */
bool journal_record_is_whole(
	struct journal_walk *, const struct segment_place *, const struct segment_record *);
/*
 * All of it was written as it was appended, whatever it is: the checksum of a body is what another
 * process said of it, and one that lied must not make a whole commit look torn.
 */
bool journal_record_is_stored(
	struct journal_walk *, const struct segment_place *, const struct segment_record *);

/* Hears of each record of a commit, the last one (SEGMENT_CHANGES with mailbox 1) included. */
typedef enum fault journal_each(
	void *arg, const struct segment_place *, const struct segment_record *);
/*
 * Moves over the next commit of the chain, whose records are told to each (NULL: to nobody) as they
 * are found.  FAULT_NOT_FOUND: no further one that follows w->point; w->point stays.
 */
MUST_USE enum fault journal_walk_commit(struct journal_walk *, journal_each *each, void *arg);
/* The changes of a record of them, on the heap; FAULT_DAMAGED. */
MUST_USE enum fault journal_changes_read(struct journal_walk *, const struct segment_place *,
	const struct segment_record *, struct slice *changes);
/* True when somewhere behind w->at stands a commit with a sequence number over this one. */
bool journal_walk_has_later(struct journal_walk *, uint64_t sequence);

#endif
