/* SPDX-License-Identifier: ISC */
/*
 * Salvage: accounts, mailboxes and their names lead to each other again.  Nothing that holds mail
 * is dropped: what has no place gets one, under a made-up name.
 */
#include <stdio.h>

#include "common/base/bytes.h"
#include "common/store/salvage_private.h"

enum { NAME_TRIES = 100 };

static bool
name_is_free(struct kv_txn *txn, uint64_t account, struct slice level)
{
	struct store_mailbox top = {.account = account};
	uint32_t id;

	return index_child_find(txn, &top, level, &id) == FAULT_NOT_FOUND;
}

/* "Salvaged 7", or with a further number. */
static struct slice
name_make(struct salvage *s, uint64_t account, uint32_t mailbox, char name[static 64])
{
	(void)snprintf(name, 64, mailbox == STORE_INBOX ? "INBOX" : "Salvaged %u", mailbox);
	for (unsigned i = 2;
		i < NAME_TRIES && !name_is_free(&s->writer->txn, account, slice_text(name)); i++)
		(void)snprintf(name, 64, "Salvaged %u (%u)", mailbox, i);
	return slice_text(name);
}

/* Makes a mailbox with this id. */
static enum fault
mailbox_make(struct salvage *s, struct writer_place *place, uint32_t mailbox)
{
	char name[64];
	struct writer_child child = {
		0, name_make(s, place->account.id, mailbox, name), STORE_USE_NONE};
	/* Ids are given in order: take the wanted one, and never an earlier one again. */
	uint32_t next = place->account.mailbox_next;

	place->account.mailbox_next = mailbox;
	enum fault fault = writer_child_make(s->writer, &place->account, &child, &place->mailbox);
	if (place->account.mailbox_next < next)
		place->account.mailbox_next = next;
	index_account_save(&s->writer->txn, &place->account);
	return fault;
}

enum fault
salvage_mailbox_ensure(
	struct salvage *s, uint64_t account, uint32_t mailbox, struct writer_place *place)
{
	struct store_writer *w = s->writer;
	enum fault fault = index_account_load(&w->txn, account, &place->account);

	if (fault == FAULT_NOT_FOUND)
		fault = writer_account_ensure(w, account, 0);
	if (fault == FAULT_OK)
		fault = writer_place_load(w, account, mailbox, place);
	return fault == FAULT_NOT_FOUND ? mailbox_make(s, place, mailbox) : fault;
}

/* The account of a key; keys of mailboxes and messages begin with it. */
static bool
account_next(struct salvage *s, unsigned table, struct salvage_key *at, uint64_t *account)
{
	struct slice key, value;

	if (!salvage_next(s, table, at, &key, &value) || key.len < 8)
		return false;
	*account = get_u64(key.data);
	if (*account == UINT64_MAX)
		return false;
	put_u64(at->bytes, *account + 1);
	at->len = 8;
	return true;
}

/* Mailboxes without an account. */
static enum fault
orphans_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct store_writer *w = s->writer;
	uint64_t id;

	for (int i = 0; i < SALVAGE_BATCH; i++) {
		struct store_account account;
		*more = account_next(s, INDEX_MAILBOXES, at, &id);
		if (!*more)
			break;
		if (index_account_load(&w->txn, id, &account) == FAULT_OK)
			continue;
		account = (struct store_account){.id = id, .mailbox_next = 1};
		index_account_save(&w->txn, &account);
	}
	return w->txn.fault;
}

/* Whether the way up from a mailbox ends at the top, and its name fits. */
static bool
parents_are_sound(struct salvage *s, const struct store_mailbox *m)
{
	struct store_mailbox above = {.parent = m->parent};
	size_t len = m->name_len;

	while (above.parent != 0) {
		if (index_mailbox_load(&s->writer->txn, m->account, above.parent, &above) !=
			FAULT_OK)
			return false;
		len += above.name_len + 1;
		if (len > STORE_NAME_MAX)
			return false;
	}
	return true;
}

static void
name_put(struct salvage *s, const struct store_mailbox *m)
{
	struct index_key key =
		index_key_name(m->account, m->parent, slice_make(m->name, m->name_len));
	uint8_t id[4];

	put_u32(id, m->id);
	kv_put(&s->writer->txn, INDEX_NAMES, index_key_slice(&key), slice_make(id, sizeof(id)));
}

/* A mailbox gets a name that leads to it; true when its record has changed. */
static bool
name_mend(struct salvage *s, struct store_mailbox *m)
{
	struct store_mailbox parent = {.account = m->account, .id = m->parent};
	char name[64];
	uint32_t id = 0;
	bool is_sound = parents_are_sound(s, m);
	enum fault fault =
		index_child_find(&s->writer->txn, &parent, slice_make(m->name, m->name_len), &id);

	if (is_sound && fault == FAULT_OK && id == m->id)
		return false;
	if (is_sound && fault == FAULT_NOT_FOUND) {
		name_put(s, m);
		return false;
	}
	if (fault == FAULT_OK && id == m->id) {
		struct index_key key =
			index_key_name(m->account, m->parent, slice_make(m->name, m->name_len));
		(void)kv_delete(&s->writer->txn, INDEX_NAMES, index_key_slice(&key));
	}
	m->parent = 0;
	struct slice made = name_make(s, m->account, m->id, name);
	memcpy(m->name, made.data, made.len + 1);
	m->name_len = made.len;
	name_put(s, m);
	return true;
}

