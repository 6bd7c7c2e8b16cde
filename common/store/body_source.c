/* SPDX-License-Identifier: ISC */
/* Stored bodies from segments, sealed ones opened.  Linked by whoever reads mail. */
#include "common/store/body_source.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEALED_CHUNK = SEAL_CHUNK_SIZE + SEAL_TAG_LEN,
	FIRST_MAX = SEAL_HEADER_LEN + SEALED_CHUNK,
};

void
body_source_init(struct body_source *s, struct segment_files *files)
{
	*s = (struct body_source){.files = files, .chunk = UINT64_MAX};
}

/* What was opened must not outlive the key that opened it. */
static void
forget(struct body_source *s)
{
	sealing_clear(&s->sealing);
	if (s->clear != NULL)
		secret_wipe(s->clear, s->clear_len);
	s->clear_len = 0;
	s->has_key = false;
	s->chunk = UINT64_MAX;
	s->first_len = 0;
	s->body = (struct body_handle){0};
}

void
body_source_clear(struct body_source *s)
{
	forget(s);
	free(s->sealed);
	free(s->clear);
	s->sealed = s->clear = NULL;
}

bool
body_source_use_key(struct body_source *s, struct seal_opener *opener)
{
	if (s->opener == opener)
		return false;
	forget(s);
	s->opener = opener;
	return true;
}

static bool
is_same_body(const struct body_handle *a, const struct body_handle *b)
{
	return a->segment == b->segment && a->offset == b->offset &&
		a->stored_len == b->stored_len && a->plain_len == b->plain_len &&
		a->codec == b->codec;
}

static bool
ensure_memory(struct body_source *s)
{
	if (s->sealed == NULL)
		s->sealed = malloc(FIRST_MAX);
	if (s->clear == NULL)
		s->clear = malloc(SEAL_CHUNK_SIZE);
	return s->sealed != NULL && s->clear != NULL;
}

/* Reads the header, and the first chunk with it: most bodies have no other. */
static enum fault
open_header(struct body_source *s)
{
	size_t len = s->body.stored_len < FIRST_MAX ? (size_t)s->body.stored_len : FIRST_MAX;

	if (!ensure_memory(s))
		return FAULT_NOMEM;
	enum fault fault =
		segment_files_read(s->files, s->body.segment, s->body.offset, s->sealed, len);
	if (fault == FAULT_OK)
		fault = seal_open(s->opener, s->sealed, &s->sealing);
	s->has_key = fault == FAULT_OK;
	s->first_len = s->has_key ? len : 0;
	return fault;
}

enum fault
body_source_begin(struct body_source *s, const struct body_handle *body, struct body_handle *packed)
{
	*packed = *body;
	if (!is_same_body(&s->body, body)) {
		forget(s);
		s->body = *body;
	}
	if ((body->codec & BODY_SEALED) == 0)
		return FAULT_OK;
	packed->codec = body->codec & (uint8_t)~BODY_SEALED;
	if (!seal_len(body->stored_len, &packed->stored_len))
		return FAULT_DAMAGED;
	s->part =
		(struct seal_part){SEAL_BODY, packed->codec, packed->stored_len, packed->plain_len};
	return s->has_key ? FAULT_OK : open_header(s);
}

/* Opens a chunk into s->clear. */
static enum fault
open_chunk(struct body_source *s, uint64_t chunk)
{
	size_t len = seal_chunk_len(&s->part, chunk) + SEAL_TAG_LEN;
	const uint8_t *sealed = s->sealed + SEAL_HEADER_LEN;
	enum fault fault = FAULT_OK;

	if (chunk == s->chunk)
		return FAULT_OK;
	if (chunk > 0 || s->first_len == 0) {
		s->first_len = 0;
		sealed = s->sealed;
		fault = segment_files_read(s->files, s->body.segment,
			s->body.offset + seal_chunk_offset(chunk), s->sealed, len);
	}
	s->chunk = UINT64_MAX;
	if (fault == FAULT_OK)
		fault = seal_open_chunk(
			&s->sealing, &s->part, chunk, slice_make(sealed, len), s->clear);
	if (len - SEAL_TAG_LEN > s->clear_len)
		s->clear_len = len - SEAL_TAG_LEN;
	if (fault == FAULT_OK)
		s->chunk = chunk;
	return fault;
}

enum fault
body_source_read(struct body_source *s, uint64_t offset, void *at, size_t len)
{
	char *to = at;

	if ((s->body.codec & BODY_SEALED) == 0)
		return segment_files_read(
			s->files, s->body.segment, s->body.offset + offset, at, len);
	if (offset > s->part.len || len > s->part.len - offset)
		return FAULT_DAMAGED;
	while (len > 0) {
		uint64_t chunk = offset / SEAL_CHUNK_SIZE;
		size_t skip = (size_t)(offset % SEAL_CHUNK_SIZE);
		size_t some = seal_chunk_len(&s->part, chunk) - skip;
		enum fault fault = open_chunk(s, chunk);
		if (fault != FAULT_OK)
			return fault;
		if (some > len)
			some = len;
		memcpy(to, s->clear + skip, some);
		to += some;
		offset += some;
		len -= some;
	}
	return FAULT_OK;
}
