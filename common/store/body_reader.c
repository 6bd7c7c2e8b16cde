/* SPDX-License-Identifier: ISC */
/*
 * Reading of stored bodies, in every process that shows mail.  Nothing of what lies on the disk is
 * trusted: lengths are checked, and each frame has zstd's own checksum.
 */
#include "common/store/body.h"

#include <sodium.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/store/body_private.h"
#include "common/store/body_source.h"
#include "common/store/dictionary.h"

enum { TABLE_PIECE = 1024 }; /* bytes of the table read at once */

struct body_reader {
	struct body_source source;
	ZSTD_DCtx *zstd; /* made with the first packed body */
	ZSTD_DDict *text1; /* made with the first body that needs it */
	char *packed; /* LENGTH_SIZE + PACKED_MAX bytes */
	char *plain; /* BODY_CHUNK_SIZE bytes: the chunk unpacked last */
	size_t packed_used, plain_used; /* bytes of them to be wiped */
	/* Which chunk of which body that is; stored_len 0: none. */
	struct body_handle body;
	uint64_t chunk;
	/* Where the chunk after the last one found begins, from the start of the stored body. */
	uint64_t next_chunk;
	uint64_t next_offset;
};

/* A chunk as stored; its bytes are those of body_reader.packed. */
struct chunk {
	bool is_raw;
	struct slice stored;
};

struct body_reader *
body_reader_new(struct segment_files *files)
{
	struct body_reader *r = calloc(1, sizeof(*r));

	if (r != NULL)
		body_source_init(&r->source, files);
	return r;
}

/* What was opened must not outlive the key; zstd's own memory is out of reach. */
static void
wipe(struct body_reader *r)
{
	if (r->packed != NULL)
		secret_wipe(r->packed, r->packed_used);
	if (r->plain != NULL)
		secret_wipe(r->plain, r->plain_used);
	r->packed_used = r->plain_used = 0;
	r->body = (struct body_handle){0};
}

void
body_reader_free(struct body_reader *r)
{
	if (r == NULL)
		return;
	wipe(r);
	body_source_clear(&r->source);
	ZSTD_freeDCtx(r->zstd);
	ZSTD_freeDDict(r->text1);
	free(r->packed);
	free(r->plain);
	free(r);
}

static bool
dictionary_ensure(struct body_reader *r)
{
	struct slice text1 = dictionary_text1();

	if (r->text1 == NULL)
		r->text1 = ZSTD_createDDict(text1.data, text1.len);
	return r->text1 != NULL;
}

static bool
memory_ensure(struct body_reader *r, uint8_t codec)
{
	if (r->zstd == NULL)
		r->zstd = ZSTD_createDCtx();
	if (r->packed == NULL)
		r->packed = malloc(LENGTH_SIZE + PACKED_MAX);
	if (r->plain == NULL)
		r->plain = malloc(BODY_CHUNK_SIZE);
	return r->zstd != NULL && r->packed != NULL && r->plain != NULL &&
		(codec != BODY_ZSTD_TEXT1 || dictionary_ensure(r));
}

static bool
is_cached_body(const struct body_reader *r, const struct body_handle *body)
{
	return r->body.segment == body->segment && r->body.offset == body->offset &&
		r->body.stored_len == body->stored_len && r->body.plain_len == body->plain_len &&
		r->body.codec == body->codec && body->stored_len != 0;
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

static enum fault
packed_read(struct body_reader *r, uint64_t offset, size_t len)
{
	if (len > r->packed_used)
		r->packed_used = len;
	return body_source_read(&r->source, offset, r->packed, len);
}

/* A body of one chunk, table and all, in one call. */
static enum fault
only_chunk_load(struct body_reader *r, const struct body_handle *body, struct chunk *found)
{
	if (body->stored_len < LENGTH_SIZE || body->stored_len > LENGTH_SIZE + PACKED_MAX)
		return FAULT_DAMAGED;
	enum fault fault = packed_read(r, 0, (size_t)body->stored_len);
	if (fault != FAULT_OK)
		return fault;
	uint32_t entry = get_u32(r->packed);
	*found = (struct chunk){
		entry & CHUNK_IS_RAW, slice_make(r->packed + LENGTH_SIZE, entry & ~CHUNK_IS_RAW)};
	return found->stored.len <= body->stored_len - LENGTH_SIZE ? FAULT_OK : FAULT_DAMAGED;
}

/* One of many: first its place by the table, then the chunk. */
static enum fault
some_chunk_load(
	struct body_reader *r, const struct body_handle *body, uint64_t chunk, struct chunk *found)
{
	uint8_t bytes[LENGTH_SIZE];
	uint64_t offset;
	enum fault fault = chunk_find(r, body, chunk, &offset);

	if (fault == FAULT_OK)
		fault = body_source_read(&r->source, chunk * LENGTH_SIZE, bytes, sizeof(bytes));
	if (fault != FAULT_OK)
		return fault;
	uint32_t entry = get_u32(bytes);
	uint32_t length = entry & ~CHUNK_IS_RAW;
	if (length > PACKED_MAX || offset > body->stored_len || length > body->stored_len - offset)
		return FAULT_DAMAGED;
	*found = (struct chunk){entry & CHUNK_IS_RAW, slice_make(r->packed, length)};
	r->body = *body;
	r->next_chunk = chunk + 1;
	r->next_offset = offset + length;
	return packed_read(r, offset, length);
}

static enum fault
chunk_load(
	struct body_reader *r, const struct body_handle *body, uint64_t chunk, struct chunk *found)
{
	if (chunk_count(body->plain_len) > 1)
		return some_chunk_load(r, body, chunk, found);
	r->body = *body;
	r->next_chunk = UINT64_MAX;
	return only_chunk_load(r, body, found);
}

/* Unpacks a chunk to at, which has room for plain_len, its exact length. */
static enum fault
chunk_unpack(struct body_reader *r, const struct body_handle *body, uint64_t chunk, char *at)
{
	size_t plain_len = chunk_plain_len(body->plain_len, chunk);
	struct chunk found;
	enum fault fault = chunk_load(r, body, chunk, &found);

	if (fault != FAULT_OK)
		return fault;
	if (found.is_raw) {
		if (found.stored.len != plain_len)
			return FAULT_DAMAGED;
		memcpy(at, found.stored.data, plain_len);
		return FAULT_OK;
	}
	size_t n = ZSTD_decompress_usingDDict(r->zstd, at, plain_len, found.stored.data,
		found.stored.len, body->codec == BODY_ZSTD_TEXT1 ? r->text1 : NULL);
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
		if (plain_len > r->plain_used)
			r->plain_used = plain_len;
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
	if (body_source_use_key(&r->source, opener))
		wipe(r);
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
	if (!memory_ensure(r, body->codec))
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
