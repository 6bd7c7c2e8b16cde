/* SPDX-License-Identifier: ISC */
/*
 * The records of the index as bytes.  Each has a fixed length, or a fixed part and a tail; fields
 * stand in the order of the code below, big-endian.  Decoding checks what it reads: a record that
 * rotted must not lead a reader astray.
 */
#include "common/store/index.h"

#include <assert.h>

#include "common/base/bytes.h"

enum {
	ACCOUNT_SIZE = 56,
	MAILBOX_SIZE = 52, /* and the last level of the name */
	EMAIL_SIZE = 20, /* and the prefix */
	BODY_SIZE = 48,
	SEGMENT_SIZE = 45,
	SEGMENT_OLDER_SIZE = 12, /* of format 1: the first two fields */
	DELIVERED_SIZE = 20,
};

enum { SEGMENT_IS_OLDER = 1, SEGMENT_IS_CARRIED = 2 };

static enum fault
record_get(struct kv_txn *txn, unsigned table, struct index_key key, struct slice *value)
{
	if (kv_get(txn, table, index_key_slice(&key), value))
		return FAULT_OK;
	return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
}

enum fault
index_account_decode(struct slice key, struct slice value, struct store_account *a)
{
	const char *p = value.data;

	if (key.len != 8 || value.len != ACCOUNT_SIZE)
		return FAULT_DAMAGED;
	*a = (struct store_account){
		.id = get_u64(key.data),
		.quota_bytes = get_u64(p),
		.used_bytes = get_u64(p + 8),
		.messages = get_u64(p + 16),
		.modseq = get_u64(p + 24),
		.oldest_modseq = get_u64(p + 32),
		.mailbox_next = get_u32(p + 40),
		.mailboxes = get_u32(p + 44),
		.uidvalidity_last = get_u32(p + 48),
		.changes = get_u32(p + 52),
	};
	return FAULT_OK;
}

enum fault
index_account_load(struct kv_txn *txn, uint64_t id, struct store_account *account)
{
	struct index_key key = index_key_id(id);
	struct slice value;
	enum fault fault = record_get(txn, INDEX_ACCOUNTS, key, &value);

	if (fault != FAULT_OK)
		return fault;
	return index_account_decode(index_key_slice(&key), value, account);
}

void
index_account_save(struct kv_txn *txn, const struct store_account *a)
{
	struct index_key key = index_key_id(a->id);
	uint8_t p[ACCOUNT_SIZE];

	put_u64(p, a->quota_bytes);
	put_u64(p + 8, a->used_bytes);
	put_u64(p + 16, a->messages);
	put_u64(p + 24, a->modseq);
	put_u64(p + 32, a->oldest_modseq);
	put_u32(p + 40, a->mailbox_next);
	put_u32(p + 44, a->mailboxes);
	put_u32(p + 48, a->uidvalidity_last);
	put_u32(p + 52, a->changes);
	kv_put(txn, INDEX_ACCOUNTS, index_key_slice(&key), slice_make(p, sizeof(p)));
}

enum fault
index_mailbox_decode(struct slice key, struct slice value, struct store_mailbox *m)
{
	const char *p = value.data;

	if (key.len != 12 || value.len <= MAILBOX_SIZE ||
		value.len > MAILBOX_SIZE + STORE_LEVEL_MAX || (uint8_t)p[48] >= STORE_USE_COUNT)
		return FAULT_DAMAGED;
	m->account = get_u64(key.data);
	m->id = get_u32(key.data + 8);
	m->parent = get_u32(p);
	m->uidvalidity = get_u32(p + 4);
	m->uidnext = get_u32(p + 8);
	m->exists = get_u32(p + 12);
	m->unseen = get_u32(p + 16);
	m->deleted = get_u32(p + 20);
	m->recent = get_u32(p + 24);
	m->recent_from = get_u32(p + 28);
	m->size_bytes = get_u64(p + 32);
	m->highest_modseq = get_u64(p + 40);
	m->special_use = (uint8_t)p[48];
	m->noselect = p[49] != 0;
	m->subscribed = false;
	m->has_children = false;
	m->name_len = value.len - MAILBOX_SIZE;
	memcpy(m->name, p + MAILBOX_SIZE, m->name_len);
	m->name[m->name_len] = '\0';
	return FAULT_OK;
}

enum fault
index_mailbox_load(struct kv_txn *txn, uint64_t account, uint32_t id, struct store_mailbox *mailbox)
{
	struct index_key key = index_key_mailbox(account, id);
	struct slice value;
	enum fault fault = record_get(txn, INDEX_MAILBOXES, key, &value);

	if (fault != FAULT_OK)
		return fault;
	return index_mailbox_decode(index_key_slice(&key), value, mailbox);
}

