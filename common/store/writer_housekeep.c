/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: what goes away for good, and what comes back.  An expunged
 * message waits for the undelete time; then its email is purged, with the last email of a body
 * the body.  The space of a dead record is given back only after the commit that made it dead:
 * the table of punches carries the work over a crash.
 */
#include "common/store/writer_private.h"

#include "common/base/bytes.h"
#include "common/base/log.h"

enum {
	/* At most so much in one slice, to keep the writer's answers quick. */
	PUNCHES_MAX = 256,
	DELIVERED_MAX = 2000,
	PURGES_MAX = 500,
	REMOVED_MESSAGES_MAX = 2000,
	REMOVED_ENTRIES_MAX = 20000,
};

static void
count_down(uint64_t *count, uint64_t by)
{
	*count -= by < *count ? by : *count;
}

void
writer_body_release(struct store_writer *w, const struct index_body *body, int64_t emptied_at)
{
	struct index_segment segment;

	if (index_segment_load(&w->txn, body->place.segment, &segment) != FAULT_OK ||
		segment.live_records == 0)
		return;
	segment.live_records--;
	count_down(&segment.live_bytes, body->place.length);
	count_down(&segment.plain_bytes, body->plain_len);
	if (emptied_at != 0)
		segment.emptied_at = emptied_at;
	index_segment_save(&w->txn, body->place.segment, &segment);
}

/* The body's last email is gone. */
static void
body_purge(struct store_writer *w, uint64_t id, const struct index_body *body)
{
	struct index_key key = index_key_id(id), punch;
	uint8_t length[8];

	(void)kv_delete(&w->txn, INDEX_BODIES, index_key_slice(&key));
	(void)kv_delete(&w->txn, INDEX_STRUCTURES, index_key_slice(&key));
	writer_body_release(w, body, 0);
	punch.len = 0;
	index_key_u32(&punch, body->place.segment);
	index_key_u64(&punch, body->place.offset);
	put_u64(length, body->place.length);
	kv_put(&w->txn, INDEX_PUNCHES, index_key_slice(&punch), slice_make(length, sizeof(length)));
}

void
writer_email_purge(struct store_writer *w, uint64_t email_id)
{
	struct index_key key = index_key_id(email_id);
	struct index_email email;
	struct index_body body;

	/* With messages again it was brought back; a broken one is for verify to find. */
	if (index_email_load(&w->txn, email_id, &email) != FAULT_OK || email.references > 0)
		return;
	uint64_t body_id = email.body_id;
	(void)kv_delete(&w->txn, INDEX_EMAILS, index_key_slice(&key));
	if (index_body_load(&w->txn, body_id, &body) != FAULT_OK || body.references == 0)
		return;
	body.references--;
	if (body.references == 0)
		body_purge(w, body_id, &body);
	else
		index_body_save(&w->txn, body_id, &body);
}

/* True when some of the space cannot be given back now. */
static bool
punches_do(struct store_writer *w, bool *more)
{
	enum fault fault = FAULT_OK, failed = FAULT_OK;
	struct kv_cursor cursor;
	unsigned done = 0;

	w->must_settle = false;
	kv_cursor_open(&w->txn, INDEX_PUNCHES, &cursor);
	bool found = kv_first(&cursor);
	for (; found && fault == FAULT_OK && done < PUNCHES_MAX; done++) {
		if (cursor.key.len == 12 && cursor.value.len == 8) {
			struct segment_place place = {get_u32(cursor.key.data),
				get_u64(cursor.key.data + 4), get_u64(cursor.value.data)};
			fault = journal_punch(w->journal, &place);
		}
		/* Places come in order: what follows is behind the last checkpoint, too. */
		w->must_settle = fault == FAULT_BUSY;
		if (w->must_settle)
			break;
		if (fault == FAULT_OK)
			kv_cursor_delete(&cursor);
		else
			failed = fault;
		fault = FAULT_OK;
		found = kv_next(&cursor);
	}
	kv_cursor_close(&cursor);
	/* Space that is not given back now is so later: the rest of the house is kept. */
	if (failed != FAULT_OK)
		log_warning("store: cannot give space back: %s", fault_text(failed));
	*more |= found && !w->must_settle && failed == FAULT_OK;
	return failed != FAULT_OK;
}

