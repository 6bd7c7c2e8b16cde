/* SPDX-License-Identifier: ISC */
/* The two orders in which recipients are looked up, in queued: waiting by time, due by
 * destination and time. */
#include "queued/spool_tables.h"

static struct slice
waiting_key(const struct spool_entry *e, uint8_t key[static WAITING_KEY_LEN])
{
	put_u64(key, (uint64_t)e->next_ms);
	put_u64(key + 8, e->id);
	put_u32(key + 16, e->number);
	return slice_make(key, WAITING_KEY_LEN);
}

static struct slice
due_key(const struct spool_entry *e, uint8_t key[static DUE_KEY_MAX])
{
	size_t len = strlen(e->destination);

	memcpy(key, e->destination, len + 1);
	waiting_key(e, key + len + 1);
	return slice_make(key, len + 1 + WAITING_KEY_LEN);
}

static bool
entry_parse(struct slice tail, struct spool_entry *e)
{
	if (tail.len != WAITING_KEY_LEN)
		return false;
	e->next_ms = (int64_t)get_u64(tail.data);
	e->id = get_u64(tail.data + 8);
	e->number = get_u32(tail.data + 16);
	return true;
}

static void
entry_of(const struct queue_recipient *r, struct spool_entry *e)
{
	struct slice destination = slice_first(r->destination, RECORD_DESTINATION_MAX);

	e->next_ms = r->next_ms;
	e->id = r->id;
	e->number = r->number;
	memcpy(e->destination, destination.len > 0 ? destination.data : "", destination.len);
	e->destination[destination.len] = '\0';
}

void
spool_put_order(struct spool_txn *txn, const struct queue_recipient *r)
{
	struct spool_entry e;
	uint8_t key[DUE_KEY_MAX];

	entry_of(r, &e);
	if (r->state == RECIPIENT_WAITING)
		kv_put(&txn->kv, SPOOL_WAITING, waiting_key(&e, key), SLICE("-"));
	else if (r->state == RECIPIENT_DUE)
		kv_put(&txn->kv, SPOOL_DUE, due_key(&e, key), SLICE("-"));
}

void
spool_delete_order(struct spool_txn *txn, const struct queue_recipient *r)
{
	struct spool_entry e;
	uint8_t key[DUE_KEY_MAX];

	entry_of(r, &e);
	if (r->state == RECIPIENT_WAITING)
		kv_delete(&txn->kv, SPOOL_WAITING, waiting_key(&e, key));
	else if (r->state == RECIPIENT_DUE)
		kv_delete(&txn->kv, SPOOL_DUE, due_key(&e, key));
}

bool
spool_next_waiting(struct spool_txn *txn, struct spool_entry *e)
{
	struct kv_cursor cursor;
	uint8_t key[WAITING_KEY_LEN];
	bool found;

	kv_cursor_open(&txn->kv, SPOOL_WAITING, &cursor);
	found = kv_seek(&cursor, waiting_key(e, key)) && entry_parse(cursor.key, e);
	kv_cursor_close(&cursor);
	return found;
}

void
spool_drop_waiting(struct spool_txn *txn, const struct spool_entry *e)
{
	uint8_t key[WAITING_KEY_LEN];

	kv_delete(&txn->kv, SPOOL_WAITING, waiting_key(e, key));
}

bool
spool_next_due(struct spool_txn *txn, struct spool_entry *e)
{
	struct kv_cursor cursor;
	uint8_t key[DUE_KEY_MAX];
	struct slice prefix = slice_make(e->destination, strlen(e->destination) + 1);
	bool found;

	kv_cursor_open(&txn->kv, SPOOL_DUE, &cursor);
	found = kv_seek(&cursor, due_key(e, key)) && slice_starts(cursor.key, prefix) &&
		entry_parse(slice_after(cursor.key, prefix.len), e);
	kv_cursor_close(&cursor);
	return found;
}

static bool
take_destination(struct slice key, struct spool_entry *e)
{
	size_t len = slice_find_byte(key, '\0');

	if (len > RECORD_DESTINATION_MAX || len == key.len)
		return false;
	memcpy(e->destination, key.data, len + 1);
	return entry_parse(slice_after(key, len + 1), e);
}

bool
spool_next_destination(struct spool_txn *txn, bool first, struct spool_entry *e)
{
	struct kv_cursor cursor;
	uint8_t key[RECORD_DESTINATION_MAX + 1];
	size_t len = strlen(e->destination);
	bool found;

	/* destination, 1 sorts behind all that begins with destination, 0. */
	memcpy(key, e->destination, len);
	key[len] = 1;
	kv_cursor_open(&txn->kv, SPOOL_DUE, &cursor);
	found = first ? kv_first(&cursor) : kv_seek(&cursor, slice_make(key, len + 1));
	found = found && take_destination(cursor.key, e);
	kv_cursor_close(&cursor);
	return found;
}
