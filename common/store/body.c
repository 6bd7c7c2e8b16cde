/* SPDX-License-Identifier: ISC */
/*
 * Packing and unpacking of stored bodies.  Packing runs in deliverd, imapd and queued, reading in
 * every process that shows mail.  A packed body is
 *
 *	length of chunk 1, 2, ... n (4 bytes each; the top bit: stored as it is) | chunk 1 | 2 ...
 *
 * where n follows from the plain length.  Readers trust nothing of it: lengths are checked, and
 * each frame has zstd's own checksum.
 */
#include "common/store/body.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/body_source.h"

#define CHUNK_IS_RAW UINT32_C(0x80000000)

enum {
	LEVEL = 1,
	LENGTH_SIZE = 4, /* of one entry of the table */
	PLAIN_MIN = 256, /* less is not worth a try */
	TABLE_PIECE = 1024, /* bytes of the table read at once */
	/* What zstd may need for one incompressible chunk, see ZSTD_COMPRESSBOUND. */
	PACKED_MAX = BODY_CHUNK_SIZE + (BODY_CHUNK_SIZE >> 8) + 64,
};

struct body_packer {
	ZSTD_CCtx *zstd;
	char packed[LENGTH_SIZE + PACKED_MAX];
};

struct body_packer *
body_packer_new(void)
{
	struct body_packer *p = malloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->zstd = ZSTD_createCCtx();
	if (p->zstd == NULL ||
		ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1))) {
		body_packer_free(p);
		return NULL;
	}
	return p;
}

void
body_packer_free(struct body_packer *p)
{
	if (p == NULL)
		return;
	ZSTD_freeCCtx(p->zstd);
	free(p);
}

static uint64_t
chunk_count(uint64_t plain_len)
{
	return plain_len / BODY_CHUNK_SIZE + (plain_len % BODY_CHUNK_SIZE != 0);
}

static size_t
chunk_plain_len(uint64_t plain_len, uint64_t chunk)
{
	uint64_t left = plain_len - chunk * BODY_CHUNK_SIZE;

	return left < BODY_CHUNK_SIZE ? (size_t)left : BODY_CHUNK_SIZE;
}

/* Leaves the chunk's stored form behind the first LENGTH_SIZE bytes of p->packed. */
static enum fault
chunk_pack(struct body_packer *p, struct slice plain, uint32_t *entry)
{
	size_t n =
		ZSTD_compress2(p->zstd, p->packed + LENGTH_SIZE, PACKED_MAX, plain.data, plain.len);

	if (ZSTD_isError(n))
		return FAULT_NOMEM;
	if (n >= plain.len) {
		memcpy(p->packed + LENGTH_SIZE, plain.data, plain.len);
		*entry = (uint32_t)plain.len | CHUNK_IS_RAW;
	} else {
		*entry = (uint32_t)n;
	}
	return FAULT_OK;
}

static bool
is_worth_it(uint64_t plain_len, uint64_t stored_len)
{
	return stored_len <= plain_len - plain_len / 20;
}

/* A body of one chunk: table and chunk go out in one write, or nothing when it does not pay. */
static enum fault
pack_one(struct body_packer *p, struct slice plain, int out, uint64_t *stored_len)
{
	uint32_t entry;
	enum fault fault = chunk_pack(p, plain, &entry);

	if (fault != FAULT_OK)
		return fault;
	*stored_len = LENGTH_SIZE + (entry & ~CHUNK_IS_RAW);
	if (!is_worth_it(plain.len, *stored_len))
		return FAULT_OK;
	put_u32(p->packed, entry);
	return memfd_append(out, slice_make(p->packed, (size_t)*stored_len));
}

static enum fault
write_at(int file, const uint8_t *bytes, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(file, bytes, len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_from_errno(n < 0 ? errno : EIO);
		bytes += n;
		len -= (size_t)n;
		offset += n;
	}
	return FAULT_OK;
}

