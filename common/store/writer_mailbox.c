/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: accounts and mailboxes come, change their names and go.  A
 * mailbox knows its parent and the last level of its name, so a rename touches one record,
 * whatever hangs below it.
 */
#include "common/store/writer_private.h"

#include "common/base/bytes.h"

static void
mailbox_change(struct store_writer *w, struct store_account *account, uint32_t mailbox,
	enum store_change_kind kind)
{
	struct store_change change = {kind, mailbox, account->modseq, 0, 0};

	writer_change(w, account, &change);
}

static void
name_put(struct store_writer *w, const struct store_mailbox *m)
{
	struct index_key key =
		index_key_name(m->account, m->parent, slice_make(m->name, m->name_len));
	uint8_t id[4];

	put_u32(id, m->id);
	kv_put(&w->txn, INDEX_NAMES, index_key_slice(&key), slice_make(id, sizeof(id)));
}

static void
name_delete(struct store_writer *w, const struct store_mailbox *m)
{
	struct index_key key =
		index_key_name(m->account, m->parent, slice_make(m->name, m->name_len));

	(void)kv_delete(&w->txn, INDEX_NAMES, index_key_slice(&key));
}

static void
name_set(struct store_mailbox *m, struct slice level)
{
	m->name_len = slice_first(level, STORE_LEVEL_MAX).len;
	memcpy(m->name, level.data, m->name_len);
	m->name[m->name_len] = '\0';
}

/* Never the same twice in an account, whatever the clock does (RFC 3501 2.3.1.1). */
static uint32_t
uidvalidity_next(const struct store_writer *w, struct store_account *account)
{
	uint32_t now = w->now > 0 && w->now < UINT32_MAX ? (uint32_t)w->now : 1;

	if (now <= account->uidvalidity_last)
		now = account->uidvalidity_last + 1;
	account->uidvalidity_last = now;
	return now;
}

enum fault
writer_child_make(struct store_writer *w, struct store_account *account,
	const struct writer_child *child, struct store_mailbox *made)
{
	if (account->mailboxes >= STORE_MAILBOXES_MAX || account->mailbox_next == UINT32_MAX)
		return FAULT_LIMIT;
	*made = (struct store_mailbox){
		.account = account->id,
		.id = account->mailbox_next++,
		.parent = child->parent,
		.uidvalidity = uidvalidity_next(w, account),
		.uidnext = 1,
		.recent_from = 1,
		.highest_modseq = writer_next_modseq(account),
		.special_use = child->use,
	};
	name_set(made, child->level);
	account->mailboxes++;
	index_mailbox_save(&w->txn, made);
	name_put(w, made);
	mailbox_change(w, account, made->id, STORE_CHANGE_MAILBOX);
	return w->txn.fault;
}

/* Whether another mailbox than id has this use. */
static bool
is_use_taken(struct store_writer *w, uint64_t account, enum store_special_use use, uint32_t id)
{
	struct index_key prefix = index_key_id(account);
	struct store_mailbox m;
	struct kv_cursor cursor;
	bool taken = false;

	if (use == STORE_USE_NONE)
		return false;
	kv_cursor_open(&w->txn, INDEX_MAILBOXES, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix)); more && !taken;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix)))
		taken = index_mailbox_decode(cursor.key, cursor.value, &m) == FAULT_OK &&
			m.id != id && m.special_use == use;
	kv_cursor_close(&cursor);
	return taken;
}

static void
subscription_put(struct store_writer *w, uint64_t account, struct slice name)
{
	struct index_key key = index_key_subscription(account, name);

	kv_put(&w->txn, INDEX_SUBSCRIPTIONS, index_key_slice(&key), name);
}

