/* SPDX-License-Identifier: ISC */
/* The writing half of the store: flags, expunges, copies and moves of many messages at once. */
#include "common/store/writer_private.h"

#include <stdlib.h>

#include "common/base/ascii.h"
#include "common/base/bytes.h"

enum { GATHER_MAX = 4096 };

enum fault
writer_place_load(
	struct store_writer *w, uint64_t account, uint32_t mailbox, struct writer_place *place)
{
	enum fault fault = index_account_load(&w->txn, account, &place->account);

	if (fault == FAULT_OK)
		fault = index_mailbox_load(&w->txn, account, mailbox, &place->mailbox);
	if (fault == FAULT_OK && place->mailbox.noselect)
		fault = FAULT_DENIED;
	return fault;
}

void
writer_place_save(struct store_writer *w, const struct writer_place *place)
{
	index_mailbox_save(&w->txn, &place->mailbox);
	index_account_save(&w->txn, &place->account);
}

void
writer_count_add(struct store_account *a, struct store_mailbox *b, const struct store_message *m)
{
	b->exists++;
	b->unseen += (m->flags & STORE_SEEN) == 0;
	b->deleted += (m->flags & STORE_DELETED) != 0;
	b->recent += m->uid >= b->recent_from;
	b->size_bytes += m->size;
	a->used_bytes += m->size;
	a->messages++;
}

void
writer_count_remove(struct store_account *a, struct store_mailbox *b, const struct store_message *m)
{
	b->exists--;
	b->unseen -= (m->flags & STORE_SEEN) == 0;
	b->deleted -= (m->flags & STORE_DELETED) != 0;
	b->recent -= m->uid >= b->recent_from;
	b->size_bytes -= m->size;
	a->used_bytes -= m->size;
	a->messages--;
}

/* flag-keyword of RFC 3501 9 is an atom. */
static bool
is_keyword_byte(char c)
{
	return ascii_is_graphic(c) && c != '(' && c != ')' && c != '{' && c != '%' && c != '*' &&
		c != '"' && c != '\\' && c != ']';
}

static enum fault
keyword_check(struct slice name)
{
	struct cursor c = cursor_of(name);

	if (name.len > STORE_KEYWORD_LEN_MAX)
		return FAULT_TOO_LONG;
	return name.len > 0 && take_run(&c, is_keyword_byte).len == name.len ? FAULT_OK
									     : FAULT_SYNTAX;
}

/* The number of a name, or count: how many the account has. */
static unsigned
keyword_find(struct store_writer *w, uint64_t account, struct slice name, unsigned *count)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	unsigned found = STORE_KEYWORDS_MAX;

	*count = 0;
	kv_cursor_open(&w->txn, INDEX_KEYWORDS, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
		more && found == STORE_KEYWORDS_MAX;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix)), (*count)++)
		if (slice_equal_nocase(cursor.value, name))
			found = (uint8_t)cursor.key.data[8];
	kv_cursor_close(&cursor);
	return found;
}

static enum fault
keyword_ensure(struct store_writer *w, uint64_t account, struct slice name, unsigned *number)
{
	struct index_key key = index_key_id(account);
	unsigned count;

	*number = keyword_find(w, account, name, &count);
	if (*number < STORE_KEYWORDS_MAX)
		return FAULT_OK;
	if (count >= STORE_KEYWORDS_MAX)
		return FAULT_LIMIT;
	*number = count;
	index_key_u8(&key, (uint8_t)count);
	kv_put(&w->txn, INDEX_KEYWORDS, index_key_slice(&key), name);
	return w->txn.fault;
}

enum fault
writer_keywords_find(
	struct store_writer *w, const struct writer_keywords *want, struct store_keywords *keywords)
{
	enum fault fault = FAULT_OK;

	*keywords = (struct store_keywords){0};
	for (size_t i = 0; i < want->count && fault == FAULT_OK; i++)
		fault = keyword_check(want->names[i]);
	for (size_t i = 0; i < want->count && fault == FAULT_OK; i++) {
		unsigned number, count;
		if (want->create)
			fault = keyword_ensure(w, want->account, want->names[i], &number);
		else
			number = keyword_find(w, want->account, want->names[i], &count);
		if (fault == FAULT_OK && number < STORE_KEYWORDS_MAX)
			keywords->bits[number / 64] |= UINT64_C(1) << (number % 64);
	}
	return fault;
}

