/* SPDX-License-Identifier: ISC */
/* The header of a segment's record, shared by appending and reading.  Private to common/store. */
#ifndef STORE_SEGMENT_FORMAT_H
#define STORE_SEGMENT_FORMAT_H

#include "common/store/segment.h"

enum {
	SEGMENT_ALIGN = 8, /* bytes; where records begin */
	SEGMENT_NAME_SIZE = sizeof("4294967295.seg"),
};

/* Writes "00000001.seg"; returns name. */
const char *segment_name(uint32_t segment, char name[static SEGMENT_NAME_SIZE]);
bool segment_name_parse(struct slice name, uint32_t *segment);

void segment_header_encode(
	const struct segment_record *, uint8_t header[static SEGMENT_HEADER_SIZE]);
/* FAULT_DAMAGED: no header, or not a whole one; FAULT_UNSUPPORTED: of a newer version. */
MUST_USE enum fault segment_header_decode(
	const uint8_t header[static SEGMENT_HEADER_SIZE], struct segment_record *);
/* Four bytes that may begin a header. */
bool segment_is_magic(const char *at);
/* The checksum over prefix and structure. */
void segment_parts_checksum(struct slice prefix, struct slice structure,
	uint8_t checksum[static SEGMENT_CHECKSUM_SIZE]);
/* Header, parts and padding. */
uint64_t segment_record_length(const struct segment_record *);

#endif
