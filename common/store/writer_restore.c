/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: a message of a backup comes back.  Of a backup of this store it
 * keeps its ids, which nobody else can have: ids are never used again, and a restored store gives
 * none that the lost one may have given.  Of another store's they mean nothing here.
 */
#include "common/store/writer_private.h"

/* What comes back, and as what. */
struct restoring {
	struct writer_restore *request;
	bool same_store; /* its ids count */
	bool revives; /* expunged and not yet purged: its body is still there */
	struct store_message message; /* what all its places share */
	struct index_body body; /* with references 0: to be appended */
	char prefix[STORE_PREFIX_MAX];
};

/* Whether the email is there, waits for its purge, or is unknown. */
static enum fault
email_look(struct store_writer *w, struct restoring *r, bool *present)
{
	struct writer_restore *request = r->request;
	struct index_email email;
	uint64_t store = 0;
	enum fault fault = index_meta_load(&w->txn, INDEX_META_STORE, &store);

	*present = false;
	r->same_store = store == request->store && request->email_id != 0 &&
		request->email_id < w->next_id && request->body_id < w->next_id;
	if (fault != FAULT_OK || !r->same_store)
		return fault;
	fault = index_email_load(&w->txn, request->email_id, &email);
	if (fault == FAULT_NOT_FOUND)
		return FAULT_OK;
	if (fault != FAULT_OK)
		return fault;
	/* Another account's: the backup is read for one that took its place. */
	if (email.account != request->account) {
		r->same_store = false;
		return FAULT_OK;
	}
	*present = email.references > 0;
	r->revives = !*present;
	if (r->revives) {
		r->message.prefix_len = (uint32_t)email.prefix.len;
		memcpy(r->prefix, email.prefix.data, email.prefix.len);
		r->message.body_id = email.body_id;
		fault = index_body_load(&w->txn, email.body_id, &r->body);
	}
	return fault;
}

static bool
is_same_body(const struct writer_restore *request, const struct index_body *b)
{
	return b->references > 0 && b->plain_len == request->info.plain_len &&
		b->stored_len == request->info.stored_len && b->codec == request->info.codec &&
		b->structure_len == request->structure.len;
}

/* Of another email that shared it, the body may still be there. */
static enum fault
body_look(struct store_writer *w, struct restoring *r)
{
	struct writer_restore *request = r->request;
	struct index_body body;

	r->message.prefix_len = (uint32_t)request->prefix.len;
	memcpy(r->prefix, request->prefix.data, request->prefix.len);
	r->body = (struct index_body){.references = 0};
	r->message.body_id = 0;
	if (!r->same_store || request->body_id == 0)
		return FAULT_OK;
	enum fault fault = index_body_load(&w->txn, request->body_id, &body);
	if (fault == FAULT_NOT_FOUND)
		r->message.body_id = request->body_id;
	else if (fault == FAULT_OK && is_same_body(request, &body)) {
		r->message.body_id = request->body_id;
		r->body = body;
	}
	return fault == FAULT_NOT_FOUND || fault == FAULT_DAMAGED ? FAULT_OK : fault;
}

/* The mailbox that was meant; when it went meanwhile, INBOX. */
static enum fault
place_find(struct store_writer *w, const struct writer_restore *request,
	const struct writer_restore_target *t, struct writer_place *place)
{
	enum fault fault = writer_place_load(w, request->account, t->mailbox, place);

	if (fault == FAULT_NOT_FOUND || fault == FAULT_DENIED)
		fault = writer_place_load(w, request->account, STORE_INBOX, place);
	return fault == FAULT_OK && place->mailbox.uidnext == UINT32_MAX ? FAULT_LIMIT : fault;
}

static enum fault
request_check(struct store_writer *w, const struct writer_restore *request)
{
	struct writer_place place;
	enum fault fault = FAULT_OK;

	if (request->target_count == 0 || request->prefix.len > STORE_PREFIX_MAX ||
		request->body.len != request->info.stored_len ||
		request->structure.len > UINT32_MAX ||
		!body_lengths_fit(
			request->info.codec, request->info.plain_len, request->info.stored_len))
		return FAULT_PEER_PROTOCOL;
	for (size_t i = 0; i < request->target_count && fault == FAULT_OK; i++)
		fault = place_find(w, request, &request->targets[i], &place);
	return fault;
}

/* Adds the message to one mailbox. */
static enum fault
target_add(struct store_writer *w, struct restoring *r, const struct writer_restore_target *t)
{
	struct writer_keywords names = {r->request->account, t->keywords, t->keyword_count, true};
	struct store_message m = r->message;
	struct writer_place place;
	enum fault fault = place_find(w, r->request, t, &place);

	if (fault == FAULT_OK)
		fault = writer_keywords_find(w, &names, &m.keywords);
	if (fault != FAULT_OK)
		return fault;
	m.mailbox = place.mailbox.id;
	m.uid = place.mailbox.uidnext++;
	m.modseq = place.mailbox.highest_modseq = writer_next_modseq(&place.account);
	m.flags = t->flags & STORE_FLAGS_ALL;
	m.received_at = t->received_at;
	m.zone = t->zone;
	index_message_save(&w->txn, &m);
	writer_count_add(&place.account, &place.mailbox, &m);
	writer_change(w, &place.account,
		&(struct store_change){STORE_CHANGE_NEW, m.mailbox, m.modseq, m.uid, m.uid});
	writer_place_save(w, &place);
	return w->txn.fault;
}

