/* SPDX-License-Identifier: ISC */
/*
 * Keys of the index, and look-ups that are more than one record.  Linked by readers and by the
 * writer; the index is not trusted to be whole.
 */
#include "common/store/index.h"

#include <assert.h>
#include <sodium.h>

#include "common/base/bytes.h"

const char *const index_tables[] = {
#define INDEX_NAME(name, text, key, value) text,
	INDEX_TABLES(INDEX_NAME)
#undef INDEX_NAME
		NULL,
};

bool
index_is_carried(unsigned table)
{
	static const bool carried[INDEX_TABLE_COUNT] = {
#define CARRIED(name) [INDEX_##name] = true,
		INDEX_CARRIED(CARRIED)
#undef CARRIED
	};

	return table < INDEX_TABLE_COUNT && carried[table];
}

const char *
store_special_use_text(enum store_special_use use)
{
	static const char *const texts[] = {
#define USE_TEXT(name, value, text) [value] = text,
		STORE_SPECIAL_USES(USE_TEXT)
#undef USE_TEXT
	};

	return (unsigned)use < STORE_USE_COUNT ? texts[use] : "";
}

static uint8_t *
key_room(struct index_key *k, size_t len)
{
	assert(len <= sizeof(k->bytes) - k->len);
	uint8_t *at = k->bytes + k->len;
	k->len += len;
	return at;
}

void
index_key_u8(struct index_key *k, uint8_t value)
{
	*key_room(k, 1) = value;
}

void
index_key_u32(struct index_key *k, uint32_t value)
{
	put_u32(key_room(k, 4), value);
}

void
index_key_u64(struct index_key *k, uint64_t value)
{
	put_u64(key_room(k, 8), value);
}

void
index_key_bytes(struct index_key *k, struct slice bytes)
{
	memcpy(key_room(k, bytes.len), bytes.data, bytes.len);
}

struct index_key
index_key_id(uint64_t id)
{
	struct index_key k;

	k.len = 0;
	index_key_u64(&k, id);
	return k;
}

struct index_key
index_key_mailbox(uint64_t account, uint32_t mailbox)
{
	struct index_key k = index_key_id(account);

	index_key_u32(&k, mailbox);
	return k;
}

struct index_key
index_key_message(uint64_t account, uint32_t mailbox, uint32_t uid)
{
	struct index_key k = index_key_mailbox(account, mailbox);

	index_key_u32(&k, uid);
	return k;
}

struct index_key
index_key_name(uint64_t account, uint32_t parent, struct slice level)
{
	struct index_key k = index_key_mailbox(account, parent);

	index_key_bytes(&k, slice_first(level, STORE_LEVEL_MAX));
	return k;
}

/* Full names are longer than a key may be. */
struct index_key
index_key_subscription(uint64_t account, struct slice name)
{
	struct index_key k = index_key_id(account);
	uint8_t hash[16];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)name.data, name.len, NULL, 0);
	index_key_bytes(&k, slice_make(hash, sizeof(hash)));
	return k;
}

static enum fault
name_find(struct kv_txn *txn, struct index_key key, uint32_t *id)
{
	struct slice value;

	if (!kv_get(txn, INDEX_NAMES, index_key_slice(&key), &value))
		return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
	if (value.len != 4)
		return FAULT_DAMAGED;
	*id = get_u32(value.data);
	return FAULT_OK;
}

enum fault
index_child_find(
	struct kv_txn *txn, const struct store_mailbox *parent, struct slice level, uint32_t *id)
{
	return name_find(txn, index_key_name(parent->account, parent->id, level), id);
}

enum fault
index_mailbox_find(struct kv_txn *txn, uint64_t account, struct slice name, uint32_t *id)
{
	struct cursor c = cursor_of(name);
	enum fault fault = FAULT_NOT_FOUND;
	uint32_t at = 0;

	for (struct slice level; take_name_level(&c, &level);) {
		fault = name_find(txn, index_key_name(account, at, level), &at);
		if (fault != FAULT_OK)
			return fault;
	}
	*id = at;
	return fault;
}

bool
index_has_children(struct kv_txn *txn, uint64_t account, uint32_t mailbox)
{
	struct index_key prefix = index_key_mailbox(account, mailbox);
	struct kv_cursor cursor;

	kv_cursor_open(txn, INDEX_NAMES, &cursor);
	bool found = kv_seek_prefix(&cursor, index_key_slice(&prefix));
	kv_cursor_close(&cursor);
	return found;
}

enum fault
index_meta_load(struct kv_txn *txn, const char *name, uint64_t *value)
{
	struct slice found;

	if (!kv_get(txn, INDEX_META, slice_text(name), &found))
		return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
	if (found.len != 8)
		return FAULT_DAMAGED;
	*value = get_u64(found.data);
	return FAULT_OK;
}

void
index_meta_save(struct kv_txn *txn, const char *name, uint64_t value)
{
	uint8_t bytes[8];

	put_u64(bytes, value);
	kv_put(txn, INDEX_META, slice_text(name), slice_make(bytes, sizeof(bytes)));
}

void
index_change_add(
	struct kv_txn *txn, struct store_account *account, const struct store_change *change)
{
	struct index_key key = index_key_id(account->id);
	uint8_t value[5];

	index_key_u64(&key, change->modseq);
	index_key_u32(&key, change->mailbox);
	index_key_u32(&key, change->uid_first);
	value[0] = (uint8_t)change->kind;
	put_u32(value + 1, change->uid_last);
	kv_put(txn, INDEX_CHANGES, index_key_slice(&key), slice_make(value, sizeof(value)));
	account->changes++;
}

enum fault
index_change_decode(struct slice key, struct slice value, struct store_change *change)
{
	if (key.len != 24 || value.len != 5)
		return FAULT_DAMAGED;
	*change = (struct store_change){
		.kind = (uint8_t)value.data[0],
		.modseq = get_u64(key.data + 8),
		.mailbox = get_u32(key.data + 16),
		.uid_first = get_u32(key.data + 20),
		.uid_last = get_u32(value.data + 1),
	};
	if (change->kind < STORE_CHANGE_NEW || change->kind > STORE_CHANGE_SUBSCRIPTIONS ||
		change->uid_first > change->uid_last)
		return FAULT_DAMAGED;
	return FAULT_OK;
}
