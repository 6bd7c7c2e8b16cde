/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: a message comes in.  The body is written once, by the first
 * mailbox that takes it; further mailboxes share it and add a small record of their own, so that
 * the segments alone tell where each message belonged.
 */
#include "common/store/writer_private.h"

#include "common/base/bytes.h"

/* One append under way. */
struct appending {
	struct writer_append *request;
	uint64_t body_id; /* 0: the body has not been written yet */
	struct index_body body;
};

/* What a target needs, all checked. */
struct landing {
	struct writer_place place;
	struct store_keywords keywords;
	struct store_message message;
};

static bool
has_delivery_id(const struct writer_target *t)
{
	static const uint8_t none[STORE_DELIVERY_ID_SIZE];

	return memcmp(t->delivery_id, none, sizeof(none)) != 0;
}

static struct index_key
delivery_key(const struct writer_target *t)
{
	struct index_key key;

	key.len = 0;
	index_key_bytes(&key, slice_make(t->delivery_id, sizeof(t->delivery_id)));
	index_key_u64(&key, t->account);
	return key;
}

/* A second commit of the same delivery is answered like the first, and does nothing. */
static bool
delivery_find(struct store_writer *w, struct writer_target *t)
{
	struct index_key key = delivery_key(t);
	struct index_delivered d;
	struct slice value;

	if (!has_delivery_id(t) ||
		!kv_get(&w->txn, INDEX_DELIVERED, index_key_slice(&key), &value) ||
		index_delivered_decode(value, &d) != FAULT_OK)
		return false;
	t->repeated = true;
	t->mailbox_used = d.mailbox;
	t->uidvalidity = d.uidvalidity;
	t->uid = d.uid;
	t->email_id = d.email_id;
	return true;
}

static void
delivery_remember(struct store_writer *w, const struct writer_target *t)
{
	struct index_key key = delivery_key(t), at = index_key_id((uint64_t)w->now);
	uint8_t value[20];

	if (!has_delivery_id(t))
		return;
	put_u32(value, t->mailbox_used);
	put_u32(value + 4, t->uidvalidity);
	put_u32(value + 8, t->uid);
	put_u64(value + 12, t->email_id);
	kv_put(&w->txn, INDEX_DELIVERED, index_key_slice(&key), slice_make(value, sizeof(value)));
	index_key_bytes(&at, index_key_slice(&key));
	kv_put(&w->txn, INDEX_DELIVERED_AT, index_key_slice(&at), SLICE(""));
}

static struct index_key
thread_key(uint64_t account, uint64_t hash)
{
	struct index_key key = index_key_id(account);

	index_key_u64(&key, hash);
	return key;
}

uint64_t
writer_thread_find(
	struct store_writer *w, const struct writer_threads *t, const struct store_message *m)
{
	for (size_t i = 0; i < t->count && i < STORE_THREAD_HASHES_MAX; i++) {
		struct index_key key = thread_key(m->account, t->hashes[i]);
		struct slice value;
		if (kv_get(&w->txn, INDEX_THREADS, index_key_slice(&key), &value) && value.len == 8)
			return get_u64(value.data);
	}
	return m->email_id;
}

/* Ties the unknown Message-IDs to the thread; a known one keeps its thread for ever (RFC 8474). */
void
writer_thread_tie(
	struct store_writer *w, const struct writer_threads *t, const struct store_message *m)
{
	uint8_t id[8];

	put_u64(id, m->thread_id);
	for (size_t i = 0; i < t->count && i < STORE_THREAD_HASHES_MAX; i++) {
		struct index_key key = thread_key(m->account, t->hashes[i]);
		struct slice value;
		if (!kv_get(&w->txn, INDEX_THREADS, index_key_slice(&key), &value))
			kv_put(&w->txn, INDEX_THREADS, index_key_slice(&key),
				slice_make(id, sizeof(id)));
	}
}

