/* SPDX-License-Identifier: ISC */
/*
 * The layout of a packed body, for those who pack (body.c) and read (body_reader.c).  It is
 *
 *	length of chunk 1, 2, ... n (4 bytes each; the top bit: stored as it is) | chunk 1 | 2 ...
 *
 * where n follows from the plain length.  A chunk is a zstd frame with a checksum.
 */
#ifndef STORE_BODY_PRIVATE_H
#define STORE_BODY_PRIVATE_H

#include "common/store/body.h"

#define CHUNK_IS_RAW UINT32_C(0x80000000)

enum {
	LENGTH_SIZE = 4, /* of one entry of the table */
	/* What zstd may need for one incompressible chunk, see ZSTD_COMPRESSBOUND. */
	PACKED_MAX = BODY_CHUNK_SIZE + (BODY_CHUNK_SIZE >> 8) + 64,
};

static inline uint64_t
chunk_count(uint64_t plain_len)
{
	return plain_len / BODY_CHUNK_SIZE + (plain_len % BODY_CHUNK_SIZE != 0);
}

static inline size_t
chunk_plain_len(uint64_t plain_len, uint64_t chunk)
{
	uint64_t left = plain_len - chunk * BODY_CHUNK_SIZE;

	return left < BODY_CHUNK_SIZE ? (size_t)left : BODY_CHUNK_SIZE;
}

#endif
