/* SPDX-License-Identifier: ISC */
/* The header of a segment's record, shared by appending and reading.  Private to common/store. */
#ifndef STORE_SEGMENT_FORMAT_H
#define STORE_SEGMENT_FORMAT_H

#include "common/store/segment.h"

enum {
	SEGMENT_ALIGN = 8, /* bytes; where records begin */
	SEGMENT_KEY_COPY = 0, /* number of a file that is only a head */
	SEGMENT_NAME_SIZE = sizeof("4294967295.seg"),
};

/* Writes "00000001.seg"; returns name. */
const char *segment_name(uint32_t segment, char name[static SEGMENT_NAME_SIZE]);
bool segment_name_parse(struct slice name, uint32_t *segment);

/*
 * The key of a file's header checksums; NULL for a file without a head, which version 1 of the
 * header goes with.  The head itself has version 1, too.
 */
struct segment_key {
	uint8_t bytes[SEGMENT_KEY_SIZE];
};

void segment_header_encode(const struct segment_record *, const struct segment_key *,
	uint8_t header[static SEGMENT_HEADER_SIZE]);
/*
 * FAULT_DAMAGED: no header, not a whole one, or one of the other version; FAULT_UNSUPPORTED: of a
 * newer version.
 */
MUST_USE enum fault segment_header_decode(const uint8_t header[static SEGMENT_HEADER_SIZE],
	const struct segment_key *, struct segment_record *);
/* The head of a file, a whole record; reading it: FAULT_DAMAGED when it is none. */
void segment_head_encode(const struct segment_key *, uint8_t head[static SEGMENT_HEAD_SIZE]);
MUST_USE enum fault segment_head_decode(
	const uint8_t head[static SEGMENT_HEAD_SIZE], struct segment_key *);
/* The key of an open file; FAULT_NOT_FOUND: a file of format 1; FAULT_DAMAGED, FAULT_IO. */
MUST_USE enum fault segment_key_read(int file, struct segment_key *);
/* Four bytes that may begin a header. */
bool segment_is_magic(const char *at);
/* The checksum over prefix and structure. */
void segment_parts_checksum(struct slice prefix, struct slice structure,
	uint8_t checksum[static SEGMENT_CHECKSUM_SIZE]);
/*
 * Tells a body that was written in part, and nothing else: cheap, as mail is not looked into when
 * it is stored, and its other checksum is what the sender of the request says.  Of bytes in order;
 * all but the last slice have a multiple of 8.  Never 0.
 */
struct segment_sum {
	uint64_t words;
	uint64_t sums;
};
void segment_sum_add(struct segment_sum *, struct slice);
uint32_t segment_sum_value(const struct segment_sum *);
/* Header, parts and padding. */
uint64_t segment_record_length(const struct segment_record *);

#endif