static bool
is_older(struct slice key, int64_t than)
{
	return key.len >= 8 && (int64_t)get_u64(key.data) < than;
}

static void
delivered_forget(struct store_writer *w, bool *more)
{
	int64_t oldest = w->now - (int64_t)w->options.delivered_seconds;
	struct kv_cursor cursor;
	unsigned done = 0;

	kv_cursor_open(&w->txn, INDEX_DELIVERED_AT, &cursor);
	bool found = kv_first(&cursor);
	for (; found && is_older(cursor.key, oldest) && done < DELIVERED_MAX; done++) {
		(void)kv_delete(&w->txn, INDEX_DELIVERED, slice_after(cursor.key, 8));
		kv_cursor_delete(&cursor);
		found = kv_next(&cursor);
	}
	*more |= found && is_older(cursor.key, oldest);
	kv_cursor_close(&cursor);
}

static void
expunged_purge(struct store_writer *w, bool *more)
{
	int64_t oldest = w->now - (int64_t)w->options.undelete_seconds;
	struct kv_cursor cursor;
	unsigned done = 0;

	kv_cursor_open(&w->txn, INDEX_EXPUNGED, &cursor);
	bool found = kv_first(&cursor);
	for (; found && is_older(cursor.key, oldest) && done < PURGES_MAX; done++) {
		if (cursor.key.len == 16)
			writer_email_purge(w, get_u64(cursor.key.data + 8));
		kv_cursor_delete(&cursor);
		found = kv_next(&cursor);
	}
	*more |= found && is_older(cursor.key, oldest);
	kv_cursor_close(&cursor);
}

enum fault
writer_housekeep(struct store_writer *w, bool *more)
{
	enum fault fault = FAULT_OK;

	*more = false;
	kv_check_readers(journal_kv(w->journal));
	if (w->must_settle && !w->options.checkpoints_apart)
		fault = journal_checkpoint(w->journal);
	if (fault == FAULT_OK)
		fault = writer_begin(w);
	if (fault != FAULT_OK)
		return fault;
	/* First what an earlier commit has made dead, then what dies by this one. */
	bool is_stuck = punches_do(w, more);
	delivered_forget(w, more);
	expunged_purge(w, more);
	*more |= !is_stuck && kv_count(&w->txn, INDEX_PUNCHES) > 0 &&
		(!w->must_settle || !w->options.checkpoints_apart);
	return writer_commit(w);
}

/* Deletes entries of a table that begin with the prefix; true when none is left. */
static bool
entries_clear(struct store_writer *w, unsigned table, struct index_key prefix, unsigned *left)
{
	struct kv_cursor cursor;

	kv_cursor_open(&w->txn, table, &cursor);
	bool found = kv_seek_prefix(&cursor, index_key_slice(&prefix));
	for (; found && *left > 0; (*left)--) {
		kv_cursor_delete(&cursor);
		found = kv_next_prefix(&cursor, index_key_slice(&prefix));
	}
	kv_cursor_close(&cursor);
	return !found;
}

/* Empties the first mailbox that has messages; *empty: there is none. */
static enum fault
messages_clear(struct store_writer *w, uint64_t account, bool *empty)
{
	struct index_key prefix = index_key_id(account);
	struct writer_place place;
	struct kv_cursor cursor;

	kv_cursor_open(&w->txn, INDEX_MESSAGES, &cursor);
	bool found = kv_seek_prefix(&cursor, index_key_slice(&prefix)) && cursor.key.len == 16;
	uint32_t mailbox = found ? get_u32(cursor.key.data + 8) : 0;
	kv_cursor_close(&cursor);
	*empty = !found;
	if (!found)
		return w->txn.fault;
	bool emptied = false;
	enum fault fault = writer_place_load(w, account, mailbox, &place);
	if (fault == FAULT_OK)
		fault = writer_mailbox_empty(w, &place, REMOVED_MESSAGES_MAX, &emptied);
	if (fault == FAULT_OK)
		writer_place_save(w, &place);
	/* Damaged messages, or those of a damaged mailbox, must not keep the account for ever. */
	unsigned left = REMOVED_ENTRIES_MAX;
	if (emptied || fault != FAULT_OK)
		(void)entries_clear(w, INDEX_MESSAGES, index_key_mailbox(account, mailbox), &left);
	return w->txn.fault;
}