/* Reads one range from g->next on; true when it is exhausted. */
static bool
gather_range(struct store_writer *w, struct writer_gather *g, uint32_t last)
{
	const struct writer_uids *u = g->uids;
	struct index_key prefix = index_key_mailbox(u->account, u->mailbox);
	struct index_key start = index_key_message(u->account, u->mailbox, g->next);
	struct kv_cursor cursor;
	bool more;

	kv_cursor_open(&w->txn, INDEX_MESSAGES, &cursor);
	for (more = kv_seek(&cursor, index_key_slice(&start)); more; more = kv_next(&cursor)) {
		struct store_message *m = &w->gathered[g->count];
		if (!slice_starts(cursor.key, index_key_slice(&prefix)) || cursor.key.len != 16 ||
			get_u32(cursor.key.data + 12) > last ||
			get_u32(cursor.key.data + 12) >= g->end || g->count == GATHER_MAX)
			break;
		g->next = get_u32(cursor.key.data + 12) + 1;
		/* A damaged record is left alone: only salvage may touch it. */
		if (index_message_decode(cursor.key, cursor.value, m) == FAULT_OK)
			g->count++;
	}
	kv_cursor_close(&cursor);
	return g->count < GATHER_MAX;
}

enum fault
writer_gather(struct store_writer *w, struct writer_gather *g)
{
	static const struct uid_range all = {1, UINT32_MAX};
	const struct uid_range *ranges = g->uids->ranges != NULL ? g->uids->ranges : &all;
	size_t count = g->uids->ranges != NULL ? g->uids->range_count : 1;

	if (w->gathered == NULL)
		w->gathered = calloc(GATHER_MAX, sizeof(w->gathered[0]));
	if (w->gathered == NULL)
		return FAULT_NOMEM;
	g->messages = w->gathered;
	g->count = 0;
	for (; g->range < count; g->range++) {
		if (g->next < ranges[g->range].first)
			g->next = ranges[g->range].first;
		if (!gather_range(w, g, ranges[g->range].last))
			break;
	}
	return w->txn.fault;
}

static bool
flags_apply(struct store_message *m, const struct writer_flags *f, const struct store_keywords *k)
{
	struct store_message before = *m;
	uint8_t flags = f->flags & STORE_FLAGS_ALL;

	if (f->verb == WRITER_FLAGS_SET)
		m->flags = flags;
	else if (f->verb == WRITER_FLAGS_ADD)
		m->flags |= flags;
	else
		m->flags &= (uint8_t)~flags;
	for (size_t i = 0; i < sizeof(k->bits) / sizeof(k->bits[0]); i++) {
		if (f->verb == WRITER_FLAGS_SET)
			m->keywords.bits[i] = k->bits[i];
		else if (f->verb == WRITER_FLAGS_ADD)
			m->keywords.bits[i] |= k->bits[i];
		else
			m->keywords.bits[i] &= ~k->bits[i];
	}
	return m->flags != before.flags ||
		memcmp(&m->keywords, &before.keywords, sizeof(m->keywords)) != 0;
}

/* Stores the flags of one message, or passes it over. */
static void
flags_change(struct store_writer *w, struct writer_flags *f, struct writer_place *place,
	const struct store_message *before, const struct store_keywords *keywords)
{
	struct store_message m = *before;
	struct store_mailbox *b = &place->mailbox;

	if (f->conditional && m.modseq > f->unchanged_since) {
		uid_set_add(&f->failed, m.uid);
		return;
	}
	if (!flags_apply(&m, f, keywords))
		return;
	if (f->modseq == 0)
		f->modseq = writer_next_modseq(&place->account);
	m.modseq = f->modseq;
	b->unseen += (m.flags & STORE_SEEN) == 0;
	b->unseen -= (before->flags & STORE_SEEN) == 0;
	b->deleted += (m.flags & STORE_DELETED) != 0;
	b->deleted -= (before->flags & STORE_DELETED) != 0;
	index_message_save(&w->txn, &m);
	uid_set_add(&f->changed, m.uid);
}

