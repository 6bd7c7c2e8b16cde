/* SPDX-License-Identifier: ISC */
/*
 * Salvage: messages whose bytes are gone are dropped, and told; what mailboxes and accounts say of
 * theirs is counted anew.
 */
#include "common/base/bytes.h"
#include "common/store/salvage_private.h"

static void
message_lose(struct salvage *s, const struct store_message *m)
{
	struct salvage_finding finding = {.account = m->account,
		.mailbox = m->mailbox,
		.uid = m->uid,
		.email_id = m->email_id,
		.text = "the message's bytes are gone"};

	s->report->lost++;
	if (s->options.found != NULL)
		s->options.found(s->options.arg, &finding);
}

/* The email is lost, the body is not: it goes on without Return-Path and Delivered-To. */
static void
email_remake(struct salvage *s, const struct store_message *m)
{
	struct index_email email = {1, m->account, m->body_id, SLICE("")};
	struct salvage_finding finding = {.account = m->account,
		.mailbox = m->mailbox,
		.uid = m->uid,
		.email_id = m->email_id,
		.text = "the first lines of the message are lost"};

	index_email_save(&s->writer->txn, m->email_id, &email);
	s->report->damaged++;
	if (s->options.found != NULL)
		s->options.found(s->options.arg, &finding);
}

/* What a message leads to is there, and as long as the message says; mended when it can be. */
static bool
message_is_whole(struct salvage *s, struct store_message *m, bool *changed)
{
	struct kv_txn *txn = &s->writer->txn;
	struct index_email email;
	struct index_body body;

	if (m->uid == 0 || index_body_load(txn, m->body_id, &body) != FAULT_OK)
		return false;
	enum fault fault = index_email_load(txn, m->email_id, &email);
	if (fault == FAULT_NOT_FOUND) {
		email_remake(s, m);
		fault = index_email_load(txn, m->email_id, &email);
	}
	if (fault != FAULT_OK || email.account != m->account || email.body_id != m->body_id)
		return false;
	*changed = m->prefix_len != email.prefix.len || m->structure_len != body.structure_len ||
		m->size != email.prefix.len + body.plain_len;
	m->prefix_len = (uint32_t)email.prefix.len;
	m->structure_len = body.structure_len;
	m->size = email.prefix.len + body.plain_len;
	return true;
}

struct counting {
	struct writer_place place; /* counted anew */
	uint64_t lost;
	struct store_keywords keywords; /* that its messages have */
};

static enum fault
message_count(struct salvage *s, struct counting *c, struct kv_cursor *cursor)
{
	uint8_t record[INDEX_MESSAGE_SIZE];
	struct store_mailbox *b = &c->place.mailbox;
	struct store_message m = {.account = b->account, .mailbox = b->id};
	bool changed = false;

	if (index_message_decode(cursor->key, cursor->value, &m) != FAULT_OK ||
		!message_is_whole(s, &m, &changed)) {
		message_lose(s, &m);
		kv_cursor_delete(cursor);
		c->lost++;
		return FAULT_OK;
	}
	if (changed) {
		index_message_encode(&m, record);
		kv_cursor_put(cursor, slice_make(record, sizeof(record)));
	}
	writer_count_add(&c->place.account, b, &m);
	if (m.uid >= b->uidnext)
		b->uidnext = m.uid + 1;
	if (m.modseq > b->highest_modseq)
		b->highest_modseq = m.modseq;
	for (size_t i = 0; i < sizeof(m.keywords.bits) / sizeof(m.keywords.bits[0]); i++)
		c->keywords.bits[i] |= m.keywords.bits[i];
	return id_list_add(&s->message_emails, m.email_id);
}

static enum fault
messages_count(struct salvage *s, struct counting *c)
{
	struct store_mailbox *b = &c->place.mailbox;
	struct index_key prefix = index_key_mailbox(b->account, b->id);
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	b->exists = b->unseen = b->deleted = b->recent = 0;
	b->size_bytes = 0;
	kv_cursor_open(&s->writer->txn, INDEX_MESSAGES, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
		more && fault == FAULT_OK; more = kv_next_prefix(&cursor, index_key_slice(&prefix)))
		fault = message_count(s, c, &cursor);
	kv_cursor_close(&cursor);
	if (b->recent_from > b->uidnext)
		b->recent_from = b->uidnext;
	return fault;
}