/* Names that lead nowhere, or to another mailbox. */
static void
names_clear(struct salvage *s, uint64_t account)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;

	kv_cursor_open(&s->writer->txn, INDEX_NAMES, &cursor);
	bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
	while (more) {
		struct store_mailbox m;
		uint32_t id = cursor.value.len == 4 ? get_u32(cursor.value.data) : 0;
		bool is_right = cursor.key.len > 12 &&
			index_mailbox_load(&s->writer->txn, account, id, &m) == FAULT_OK &&
			m.parent == get_u32(cursor.key.data + 8) &&
			slice_equal(slice_after(cursor.key, 12), slice_make(m.name, m.name_len));
		if (!is_right)
			kv_cursor_delete(&cursor);
		more = kv_next_prefix(&cursor, index_key_slice(&prefix));
	}
	kv_cursor_close(&cursor);
}

struct mailboxes {
	struct store_account account;
	unsigned uses; /* bits of the special uses that are taken */
};

static bool
mailbox_next(struct salvage *s, uint64_t account, struct salvage_key *at, struct store_mailbox *m)
{
	struct slice key, value;

	while (salvage_next(s, INDEX_MAILBOXES, at, &key, &value) && key.len >= 8 &&
		get_u64(key.data) == account) {
		if (index_mailbox_decode(key, value, m) == FAULT_OK)
			return true;
		(void)kv_delete(&s->writer->txn, INDEX_MAILBOXES, key);
	}
	return false;
}

static void
account_key(uint64_t account, struct salvage_key *at)
{
	put_u64(at->bytes, account);
	at->len = 8;
}

/* Nothing that was given may be given again. */
static void
account_raise(struct salvage *s, struct store_account *a)
{
	struct store_mailbox m;
	struct salvage_key at;

	account_key(a->id, &at);
	a->mailboxes = 0;
	while (mailbox_next(s, a->id, &at, &m)) {
		a->mailboxes++;
		if (m.id >= a->mailbox_next && m.id < UINT32_MAX)
			a->mailbox_next = m.id + 1;
		if (m.uidvalidity > a->uidvalidity_last)
			a->uidvalidity_last = m.uidvalidity;
		if (m.highest_modseq > a->modseq)
			a->modseq = m.highest_modseq;
	}
}

static uint32_t
uidvalidity_give(struct salvage *s, struct store_account *a)
{
	int64_t now = s->writer->now;

	if (now <= a->uidvalidity_last || now >= UINT32_MAX)
		now = (int64_t)a->uidvalidity_last + 1;
	a->uidvalidity_last = (uint32_t)now;
	s->report->renewed++;
	return a->uidvalidity_last;
}

static void
mailbox_mend(struct salvage *s, struct mailboxes *b, struct store_mailbox *m)
{
	bool changed = name_mend(s, m) || s->in_doubt;
	unsigned use = m->special_use == STORE_USE_NONE ? 0 : 1U << m->special_use;

	if (m->uidvalidity == 0) {
		m->uidvalidity = uidvalidity_give(s, &b->account);
		changed = true;
	}
	if ((b->uses & use) != 0) {
		m->special_use = STORE_USE_NONE;
		changed = true;
	}
	b->uses |= use;
	if (changed)
		index_mailbox_save(&s->writer->txn, m);
}

/* All that one account has, in one transaction. */
static enum fault
account_mend(struct salvage *s, uint64_t id)
{
	struct store_writer *w = s->writer;
	struct mailboxes b = {0};
	struct store_mailbox m;
	struct salvage_key at;
	enum fault fault = index_account_load(&w->txn, id, &b.account);

	if (fault == FAULT_DAMAGED)
		b.account = (struct store_account){.id = id, .mailbox_next = 1};
	else if (fault != FAULT_OK)
		return fault;
	account_raise(s, &b.account);
	names_clear(s, id);
	account_key(id, &at);
	while (mailbox_next(s, id, &at, &m))
		mailbox_mend(s, &b, &m);
	index_account_save(&w->txn, &b.account);
	struct writer_place inbox = {.account = b.account};
	if (index_mailbox_load(&w->txn, id, STORE_INBOX, &m) == FAULT_NOT_FOUND)
		fault = mailbox_make(s, &inbox, STORE_INBOX);
	return fault == FAULT_DAMAGED ? w->txn.fault : fault;
}

static enum fault
accounts_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	uint64_t id;

	*more = account_next(s, INDEX_ACCOUNTS, at, &id);
	return *more ? account_mend(s, id) : FAULT_OK;
}

/* Messages in a mailbox that is not there. */
static enum fault
homeless_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && fault == FAULT_OK; i++) {
		struct writer_place place;
		*more = salvage_next(s, INDEX_MESSAGES, at, &key, &value);
		if (!*more)
			break;
		if (key.len != 16) {
			(void)kv_delete(&s->writer->txn, INDEX_MESSAGES, key);
			continue;
		}
		uint64_t account = get_u64(key.data);
		uint32_t mailbox = get_u32(key.data + 8);
		fault = salvage_mailbox_ensure(s, account, mailbox, &place);
		if (fault == FAULT_DENIED) {
			/* A parent that holds messages is a mailbox. */
			place.mailbox.noselect = false;
			index_mailbox_save(&s->writer->txn, &place.mailbox);
			fault = FAULT_OK;
		}
		/* On to the next mailbox. */
		put_u32(at->bytes + 8, mailbox);
		memset(at->bytes + 12, 0xff, 4);
		at->bytes[16] = 0;
		at->len = 17;
	}
	return fault;
}

enum fault
salvage_mailboxes_mend(struct salvage *s)
{
	enum fault fault = salvage_steps_run(s, orphans_step);

	if (fault == FAULT_OK)
		fault = salvage_steps_run(s, accounts_step);
	return fault != FAULT_OK ? fault : salvage_steps_run(s, homeless_step);
}
