/* SPDX-License-Identifier: ISC */
/*
 * Walks all segments record by record, whatever has happened to them: what is no record is skipped
 * up to the next whole header, and told.  Private to common/store: for salvage and verify, which
 * trust nothing; recovery has journal_walk.h.
 */
#ifndef STORE_LOG_SCAN_H
#define STORE_LOG_SCAN_H

#include "common/store/segment.h"

enum log_found {
	LOG_RECORD, /* place and record: with a whole header, and within its segment */
	LOG_DAMAGE, /* place: bytes that are no record; to_end, zeros */
	LOG_MISSING, /* place.segment: no such file */
	LOG_ENTERED, /* place.segment: its records follow */
	LOG_MORE, /* nothing yet: only so much is searched at once */
	LOG_END,
};

struct log_scan {
	struct segment_files *files;
	struct segment_tail end;
	struct segment_tail at;
	bool entered;
	uint64_t size; /* of the segment that at is in */
	uint64_t searched; /* bytes of a damaged stretch from at on; 0: none */
	/* what was found */
	struct segment_place place;
	struct segment_record record; /* slices without data, as in segment_files_header() */
	bool to_end; /* nothing follows in this segment */
	bool zeros; /* nothing but zeros */
};

/* From the first segment on; end: as far as it goes. */
void log_scan_init(struct log_scan *, struct segment_files *, struct segment_tail end);
/* Faults of the disk are damage; only FAULT_NOMEM and the like are faults. */
MUST_USE enum fault log_scan_next(struct log_scan *, enum log_found *);

#endif
