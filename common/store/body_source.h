/* SPDX-License-Identifier: ISC */
/*
 * The bytes of one stored body as it was packed, wherever they come from: read from the segment as
 * they are, or opened chunk by chunk when the body is sealed.  Between a segment and body_reader.c,
 * which unpacks and need not know.
 */
#ifndef STORE_BODY_SOURCE_H
#define STORE_BODY_SOURCE_H

#include "common/store/body.h"
#include "common/store/seal.h"

struct body_source {
	struct segment_files *files; /* borrowed */
	struct seal_opener *opener; /* borrowed; NULL: sealed bodies stay closed */
	struct body_handle body; /* that is read, as it lies in the segment */
	/* Of a sealed body; has_key: the header is open. */
	bool has_key;
	struct sealing sealing;
	struct seal_part part;
	uint64_t chunk; /* that lies in clear; UINT64_MAX: none */
	uint8_t *sealed; /* a header and a chunk as stored; NULL before the first sealed body */
	size_t first_len; /* bytes of header and first chunk that lie in it; 0: something else does
			   */
	uint8_t *clear; /* a chunk */
	size_t clear_len; /* bytes of it to be wiped */
};

void body_source_init(struct body_source *, struct segment_files *);
void body_source_clear(struct body_source *); /* wipes */
/* Forgets what another key has opened.  True when there was another one. */
bool body_source_use_key(struct body_source *, struct seal_opener *);
/*
 * Turns to a body.  *packed is what it is once opened: codec and stored_len without the sealing.
 * FAULT_SEALED without its key; FAULT_DAMAGED, FAULT_IO.
 */
MUST_USE enum fault body_source_begin(
	struct body_source *, const struct body_handle *, struct body_handle *packed);
/* Reads len bytes from offset in the packed body that was turned to. */
MUST_USE enum fault body_source_read(struct body_source *, uint64_t offset, void *at, size_t len);

#endif
