/* SPDX-License-Identifier: ISC */
/*
 * The reading half of the store: transactions, accounts and mailboxes.  Linked by imapd, pop3d and
 * deliverd, and by mailboxd to verify.
 */
#include "common/store/reader_private.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/secret.h"

enum {
	SWEEP_MS = 10000,
	NAME_DEPTH_MAX = STORE_NAME_MAX / 2 + 1,
	STRUCTURE_MAX = 16 * 1024 * 1024, /* bytes of one; far more than is ever made */
};

static enum fault
path_make(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

static enum fault
format_check(struct store_reader *r)
{
	uint64_t format = 0;
	enum fault fault = kv_begin_read(r->kv, &r->txn);

	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&r->txn, INDEX_META_FORMAT, &format);
	kv_abort(&r->txn);
	if (fault == FAULT_OK && format > STORE_FORMAT)
		return FAULT_UNSUPPORTED;
	return fault;
}

static enum fault
index_open(struct store_reader *r)
{
	char path[PATH_MAX];
	struct kv_options options = {.tables = index_tables, .readonly = true};
	enum fault fault = path_make(r->dir, "index", path);

	if (fault == FAULT_OK)
		fault = kv_open(path, &options, &r->kv);
	if (fault == FAULT_OK)
		fault = format_check(r);
	if (fault != FAULT_OK) {
		kv_close(r->kv);
		r->kv = NULL;
	}
	return fault;
}

enum fault
reader_files_ensure(struct store_reader *r)
{
	char path[PATH_MAX];
	enum fault fault = FAULT_OK;

	if (r->kv == NULL)
		fault = index_open(r);
	if (fault == FAULT_OK && r->files == NULL) {
		fault = path_make(r->dir, "segments", path);
		if (fault == FAULT_OK)
			fault = segment_files_open(path, SEGMENT_FILES_OPEN, &r->files);
	}
	if (fault == FAULT_OK && r->bodies == NULL) {
		r->bodies = body_reader_new(r->files);
		fault = r->bodies != NULL ? FAULT_OK : FAULT_NOMEM;
		if (fault == FAULT_OK)
			body_reader_use_key(r->bodies, r->key);
	}
	return fault;
}

enum fault
reader_open_lent(const char *dir, struct kv *kv, struct store_reader **reader)
{
	struct store_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return FAULT_NOMEM;
	buffer_init(&r->structure, STRUCTURE_MAX);
	r->kv = kv;
	r->kv_is_lent = kv != NULL;
	r->dir = slice_dup(slice_text(dir));
	enum fault fault = r->dir != NULL ? reader_files_ensure(r) : FAULT_NOMEM;
	/* No store yet is no fault: every reader_begin() looks again. */
	if (fault != FAULT_OK && fault != FAULT_NOT_FOUND) {
		reader_close(r);
		return fault;
	}
	*reader = r;
	return FAULT_OK;
}

enum fault
reader_open(const char *dir, struct store_reader **reader)
{
	return reader_open_lent(dir, NULL, reader);
}

void
reader_close(struct store_reader *r)
{
	if (r == NULL)
		return;
	kv_abort(&r->txn);
	if (!r->kv_is_lent)
		kv_close(r->kv);
	reader_use_key(r, NULL);
	body_reader_free(r->bodies);
	segment_files_close(r->files);
	free(r->dir);
	free(r);
}

void
reader_use_key(struct store_reader *r, struct seal_opener *key)
{
	if (r->key == key)
		return;
	r->key = key;
	if (r->bodies != NULL)
		body_reader_use_key(r->bodies, key);
	if (r->structure.data != NULL)
		secret_wipe(r->structure.data, r->structure.size);
	buffer_clear(&r->structure);
}

/* An open descriptor keeps the space of a segment that was removed. */
static void
files_sweep(struct store_reader *r)
{
	int64_t now_ms = clock_mono_ms(&clock_system);

	if (now_ms - r->swept_ms < SWEEP_MS)
		return;
	r->swept_ms = now_ms;
	segment_files_sweep(r->files);
}

