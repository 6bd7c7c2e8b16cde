/* SPDX-License-Identifier: ISC */
/*
 * The first opening of a store that came from a backup.  The store that was lost may have gone on
 * after the backup, and clients remember what it told them: UIDs, modification sequences, ids of
 * mail and mailboxes.  None of these may be given to something else now (RFC 3501 2.3.1.1,
 * RFC 7162 3.1, RFC 8474 4), so all counters jump far ahead; and no change since is known.
 */
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/store/backup_private.h"
#include "common/store/writer_private.h"

enum { ACCOUNTS = 200, MAILBOX_JUMP = 1 << 16, UID_JUMP = 1 << 20 };
#define ID_JUMP (UINT64_C(1) << 32)

/* As far as there is room: a counter of 32 bits must not be used up by restoring. */
static uint32_t
jump(uint32_t value, uint32_t by)
{
	uint32_t room = (UINT32_MAX - value) / 16;

	return value + (by < room ? by : room);
}

/* The first key of a table from a key on that begins with the prefix. */
static bool
next_key(struct store_writer *w, unsigned table, struct index_key *from, size_t prefix)
{
	struct slice begin = slice_make(from->bytes, prefix);
	struct kv_cursor cursor;
	bool found;

	kv_cursor_open(&w->txn, table, &cursor);
	found = kv_seek(&cursor, index_key_slice(from)) && cursor.key.len == from->len &&
		slice_starts(cursor.key, begin);
	if (found)
		memcpy(from->bytes, cursor.key.data, from->len);
	kv_cursor_close(&cursor);
	return found;
}

static enum fault
mailboxes_jump(struct store_writer *w, const struct store_account *a)
{
	struct index_key key = index_key_mailbox(a->id, 0);

	while (next_key(w, INDEX_MAILBOXES, &key, 8)) {
		struct store_mailbox m;
		uint32_t id = get_u32((const char *)key.bytes + 8);
		if (index_mailbox_load(&w->txn, a->id, id, &m) == FAULT_OK) {
			m.uidnext = jump(m.uidnext, UID_JUMP);
			m.highest_modseq = a->modseq;
			index_mailbox_save(&w->txn, &m);
		}
		if (id == UINT32_MAX)
			break;
		key = index_key_mailbox(a->id, id + 1);
	}
	return w->txn.fault;
}

static enum fault
account_jump(struct store_writer *w, uint64_t id)
{
	struct store_account a;
	enum fault fault = index_account_load(&w->txn, id, &a);

	/* A damaged one is for verify to find. */
	if (fault != FAULT_OK)
		return w->txn.fault;
	a.modseq += ID_JUMP;
	a.oldest_modseq = a.modseq;
	a.mailbox_next = jump(a.mailbox_next, MAILBOX_JUMP);
	index_account_save(&w->txn, &a);
	return mailboxes_jump(w, &a);
}

/* Some accounts from *next on. */
static enum fault
accounts_jump(struct store_writer *w, uint64_t *next, bool *more)
{
	struct index_key key = index_key_id(*next);
	enum fault fault = FAULT_OK;

	*more = true;
	for (unsigned i = 0; i < ACCOUNTS && fault == FAULT_OK && *more; i++) {
		*more = next_key(w, INDEX_ACCOUNTS, &key, 0);
		if (!*more)
			break;
		uint64_t id = get_u64((const char *)key.bytes);
		fault = account_jump(w, id);
		*next = id + 1;
		*more = id != UINT64_MAX;
		key = index_key_id(*next);
	}
	return fault;
}

static void
ids_jump(struct store_writer *w)
{
	uint64_t next = 0;

	if (index_meta_load(&w->txn, INDEX_META_NEXT_ID, &next) == FAULT_OK)
		index_meta_save(&w->txn, INDEX_META_NEXT_ID, next + ID_JUMP);
	(void)kv_delete(&w->txn, INDEX_META, SLICE(INDEX_META_BACKUP_AT));
	(void)kv_delete(&w->txn, INDEX_META, SLICE(INDEX_META_BACKUP_SEGMENTS));
}

static enum fault
is_restored(struct store_writer *w, bool *restored)
{
	uint64_t taken_at = 0;
	enum fault fault = journal_begin(w->journal, &w->txn);

	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&w->txn, INDEX_META_BACKUP_AT, &taken_at);
	journal_abort(w->journal, &w->txn);
	*restored = fault == FAULT_OK;
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

enum fault
writer_restored(struct store_writer *w)
{
	bool more = false;
	uint64_t next = 0;
	enum fault fault = is_restored(w, &more);

	if (fault == FAULT_OK && more)
		log_info("store: %s comes from a backup: UIDs, modification sequences and ids go "
			 "on far behind it",
			w->dir);
	/* Broken off, it begins again: a jump too many does no harm. */
	while (more && fault == FAULT_OK) {
		uint64_t before = next;
		fault = journal_begin(w->journal, &w->txn);
		if (fault != FAULT_OK)
			return fault;
		fault = accounts_jump(w, &next, &more);
		if (fault == FAULT_OK && !more)
			ids_jump(w);
		if (fault != FAULT_OK) {
			journal_abort(w->journal, &w->txn);
			return fault;
		}
		fault = journal_commit(w->journal, &w->txn);
		/* The index had to grow. */
		if (fault == FAULT_BUSY) {
			next = before;
			more = true;
			fault = FAULT_OK;
		}
	}
	return fault;
}
