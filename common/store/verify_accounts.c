/* SPDX-License-Identifier: ISC */
/* Verifying accounts: names, counters, messages and what they lead to, each account in one
 * committed state of it. */
#include "common/base/bytes.h"
#include "common/store/verify_private.h"

/* What a mailbox record should say. */
static void
mailbox_compare(
	struct store_verify *v, const struct store_mailbox *m, const struct store_mailbox *c)
{
	COMPARE(v, m->id, "exists", m->exists, c->exists);
	COMPARE(v, m->id, "unseen", m->unseen, c->unseen);
	COMPARE(v, m->id, "deleted", m->deleted, c->deleted);
	COMPARE(v, m->id, "recent", m->recent, c->recent);
	COMPARE(v, m->id, "size", m->size_bytes, c->size_bytes);
}

static void
message_check(
	struct store_verify *v, const struct store_mailbox *box, const struct store_message *m)
{
	struct kv_txn *txn = &v->reader->txn;
	struct index_email email;
	struct index_body body;

	if (m->uid == 0 || m->uid >= box->uidnext)
		verify_found(v, box->id, m->uid, "UID is not below the mailbox's next UID");
	if (m->modseq > box->highest_modseq)
		verify_found(
			v, box->id, m->uid, "modification sequence is over the mailbox's highest");
	if (index_email_load(txn, m->email_id, &email) != FAULT_OK) {
		verify_found(v, box->id, m->uid, "email record is missing or damaged");
		return;
	}
	if (email.account != m->account || email.body_id != m->body_id ||
		email.prefix.len != m->prefix_len)
		verify_found(v, box->id, m->uid, "email record belongs to another message");
	if (index_body_load(txn, m->body_id, &body) != FAULT_OK) {
		verify_found(v, box->id, m->uid, "body record is missing or damaged");
		return;
	}
	if (body.plain_len != m->size - m->prefix_len || body.structure_len != m->structure_len)
		verify_found(v, box->id, m->uid, "body is not as long as the message says");
}

static enum fault
messages_check(struct store_verify *v, struct store_mailbox *m, struct store_account *sums)
{
	struct store_mailbox counted = {.recent_from = m->recent_from};
	struct store_message message;
	struct reader_walk walk;
	enum fault fault = FAULT_OK;

	reader_walk_open(v->reader, m->account, m->id, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &message); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &message)) {
		counted.exists++;
		counted.unseen += (message.flags & STORE_SEEN) == 0;
		counted.deleted += (message.flags & STORE_DELETED) != 0;
		counted.recent += message.uid >= m->recent_from;
		counted.size_bytes += message.size;
		message_check(v, m, &message);
		fault = id_list_add(&v->ids, message.email_id);
		if (fault == FAULT_OK && v->options.account != 0)
			fault = id_list_add(&v->bodies, message.body_id);
		v->progress.messages++;
	}
	if (reader_walk_close(&walk) == FAULT_DAMAGED)
		verify_found(v, m->id, 0, "there are damaged message records");
	mailbox_compare(v, m, &counted);
	sums->messages += counted.exists;
	sums->used_bytes += counted.size_bytes;
	return fault;
}

static void
mailbox_check(struct store_verify *v, struct store_mailbox *m, const struct store_account *account)
{
	struct slice name = slice_make(m->name, m->name_len);
	uint32_t id = 0;

	if (m->highest_modseq > account->modseq)
		verify_found(v, m->id, 0, "highest modification sequence is over the account's");
	if (m->id >= account->mailbox_next || m->uidvalidity > account->uidvalidity_last)
		verify_found(v, m->id, 0, "id or UIDVALIDITY was never given");
	if (index_mailbox_find(&v->reader->txn, m->account, name, &id) != FAULT_OK || id != m->id)
		verify_found(v, m->id, 0, "name does not lead to the mailbox");
}

/* Each email of the account has as many messages as it says. */
static void
emails_check(struct store_verify *v)
{
	id_list_sort(&v->ids);
	for (size_t at = 0; at < v->ids.count;) {
		uint64_t id = v->ids.at[at];
		struct index_email email;
		uint32_t count = id_list_take(&v->ids, &at, id);
		/* A missing record has been reported with its message. */
		if (index_email_load(&v->reader->txn, id, &email) == FAULT_OK &&
			email.references != count)
			COMPARE(v, 0, "references of an email", email.references, count);
	}
}

static uint64_t
count_prefix(struct store_verify *v, unsigned table, uint64_t account)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	uint64_t count = 0;

	kv_cursor_open(&v->reader->txn, table, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix)); more;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix)))
		count++;
	kv_cursor_close(&cursor);
	return count;
}

static enum fault
account_check(struct store_verify *v, const struct store_account *account)
{
	struct store_account sums = {0};
	struct store_mailbox_list list;
	struct arena arena;

	v->account = account->id;
	v->ids.count = 0;
	arena_init(&arena, (size_t)STORE_MAILBOXES_MAX * (sizeof(struct store_mailbox) + 1) + 4096);
	enum fault fault = reader_mailboxes(v->reader, account->id, &arena, &list);
	if (fault == FAULT_DAMAGED || fault == FAULT_BUDGET) {
		verify_found(v, 0, 0, "the list of mailboxes is damaged");
		fault = FAULT_OK;
	}
	for (size_t i = 0; fault == FAULT_OK && i < list.count; i++) {
		mailbox_check(v, &list.mailboxes[i], account);
		fault = messages_check(v, &list.mailboxes[i], &sums);
	}
	if (fault == FAULT_OK) {
		emails_check(v);
		COMPARE(v, 0, "number of mailboxes", account->mailboxes, list.count);
		COMPARE(v, 0, "number of names", list.count,
			count_prefix(v, INDEX_NAMES, account->id));
		COMPARE(v, 0, "number of messages", account->messages, sums.messages);
		COMPARE(v, 0, "number of message records", account->messages,
			count_prefix(v, INDEX_MESSAGES, account->id));
		COMPARE(v, 0, "used bytes", account->used_bytes, sums.used_bytes);
		COMPARE(v, 0, "number of changes", account->changes,
			count_prefix(v, INDEX_CHANGES, account->id));
	}
	arena_clear(&arena);
	id_list_sort(&v->bodies);
	return fault;
}

/* The next account from v->next on, or the next stage. */
enum fault
verify_step_accounts(struct store_verify *v)
{
	uint64_t first = v->options.account != 0 ? v->options.account : v->next;
	struct index_key key = index_key_id(first);
	struct store_account account = {0};
	struct kv_cursor cursor;

	kv_cursor_open(&v->reader->txn, INDEX_ACCOUNTS, &cursor);
	bool is_there = kv_seek(&cursor, index_key_slice(&key)) && cursor.key.len == 8;
	uint64_t id = is_there ? get_u64(cursor.key.data) : 0;
	bool decoded =
		is_there && index_account_decode(cursor.key, cursor.value, &account) == FAULT_OK;
	kv_cursor_close(&cursor);
	if (v->options.account != 0)
		v->stage = STAGE_BODIES;
	else if (!is_there || id == UINT64_MAX)
		v->stage = STAGE_REFERENCES;
	v->next = id + 1;
	if (!is_there || (v->options.account != 0 && id != v->options.account))
		return FAULT_OK;
	v->progress.accounts++;
	v->account = id;
	if (!decoded) {
		verify_found(v, 0, 0, "account record is damaged");
		return FAULT_OK;
	}
	return account_check(v, &account);
}