enum fault
reader_begin(struct store_reader *r)
{
	enum fault fault = reader_files_ensure(r);

	if (fault == FAULT_OK)
		files_sweep(r);
	return fault != FAULT_OK ? fault : kv_begin_read(r->kv, &r->txn);
}

void
reader_end(struct store_reader *r)
{
	kv_abort(&r->txn);
}

enum fault
reader_account(struct store_reader *r, uint64_t account, struct store_account *found)
{
	return index_account_load(&r->txn, account, found);
}

enum fault
reader_accounts(struct store_reader *r, enum fault (*each)(void *arg, const struct store_account *),
	void *arg)
{
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(&r->txn, INDEX_ACCOUNTS, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		struct store_account account;
		fault = index_account_decode(cursor.key, cursor.value, &account);
		if (fault == FAULT_OK)
			fault = each(arg, &account);
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}

/* Puts "parent/" in front of the name; false when it gets too long (or runs in a circle). */
static bool
name_prepend(struct store_mailbox *m, struct slice parent)
{
	if (parent.len + 1 + m->name_len > STORE_NAME_MAX)
		return false;
	memmove(m->name + parent.len + 1, m->name, m->name_len + 1);
	memcpy(m->name, parent.data, parent.len);
	m->name[parent.len] = STORE_DELIMITER;
	m->name_len += parent.len + 1;
	return true;
}

static bool
is_subscribed(struct kv_txn *txn, const struct store_mailbox *m)
{
	struct index_key key = index_key_subscription(m->account, slice_make(m->name, m->name_len));
	struct slice value;

	return kv_get(txn, INDEX_SUBSCRIPTIONS, index_key_slice(&key), &value);
}

enum fault
reader_mailbox_complete(struct kv_txn *txn, struct store_mailbox *m)
{
	struct store_mailbox parent = {.parent = m->parent};

	while (parent.parent != 0) {
		enum fault fault = index_mailbox_load(txn, m->account, parent.parent, &parent);
		if (fault != FAULT_OK)
			return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
		if (!name_prepend(m, slice_make(parent.name, parent.name_len)))
			return FAULT_DAMAGED;
	}
	m->has_children = index_has_children(txn, m->account, m->id);
	m->subscribed = is_subscribed(txn, m);
	return txn->fault;
}

enum fault
reader_mailbox(struct store_reader *r, uint64_t account, uint32_t id, struct store_mailbox *mailbox)
{
	enum fault fault = index_mailbox_load(&r->txn, account, id, mailbox);

	return fault != FAULT_OK ? fault : reader_mailbox_complete(&r->txn, mailbox);
}

enum fault
reader_mailbox_by_name(
	struct store_reader *r, uint64_t account, struct slice text, struct store_mailbox *mailbox)
{
	struct store_name name;
	uint32_t id;
	enum fault fault = store_name_parse(text, &name);

	/* What can be no name names no mailbox. */
	if (fault == FAULT_SYNTAX || fault == FAULT_TOO_LONG)
		return FAULT_NOT_FOUND;
	if (fault == FAULT_OK)
		fault = index_mailbox_find(&r->txn, account, store_name_slice(&name), &id);
	return fault != FAULT_OK ? fault : reader_mailbox(r, account, id, mailbox);
}

enum fault
reader_mailbox_by_use(struct store_reader *r, uint64_t account, enum store_special_use use,
	struct store_mailbox *mailbox)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	enum fault fault = FAULT_NOT_FOUND;

	kv_cursor_open(&r->txn, INDEX_MAILBOXES, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix)); more;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix))) {
		if (index_mailbox_decode(cursor.key, cursor.value, mailbox) != FAULT_OK ||
			mailbox->special_use != use)
			continue;
		fault = FAULT_OK;
		break;
	}
	kv_cursor_close(&cursor);
	if (r->txn.fault != FAULT_OK || fault != FAULT_OK)
		return r->txn.fault != FAULT_OK ? r->txn.fault : fault;
	return reader_mailbox_complete(&r->txn, mailbox);
}

