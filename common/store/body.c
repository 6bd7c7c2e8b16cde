/* SPDX-License-Identifier: ISC */
/*
 * Packing of bodies to be stored, in deliverd, imapd and queued.  What others gave is packed as it
 * is; nothing here looks into it.
 */
#include "common/store/body.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/body_private.h"
#include "common/store/dictionary.h"
#include "common/store/seal.h"

enum {
	LEVEL = 1,
	PLAIN_MIN = 256, /* less is not worth a try */
	/* Larger ones say by themselves what they are like: the dictionary saves nothing more. */
	TEXT1_MAX = 32 * 1024,
};

struct body_packer {
	ZSTD_CCtx *zstd;
	ZSTD_CDict *text1;
	char packed[LENGTH_SIZE + PACKED_MAX];
};

static bool
packer_fill(struct body_packer *p)
{
	struct slice text1 = dictionary_text1();

	p->zstd = ZSTD_createCCtx();
	p->text1 = ZSTD_createCDict(text1.data, text1.len, LEVEL);
	return p->zstd != NULL && p->text1 != NULL &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1)) &&
		/* The codec says which dictionary it was. */
		!ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_dictIDFlag, 0));
}

struct body_packer *
body_packer_new(void)
{
	struct body_packer *p = malloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	if (!packer_fill(p)) {
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
	ZSTD_freeCDict(p->text1);
	free(p);
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
	enum body_codec codec = plain.len <= TEXT1_MAX ? BODY_ZSTD_TEXT1 : BODY_ZSTD;

	*info = (struct body_info){.codec = BODY_RAW, .plain_len = plain.len};
	body_checksum(plain, info->checksum);
	if (ZSTD_isError(ZSTD_CCtx_refCDict(p->zstd, codec == BODY_ZSTD_TEXT1 ? p->text1 : NULL)))
		return FAULT_NOMEM;
	if (plain.len > BODY_CHUNK_SIZE)
		fault = pack_many(p, plain, out, &stored_len);
	else if (plain.len >= PLAIN_MIN)
		fault = pack_one(p, plain, out, &stored_len);
	if (fault != FAULT_OK)
		return fault;
	if (plain.len >= PLAIN_MIN && is_worth_it(plain.len, stored_len)) {
		info->codec = (uint8_t)codec;
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
	return (codec == BODY_ZSTD || codec == BODY_ZSTD_TEXT1) && plain_len <= INT64_MAX &&
		stored_len <= plain_len && stored_len > chunk_count(plain_len) * LENGTH_SIZE;
}