enum fault
writer_flags_store(struct store_writer *w, struct writer_flags *f)
{
	struct writer_place place;
	struct store_keywords keywords;
	struct writer_keywords names = {
		f->uids.account, f->keywords, f->keyword_count, f->verb != WRITER_FLAGS_REMOVE};
	struct writer_gather g = {.uids = &f->uids};
	enum fault fault = writer_place_load(w, f->uids.account, f->uids.mailbox, &place);

	f->modseq = 0;
	f->changed = f->failed = (struct uid_set){0};
	if (fault == FAULT_OK)
		fault = writer_keywords_find(w, &names, &keywords);
	if (fault != FAULT_OK)
		return fault;
	g.end = place.mailbox.uidnext;
	while ((fault = writer_gather(w, &g)) == FAULT_OK && g.count > 0)
		for (size_t i = 0; i < g.count; i++)
			flags_change(w, f, &place, &g.messages[i], &keywords);
	if (fault != FAULT_OK || f->modseq == 0)
		return fault;
	place.mailbox.highest_modseq = f->modseq;
	writer_changes(w, &place.account,
		&(struct writer_changes){
			STORE_CHANGE_FLAGS, f->uids.mailbox, f->modseq, &f->changed});
	writer_place_save(w, &place);
	if (f->failed.fault != FAULT_OK)
		kv_fail(&w->txn, f->failed.fault);
	return w->txn.fault;
}

/* One message fewer has this email; the last one leaves it to the purge. */
static void
email_release(struct store_writer *w, const struct store_message *m)
{
	struct index_email email;
	struct index_key key;
	uint8_t value[16 + INDEX_MESSAGE_SIZE];

	/* An email that is missing or broken must not keep a message from being expunged. */
	if (index_email_load(&w->txn, m->email_id, &email) != FAULT_OK || email.references == 0)
		return;
	email.references--;
	char prefix[STORE_PREFIX_MAX];
	memcpy(prefix, email.prefix.data, email.prefix.len);
	email.prefix.data = prefix;
	index_email_save(&w->txn, m->email_id, &email);
	if (email.references > 0)
		return;
	key = index_key_message(m->account, m->mailbox, m->uid);
	memcpy(value, key.bytes, 16);
	index_message_encode(m, value + 16);
	key = index_key_id((uint64_t)w->now);
	index_key_u64(&key, m->email_id);
	kv_put(&w->txn, INDEX_EXPUNGED, index_key_slice(&key), slice_make(value, sizeof(value)));
}

void
writer_message_expunge(
	struct store_writer *w, struct writer_place *place, const struct store_message *m)
{
	struct index_key key = index_key_message(m->account, m->mailbox, m->uid);

	(void)kv_delete(&w->txn, INDEX_MESSAGES, index_key_slice(&key));
	email_release(w, m);
	writer_count_remove(&place->account, &place->mailbox, m);
}

enum fault
writer_expunge(struct store_writer *w, struct writer_expunge *e)
{
	struct writer_place place;
	struct writer_gather g = {.uids = &e->uids};
	enum fault fault = writer_place_load(w, e->uids.account, e->uids.mailbox, &place);

	e->modseq = 0;
	e->expunged = (struct uid_set){0};
	if (fault != FAULT_OK || (e->only_deleted && place.mailbox.deleted == 0))
		return fault;
	g.end = place.mailbox.uidnext;
	while ((fault = writer_gather(w, &g)) == FAULT_OK && g.count > 0)
		for (size_t i = 0; i < g.count; i++) {
			if (e->only_deleted && (g.messages[i].flags & STORE_DELETED) == 0)
				continue;
			writer_message_expunge(w, &place, &g.messages[i]);
			uid_set_add(&e->expunged, g.messages[i].uid);
		}
	if (fault != FAULT_OK || e->expunged.count == 0)
		return fault;
	e->modseq = writer_next_modseq(&place.account);
	place.mailbox.highest_modseq = e->modseq;
	writer_changes(w, &place.account,
		&(struct writer_changes){
			STORE_CHANGE_EXPUNGED, e->uids.mailbox, e->modseq, &e->expunged});
	writer_place_save(w, &place);
	return w->txn.fault;
}

enum fault
writer_mailbox_empty(struct store_writer *w, struct writer_place *place, size_t max, bool *empty)
{
	struct writer_uids uids = {.account = place->account.id, .mailbox = place->mailbox.id};
	struct writer_gather g = {.uids = &uids, .end = UINT32_MAX};
	enum fault fault;
	size_t done = 0;

	*empty = false;
	while ((fault = writer_gather(w, &g)) == FAULT_OK && g.count > 0 && done < max)
		for (size_t i = 0; i < g.count; i++, done++)
			writer_message_expunge(w, place, &g.messages[i]);
	*empty = g.count == 0;
	return fault;
}