enum fault
writer_account_ensure(struct store_writer *w, uint64_t id, uint64_t quota)
{
	static const struct {
		struct slice name;
		enum store_special_use use;
	} first[] = {
		{SLICE_LITERAL("INBOX"), STORE_USE_NONE},
		{SLICE_LITERAL("Drafts"), STORE_USE_DRAFTS},
		{SLICE_LITERAL("Sent"), STORE_USE_SENT},
		{SLICE_LITERAL("Junk"), STORE_USE_JUNK},
		{SLICE_LITERAL("Trash"), STORE_USE_TRASH},
		{SLICE_LITERAL("Archive"), STORE_USE_ARCHIVE},
	};
	struct store_account account;
	struct store_mailbox made;
	enum fault fault = index_account_load(&w->txn, id, &account);

	if (id == 0)
		return FAULT_NOT_FOUND;
	if (fault == FAULT_OK && account.quota_bytes == quota)
		return FAULT_OK;
	if (fault == FAULT_OK) {
		account.quota_bytes = quota;
		index_account_save(&w->txn, &account);
		return w->txn.fault;
	}
	if (fault != FAULT_NOT_FOUND)
		return fault;
	account = (struct store_account){.id = id, .quota_bytes = quota, .mailbox_next = 1};
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		struct writer_child child = {0, first[i].name, first[i].use};
		fault = writer_child_make(w, &account, &child, &made);
		if (fault != FAULT_OK)
			return fault;
		subscription_put(w, id, first[i].name);
	}
	index_account_save(&w->txn, &account);
	return w->txn.fault;
}

/* Walks down a canonical name; makes what is not there.  The last level: 0 as it was there. */
static enum fault
path_make(struct store_writer *w, struct store_account *account, struct slice name,
	struct store_mailbox *last, bool *made)
{
	struct cursor c = cursor_of(name);
	enum fault fault = FAULT_OK;

	*last = (struct store_mailbox){.account = account->id};
	for (struct slice level; fault == FAULT_OK && take_name_level(&c, &level);) {
		struct writer_child child = {last->id, level, STORE_USE_NONE};
		uint32_t id;
		fault = index_child_find(&w->txn, last, level, &id);
		*made = fault == FAULT_NOT_FOUND;
		if (*made)
			fault = writer_child_make(w, account, &child, last);
		else if (fault == FAULT_OK)
			fault = index_mailbox_load(&w->txn, account->id, id, last);
	}
	return fault;
}

static unsigned
level_count(struct slice name)
{
	struct cursor c = cursor_of(name);
	unsigned count = 0;

	for (struct slice level; take_name_level(&c, &level);)
		count++;
	return count;
}

enum fault
writer_mailbox_create(struct store_writer *w, struct writer_create *create)
{
	struct store_account account;
	struct store_mailbox m;
	struct store_name name;
	bool made = false;
	uint32_t id;
	enum fault fault = store_name_parse(create->name, &name);

	if (fault == FAULT_OK)
		fault = index_account_load(&w->txn, create->account, &account);
	if (fault != FAULT_OK)
		return fault;
	fault = index_mailbox_find(&w->txn, account.id, store_name_slice(&name), &id);
	if (fault == FAULT_OK)
		fault = index_mailbox_load(&w->txn, account.id, id, &m);
	if (fault != FAULT_NOT_FOUND && (fault != FAULT_OK || !m.noselect))
		return fault != FAULT_OK ? fault : FAULT_EXISTS;
	if (is_use_taken(w, account.id, create->special_use, 0))
		return FAULT_EXISTS;
	/* Checked before anything is made: half a path must not stay. */
	if (account.mailboxes + level_count(store_name_slice(&name)) > STORE_MAILBOXES_MAX)
		return FAULT_LIMIT;
	fault = path_make(w, &account, store_name_slice(&name), &m, &made);
	if (fault != FAULT_OK)
		return fault;
	/*
	 * A \Noselect name becomes a mailbox again.  UIDVALIDITY and the next UID were kept, so
	 * that no UID is used twice (RFC 3501 6.3.4), and its id may stay the same too.
	 */
	if (!made) {
		m.noselect = false;
		m.highest_modseq = writer_next_modseq(&account);
		mailbox_change(w, &account, m.id, STORE_CHANGE_MAILBOX);
	}
	m.special_use = create->special_use;
	index_mailbox_save(&w->txn, &m);
	index_account_save(&w->txn, &account);
	create->id = m.id;
	create->uidvalidity = m.uidvalidity;
	return w->txn.fault;
}