static enum fault
place_find(struct store_writer *w, const struct writer_target *t, struct writer_place *place)
{
	enum fault fault = writer_place_load(w, t->account, t->mailbox, place);

	if (fault == FAULT_NOT_FOUND && t->make_account &&
		index_account_load(&w->txn, t->account, &place->account) == FAULT_NOT_FOUND) {
		fault = writer_account_ensure(w, t->account, w->options.account_quota);
		if (fault == FAULT_OK)
			fault = writer_place_load(w, t->account, t->mailbox, place);
	}
	if ((fault == FAULT_NOT_FOUND || fault == FAULT_DENIED) && t->or_inbox)
		fault = writer_place_load(w, t->account, STORE_INBOX, place);
	return fault;
}

/* Everything that can be wrong with a target is found here, before anything is written. */
static enum fault
landing_prepare(struct store_writer *w, const struct writer_append *a,
	const struct writer_target *t, struct landing *l)
{
	struct writer_keywords names = {t->account, t->keywords, t->keyword_count, true};
	uint64_t size = t->prefix.len + a->info.plain_len;

	if (t->account == 0)
		return FAULT_NOT_FOUND;
	if (t->prefix.len > STORE_PREFIX_MAX)
		return FAULT_TOO_LONG;
	enum fault fault = place_find(w, t, &l->place);
	if (fault != FAULT_OK)
		return fault;
	const struct store_account *account = &l->place.account;
	if (!t->ignore_quota && account->quota_bytes != 0 &&
		account->used_bytes + size > account->quota_bytes)
		return FAULT_OVER_QUOTA;
	if (l->place.mailbox.uidnext == UINT32_MAX)
		return FAULT_LIMIT;
	return writer_keywords_find(w, &names, &l->keywords);
}

static void
message_fill(struct store_writer *w, const struct writer_append *a, const struct writer_target *t,
	struct landing *l)
{
	struct store_message *m = &l->message;

	*m = (struct store_message){
		.account = t->account,
		.mailbox = l->place.mailbox.id,
		.uid = l->place.mailbox.uidnext,
		.modseq = l->place.account.modseq + 1,
		.email_id = w->next_id,
		.received_at = t->received_at,
		.zone = t->zone,
		.flags = t->flags & STORE_FLAGS_ALL,
		.keywords = l->keywords,
		.size = t->prefix.len + a->info.plain_len,
		.prefix_len = (uint32_t)t->prefix.len,
		.structure_len = (uint32_t)a->structure.len,
	};
	m->thread_id = writer_thread_find(
		w, &(struct writer_threads){a->thread_hashes, a->thread_hash_count}, m);
}

/* The segment's record: with the body the first time, without later. */
static enum fault
segment_write(struct store_writer *w, struct appending *a, const struct writer_target *t,
	struct store_message *m)
{
	bool first = a->body_id == 0;
	struct segment_place place;
	struct segment_record record = {
		.kind = first ? SEGMENT_MAIL : SEGMENT_TARGET,
		.flags = m->flags,
		.zone = m->zone,
		.account = m->account,
		.mailbox = m->mailbox,
		.uid = m->uid,
		.received_at = m->received_at,
		.email_id = m->email_id,
		.thread_id = m->thread_id,
		.body_id = first ? w->next_id + 1 : a->body_id,
		.prefix = t->prefix,
	};

	if (first) {
		record.codec = a->request->info.codec;
		record.plain_len = a->request->info.plain_len;
		memcpy(record.checksum, a->request->info.checksum, sizeof(record.checksum));
		record.structure = a->request->structure;
		record.body = a->request->body;
	}
	enum fault fault = journal_append(w->journal, &record, &place);
	if (fault != FAULT_OK || !first)
		return fault;
	a->body_id = record.body_id;
	a->body = (struct index_body){
		.place = place,
		.structure_len = (uint32_t)record.structure.len,
		.prefix_len = (uint16_t)record.prefix.len,
		.codec = record.codec,
		.stored_len = record.body.len,
		.plain_len = record.plain_len,
	};
	return FAULT_OK;
}