static enum fault
pack_chunks(struct body_packer *p, struct slice plain, int out, uint8_t *table)
{
	enum fault fault = FAULT_OK;

	for (size_t at = 0, i = 0; fault == FAULT_OK && at < plain.len;
		at += BODY_CHUNK_SIZE, i++) {
		uint32_t entry;
		fault = chunk_pack(p, slice_first(slice_after(plain, at), BODY_CHUNK_SIZE), &entry);
		if (fault != FAULT_OK)
			break;
		put_u32(table + i * LENGTH_SIZE, entry);
		fault = memfd_append(
			out, slice_make(p->packed + LENGTH_SIZE, entry & ~CHUNK_IS_RAW));
	}
	return fault;
}

/* Many chunks: room for the table, the chunks, then the table; taken back when it did not pay. */
static enum fault
pack_many(struct body_packer *p, struct slice plain, int out, uint64_t *stored_len)
{
	size_t table_len = (size_t)chunk_count(plain.len) * LENGTH_SIZE;
	off_t start = lseek(out, 0, SEEK_CUR);
	uint8_t *table = calloc(1, table_len);
	enum fault fault = table == NULL ? FAULT_NOMEM : FAULT_OK;

	if (start < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = memfd_append(out, slice_make(table, table_len));
	if (fault == FAULT_OK)
		fault = pack_chunks(p, plain, out, table);
	if (fault == FAULT_OK)
		fault = write_at(out, table, table_len, start);
	free(table);
	off_t end = lseek(out, 0, SEEK_CUR);
	if (fault != FAULT_OK || end < start)
		return fault != FAULT_OK ? fault : FAULT_IO;
	*stored_len = (uint64_t)(end - start);
	if (!is_worth_it(plain.len, *stored_len) &&
		(ftruncate(out, start) < 0 || lseek(out, start, SEEK_SET) < 0))
		return fault_from_errno(errno);
	return FAULT_OK;
}

void
body_checksum(struct slice plain, uint8_t checksum[static SEGMENT_CHECKSUM_SIZE])
{
	crypto_generichash(
		checksum, SEGMENT_CHECKSUM_SIZE, (const uint8_t *)plain.data, plain.len, NULL, 0);
}

enum fault
body_pack(struct body_packer *p, struct slice plain, int out, struct body_info *info)
{
	enum fault fault = FAULT_OK;
	uint64_t stored_len = plain.len;

	*info = (struct body_info){.codec = BODY_RAW, .plain_len = plain.len};
	body_checksum(plain, info->checksum);
	if (plain.len > BODY_CHUNK_SIZE)
		fault = pack_many(p, plain, out, &stored_len);
	else if (plain.len >= PLAIN_MIN)
		fault = pack_one(p, plain, out, &stored_len);
	if (fault != FAULT_OK)
		return fault;
	if (plain.len >= PLAIN_MIN && is_worth_it(plain.len, stored_len)) {
		info->codec = BODY_ZSTD;
		info->stored_len = stored_len;
		return FAULT_OK;
	}
	info->stored_len = plain.len;
	return memfd_append(out, plain);
}

bool
body_lengths_fit(uint8_t codec, uint64_t plain_len, uint64_t stored_len)
{
	if ((codec & BODY_SEALED) != 0 && !seal_len(stored_len, &stored_len))
		return false;
	codec &= (uint8_t)~BODY_SEALED;
	if (codec == BODY_RAW)
		return stored_len == plain_len;
	return codec == BODY_ZSTD && plain_len <= INT64_MAX && stored_len <= plain_len &&
		stored_len > chunk_count(plain_len) * LENGTH_SIZE;
}

struct body_reader {
	struct body_source source;
	ZSTD_DCtx *zstd; /* made with the first packed body */
	char *packed; /* PACKED_MAX bytes */
	char *plain; /* BODY_CHUNK_SIZE bytes: the chunk unpacked last */
	/* Which chunk of which body that is; stored_len 0: none. */
	struct body_handle body;
	uint64_t chunk;
	/* Where the chunk after the last one found begins, from the start of the stored body. */
	uint64_t next_chunk;
	uint64_t next_offset;
};

struct body_reader *
body_reader_new(struct segment_files *files)
{
	struct body_reader *r = calloc(1, sizeof(*r));

	if (r != NULL)
		body_source_init(&r->source, files);
	return r;
}

void
body_reader_free(struct body_reader *r)
{
	if (r == NULL)
		return;
	body_source_clear(&r->source);
	ZSTD_freeDCtx(r->zstd);
	free(r->packed);
	free(r->plain);
	free(r);
}

static bool
memory_ensure(struct body_reader *r)
{
	if (r->zstd == NULL)
		r->zstd = ZSTD_createDCtx();
	if (r->packed == NULL)
		r->packed = malloc(PACKED_MAX);
	if (r->plain == NULL)
		r->plain = malloc(BODY_CHUNK_SIZE);
	return r->zstd != NULL && r->packed != NULL && r->plain != NULL;
}

static bool
is_cached_body(const struct body_reader *r, const struct body_handle *body)
{
	return r->body.segment == body->segment && r->body.offset == body->offset &&
		r->body.stored_len == body->stored_len && r->body.plain_len == body->plain_len &&
		body->stored_len != 0;
}

/* Adds up the lengths of the table's entries from..to-1. */
static enum fault
table_sum(struct body_reader *r, uint64_t from, uint64_t to, uint64_t *sum)
{
	uint8_t piece[TABLE_PIECE];

	while (from < to) {
		uint64_t count = to - from;
		if (count > TABLE_PIECE / LENGTH_SIZE)
			count = TABLE_PIECE / LENGTH_SIZE;
		enum fault fault = body_source_read(
			&r->source, from * LENGTH_SIZE, piece, (size_t)count * LENGTH_SIZE);
		if (fault != FAULT_OK)
			return fault;
		for (uint64_t i = 0; i < count; i++)
			*sum += get_u32(piece + i * LENGTH_SIZE) & ~CHUNK_IS_RAW;
		from += count;
	}
	return FAULT_OK;
}

/* Where a chunk begins, from the start of the stored body. */
static enum fault
chunk_find(struct body_reader *r, const struct body_handle *body, uint64_t chunk, uint64_t *offset)
{
	uint64_t from = 0;

	*offset = chunk_count(body->plain_len) * LENGTH_SIZE;
	if (is_cached_body(r, body) && r->next_chunk <= chunk) {
		from = r->next_chunk;
		*offset = r->next_offset;
	}
	return table_sum(r, from, chunk, offset);
}

/* Reads a chunk's stored bytes into r->packed. */
static enum fault
chunk_load(struct body_reader *r, const struct body_handle *body, uint64_t chunk, uint32_t *entry)
{
	uint8_t bytes[LENGTH_SIZE];
	uint64_t offset;
	enum fault fault = chunk_find(r, body, chunk, &offset);

	if (fault == FAULT_OK)
		fault = body_source_read(&r->source, chunk * LENGTH_SIZE, bytes, sizeof(bytes));
	if (fault != FAULT_OK)
		return fault;
	*entry = get_u32(bytes);
	uint32_t length = *entry & ~CHUNK_IS_RAW;
	if (length > PACKED_MAX || offset > body->stored_len || length > body->stored_len - offset)
		return FAULT_DAMAGED;
	fault = body_source_read(&r->source, offset, r->packed, length);
	r->body = *body;
	r->next_chunk = chunk + 1;
	r->next_offset = offset + length;
	return fault;
}

/* Unpacks a chunk to at, which has room for plain_len, its exact length. */
static enum fault
chunk_unpack(struct body_reader *r, const struct body_handle *body, uint64_t chunk, char *at)
{
	size_t plain_len = chunk_plain_len(body->plain_len, chunk);
	uint32_t entry;
	enum fault fault = chunk_load(r, body, chunk, &entry);

	if (fault != FAULT_OK)
		return fault;
	size_t length = entry & ~CHUNK_IS_RAW;
	if ((entry & CHUNK_IS_RAW) != 0) {
		if (length != plain_len)
			return FAULT_DAMAGED;
		memcpy(at, r->packed, length);
		return FAULT_OK;
	}
	size_t n = ZSTD_decompressDCtx(r->zstd, at, plain_len, r->packed, length);
	return ZSTD_isError(n) || n != plain_len ? FAULT_DAMAGED : FAULT_OK;
}

/* Copies what the chunk has of [offset, offset + len); says how much that was. */
static enum fault
chunk_read(struct body_reader *r, const struct body_handle *body, uint64_t offset,
	struct body_span span, size_t *done)
{
	uint64_t chunk = offset / BODY_CHUNK_SIZE;
	size_t skip = (size_t)(offset % BODY_CHUNK_SIZE);
	size_t plain_len = chunk_plain_len(body->plain_len, chunk);
	enum fault fault;

	if (!is_cached_body(r, body) || r->chunk != chunk) {
		r->chunk = UINT64_MAX;
		if (skip == 0 && span.len >= plain_len) {
			*done = plain_len;
			return chunk_unpack(r, body, chunk, span.at);
		}
		fault = chunk_unpack(r, body, chunk, r->plain);
		if (fault != FAULT_OK)
			return fault;
		r->chunk = chunk;
	}
	*done = plain_len - skip < span.len ? plain_len - skip : span.len;
	memcpy(span.at, r->plain + skip, *done);
	return FAULT_OK;
}

void
body_reader_use_key(struct body_reader *r, struct seal_opener *opener)
{
	if (!body_source_use_key(&r->source, opener))
		return;
	if (r->plain != NULL && r->body.stored_len != 0)
		secret_wipe(r->plain, BODY_CHUNK_SIZE);
	r->body = (struct body_handle){0};
}

enum fault
body_read(struct body_reader *r, const struct body_handle *stored, uint64_t offset,
	struct body_span span)
{
	struct body_handle packed;
	const struct body_handle *body = &packed;

	if (!body_lengths_fit(stored->codec, stored->plain_len, stored->stored_len) ||
		offset > stored->plain_len || span.len > stored->plain_len - offset)
		return FAULT_DAMAGED;
	enum fault fault = body_source_begin(&r->source, stored, &packed);
	if (fault != FAULT_OK)
		return fault;
	if (body->codec == BODY_RAW)
		return body_source_read(&r->source, offset, span.at, span.len);
	if (!memory_ensure(r))
		return FAULT_NOMEM;
	while (span.len > 0) {
		size_t done = 0;
		fault = chunk_read(r, body, offset, span, &done);
		if (fault != FAULT_OK)
			return fault;
		span = (struct body_span){(char *)span.at + done, span.len - done};
		offset += done;
	}
	return FAULT_OK;
}

/* What a checksum is of: the plain bytes; of a sealed body, which has none to us, the stored ones.
 */
static enum fault
piece_read(
	struct body_reader *r, const struct body_handle *body, uint64_t at, struct body_span span)
{
	if ((body->codec & BODY_SEALED) == 0)
		return body_read(r, body, at, span);
	return segment_files_read(
		r->source.files, body->segment, body->offset + at, span.at, span.len);
}

enum fault
body_verify(struct body_reader *r, const struct body_handle *body,
	const uint8_t checksum[static SEGMENT_CHECKSUM_SIZE])
{
	uint64_t total = (body->codec & BODY_SEALED) != 0 ? body->stored_len : body->plain_len;
	uint8_t found[SEGMENT_CHECKSUM_SIZE];
	crypto_generichash_state state;
	enum fault fault = FAULT_OK;
	char *piece = malloc(BODY_CHUNK_SIZE);

	if (piece == NULL)
		return FAULT_NOMEM;
	crypto_generichash_init(&state, NULL, 0, sizeof(found));
	for (uint64_t at = 0; fault == FAULT_OK && at < total; at += BODY_CHUNK_SIZE) {
		size_t len = chunk_plain_len(total, at / BODY_CHUNK_SIZE);
		fault = piece_read(r, body, at, (struct body_span){piece, len});
		if (fault == FAULT_OK)
			crypto_generichash_update(&state, (uint8_t *)piece, len);
	}
	free(piece);
	crypto_generichash_final(&state, found, sizeof(found));
	if (fault == FAULT_OK && memcmp(found, checksum, sizeof(found)) != 0)
		return FAULT_DAMAGED;
	return fault;
}
