/* SPDX-License-Identifier: ISC */
/*
 * Accounts: found for a login, listed and changed for mailctl.  Runs in authd.  An account is a
 * record by id and a name by address; both change in one transaction.
 */
#include "authd/directory_internal.h"

#include "common/base/bytes.h"

enum { ID_ATTEMPTS = 100 };

static enum fault
copy_account(const struct account_record *from, struct arena *arena, struct account_record *to)
{
	*to = *from;
	return arena_copy(arena, from->address, &to->address) &&
			arena_copy(arena, from->password_hash, &to->password_hash)
		? FAULT_OK
		: FAULT_BUDGET;
}

enum fault
directory_get_account(
	struct directory *d, uint64_t id, struct arena *arena, struct account *account)
{
	struct kv_txn txn;
	struct account_record r;
	enum fault fault = kv_begin_read(d->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = directory_load_account(&txn, id, &r);
	if (fault == FAULT_OK)
		fault = copy_account(&r, arena, &account->record);
	kv_abort(&txn);
	account->id = id;
	return fault == FAULT_NOT_FOUND ? FAULT_NO_SUCH_USER : fault;
}

/* The account of an address in normal form, borrowing from the map. */
static enum fault
load_by_name(
	struct kv_txn *txn, const struct address *normal, uint64_t *id, struct account_record *r)
{
	struct name_record name;
	enum fault fault = directory_load_name(txn, normal, &name);

	if (fault == FAULT_OK && name.kind != NAME_ACCOUNT)
		fault = FAULT_NOT_FOUND;
	if (fault == FAULT_NOT_FOUND)
		return FAULT_NO_SUCH_USER;
	if (fault != FAULT_OK)
		return fault;
	*id = name.account;
	fault = directory_load_account(txn, name.account, r);
	/* A name without its record: the two are only ever written together. */
	return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

enum fault
directory_find_account(
	struct directory *d, struct slice address, struct arena *arena, struct account *account)
{
	struct kv_txn txn;
	struct address normal;
	struct account_record r;
	enum fault fault = directory_normal_address(d, address, arena, &normal);

