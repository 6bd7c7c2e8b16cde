/* SPDX-License-Identifier: ISC */
/*
 * The door to LMDB: keys and values.  Within a transaction whose first fault has come, reads find
 * nothing and writes do nothing.
 */
#include "common/store/kv_private.h"

#include <string.h>

static MDB_val
val_of(struct slice s)
{
	return (MDB_val){s.len, (void *)(uintptr_t)s.data};
}

/* True on success; "not found" is no fault. */
static bool
succeeded(struct kv_txn *txn, int rc)
{
	if (rc != 0 && rc != MDB_NOTFOUND)
		kv_fail(txn, kv_fault_of(txn->kv, rc));
	return rc == 0;
}

static bool
key_fits(struct kv_txn *txn, struct slice key)
{
	if (txn->fault != FAULT_OK || txn->mdb == NULL)
		return false;
	if (key.len == 0 || key.len > KV_KEY_MAX)
		kv_fail(txn, FAULT_TOO_LONG);
	return txn->fault == FAULT_OK;
}

bool
kv_get(struct kv_txn *txn, unsigned table, struct slice key, struct slice *value)
{
	MDB_val k = val_of(key), v;

	if (!key_fits(txn, key) ||
		!succeeded(txn, mdb_get(txn->mdb, txn->kv->tables[table], &k, &v)))
		return false;
	*value = slice_make(v.mv_data, v.mv_size);
	return true;
}

static void
record(struct kv_txn *txn, const struct kv_change *change)
{
	if (txn->recorder != NULL)
		txn->recorder->changed(txn->recorder, change);
}

void
kv_put(struct kv_txn *txn, unsigned table, struct slice key, struct slice value)
{
	MDB_val k = val_of(key), v = val_of(value);

	if (key_fits(txn, key) &&
		succeeded(txn, mdb_put(txn->mdb, txn->kv->tables[table], &k, &v, 0)))
		record(txn, &(struct kv_change){table, false, key, value});
}

bool
kv_delete(struct kv_txn *txn, unsigned table, struct slice key)
{
	MDB_val k = val_of(key);

	if (!key_fits(txn, key) ||
		!succeeded(txn, mdb_del(txn->mdb, txn->kv->tables[table], &k, NULL)))
		return false;
	record(txn, &(struct kv_change){table, true, key, SLICE("")});
	return true;
}

uint64_t
kv_count(struct kv_txn *txn, unsigned table)
{
	MDB_stat stat;

	if (txn->fault != FAULT_OK || txn->mdb == NULL ||
		!succeeded(txn, mdb_stat(txn->mdb, txn->kv->tables[table], &stat)))
		return 0;
	return stat.ms_entries;
}

uint64_t
kv_txn_number(const struct kv_txn *txn)
{
	return txn->mdb != NULL ? mdb_txn_id(txn->mdb) : 0;
}

void
kv_cursor_open(struct kv_txn *txn, unsigned table, struct kv_cursor *cursor)
{
	*cursor = (struct kv_cursor){.txn = txn, .table = table};
	if (txn->fault == FAULT_OK && txn->mdb != NULL &&
		!succeeded(txn, mdb_cursor_open(txn->mdb, txn->kv->tables[table], &cursor->mdb)))
		cursor->mdb = NULL;
}

void
kv_cursor_close(struct kv_cursor *cursor)
{
	if (cursor->mdb != NULL)
		mdb_cursor_close(cursor->mdb);
	cursor->mdb = NULL;
}

static bool
cursor_move(struct kv_cursor *cursor, struct slice key, MDB_cursor_op op)
{
	MDB_val k = val_of(key), v;

	if (cursor->mdb == NULL || cursor->txn->fault != FAULT_OK ||
		!succeeded(cursor->txn, mdb_cursor_get(cursor->mdb, &k, &v, op)))
		return false;
	cursor->key = slice_make(k.mv_data, k.mv_size);
	cursor->value = slice_make(v.mv_data, v.mv_size);
	return true;
}

bool
kv_seek(struct kv_cursor *cursor, struct slice key)
{
	return key_fits(cursor->txn, key) && cursor_move(cursor, key, MDB_SET_RANGE);
}

bool
kv_seek_before(struct kv_cursor *cursor, struct slice key)
{
	return kv_seek(cursor, key) ? kv_prev(cursor) : kv_last(cursor);
}

bool
kv_first(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_FIRST);
}

bool
kv_last(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_LAST);
}

bool
kv_next(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_NEXT);
}

bool
kv_prev(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_PREV);
}

bool
kv_seek_prefix(struct kv_cursor *cursor, struct slice prefix)
{
	return kv_seek(cursor, prefix) && slice_starts(cursor->key, prefix);
}

bool
kv_next_prefix(struct kv_cursor *cursor, struct slice prefix)
{
	return kv_next(cursor) && slice_starts(cursor->key, prefix);
}

/* The page that holds the key may be rewritten while the key is still needed. */
static struct slice
key_copy(const struct kv_cursor *cursor, char key[static KV_KEY_MAX])
{
	size_t len = cursor->key.len < KV_KEY_MAX ? cursor->key.len : KV_KEY_MAX;

	memcpy(key, cursor->key.data, len);
	return slice_make(key, len);
}

void
kv_cursor_put(struct kv_cursor *cursor, struct slice value)
{
	char bytes[KV_KEY_MAX];

	if (cursor->mdb == NULL || cursor->txn->fault != FAULT_OK)
		return;
	struct slice key = key_copy(cursor, bytes);
	MDB_val k = val_of(key), v = val_of(value);
	if (succeeded(cursor->txn, mdb_cursor_put(cursor->mdb, &k, &v, MDB_CURRENT)))
		record(cursor->txn, &(struct kv_change){cursor->table, false, key, value});
}

void
kv_cursor_delete(struct kv_cursor *cursor)
{
	char bytes[KV_KEY_MAX];

	if (cursor->mdb == NULL || cursor->txn->fault != FAULT_OK)
		return;
	struct slice key = key_copy(cursor, bytes);
	if (succeeded(cursor->txn, mdb_cursor_del(cursor->mdb, 0)))
		record(cursor->txn, &(struct kv_change){cursor->table, true, key, SLICE("")});
}

/* LMDB keeps lists of free pages in its table 0: each is a count, then as many numbers. */
enum fault
kv_free_bytes(struct kv_txn *txn, uint64_t *bytes)
{
	MDB_cursor *cursor;
	MDB_val key, list;
	MDB_stat stat;
	int rc = mdb_cursor_open(txn->mdb, 0, &cursor);

	*bytes = 0;
	if (rc != 0)
		return kv_fault_of(txn->kv, rc);
	uint64_t pages = 0;
	while ((rc = mdb_cursor_get(cursor, &key, &list, MDB_NEXT)) == 0) {
		size_t count = 0;
		if (list.mv_size >= sizeof(count))
			memcpy(&count, list.mv_data, sizeof(count));
		pages += count;
	}
	mdb_cursor_close(cursor);
	if (rc == MDB_NOTFOUND)
		rc = mdb_env_stat(txn->kv->env, &stat);
	if (rc == 0)
		*bytes = pages * stat.ms_psize;
	return kv_fault_of(txn->kv, rc);
}
