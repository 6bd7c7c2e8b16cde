/* SPDX-License-Identifier: ISC */
/* Messages and recipients in the queue's tables, in queued. */
#include "common/base/log.h"
#include "queued/spool_tables.h"

static struct slice
message_key(uint64_t id, uint8_t key[static 8])
{
	put_u64(key, id);
	return slice_make(key, 8);
}

static struct slice
recipient_key(uint64_t id, uint32_t number, uint8_t key[static RECIPIENT_KEY_LEN])
{
	put_u64(key, id);
	put_u32(key + 8, number);
	return slice_make(key, RECIPIENT_KEY_LEN);
}

/* Messages */

static void
put_record(struct spool_txn *txn, unsigned table, struct slice key)
{
	struct buffer *record = &txn->spool->record;

	if (buffer_fault(record) != FAULT_OK)
		kv_fail(&txn->kv, buffer_fault(record));
	else
		kv_put(&txn->kv, table, key, buffer_slice(record));
}

void
spool_put_message(struct spool_txn *txn, const struct queue_message *m)
{
	uint8_t key[8];

	buffer_reset(&txn->spool->record);
	queue_message_encode(m, &txn->spool->record);
	put_record(txn, SPOOL_MESSAGES, message_key(m->id, key));
}

void
spool_add_message(struct spool_txn *txn, const struct queue_message *m)
{
	uint8_t key[8];
	struct slice old;

	if (kv_get(&txn->kv, SPOOL_MESSAGES, message_key(m->id, key), &old)) {
		kv_fail(&txn->kv, FAULT_EXISTS);
		return;
	}
	spool_put_message(txn, m);
	spool_count_in_segment(txn, m->place.segment, 1);
}

static bool
copy_texts(struct arena *arena, struct slice **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!arena_copy(arena, *texts[i], texts[i]))
			return false;
	return true;
}

static bool
decode_message(struct spool_txn *txn, struct slice value, struct queue_message *m)
{
	enum fault fault = queue_message_decode(value, m);

	if (fault != FAULT_OK)
		log_error("queue message %llx: %s", (unsigned long long)m->id, fault_text(fault));
	(void)txn;
	return fault == FAULT_OK;
}

bool
spool_get_message(struct spool_txn *txn, uint64_t id, struct arena *arena, struct queue_message *m)
{
	uint8_t key[8];
	struct slice value;
	struct slice *texts[] = {&m->sender, &m->client, &m->envid};

	m->id = id;
	if (!kv_get(&txn->kv, SPOOL_MESSAGES, message_key(id, key), &value) ||
		!decode_message(txn, value, m))
		return false;
	if (arena != NULL && !copy_texts(arena, texts, sizeof texts / sizeof texts[0])) {
		kv_fail(&txn->kv, FAULT_BUDGET);
		return false;
	}
	return true;
}

bool
spool_next_message(struct spool_txn *txn, uint64_t id, struct queue_message *m)
{
	struct kv_cursor cursor;
	uint8_t key[8];
	bool found, again;

	kv_cursor_open(&txn->kv, SPOOL_MESSAGES, &cursor);
	found = kv_seek(&cursor, message_key(id, key));
	do {
		again = false;
		if (found && cursor.key.len == sizeof key) {
			m->id = get_u64(cursor.key.data);
			again = !decode_message(txn, cursor.value, m);
		}
		if (again)
			found = kv_next(&cursor);
	} while (found && again);
	kv_cursor_close(&cursor);
	return found;
}

static void
remove_message(struct spool_txn *txn, const struct queue_message *m)
{
	uint8_t key[8];
	struct segment_place place = m->place;

	kv_delete(&txn->kv, SPOOL_MESSAGES, message_key(m->id, key));
	spool_note_freed(txn, place);
	spool_count_in_segment(txn, place.segment, -1);
}

/* Recipients */

void
spool_add_recipient(struct spool_txn *txn, const struct queue_recipient *r)
{
	uint8_t key[RECIPIENT_KEY_LEN];

	buffer_reset(&txn->spool->record);
	queue_recipient_encode(r, &txn->spool->record);
	put_record(txn, SPOOL_RECIPIENTS, recipient_key(r->id, r->number, key));
	spool_put_order(txn, r);
}

static bool
decode_recipient(struct slice value, struct queue_recipient *r)
{
	enum fault fault = queue_recipient_decode(value, r);

	if (fault != FAULT_OK)
		log_error("queue recipient %llx/%u: %s", (unsigned long long)r->id, r->number,
			fault_text(fault));
	return fault == FAULT_OK;
}

static bool
find_recipient(struct spool_txn *txn, uint64_t id, uint32_t number, struct queue_recipient *r)
{
	uint8_t key[RECIPIENT_KEY_LEN];
	struct slice value;

	r->id = id;
	r->number = number;
	return kv_get(&txn->kv, SPOOL_RECIPIENTS, recipient_key(id, number, key), &value) &&
		decode_recipient(value, r);
}

bool
spool_get_recipient(struct spool_txn *txn, const struct queue_recipient *at, struct arena *arena,
	struct queue_recipient *r)
{
	struct slice *texts[] = {
		&r->address, &r->orcpt, &r->destination, &r->status, &r->text, &r->host};

	if (!find_recipient(txn, at->id, at->number, r))
		return false;
	if (arena != NULL && !copy_texts(arena, texts, sizeof texts / sizeof texts[0])) {
		kv_fail(&txn->kv, FAULT_BUDGET);
		return false;
	}
	return true;
}

void
spool_change_recipient(struct spool_txn *txn, const struct queue_recipient *r)
{
	struct queue_recipient old;

	if (!find_recipient(txn, r->id, r->number, &old))
		return;
	spool_delete_order(txn, &old);
	spool_add_recipient(txn, r);
}

void
spool_remove_recipient(struct spool_txn *txn, uint64_t id, uint32_t number)
{
	struct queue_recipient old;
	struct queue_message m;
	uint8_t key[RECIPIENT_KEY_LEN];
	struct arena arena;

	if (!find_recipient(txn, id, number, &old))
		return;
	spool_delete_order(txn, &old);
	kv_delete(&txn->kv, SPOOL_RECIPIENTS, recipient_key(id, number, key));
	arena_init(&arena, 4 * RECORD_TEXT_MAX);
	if (spool_get_message(txn, id, &arena, &m)) {
		if (m.left > 0)
			m.left--;
		if (m.left == 0)
			remove_message(txn, &m);
		else
			spool_put_message(txn, &m);
	}
	arena_clear(&arena);
}

bool
spool_next_recipient(struct spool_txn *txn, struct queue_recipient *r)
{
	struct kv_cursor cursor;
	uint8_t key[RECIPIENT_KEY_LEN];
	uint64_t id = r->id;
	bool found;

	kv_cursor_open(&txn->kv, SPOOL_RECIPIENTS, &cursor);
	found = kv_seek(&cursor, recipient_key(id, r->number, key));
	for (; found; found = kv_next(&cursor)) {
		if (cursor.key.len != sizeof key || get_u64(cursor.key.data) != id) {
			found = false;
			break;
		}
		r->number = get_u32(cursor.key.data + 8);
		if (decode_recipient(cursor.value, r))
			break;
	}
	kv_cursor_close(&cursor);
	return found;
}

uint64_t
spool_count_messages(struct spool_txn *txn)
{
	return kv_count(&txn->kv, SPOOL_MESSAGES);
}

uint64_t
spool_count_recipients(struct spool_txn *txn)
{
	return kv_count(&txn->kv, SPOOL_RECIPIENTS);
}
