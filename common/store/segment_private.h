/* SPDX-License-Identifier: ISC */
/* What the files that append to segments share. */
#ifndef STORE_SEGMENT_PRIVATE_H
#define STORE_SEGMENT_PRIVATE_H

#include <sys/types.h>

#include "common/base/log.h"
#include "common/store/segment.h"
#include "common/store/segment_format.h"

struct segments {
	int dir;
	int file; /* the tail's segment, or -1 */
	bool key_is_known; /* files are there that have it */
	struct segment_key key; /* of files with a head */
	mode_t mode;
	uint64_t size_max;
	struct segment_tail tail;
	uint64_t allocated; /* bytes of the tail's file that have their blocks, or tail.length */
	uint64_t zeroed; /* bytes of it that were written, if only with zeros */
	uint64_t synced; /* its length at the last sync */
	bool cannot_allocate; /* this file system takes no blocks ahead */
	bool file_dirty; /* appended since the last sync */
	bool dir_dirty; /* a file was made since the last sync */
	bool must_turn; /* the next record begins a new file */
	enum fault broken; /* a sync failed: until a cut nothing here can be made durable */
	struct log_limit told;
	uint8_t header_checksum[SEGMENT_CHECKSUM_SIZE]; /* of the last record */
};

/* Removes every segment file past this one. */
MUST_USE enum fault segment_later_remove(struct segments *, uint32_t last);
/* The key of the files that are there, or a new one. */
void segment_key_find(struct segments *);
/* Makes the copy of the key if there is none. */
void segment_key_copy(struct segments *);

#endif
