/* SPDX-License-Identifier: ISC */
/*
 * What the files of a store take, and what of it is needed.  Cheap: costs a look at each segment
 * file and at the counters of the index, whatever the number of messages.
 */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "common/store/writer.h"

/* A segment file as the file system sees it. */
struct space_file {
	uint32_t segment;
	uint64_t length;
	uint64_t occupied; /* bytes of its blocks */
};
struct space_files {
	struct space_file *files; /* ascending */
	size_t count;
};
/* segments: the directory.  The list is the caller's to clear. */
MUST_USE enum fault space_files_list(const char *segments, struct space_files *);
void space_files_clear(struct space_files *);

struct store_space {
	uint32_t segments;
	uint64_t length; /* of all segments */
	uint64_t occupied; /* of them, on the disk */
	uint64_t mail; /* records of mail in them, dead ones included */
	uint64_t log; /* all else in them */
	uint64_t live; /* records of mail that is there, or can be brought back */
	uint64_t live_records;
	uint64_t plain; /* bytes of mail in counted live records, unpacked */
	uint64_t packed; /* the same records as stored; less than live in a store that is older */
	uint32_t emptied; /* segments that wait for their removal */
	uint64_t emptied_bytes;
	uint32_t worthwhile; /* segments that seem worth emptying */
	uint64_t reclaimable; /* what may come back of them */
	uint64_t index_length; /* of data.mdb */
	uint64_t index_occupied;
	uint64_t index_free; /* bytes of its pages that can be used again */
	uint64_t expunged; /* emails that wait for the undelete time */
	int64_t expunged_since; /* the oldest of them; 0: none */
	uint64_t delivered; /* delivery ids that are remembered */
	int64_t checkpoint_ms; /* age of the last checkpoint */
	uint64_t commits; /* since then */
};
MUST_USE enum fault writer_space(struct store_writer *, struct store_space *);

#endif
