/* SPDX-License-Identifier: ISC */
/*
 * What a batch changed in the index, as the body of a record: a row of
 *
 *	1 put | table 1 | key length 2 | key | value length 4 | value
 *	2 delete | table 1 | key length 2 | key
 *	3 put | table 1 | key length 2 | key | value length 4 | segment 4 | offset 8
 *
 * The third form names a value that stands in the segments already.
 */
#include <sodium.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/store/journal_private.h"
#include "common/store/segment_format.h"

enum { OP_PUT = 1, OP_DELETE = 2, OP_PUT_STORED = 3 };

static void
add_be16(struct buffer *b, uint16_t value)
{
	uint8_t bytes[2];

	put_u16(bytes, value);
	buffer_add(b, bytes, sizeof(bytes));
}

static void
add_key(struct buffer *b, int op, const struct kv_change *change)
{
	buffer_add_byte(b, (char)op);
	buffer_add_byte(b, (char)change->table);
	add_be16(b, (uint16_t)change->key.len);
	buffer_add_slice(b, change->key);
}

void
journal_change_encode(struct buffer *b, const struct kv_change *change)
{
	add_key(b, change->is_delete ? OP_DELETE : OP_PUT, change);
	if (change->is_delete)
		return;
	buffer_add_be32(b, (uint32_t)change->value.len);
	buffer_add_slice(b, change->value);
}

void
journal_stored_encode(
	struct buffer *b, const struct kv_change *change, const struct segment_place *value_at)
{
	add_key(b, OP_PUT_STORED, change);
	buffer_add_be32(b, (uint32_t)change->value.len);
	buffer_add_be32(b, value_at->segment);
	buffer_add_be64(b, value_at->offset);
}

static bool
take_be16(struct cursor *c, uint16_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 2, &bytes))
		return false;
	*value = get_u16(bytes.data);
	return true;
}

static bool
take_be32(struct cursor *c, uint32_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 4, &bytes))
		return false;
	*value = get_u32(bytes.data);
	return true;
}

static bool
take_be64(struct cursor *c, uint64_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 8, &bytes))
		return false;
	*value = get_u64(bytes.data);
	return true;
}

static bool
take_value(struct cursor *c, int op, struct journal_logged *l)
{
	switch (op) {
	case OP_DELETE:
		l->change.is_delete = true;
		return true;
	case OP_PUT:
		return take_be32(c, &l->value_len) && take_bytes(c, l->value_len, &l->change.value);
	case OP_PUT_STORED:
		l->is_stored = true;
		return take_be32(c, &l->value_len) && take_be32(c, &l->value_at.segment) &&
			take_be64(c, &l->value_at.offset) && l->value_len <= JOURNAL_STORED_MAX;
	default:
		return false;
	}
}

static bool
take_change(struct cursor *c, unsigned tables, struct journal_logged *l)
{
	uint16_t key_len;
	char op, table;

	*l = (struct journal_logged){0};
	if (!take_any(c, &op) || !take_any(c, &table) || !take_be16(c, &key_len) ||
		!take_bytes(c, key_len, &l->change.key))
		return false;
	l->change.table = (uint8_t)table;
	return l->change.table < tables && take_value(c, op, l);
}

enum fault
journal_changes_each(struct slice changes, unsigned tables, journal_each_change *each, void *arg)
{
	struct cursor c = cursor_of(changes);
	enum fault fault = FAULT_OK;

	while (!cursor_at_end(&c) && fault == FAULT_OK) {
		struct journal_logged logged;
		if (!take_change(&c, tables, &logged))
			return FAULT_DAMAGED;
		fault = each(arg, &logged);
	}
	return fault;
}

enum fault
journal_value_read(struct segment_files *files, const struct journal_logged *l, struct slice *value)
{
	char *bytes = malloc((size_t)l->value_len + 1);

	*value = SLICE("");
	if (bytes == NULL)
		return FAULT_NOMEM;
	enum fault fault = segment_files_read(
		files, l->value_at.segment, l->value_at.offset, bytes, l->value_len);
	if (fault != FAULT_OK)
		free(bytes);
	else
		*value = slice_make(bytes, l->value_len);
	return fault;
}

struct applying {
	struct kv_txn *txn;
	const struct journal_reading *reading;
};

static enum fault
change_apply(void *arg, const struct journal_logged *l)
{
	struct applying *a = arg;
	const struct kv_change *change = &l->change;
	struct slice value;

	if (change->is_delete) {
		(void)kv_delete(a->txn, change->table, change->key);
		return FAULT_OK;
	}
	if (!l->is_stored) {
		kv_put(a->txn, change->table, change->key, change->value);
		return FAULT_OK;
	}
	enum fault fault = journal_value_read(a->reading->files, l, &value);
	if (fault != FAULT_OK)
		return fault;
	kv_put(a->txn, change->table, change->key, value);
	free((void *)(uintptr_t)value.data);
	return FAULT_OK;
}

enum fault
journal_changes_apply(
	struct kv_txn *txn, const struct journal_reading *reading, struct slice changes)
{
	struct applying a = {txn, reading};
	enum fault fault = journal_changes_each(changes, reading->tables, change_apply, &a);

	return fault != FAULT_OK ? fault : txn->fault;
}

void
journal_digest_add(uint8_t digest[static JOURNAL_CHAIN_SIZE],
	const uint8_t header_checksum[static SEGMENT_CHECKSUM_SIZE])
{
	uint8_t both[JOURNAL_CHAIN_SIZE + SEGMENT_CHECKSUM_SIZE];

	memcpy(both, digest, JOURNAL_CHAIN_SIZE);
	memcpy(both + JOURNAL_CHAIN_SIZE, header_checksum, SEGMENT_CHECKSUM_SIZE);
	crypto_generichash(digest, JOURNAL_CHAIN_SIZE, both, sizeof(both), NULL, 0);
}