	if (fault == FAULT_OK)
		fault = kv_begin_read(d->kv, &txn);
	if (fault != FAULT_OK)
		return fault;
	fault = load_by_name(&txn, &normal, &account->id, &r);
	if (fault == FAULT_OK)
		fault = copy_account(&r, arena, &account->record);
	kv_abort(&txn);
	return fault;
}

static enum fault
show_account(struct kv_txn *txn, uint64_t id, account_each *each, void *arg)
{
	struct account_record r;
	enum fault fault = directory_load_account(txn, id, &r);

	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	each(arg, &(struct account_entry){id, &r});
	return FAULT_OK;
}

/*
 * All accounts whose name begins with prefix, in the order of names.  A damaged one is passed over
 * and is the fault at the end: it must not hide the others.
 */
static enum fault
show_accounts(struct kv_txn *txn, struct slice prefix, account_each *each, void *arg)
{
	struct kv_cursor cursor;
	struct name_record r;
	enum fault first = FAULT_OK;

	kv_cursor_open(txn, TABLE_NAMES, &cursor);
	for (bool on = directory_first_name(&cursor, prefix); on;
		on = kv_next_prefix(&cursor, prefix)) {
		enum fault fault = name_record_decode(cursor.value, &r);
		if (fault == FAULT_OK && r.kind == NAME_ACCOUNT)
			fault = show_account(txn, r.account, each, arg);
		if (first == FAULT_OK)
			first = fault;
	}
	kv_cursor_close(&cursor);
	return txn->fault != FAULT_OK ? txn->fault : first;
}

enum fault
directory_list_accounts(struct directory *d, struct slice only, account_each *each, void *arg)
{
	struct kv_txn txn;
	struct name_key prefix;
	enum fault fault = directory_begin_list(d, only, &prefix, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = show_accounts(&txn, name_key_slice(&prefix), each, arg);
	kv_abort(&txn);
	return fault;
}

/* Refuses an address whose domain is not ours or that is taken. */
static enum fault
check_free(struct directory *d, struct kv_txn *txn, const struct account_change *change,
	struct domain_record *domain)
{
	struct name_record name;
	enum fault fault = directory_load_domain(txn, change->normal.domain, domain);

	if (fault == FAULT_NOT_FOUND)
		return directory_refuse(d, fault,
			"the domain %" SLICE_FMT " is not ours; add it first: domain add",
			SLICE_ARG(change->normal.domain));
	if (fault != FAULT_OK)
		return fault;
	fault = directory_load_name(txn, &change->normal, &name);
	if (fault == FAULT_OK)
		return directory_refuse(d, FAULT_EXISTS, "%" SLICE_FMT " is %s already",
			SLICE_ARG(change->text),
			name.kind == NAME_ACCOUNT ? "an account" : "an alias");
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

/* Random, so that an id says nothing and is never used again; never 0. */
static enum fault
draw_id(struct directory *d, struct kv_txn *txn, uint64_t *id)
{
	struct account_record r;

	for (int i = 0; i < ID_ATTEMPTS; i++) {
		*id = entropy_u64(d->entropy);
		if (*id != 0 && directory_load_account(txn, *id, &r) == FAULT_NOT_FOUND)
			return FAULT_OK;
	}
	return FAULT_INTERNAL;
}

static enum fault
save_name(struct kv_txn *txn, const struct address *normal, uint64_t id)
{
	struct name_key key;
	struct buffer bytes;
	enum fault fault = name_key_set(&key, normal->domain, normal->local);

	if (fault != FAULT_OK)
		return fault;
	buffer_init(&bytes, RECORD_SIZE_MAX);
	fault = name_record_encode_account(id, &bytes);
	if (fault == FAULT_OK)
		kv_put(txn, TABLE_NAMES, name_key_slice(&key), buffer_slice(&bytes));
	buffer_clear(&bytes);
	return fault;
}

/* The first account of a domain is its postmaster (RFC 5321 4.5.1) while nobody else is named. */
static enum fault
make_postmaster(struct kv_txn *txn, struct slice name, uint64_t id)
{
	struct domain_record domain;
	enum fault fault = directory_load_domain(txn, name, &domain);

	if (fault != FAULT_OK)
		return fault;
	domain.postmaster = id;
	return directory_save_domain(txn, name, &domain);
}

static enum fault
add_account(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct domain_record domain;
	int64_t now = clock_wall_ms(d->clock);
	enum fault fault = check_free(d, txn, change, &domain);

	if (fault == FAULT_OK)
		fault = draw_id(d, txn, &change->id);
	if (fault != FAULT_OK)
		return fault;
	bool first = domain.postmaster == 0;
	fault = directory_save_account(txn, change->id,
		&(struct account_record){.created_at = now,
			.password_at = now,
			.address = change->text,
			.password_hash = change->password->hash,
			.scram = change->password->scram});
	if (fault == FAULT_OK)
		fault = save_name(txn, &change->normal, change->id);
	if (fault == FAULT_OK && first)
		fault = make_postmaster(txn, change->normal.domain, change->id);
	return fault;
}

/* The common start of every change: the address in normal form, twice. */
static enum fault
prepare_change(struct directory *d, struct slice address, struct arena *arena,
	struct account_change *change)
{
	enum fault fault = directory_normal_address(d, address, arena, &change->normal);

	if (fault != FAULT_OK)
		return fault;
	change->text = directory_address_text(&change->normal, arena);
	if (change->text.data == NULL)
		return FAULT_BUDGET;
	/* Case-folding and A-labels may lengthen it beyond what SMTP can say. */
	if (change->text.len > ADDRESS_MAX || change->normal.local.len > ADDRESS_LOCAL_MAX)
		return directory_refuse(
			d, FAULT_TOO_LONG, "%" SLICE_FMT " is too long", SLICE_ARG(change->text));
	return FAULT_OK;
}

enum fault
directory_change_account(struct directory *d, struct slice address, directory_change *run,
	struct account_change *change)
{
	struct arena arena;
	enum fault fault;

	arena_init(&arena, DIRECTORY_ARENA);
	fault = prepare_change(d, address, &arena, change);
	if (fault == FAULT_OK)
		fault = directory_write(d, run, change);
	arena_clear(&arena);
	return fault;
}

enum fault
directory_check_new_account(struct directory *d, struct slice address)
{
	struct arena arena;
	struct kv_txn txn;
	struct domain_record domain;
	struct account_change change = {0};
	enum fault fault;

	arena_init(&arena, DIRECTORY_ARENA);
	fault = prepare_change(d, address, &arena, &change);
	if (fault == FAULT_OK)
		fault = kv_begin_read(d->kv, &txn);
	if (fault == FAULT_OK) {
		fault = check_free(d, &txn, &change, &domain);
		kv_abort(&txn);
	}
	arena_clear(&arena);
	return fault;
}

enum fault
directory_add_account(struct directory *d, struct slice address,
	const struct password_record *password, uint64_t *id)
{
	struct account_change change = {.password = password};
	enum fault fault = directory_change_account(d, address, add_account, &change);

	if (fault == FAULT_OK)
		*id = change.id;
	return fault;
}

enum fault
directory_load_for_change(struct directory *d, struct kv_txn *txn, struct account_change *change,
	struct account_record *r)
{
	enum fault fault = load_by_name(txn, &change->normal, &change->id, r);

	if (fault == FAULT_NO_SUCH_USER)
		return directory_refuse(
			d, fault, "no such account: %" SLICE_FMT, SLICE_ARG(change->text));
	return fault;
}

struct oldest {
	uint64_t id;
	bool disabled;
	int64_t created_at;
};

/* An enabled one before a disabled one, then by age. */
static void
keep_oldest(void *arg, const struct account_entry *entry)
{
	struct oldest *oldest = arg;
	const struct account_record *r = entry->record;
	bool better = r->disabled != oldest->disabled ? oldest->disabled
						      : r->created_at < oldest->created_at;

	if (oldest->id == 0 || better)
		*oldest = (struct oldest){entry->id, r->disabled, r->created_at};
}

/* The postmaster is gone or disabled: the oldest account that is left follows. */
static enum fault
replace_postmaster(struct kv_txn *txn, struct slice domain)
{
	struct name_key prefix;
	struct oldest oldest = {0};
	enum fault fault = name_key_set_domain(&prefix, domain);

	if (fault == FAULT_OK)
		fault = show_accounts(txn, name_key_slice(&prefix), keep_oldest, &oldest);
	/* A damaged account elsewhere in the domain must not stand in the way. */
	if (fault != FAULT_OK && fault != FAULT_DAMAGED)
		return fault;
	return make_postmaster(txn, domain, oldest.id);
}

static enum fault
set_disabled(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct account_record r, postmaster;
	struct domain_record domain;
	enum fault fault = directory_load_for_change(d, txn, change, &r);

	if (fault != FAULT_OK)
		return fault;
	r.disabled = change->disabled;
	fault = directory_save_account(txn, change->id, &r);
	if (fault == FAULT_OK)
		fault = directory_load_domain(txn, change->normal.domain, &domain);
	if (fault != FAULT_OK || domain.postmaster == 0)
		return fault;
	if (directory_load_account(txn, domain.postmaster, &postmaster) == FAULT_OK &&
		!postmaster.disabled)
		return FAULT_OK;
	return replace_postmaster(txn, change->normal.domain);
}

enum fault
directory_set_disabled(struct directory *d, struct slice address, bool disabled)
{
	struct account_change change = {.disabled = disabled};

	return directory_change_account(d, address, set_disabled, &change);
}

static enum fault
remove_account(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct account_change *change = arg;
	struct account_record r;
	struct domain_record domain;
	struct name_key name;
	uint8_t key[8];
	enum fault fault = directory_load_for_change(d, txn, change, &r);

	if (fault == FAULT_OK)
		fault = name_key_set(&name, change->normal.domain, change->normal.local);
	if (fault == FAULT_OK)
		fault = directory_load_domain(txn, change->normal.domain, &domain);
	if (fault != FAULT_OK)
		return fault;
	bool was_postmaster = domain.postmaster == change->id;
	put_u64(key, change->id);
	kv_delete(txn, TABLE_ACCOUNTS, slice_make(key, sizeof key));
	kv_delete(txn, TABLE_NAMES, name_key_slice(&name));
	directory_forget_logins(txn, change->id);
	return was_postmaster ? replace_postmaster(txn, change->normal.domain) : FAULT_OK;
}

enum fault
directory_remove_account(struct directory *d, struct slice address, uint64_t *id)
{
	struct account_change change = {0};
	enum fault fault = directory_change_account(d, address, remove_account, &change);

	if (fault == FAULT_OK)
		*id = change.id;
	return fault;
}
