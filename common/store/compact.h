/* SPDX-License-Identifier: ISC */
/*
 * Space comes back: full segments of which little is still needed are emptied, and removed.  What
 * lives in them, bodies of mail and the newest words of the log, goes to the log's tail first.
 * In slices of some milliseconds, for an event loop; linked by mailboxd alone.
 *
 * A crash at any moment costs nothing but the work of one walk over one segment.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "common/store/writer.h"

enum {
	/*
	 * A segment is emptied when less than this share of the space that it takes is needed.  At
	 * 60 a store takes at most 1.7 times what it needs, and 1.5 bytes are written anew for each
	 * one that comes back.
	 */
	COMPACT_PERCENT = 60,
	/* An emptied segment stays so long: readers may still hold places in it. */
	COMPACT_GRACE_S = 600,
	COMPACT_SLICE = 512 * 1024, /* bytes_max that keeps a slice near ten milliseconds */
};
/* tail_garbage for who waits for nothing. */
#define COMPACT_TAIL_GARBAGE (UINT64_C(32) << 20)

struct compact_options {
	unsigned percent; /* as COMPACT_PERCENT; 100: whatever takes more than it needs */
	uint64_t tail_garbage; /* ends the segment written to when so much of it is not needed */
	uint64_t bytes_max; /* a slice writes about so much; at least one body */
	/*
	 * Only segments up to this one; 0: all.  With the one that is written to at its beginning
	 * (writer_compact_last()) a run ends, whatever its percent.
	 */
	uint32_t last;
};
uint32_t writer_compact_last(const struct store_writer *);

enum compact_next {
	COMPACT_MORE, /* go on when it suits */
	COMPACT_SETTLES, /* only after the next checkpoint; taken by itself unless checkpoints_apart
			  */
	COMPACT_DONE, /* nothing to do for now */
};

struct compact_slice {
	enum compact_next next;
	uint64_t moved; /* bytes of bodies written anew */
	uint64_t carried; /* bytes of the log written anew */
	uint64_t read; /* bytes of a segment walked over */
	uint64_t freed; /* bytes of the files that were removed */
	uint64_t waiting; /* bytes of emptied files that wait for their time; with DONE and SETTLES
			   */
};

/*
 * Between batches, with a commit of its own.  FAULT_NO_SPACE: there is no room even to move what
 * lives; asked again, it tries another segment.  Other faults are as those of writer_commit().
 */
MUST_USE enum fault writer_compact(
	struct store_writer *, const struct compact_options *, struct compact_slice *);

#endif