static bool
mailbox_differs(const struct store_mailbox *a, const struct store_mailbox *b)
{
	return a->uidnext != b->uidnext || a->exists != b->exists || a->unseen != b->unseen ||
		a->deleted != b->deleted || a->recent != b->recent ||
		a->recent_from != b->recent_from || a->size_bytes != b->size_bytes ||
		a->highest_modseq != b->highest_modseq;
}

static enum fault
mailboxes_count(struct salvage *s, struct counting *c)
{
	struct store_account *a = &c->place.account;
	struct store_mailbox *m = &c->place.mailbox;
	struct salvage_key at = {.len = 8};
	struct slice key, value;
	enum fault fault = FAULT_OK;

	put_u64(at.bytes, a->id);
	while (fault == FAULT_OK && salvage_next(s, INDEX_MAILBOXES, &at, &key, &value) &&
		key.len >= 8 && get_u64(key.data) == a->id) {
		if (index_mailbox_decode(key, value, m) != FAULT_OK)
			continue;
		struct store_mailbox before = *m;
		a->mailboxes++;
		fault = messages_count(s, c);
		/* Clients that remember a state must compare. */
		if (s->in_doubt || c->lost > 0)
			m->highest_modseq = a->modseq =
				(m->highest_modseq > a->modseq ? m->highest_modseq : a->modseq) + 1;
		if (m->highest_modseq > a->modseq)
			a->modseq = m->highest_modseq;
		if (mailbox_differs(m, &before))
			index_mailbox_save(&s->writer->txn, m);
	}
	return fault;
}

/* Keywords are numbered without gaps: a name that was lost gets another. */
static void
keywords_mend(struct salvage *s, uint64_t account, const struct store_keywords *used)
{
	struct kv_txn *txn = &s->writer->txn;
	struct slice value;
	unsigned end = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < (pass == 0 ? STORE_KEYWORDS_MAX : end); i++) {
			struct index_key key = index_key_id(account);
			index_key_u8(&key, (uint8_t)i);
			bool has = kv_get(txn, INDEX_KEYWORDS, index_key_slice(&key), &value);
			char name[] = "Salvaged-000";
			name[9] = (char)('0' + i / 100);
			name[10] = (char)('0' + i / 10 % 10);
			name[11] = (char)('0' + i % 10);
			if (pass == 0 && (has || store_keywords_has(used, i)))
				end = i + 1;
			else if (pass == 1 && !has)
				kv_put(txn, INDEX_KEYWORDS, index_key_slice(&key),
					slice_text(name));
		}
}

/* The change log is not rebuilt: whoever asks for changes is told to compare. */
static void
changes_clear(struct salvage *s, struct store_account *a)
{
	struct index_key prefix = index_key_id(a->id);
	struct kv_cursor cursor;

	kv_cursor_open(&s->writer->txn, INDEX_CHANGES, &cursor);
	bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
	while (more) {
		kv_cursor_delete(&cursor);
		more = kv_next_prefix(&cursor, index_key_slice(&prefix));
	}
	kv_cursor_close(&cursor);
	a->changes = 0;
	a->oldest_modseq = a->modseq;
}

static enum fault
account_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	struct counting c = {0};
	struct store_account *a = &c.place.account;

	*more = salvage_next(s, INDEX_ACCOUNTS, at, &key, &value);
	if (!*more || index_account_decode(key, value, a) != FAULT_OK)
		return FAULT_OK;
	a->messages = a->used_bytes = 0;
	a->mailboxes = 0;
	enum fault fault = mailboxes_count(s, &c);
	keywords_mend(s, a->id, &c.keywords);
	changes_clear(s, a);
	index_account_save(&s->writer->txn, a);
	return fault != FAULT_OK ? fault : s->writer->txn.fault;
}

enum fault
salvage_messages_mend(struct salvage *s)
{
	enum fault fault = salvage_steps_run(s, account_step);

	id_list_sort(&s->message_emails);
	return fault;
}
