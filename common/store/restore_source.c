/* SPDX-License-Identifier: ISC */
#include "common/store/restore_source.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "common/store/reader_private.h"

enum { PIECE = 1024 * 1024 };

enum fault
restore_store_id(struct store_reader *r, uint64_t *id)
{
	return index_meta_load(&r->txn, INDEX_META_STORE, id);
}

/* The body's record in the index, and the head of that in its segment. */
static enum fault
body_find(struct store_reader *r, const struct store_message *m, struct index_body *body,
	struct segment_record *record)
{
	enum fault fault = index_body_load(&r->txn, m->body_id, body);

	if (fault == FAULT_OK)
		fault = segment_files_header(r->files, &body->place, record);
	if (fault == FAULT_OK &&
		(record->plain_len != body->plain_len || record->body.len != body->stored_len))
		fault = FAULT_DAMAGED;
	return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

enum fault
restore_identity(
	struct store_reader *r, const struct store_message *m, bool by_content, uint64_t *identity)
{
	uint8_t text[24 + SEGMENT_CHECKSUM_SIZE], sum[crypto_generichash_BYTES_MIN];
	struct segment_record record;
	struct index_body body;

	*identity = m->email_id;
	if (!by_content)
		return FAULT_OK;
	enum fault fault = body_find(r, m, &body, &record);
	if (fault != FAULT_OK)
		return fault;
	put_u64(text, (uint64_t)m->received_at);
	put_u64(text + 8, m->size);
	put_u64(text + 16, m->prefix_len);
	memcpy(text + 24, record.checksum, SEGMENT_CHECKSUM_SIZE);
	crypto_generichash(sum, sizeof(sum), text, sizeof(text), NULL, 0);
	*identity = get_u64(sum);
	return FAULT_OK;
}

static enum fault
bytes_append(struct store_reader *r, const struct body_handle *body, int fd)
{
	char *piece = malloc(PIECE);
	enum fault fault = piece != NULL ? FAULT_OK : FAULT_NOMEM;

	for (uint64_t at = 0; fault == FAULT_OK && at < body->stored_len; at += PIECE) {
		uint64_t left = body->stored_len - at;
		size_t len = left < PIECE ? (size_t)left : PIECE;
		fault = segment_files_read(r->files, body->segment, body->offset + at, piece, len);
		if (fault == FAULT_OK)
			fault = memfd_append(fd, slice_make(piece, len));
	}
	free(piece);
	return fault;
}

/* Of a sealed one nothing is known here: its thread is the one that it had. */
static void
references_fill(struct package *p, struct slice bytes)
{
	uint64_t hashes[STORE_THREAD_HASHES_MAX];
	struct structure structure;

	if ((p->body.codec & BODY_SEALED) != 0 || structure_open(bytes, &structure) != FAULT_OK)
		return;
	size_t count = package_thread_hashes(&structure, hashes);
	for (size_t i = 0; i < count; i++)
		put_u64(p->references + i * 8, hashes[i]);
	p->references_len = count * 8;
}

static enum fault
prefix_fill(struct store_reader *r, const struct store_message *m, struct restore_package *p)
{
	struct index_email email;
	enum fault fault = index_email_load(&r->txn, m->email_id, &email);

	if (fault == FAULT_OK &&
		(email.prefix.len != m->prefix_len || email.prefix.len > STORE_PREFIX_MAX))
		fault = FAULT_DAMAGED;
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	p->prefix_len = (uint32_t)email.prefix.len;
	memcpy(p->prefix, email.prefix.data, email.prefix.len);
	return FAULT_OK;
}

static enum fault
content_write(struct store_reader *r, const struct body_handle *body, struct slice structure,
	struct package *p)
{
	enum fault fault;

	p->fd = memfd_open("restore", &fault);
	if (fault == FAULT_OK)
		fault = memfd_append(p->fd, structure);
	if (fault == FAULT_OK)
		fault = bytes_append(r, body, p->fd);
	return fault == FAULT_OK ? memfd_seal(p->fd) : fault;
}

enum fault
restore_package_make(
	struct store_reader *r, const struct store_message *m, struct restore_package *p)
{
	struct index_key key = index_key_id(m->body_id);
	struct segment_record record;
	struct index_body body;
	struct slice structure;
	enum fault fault = body_find(r, m, &body, &record);

	p->package = (struct package){.fd = -1};
	p->prefix_len = 0;
	if (fault == FAULT_OK)
		fault = prefix_fill(r, m, p);
	if (fault != FAULT_OK)
		return fault;
	struct body_handle handle = index_body_handle(&body);
	fault = body_verify(r->bodies, &handle, record.checksum);
	/* As it is stored: reader_structure() would want the key of a sealed one. */
	if (fault == FAULT_OK &&
		(!kv_get(&r->txn, INDEX_STRUCTURES, index_key_slice(&key), &structure) ||
			structure.len != m->structure_len))
		fault = FAULT_DAMAGED;
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	p->package.structure_len = m->structure_len;
	p->package.body = (struct body_info){
		.codec = body.codec, .plain_len = body.plain_len, .stored_len = body.stored_len};
	memcpy(p->package.body.checksum, record.checksum, sizeof(record.checksum));
	references_fill(&p->package, structure);
	fault = content_write(r, &handle, structure, &p->package);
	if (fault != FAULT_OK)
		package_clear(&p->package);
	return fault;
}