/* All records of an account in order of their ids; names are last levels. */
static enum fault
mailboxes_load(
	struct store_reader *r, uint64_t account, struct store_mailbox_list *list, size_t room)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(&r->txn, INDEX_MAILBOXES, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
		more && fault == FAULT_OK;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix))) {
		if (list->count >= room)
			fault = FAULT_DAMAGED;
		else
			fault = index_mailbox_decode(
				cursor.key, cursor.value, &list->mailboxes[list->count++]);
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}

static int
compare_ids(const void *a, const void *b)
{
	const struct store_mailbox *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Makes one name full, and those of its parents before it; done[i]: name i is full. */
static enum fault
name_fill(struct store_mailbox_list *list, bool *done, size_t i, unsigned depth)
{
	struct store_mailbox *m = &list->mailboxes[i], key = {.id = m->parent};

	if (done[i])
		return FAULT_OK;
	if (m->parent != 0) {
		struct store_mailbox *parent =
			bsearch(&key, list->mailboxes, list->count, sizeof(key), compare_ids);
		if (parent == NULL || depth >= NAME_DEPTH_MAX)
			return FAULT_DAMAGED;
		enum fault fault =
			name_fill(list, done, (size_t)(parent - list->mailboxes), depth + 1);
		if (fault != FAULT_OK)
			return fault;
		if (!name_prepend(m, slice_make(parent->name, parent->name_len)))
			return FAULT_DAMAGED;
		parent->has_children = true;
	}
	done[i] = true;
	return FAULT_OK;
}

/* INBOX and what is below it. */
static bool
is_inbox_tree(const struct store_mailbox *m)
{
	struct slice name = slice_make(m->name, m->name_len), inbox = SLICE("INBOX");

	return slice_starts(name, inbox) &&
		(name.len == inbox.len || name.data[inbox.len] == STORE_DELIMITER);
}

/* A delimiter sorts before every other byte, so children follow their parent; INBOX is first. */
static int
compare_names(const void *a, const void *b)
{
	const struct store_mailbox *x = a, *y = b;
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;

	if (is_inbox_tree(x) != is_inbox_tree(y))
		return is_inbox_tree(x) ? -1 : 1;
	for (size_t i = 0; i < len; i++) {
		int c = x->name[i] == STORE_DELIMITER ? 0 : (uint8_t)x->name[i];
		int d = y->name[i] == STORE_DELIMITER ? 0 : (uint8_t)y->name[i];
		if (c != d)
			return c - d;
	}
	return (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

enum fault
reader_mailboxes(
	struct store_reader *r, uint64_t id, struct arena *arena, struct store_mailbox_list *list)
{
	struct store_account account;
	enum fault fault = index_account_load(&r->txn, id, &account);

	*list = (struct store_mailbox_list){0};
	if (fault != FAULT_OK)
		return fault;
	size_t room = account.mailboxes;
	list->mailboxes = arena_array(arena, room, sizeof(list->mailboxes[0]));
	bool *done = arena_array(arena, room + 1, sizeof(*done));
	if (list->mailboxes == NULL || done == NULL)
		return FAULT_BUDGET;
	fault = mailboxes_load(r, id, list, room);
	for (size_t i = 0; fault == FAULT_OK && i < list->count; i++)
		fault = name_fill(list, done, i, 0);
	for (size_t i = 0; fault == FAULT_OK && i < list->count; i++)
		list->mailboxes[i].subscribed = is_subscribed(&r->txn, &list->mailboxes[i]);
	if (fault == FAULT_OK)
		qsort(list->mailboxes, list->count, sizeof(list->mailboxes[0]), compare_names);
	return fault != FAULT_OK ? fault : r->txn.fault;
}

enum fault
reader_subscriptions(struct store_reader *r, uint64_t account,
	enum fault (*each)(void *arg, struct slice name), void *arg)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(&r->txn, INDEX_SUBSCRIPTIONS, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
		more && fault == FAULT_OK; more = kv_next_prefix(&cursor, index_key_slice(&prefix)))
		fault = each(arg, cursor.value);
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}