/* Loads account and mailbox by any spelling of the name. */
static enum fault
named_load(struct store_writer *w, uint64_t account, struct slice text, struct writer_place *place)
{
	struct store_name name;
	uint32_t id;
	enum fault fault = store_name_parse(text, &name);

	if (fault == FAULT_SYNTAX || fault == FAULT_TOO_LONG)
		return FAULT_NOT_FOUND;
	if (fault == FAULT_OK)
		fault = index_account_load(&w->txn, account, &place->account);
	if (fault == FAULT_OK)
		fault = index_mailbox_find(&w->txn, account, store_name_slice(&name), &id);
	if (fault == FAULT_OK)
		fault = index_mailbox_load(&w->txn, account, id, &place->mailbox);
	return fault;
}

enum fault
writer_mailbox_delete(struct store_writer *w, uint64_t account, struct slice name)
{
	struct writer_place place;
	bool empty;
	enum fault fault = named_load(w, account, name, &place);

	if (fault != FAULT_OK)
		return fault;
	struct store_mailbox *m = &place.mailbox;
	if (m->id == STORE_INBOX)
		return FAULT_DENIED;
	bool is_parent = index_has_children(&w->txn, account, m->id);
	if (is_parent && m->noselect)
		return FAULT_HAS_CHILDREN;
	fault = writer_mailbox_empty(w, &place, SIZE_MAX, &empty);
	if (fault != FAULT_OK)
		return fault;
	m->highest_modseq = writer_next_modseq(&place.account);
	mailbox_change(w, &place.account, m->id, STORE_CHANGE_MAILBOX_GONE);
	if (is_parent) {
		m->noselect = true;
		m->special_use = STORE_USE_NONE;
		index_mailbox_save(&w->txn, m);
	} else {
		struct index_key key = index_key_mailbox(account, m->id);
		name_delete(w, m);
		(void)kv_delete(&w->txn, INDEX_MAILBOXES, index_key_slice(&key));
		place.account.mailboxes--;
	}
	index_account_save(&w->txn, &place.account);
	return w->txn.fault;
}

/* The bytes that the longest name below a mailbox has beyond the mailbox's own. */
static size_t
longest_below(struct store_writer *w, uint64_t account, uint32_t mailbox, unsigned depth)
{
	struct index_key prefix = index_key_mailbox(account, mailbox);
	struct kv_cursor cursor;
	size_t longest = 0;

	/* No name that fits has more levels than this. */
	if (depth > STORE_NAME_MAX / 2)
		return STORE_NAME_MAX;
	kv_cursor_open(&w->txn, INDEX_NAMES, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix)); more;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix))) {
		size_t len = 1 + cursor.key.len - prefix.len;
		if (cursor.value.len == 4)
			len += longest_below(w, account, get_u32(cursor.value.data), depth + 1);
		if (len > longest)
			longest = len;
	}
	kv_cursor_close(&cursor);
	return longest;
}

/* RFC 3501 6.3.5: INBOX stays, empty; its messages move into a new mailbox. */
static enum fault
inbox_rename(struct store_writer *w, uint64_t account, struct slice to)
{
	struct writer_create create = {.account = account, .name = to};
	struct writer_copy move = {.uids = {.account = account, .mailbox = STORE_INBOX}};
	enum fault fault = writer_mailbox_create(w, &create);

	if (fault != FAULT_OK)
		return fault;
	move.to = create.id;
	fault = writer_move(w, &move);
	uid_set_clear(&move.copied);
	/* The mailbox is made already: a fault now must not leave half of it. */
	if (fault != FAULT_OK)
		kv_fail(&w->txn, fault);
	return fault;
}

/* Whether a name may be taken: not in use, and not below the mailbox that is to get it. */
static enum fault
target_check(
	struct store_writer *w, const struct writer_place *from, struct slice old, struct slice to)
{
	uint32_t id;

	if (slice_starts(to, old) && to.len > old.len && to.data[old.len] == STORE_DELIMITER)
		return FAULT_DENIED;
	enum fault fault = index_mailbox_find(&w->txn, from->account.id, to, &id);
	if (fault != FAULT_NOT_FOUND)
		return fault == FAULT_OK ? FAULT_EXISTS : fault;
	if (from->mailbox.id == STORE_INBOX)
		return FAULT_OK;
	if (to.len + longest_below(w, from->account.id, from->mailbox.id, 0) > STORE_NAME_MAX)
		return FAULT_TOO_LONG;
	if (from->account.mailboxes + level_count(to) > STORE_MAILBOXES_MAX)
		return FAULT_LIMIT;
	return FAULT_OK;
}