void
writer_message_add(
	struct store_writer *w, struct writer_place *place, const struct writer_arrival *arrival)
{
	const struct store_message *m = arrival->message;
	struct index_email email = {1, m->account, m->body_id, arrival->prefix};
	struct store_change change = {STORE_CHANGE_NEW, m->mailbox, m->modseq, m->uid, m->uid};

	index_message_save(&w->txn, m);
	index_email_save(&w->txn, m->email_id, &email);
	place->account.modseq = m->modseq;
	place->mailbox.highest_modseq = m->modseq;
	if (m->uid >= place->mailbox.uidnext)
		place->mailbox.uidnext = m->uid + 1;
	writer_count_add(&place->account, &place->mailbox, m);
	writer_change(w, &place->account, &change);
	writer_place_save(w, place);
}

static void
landing_write(struct store_writer *w, struct appending *a, const struct writer_target *t,
	struct landing *l)
{
	struct writer_arrival arrival = {&l->message, t->prefix};

	l->message.body_id = a->body_id;
	writer_thread_tie(w,
		&(struct writer_threads){a->request->thread_hashes, a->request->thread_hash_count},
		&l->message);
	writer_message_add(w, &l->place, &arrival);
	a->body.references++;
}

static enum fault
target_append(struct store_writer *w, struct appending *a, struct writer_target *t)
{
	struct landing l;
	enum fault fault = landing_prepare(w, a->request, t, &l);

	if (fault != FAULT_OK)
		return fault;
	message_fill(w, a->request, t, &l);
	fault = segment_write(w, a, t, &l.message);
	if (fault != FAULT_OK)
		return fault;
	/* One id for the email; the first target has taken another for the body. */
	w->next_id += 2;
	landing_write(w, a, t, &l);
	t->mailbox_used = l.message.mailbox;
	t->uidvalidity = l.place.mailbox.uidvalidity;
	t->uid = l.message.uid;
	t->modseq = l.message.modseq;
	t->email_id = l.message.email_id;
	t->thread_id = l.message.thread_id;
	delivery_remember(w, t);
	return w->txn.fault;
}

void
writer_body_count(struct store_writer *w, const struct index_body *body)
{
	struct index_segment segment = {0};
	enum fault fault = index_segment_load(&w->txn, body->place.segment, &segment);

	if (fault == FAULT_DAMAGED) {
		kv_fail(&w->txn, fault);
		return;
	}
	segment.live_bytes += body->place.length;
	segment.live_records++;
	segment.mail_bytes += body->place.length;
	segment.plain_bytes += body->plain_len;
	index_segment_save(&w->txn, body->place.segment, &segment);
}

void
writer_body_add(struct store_writer *w, uint64_t body_id, const struct index_body *body,
	struct slice structure)
{
	struct index_key key = index_key_id(body_id);

	writer_body_count(w, body);
	index_body_save(&w->txn, body_id, body);
	/* The log need not have it twice. */
	struct kv_change put = {INDEX_STRUCTURES, false, index_key_slice(&key), structure};
	struct segment_place at = body->place;
	at.offset += SEGMENT_HEADER_SIZE + body->prefix_len;
	journal_put_stored(w->journal, &w->txn, &put, &at);
}

void
writer_append(struct store_writer *w, struct writer_append *request)
{
	struct appending a = {.request = request};
	bool fits = request->body.len == request->info.stored_len &&
		request->structure.len <= JOURNAL_STORED_MAX &&
		body_lengths_fit(
			request->info.codec, request->info.plain_len, request->info.stored_len);

	for (size_t i = 0; i < request->target_count; i++) {
		struct writer_target *t = &request->targets[i];
		t->fault = fits ? FAULT_OK : FAULT_PEER_PROTOCOL;
		t->repeated = false;
		t->mailbox_used = t->uidvalidity = t->uid = 0;
		t->modseq = t->email_id = t->thread_id = 0;
		if (fits && !delivery_find(w, t))
			t->fault = target_append(w, &a, t);
	}
	if (a.body.references > 0)
		writer_body_add(w, a.body_id, &a.body, request->structure);
}