void
index_mailbox_save(struct kv_txn *txn, const struct store_mailbox *m)
{
	struct index_key key = index_key_mailbox(m->account, m->id);
	uint8_t p[MAILBOX_SIZE + STORE_LEVEL_MAX] = {0};

	assert(m->name_len > 0 && m->name_len <= STORE_LEVEL_MAX);
	put_u32(p, m->parent);
	put_u32(p + 4, m->uidvalidity);
	put_u32(p + 8, m->uidnext);
	put_u32(p + 12, m->exists);
	put_u32(p + 16, m->unseen);
	put_u32(p + 20, m->deleted);
	put_u32(p + 24, m->recent);
	put_u32(p + 28, m->recent_from);
	put_u64(p + 32, m->size_bytes);
	put_u64(p + 40, m->highest_modseq);
	p[48] = (uint8_t)m->special_use;
	p[49] = m->noselect;
	memcpy(p + MAILBOX_SIZE, m->name, m->name_len);
	kv_put(txn, INDEX_MAILBOXES, index_key_slice(&key),
		slice_make(p, MAILBOX_SIZE + m->name_len));
}

enum fault
index_message_decode(struct slice key, struct slice value, struct store_message *m)
{
	const char *p = value.data;

	if (key.len != 16 || value.len != INDEX_MESSAGE_SIZE)
		return FAULT_DAMAGED;
	m->account = get_u64(key.data);
	m->mailbox = get_u32(key.data + 8);
	m->uid = get_u32(key.data + 12);
	m->modseq = get_u64(p);
	m->email_id = get_u64(p + 8);
	m->thread_id = get_u64(p + 16);
	m->body_id = get_u64(p + 24);
	m->received_at = (int64_t)get_u64(p + 32);
	m->keywords.bits[0] = get_u64(p + 40);
	m->keywords.bits[1] = get_u64(p + 48);
	uint64_t plain_len = get_u64(p + 56);
	m->structure_len = get_u32(p + 64);
	m->prefix_len = get_u16(p + 68);
	m->zone = (int16_t)get_u16(p + 70);
	m->flags = (uint8_t)p[72];
	m->size = m->prefix_len + plain_len;
	return m->prefix_len > STORE_PREFIX_MAX || plain_len > INT64_MAX ? FAULT_DAMAGED : FAULT_OK;
}

void
index_message_encode(const struct store_message *m, uint8_t p[static INDEX_MESSAGE_SIZE])
{
	put_u64(p, m->modseq);
	put_u64(p + 8, m->email_id);
	put_u64(p + 16, m->thread_id);
	put_u64(p + 24, m->body_id);
	put_u64(p + 32, (uint64_t)m->received_at);
	put_u64(p + 40, m->keywords.bits[0]);
	put_u64(p + 48, m->keywords.bits[1]);
	put_u64(p + 56, m->size - m->prefix_len);
	put_u32(p + 64, m->structure_len);
	put_u16(p + 68, (uint16_t)m->prefix_len);
	put_u16(p + 70, (uint16_t)m->zone);
	p[72] = m->flags;
	p[73] = p[74] = p[75] = 0;
}

enum fault
index_message_load(struct kv_txn *txn, struct index_key key, struct store_message *message)
{
	struct slice value;
	enum fault fault = record_get(txn, INDEX_MESSAGES, key, &value);

	if (fault != FAULT_OK)
		return fault;
	return index_message_decode(index_key_slice(&key), value, message);
}

void
index_message_save(struct kv_txn *txn, const struct store_message *m)
{
	struct index_key key = index_key_message(m->account, m->mailbox, m->uid);
	uint8_t record[INDEX_MESSAGE_SIZE];

	index_message_encode(m, record);
	kv_put(txn, INDEX_MESSAGES, index_key_slice(&key), slice_make(record, sizeof(record)));
}

enum fault
index_email_load(struct kv_txn *txn, uint64_t id, struct index_email *e)
{
	struct slice value;
	enum fault fault = record_get(txn, INDEX_EMAILS, index_key_id(id), &value);

	if (fault != FAULT_OK)
		return fault;
	if (value.len < EMAIL_SIZE || value.len > EMAIL_SIZE + STORE_PREFIX_MAX)
		return FAULT_DAMAGED;
	*e = (struct index_email){
		.references = get_u32(value.data),
		.account = get_u64(value.data + 4),
		.body_id = get_u64(value.data + 12),
		.prefix = slice_after(value, EMAIL_SIZE),
	};
	return FAULT_OK;
}

void
index_email_save(struct kv_txn *txn, uint64_t id, const struct index_email *e)
{
	struct index_key key = index_key_id(id);
	uint8_t p[EMAIL_SIZE + STORE_PREFIX_MAX];
	struct slice prefix = slice_first(e->prefix, STORE_PREFIX_MAX);

	put_u32(p, e->references);
	put_u64(p + 4, e->account);
	put_u64(p + 12, e->body_id);
	if (prefix.len > 0)
		memcpy(p + EMAIL_SIZE, prefix.data, prefix.len);
	kv_put(txn, INDEX_EMAILS, index_key_slice(&key), slice_make(p, EMAIL_SIZE + prefix.len));
}