static enum fault
body_append(struct store_writer *w, struct restoring *r)
{
	const struct writer_restore *request = r->request;
	const struct writer_restore_target *t = &request->targets[0];
	struct store_message *m = &r->message;
	struct segment_place place;
	struct segment_record record = {
		.kind = SEGMENT_MAIL,
		.codec = request->info.codec,
		.flags = t->flags & STORE_FLAGS_ALL,
		.zone = t->zone,
		.account = request->account,
		.mailbox = t->mailbox,
		.received_at = t->received_at,
		.email_id = m->email_id,
		.thread_id = m->thread_id,
		.body_id = m->body_id,
		.plain_len = request->info.plain_len,
		.prefix = request->prefix,
		.structure = request->structure,
		.body = request->body,
	};
	struct writer_place to;
	enum fault fault = place_find(w, request, t, &to);

	if (fault != FAULT_OK)
		return fault;
	record.mailbox = to.mailbox.id;
	record.uid = to.mailbox.uidnext;
	memcpy(record.checksum, request->info.checksum, sizeof(record.checksum));
	fault = journal_append(w->journal, &record, &place);
	if (fault != FAULT_OK)
		return fault;
	r->body = (struct index_body){
		.references = 1,
		.place = place,
		.structure_len = (uint32_t)record.structure.len,
		.prefix_len = (uint16_t)record.prefix.len,
		.codec = record.codec,
		.stored_len = record.body.len,
		.plain_len = record.plain_len,
	};
	writer_body_add(w, m->body_id, &r->body, request->structure);
	return w->txn.fault;
}

/* The entry that waits for the purge; its time is told by who asked, if it knows. */
static enum fault
expunged_remove(struct store_writer *w, const struct writer_restore *request)
{
	struct index_key key = index_key_id((uint64_t)request->expunged_at);
	struct store_message message;
	enum fault fault = FAULT_OK;

	index_key_u64(&key, request->email_id);
	if (kv_delete(&w->txn, INDEX_EXPUNGED, index_key_slice(&key)))
		return w->txn.fault;
	fault = writer_expunged_find(w, request->email_id, &key, &message);
	if (fault == FAULT_OK)
		(void)kv_delete(&w->txn, INDEX_EXPUNGED, index_key_slice(&key));
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

static void
ids_fill(struct store_writer *w, struct restoring *r)
{
	struct writer_restore *request = r->request;
	struct store_message *m = &r->message;

	m->account = request->account;
	m->email_id = r->same_store ? request->email_id : w->next_id++;
	if (m->body_id == 0)
		m->body_id = w->next_id++;
	m->thread_id = r->same_store && request->thread_id != 0
		? request->thread_id
		: writer_thread_find(w, &request->threads, m);
	m->structure_len = r->body.references > 0 || r->revives ? r->body.structure_len
								: (uint32_t)request->structure.len;
	m->size = m->prefix_len + (r->revives ? r->body.plain_len : request->info.plain_len);
}

/* The body first: after a fault there nothing has been changed. */
static enum fault
restore_write(struct store_writer *w, struct restoring *r)
{
	struct writer_restore *request = r->request;
	enum fault fault = FAULT_OK;

	ids_fill(w, r);
	if (r->revives) {
		fault = expunged_remove(w, request);
	} else if (r->body.references > 0) {
		r->body.references++;
		index_body_save(&w->txn, r->message.body_id, &r->body);
	} else {
		fault = body_append(w, r);
	}
	if (fault != FAULT_OK)
		return fault;
	for (size_t i = 0; i < request->target_count; i++) {
		fault = target_add(w, r, &request->targets[i]);
		/* All was checked: half of it must not stay. */
		if (fault != FAULT_OK) {
			kv_fail(&w->txn, fault_of_host(fault));
			return fault;
		}
	}
	struct index_email email = {(uint32_t)request->target_count, request->account,
		r->message.body_id, slice_make(r->prefix, r->message.prefix_len)};
	index_email_save(&w->txn, r->message.email_id, &email);
	writer_thread_tie(w, &request->threads, &r->message);
	request->restored = (uint32_t)request->target_count;
	return w->txn.fault;
}

enum fault
writer_restore(struct store_writer *w, struct writer_restore *request)
{
	struct restoring r = {.request = request};
	bool present = false;
	enum fault fault = request_check(w, request);

	request->restored = 0;
	if (fault == FAULT_OK)
		fault = email_look(w, &r, &present);
	if (fault != FAULT_OK || present)
		return fault;
	if (!r.revives)
		fault = body_look(w, &r);
	return fault == FAULT_OK ? restore_write(w, &r) : fault;
}