static enum fault
mailbox_move(struct store_writer *w, struct writer_place *place, struct slice to)
{
	struct store_mailbox parent = {0}, *m = &place->mailbox;
	struct slice above, last;
	bool made = false;

	store_name_split(to, &above, &last);
	enum fault fault = path_make(w, &place->account, above, &parent, &made);
	if (fault != FAULT_OK)
		return fault;
	name_delete(w, m);
	m->parent = parent.id;
	name_set(m, last);
	name_put(w, m);
	m->highest_modseq = writer_next_modseq(&place->account);
	mailbox_change(w, &place->account, m->id, STORE_CHANGE_MAILBOX);
	writer_place_save(w, place);
	return w->txn.fault;
}

enum fault
writer_mailbox_rename(struct store_writer *w, uint64_t account, struct slice from, struct slice to)
{
	struct writer_place place;
	struct store_name old, new;
	enum fault fault = named_load(w, account, from, &place);

	if (fault == FAULT_OK)
		fault = store_name_parse(from, &old);
	if (fault == FAULT_OK)
		fault = store_name_parse(to, &new);
	if (fault == FAULT_OK)
		fault = target_check(w, &place, store_name_slice(&old), store_name_slice(&new));
	/* INBOX stays where it is, so its messages may well move below it. */
	if (place.mailbox.id == STORE_INBOX && (fault == FAULT_OK || fault == FAULT_DENIED))
		return inbox_rename(w, account, store_name_slice(&new));
	return fault != FAULT_OK ? fault : mailbox_move(w, &place, store_name_slice(&new));
}

enum fault
writer_mailbox_use(
	struct store_writer *w, uint64_t account, uint32_t mailbox, enum store_special_use use)
{
	struct writer_place place;
	enum fault fault = writer_place_load(w, account, mailbox, &place);

	if (fault != FAULT_OK)
		return fault;
	if ((unsigned)use >= STORE_USE_COUNT)
		return FAULT_SYNTAX;
	if (mailbox == STORE_INBOX)
		return FAULT_DENIED;
	if (is_use_taken(w, account, use, mailbox))
		return FAULT_EXISTS;
	place.mailbox.special_use = use;
	place.mailbox.highest_modseq = writer_next_modseq(&place.account);
	mailbox_change(w, &place.account, mailbox, STORE_CHANGE_MAILBOX);
	writer_place_save(w, &place);
	return w->txn.fault;
}

enum fault
writer_subscribe(struct store_writer *w, uint64_t id, struct slice text, bool on)
{
	struct store_account account;
	struct store_name name;
	uint32_t mailbox = 0;
	enum fault fault = store_name_parse(text, &name);

	if (fault == FAULT_OK)
		fault = index_account_load(&w->txn, id, &account);
	if (fault != FAULT_OK)
		return fault;
	fault = index_mailbox_find(&w->txn, id, store_name_slice(&name), &mailbox);
	if (fault != FAULT_OK && (on || fault != FAULT_NOT_FOUND))
		return fault;
	struct index_key key = index_key_subscription(id, store_name_slice(&name));
	if (on)
		subscription_put(w, id, store_name_slice(&name));
	else if (!kv_delete(&w->txn, INDEX_SUBSCRIPTIONS, index_key_slice(&key)))
		return w->txn.fault;
	(void)writer_next_modseq(&account);
	mailbox_change(w, &account, 0, STORE_CHANGE_SUBSCRIPTIONS);
	index_account_save(&w->txn, &account);
	return w->txn.fault;
}

enum fault
writer_recent_claim(
	struct store_writer *w, uint64_t account, uint32_t mailbox, struct uid_range *recent)
{
	struct writer_place place;
	enum fault fault = writer_place_load(w, account, mailbox, &place);

	if (fault != FAULT_OK)
		return fault;
	struct store_mailbox *m = &place.mailbox;
	*recent = (struct uid_range){m->recent_from, m->uidnext - 1};
	if (m->recent_from == m->uidnext)
		return FAULT_OK;
	m->recent_from = m->uidnext;
	m->recent = 0;
	index_mailbox_save(&w->txn, m);
	return w->txn.fault;
}