enum fault
index_body_decode(struct slice value, struct index_body *b)
{
	const char *p = value.data;

	if (value.len != BODY_SIZE)
		return FAULT_DAMAGED;
	*b = (struct index_body){
		.references = get_u32(p),
		.place = {get_u32(p + 4), get_u64(p + 8), get_u64(p + 16)},
		.structure_len = get_u32(p + 24),
		.stored_len = get_u64(p + 28),
		.plain_len = get_u64(p + 36),
		.prefix_len = get_u16(p + 44),
		.codec = (uint8_t)p[46],
	};
	return body_lengths_fit(b->codec, b->plain_len, b->stored_len) ? FAULT_OK : FAULT_DAMAGED;
}

struct body_handle
index_body_handle(const struct index_body *b)
{
	return (struct body_handle){
		.segment = b->place.segment,
		.codec = b->codec,
		.offset = b->place.offset + SEGMENT_HEADER_SIZE + b->prefix_len + b->structure_len,
		.stored_len = b->stored_len,
		.plain_len = b->plain_len,
	};
}

enum fault
index_body_load(struct kv_txn *txn, uint64_t id, struct index_body *body)
{
	struct slice value;
	enum fault fault = record_get(txn, INDEX_BODIES, index_key_id(id), &value);

	return fault != FAULT_OK ? fault : index_body_decode(value, body);
}

void
index_body_save(struct kv_txn *txn, uint64_t id, const struct index_body *b)
{
	struct index_key key = index_key_id(id);
	uint8_t p[BODY_SIZE];

	put_u32(p, b->references);
	put_u32(p + 4, b->place.segment);
	put_u64(p + 8, b->place.offset);
	put_u64(p + 16, b->place.length);
	put_u32(p + 24, b->structure_len);
	put_u64(p + 28, b->stored_len);
	put_u64(p + 36, b->plain_len);
	put_u16(p + 44, b->prefix_len);
	p[46] = b->codec;
	p[47] = 0;
	kv_put(txn, INDEX_BODIES, index_key_slice(&key), slice_make(p, sizeof(p)));
}

enum fault
index_segment_decode(struct slice value, struct index_segment *s)
{
	const char *p = value.data;

	if (value.len != SEGMENT_SIZE && value.len != SEGMENT_OLDER_SIZE)
		return FAULT_DAMAGED;
	*s = (struct index_segment){
		.live_bytes = get_u64(p), .live_records = get_u32(p + 8), .is_older = true};
	if (value.len == SEGMENT_OLDER_SIZE)
		return FAULT_OK;
	s->mail_bytes = get_u64(p + 12);
	s->plain_bytes = get_u64(p + 20);
	s->end_id = get_u64(p + 28);
	s->emptied_at = (int64_t)get_u64(p + 36);
	s->is_older = ((uint8_t)p[44] & SEGMENT_IS_OLDER) != 0;
	s->is_carried = ((uint8_t)p[44] & SEGMENT_IS_CARRIED) != 0;
	return FAULT_OK;
}

static struct index_key
segment_key(uint32_t segment)
{
	struct index_key key;

	key.len = 0;
	index_key_u32(&key, segment);
	return key;
}

enum fault
index_segment_load(struct kv_txn *txn, uint32_t segment, struct index_segment *s)
{
	struct slice value;
	enum fault fault = record_get(txn, INDEX_SEGMENTS, segment_key(segment), &value);

	return fault != FAULT_OK ? fault : index_segment_decode(value, s);
}

void
index_segment_save(struct kv_txn *txn, uint32_t segment, const struct index_segment *s)
{
	struct index_key key = segment_key(segment);
	uint8_t p[SEGMENT_SIZE];

	put_u64(p, s->live_bytes);
	put_u32(p + 8, s->live_records);
	put_u64(p + 12, s->mail_bytes);
	put_u64(p + 20, s->plain_bytes);
	put_u64(p + 28, s->end_id);
	put_u64(p + 36, (uint64_t)s->emptied_at);
	p[44] = (uint8_t)((s->is_older ? SEGMENT_IS_OLDER : 0) |
		(s->is_carried ? SEGMENT_IS_CARRIED : 0));
	kv_put(txn, INDEX_SEGMENTS, index_key_slice(&key), slice_make(p, sizeof(p)));
}

enum fault
index_delivered_decode(struct slice value, struct index_delivered *d)
{
	if (value.len != DELIVERED_SIZE)
		return FAULT_DAMAGED;
	*d = (struct index_delivered){get_u32(value.data), get_u32(value.data + 4),
		get_u32(value.data + 8), get_u64(value.data + 12)};
	return FAULT_OK;
}