enum fault
writer_account_remove(struct store_writer *w, uint64_t id)
{
	static const unsigned tables[] = {INDEX_MAILBOXES, INDEX_NAMES, INDEX_SUBSCRIPTIONS,
		INDEX_KEYWORDS, INDEX_CHANGES, INDEX_THREADS, INDEX_METADATA};
	unsigned left = REMOVED_ENTRIES_MAX;
	struct index_key key = index_key_id(id);
	struct store_account account;
	bool empty = false;
	enum fault fault = index_account_load(&w->txn, id, &account);

	if (fault != FAULT_OK)
		return fault;
	fault = messages_clear(w, id, &empty);
	if (fault != FAULT_OK || !empty)
		return fault != FAULT_OK ? fault : FAULT_BUSY;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!entries_clear(w, tables[i], key, &left))
			return w->txn.fault != FAULT_OK ? w->txn.fault : FAULT_BUSY;
	(void)kv_delete(&w->txn, INDEX_ACCOUNTS, index_key_slice(&key));
	return w->txn.fault;
}

enum fault
writer_expunged_find(struct store_writer *w, uint64_t email_id, struct index_key *key,
	struct store_message *message)
{
	struct kv_cursor cursor;
	enum fault fault = FAULT_NOT_FOUND;

	kv_cursor_open(&w->txn, INDEX_EXPUNGED, &cursor);
	for (bool found = kv_last(&cursor); found && fault == FAULT_NOT_FOUND;
		found = kv_prev(&cursor)) {
		if (cursor.key.len != 16 || get_u64(cursor.key.data + 8) != email_id)
			continue;
		*key = index_key_id(get_u64(cursor.key.data));
		index_key_u64(key, email_id);
		fault = index_message_decode(
			slice_first(cursor.value, 16), slice_after(cursor.value, 16), message);
	}
	kv_cursor_close(&cursor);
	return w->txn.fault != FAULT_OK ? w->txn.fault : fault;
}

static enum fault
email_revive(struct store_writer *w, uint64_t email_id)
{
	struct index_email email;
	char prefix[STORE_PREFIX_MAX];
	enum fault fault = index_email_load(&w->txn, email_id, &email);

	if (fault != FAULT_OK)
		return fault;
	memcpy(prefix, email.prefix.data, email.prefix.len);
	email.prefix.data = prefix;
	email.references++;
	index_email_save(&w->txn, email_id, &email);
	return w->txn.fault;
}

enum fault
writer_undelete(struct store_writer *w, uint64_t account, uint64_t email_id, struct uid_range *uid)
{
	struct index_key key;
	struct store_message m;
	struct writer_place place;
	enum fault fault = writer_expunged_find(w, email_id, &key, &m);

	if (fault == FAULT_OK && m.account != account)
		fault = FAULT_NOT_FOUND;
	if (fault != FAULT_OK)
		return fault;
	fault = writer_place_load(w, account, m.mailbox, &place);
	if (fault == FAULT_NOT_FOUND || fault == FAULT_DENIED)
		fault = writer_place_load(w, account, STORE_INBOX, &place);
	if (fault == FAULT_OK)
		fault = email_revive(w, email_id);
	if (fault != FAULT_OK)
		return fault;
	(void)kv_delete(&w->txn, INDEX_EXPUNGED, index_key_slice(&key));
	m.mailbox = place.mailbox.id;
	m.uid = place.mailbox.uidnext++;
	m.modseq = place.mailbox.highest_modseq = writer_next_modseq(&place.account);
	m.flags &= (uint8_t)~STORE_DELETED;
	index_message_save(&w->txn, &m);
	writer_count_add(&place.account, &place.mailbox, &m);
	writer_change(w, &place.account,
		&(struct store_change){STORE_CHANGE_NEW, m.mailbox, m.modseq, m.uid, m.uid});
	writer_place_save(w, &place);
	*uid = (struct uid_range){m.uid, m.uid};
	return w->txn.fault;
}
