/* SPDX-License-Identifier: ISC */
/* What the files of compaction share. */
#ifndef STORE_COMPACT_PRIVATE_H
#define STORE_COMPACT_PRIVATE_H

#include "common/base/buffer.h"
#include "common/store/compact.h"
#include "common/store/journal_private.h"
#include "common/store/space.h"
#include "common/store/writer_private.h"

/* What was learned of a segment; lost with the process. */
struct compact_note {
	uint32_t segment;
	bool is_measured;
	int64_t measured_at;
	uint64_t kept; /* bytes of its log that are still needed */
	int64_t rest_until; /* not to be tried before */
	uint64_t sequence; /* of the commit that carried the last of its log; 0: by an earlier
			      process */
};

/* What one slice may still do. */
struct compact_budget {
	uint64_t bytes;
	unsigned steps;
	int64_t end_ms;
};

/* Where a walk over a segment stands. */
struct compact_place {
	uint64_t at; /* of a record */
	unsigned change; /* of a record of changes: those before are done */
	uint64_t kept; /* bytes of the log found to be needed, so far */
};

/*
 * A walk over one segment: bodies move, the log is carried forward.  It is done twice: the first
 * time only measures what the second one would write, as a segment full of log that is all needed
 * would be carried round and round.
 */
struct compact_walk {
	uint32_t segment; /* 0: none */
	bool is_measuring;
	bool is_damaged; /* a stretch of it could not be read */
	bool has_older; /* segments before it: deletes may be needed to undo their puts */
	uint64_t older_end_id; /* the newest of them has no ids from here on */
	uint64_t size;
	struct compact_place place;
	struct slice changes; /* of the record at place.at, on the heap */
	uint64_t changes_len; /* length of that record */
};

/* Everything said once more, for a store whose log is not whole. */
struct compact_saying {
	bool is_done;
	unsigned table;
	size_t key_len; /* 0: from the table's first key */
	char key[KV_KEY_MAX];
};

struct compaction {
	struct compact_note *notes;
	size_t note_count;
	struct compact_walk walk;
	struct compact_saying saying;
	bool must_settle; /* there is more to do after a checkpoint */
	struct compact_slice *slice; /* the one under way */
	struct compact_budget budget;
};

void compaction_free(struct compaction *);

/* compact_carry.c */
/* Counts a step; false when the slice has done enough. */
bool compact_step(struct compaction *);
/*
 * Does again what a change of the walk's segment says, as far as that is needed (or only counts
 * it).  In a transaction.
 */
void compact_carry(struct store_writer *, struct compaction *, const struct journal_logged *);
/* Goes on saying all that the index has; saying.is_done: that was the last of it. */
void compact_say(struct store_writer *, struct compaction *);

/* compact_walk.c: goes on with the walk; *done: it is at the end of the segment. */
MUST_USE enum fault compact_walk(struct store_writer *, struct compaction *, bool *done);
void compact_walk_drop(struct compact_walk *);

#endif
