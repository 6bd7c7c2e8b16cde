/* SPDX-License-Identifier: ISC */
/*
 * Bodies as they are stored: raw, or as independent zstd frames of BODY_CHUNK_SIZE plain bytes
 * each with a table of their stored lengths in front, so that a part of a large message is read
 * with bounded memory.  Packing is done by those who hold the mail (deliverd, imapd, queued), not
 * by the writer of the store, which never looks into it.
 */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "common/store/segment.h"

enum { BODY_CHUNK_SIZE = 256 * 1024 };

enum body_codec {
	BODY_RAW = 0,
	BODY_ZSTD = 1,
	BODY_ZSTD_TEXT1 = 2, /* like BODY_ZSTD, with dictionary_text1(): small messages */
	BODY_SEALED = 0x80, /* a bit beside the others: sealed after it was packed (seal.h) */
};

struct body_info {
	uint8_t codec;
	uint64_t plain_len;
	uint64_t stored_len;
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE]; /* BLAKE2b of the plain bytes; sealed: of the
						    stored */
};

/* Enough to read a body, whatever transaction it was found in. */
struct body_handle {
	uint32_t segment;
	uint8_t codec;
	uint64_t offset; /* of the stored body in the segment file */
	uint64_t stored_len;
	uint64_t plain_len;
};

struct body_packer;

/* Keeps the compressor's memory (at most 1.5 MiB) between messages; NULL when memory is out. */
struct body_packer *body_packer_new(void);
void body_packer_free(struct body_packer *);
/*
 * Appends the stored form of plain to the memfd out (not yet sealed; what is in it stays): packed
 * when that saves 5 per cent or more, else raw.
 */
MUST_USE enum fault body_pack(
	struct body_packer *, struct slice plain, int out, struct body_info *);
/* The checksum alone, as body_pack computes it. */
void body_checksum(struct slice plain, uint8_t checksum[static SEGMENT_CHECKSUM_SIZE]);
/* True when codec and lengths can belong to one body. */
bool body_lengths_fit(uint8_t codec, uint64_t plain_len, uint64_t stored_len);

/* Where to put what was read. */
struct body_span {
	void *at;
	size_t len;
};

struct body_reader;
struct seal_opener;

/* Borrows files.  Memory: at most about 1 MiB, none before the first packed body. */
struct body_reader *body_reader_new(struct segment_files *files);
void body_reader_free(struct body_reader *);
/*
 * Sealed bodies are opened by this key from now on; NULL: by none.  Borrowed.  What another key has
 * opened is forgotten.
 */
void body_reader_use_key(struct body_reader *, struct seal_opener *);
/*
 * Reads len plain bytes from offset; all of them, or a fault: FAULT_DAMAGED when the body has
 * fewer or is broken, FAULT_SEALED when its key is not there.  Reading a body from front to back
 * unpacks each chunk once.
 */
MUST_USE enum fault body_read(
	struct body_reader *, const struct body_handle *, uint64_t offset, struct body_span);
/* Reads all of it and compares; FAULT_DAMAGED when it differs.  Needs no key. */
MUST_USE enum fault body_verify(struct body_reader *, const struct body_handle *,
	const uint8_t checksum[static SEGMENT_CHECKSUM_SIZE]);

#endif
