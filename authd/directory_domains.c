/* SPDX-License-Identifier: ISC */
/* Domains and their catch-alls: listing and changing.  Runs in authd, for mailctl. */
#include "authd/directory_internal.h"

struct domain_change {
	struct slice name; /* in normal form */
	struct slice catch_all;
};

static enum fault
load_known_domain(
	struct directory *d, struct kv_txn *txn, struct slice name, struct domain_record *r)
{
	enum fault fault = directory_load_domain(txn, name, r);

	if (fault == FAULT_NOT_FOUND)
		return directory_refuse(d, fault, "no such domain: %" SLICE_FMT, SLICE_ARG(name));
	return fault;
}

static enum fault
add_domain(struct directory *d, struct kv_txn *txn, void *arg)
{
	const struct domain_change *change = arg;
	struct domain_record r;
	enum fault fault = directory_load_domain(txn, change->name, &r);

	if (fault == FAULT_OK)
		return directory_refuse(d, FAULT_EXISTS, "the domain %" SLICE_FMT " exists already",
			SLICE_ARG(change->name));
	if (fault != FAULT_NOT_FOUND)
		return fault;
	r = (struct domain_record){.created_at = clock_wall_ms(d->clock), .catch_all = SLICE("")};
	return directory_save_domain(txn, change->name, &r);
}

/* Normalises the domain's name and runs the change with it. */
static enum fault
change_domain(
	struct directory *d, struct slice name, directory_change *change, struct domain_change *arg)
{
	struct arena arena;
	enum fault fault;

	arena_init(&arena, DIRECTORY_ARENA);
	fault = directory_normal_domain(d, name, &arena, &arg->name);
	if (fault == FAULT_OK)
		fault = directory_write(d, change, arg);
	arena_clear(&arena);
	return fault;
}

enum fault
directory_add_domain(struct directory *d, struct slice name)
{
	struct domain_change change = {0};

	return change_domain(d, name, add_domain, &change);
}

static enum fault
remove_domain(struct directory *d, struct kv_txn *txn, void *arg)
{
	const struct domain_change *change = arg;
	struct domain_record r;
	struct name_key prefix;
	struct kv_cursor cursor;
	enum fault fault = load_known_domain(d, txn, change->name, &r);

	if (fault == FAULT_OK)
		fault = name_key_set_domain(&prefix, change->name);
	if (fault != FAULT_OK)
		return fault;
	kv_cursor_open(txn, TABLE_NAMES, &cursor);
	bool used = kv_seek_prefix(&cursor, name_key_slice(&prefix));
	kv_cursor_close(&cursor);
	if (used)
		return directory_refuse(d, FAULT_HAS_CHILDREN,
			"%" SLICE_FMT " still has accounts or aliases; remove them first",
			SLICE_ARG(change->name));
	kv_delete(txn, TABLE_DOMAINS, change->name);
	return FAULT_OK;
}

enum fault
directory_remove_domain(struct directory *d, struct slice name)
{
	struct domain_change change = {0};

	return change_domain(d, name, remove_domain, &change);
}

/* A catch-all must lead somewhere now, or the admin has mistyped it. */
static enum fault
check_catch_all(struct directory *d, struct kv_txn *txn, struct slice address)
{
	struct arena arena;
	struct expansions found;
	struct expander e = {d, txn, &arena};

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = directory_expand_in(&e, address, &found);
	arena_clear(&arena);
	if (fault == FAULT_NOT_LOCAL)
		return FAULT_OK; /* a foreign address: nobody here can know it */
	if (fault == FAULT_NO_SUCH_USER || fault == FAULT_MAIL_LOOP)
		return directory_refuse(d, fault,
			"%" SLICE_FMT " leads to no account, alias or foreign address",
			SLICE_ARG(address));
	return fault;
}

static enum fault
set_catch_all(struct directory *d, struct kv_txn *txn, void *arg)
{
	const struct domain_change *change = arg;
	struct domain_record r;
	enum fault fault = load_known_domain(d, txn, change->name, &r);

	if (fault == FAULT_OK && change->catch_all.len > 0)
		fault = check_catch_all(d, txn, change->catch_all);
	if (fault != FAULT_OK)
		return fault;
	r.catch_all = change->catch_all;
	return directory_save_domain(txn, change->name, &r);
}

enum fault
directory_set_catch_all(struct directory *d, struct slice domain, struct slice address)
{
	struct domain_change change = {.catch_all = address};
	struct arena arena;
	struct address normal;
	enum fault fault = FAULT_OK;

	arena_init(&arena, DIRECTORY_ARENA);
	if (address.len > 0)
		fault = directory_normal_address(d, address, &arena, &normal);
	if (fault == FAULT_OK)
		fault = change_domain(d, domain, set_catch_all, &change);
	arena_clear(&arena);
	return fault;
}

/* Counts what a domain has: names lie together by domain. */
static enum fault
count_names(struct kv_txn *txn, struct domain_entry *entry)
{
	struct name_key prefix;
	struct name_record r;
	struct kv_cursor cursor;
	enum fault fault = name_key_set_domain(&prefix, entry->name);

	if (fault != FAULT_OK)
		return fault;
	kv_cursor_open(txn, TABLE_NAMES, &cursor);
	for (bool on = kv_seek_prefix(&cursor, name_key_slice(&prefix)); on;
		on = kv_next_prefix(&cursor, name_key_slice(&prefix))) {
		if (name_record_decode(cursor.value, &r) != FAULT_OK)
			continue; /* counted by nobody, found by whoever asks for it */
		if (r.kind == NAME_ACCOUNT)
			entry->accounts++;
		else
			entry->aliases++;
	}
	kv_cursor_close(&cursor);
	return txn->fault;
}

static enum fault
show_domain(struct kv_txn *txn, struct domain_entry *entry, domain_each *each, void *arg)
{
	struct account_record account;
	enum fault fault = count_names(txn, entry);

	if (fault != FAULT_OK)
		return fault;
	entry->postmaster = SLICE("");
	if (entry->record.postmaster != 0 &&
		directory_load_account(txn, entry->record.postmaster, &account) == FAULT_OK)
		entry->postmaster = account.address;
	each(arg, entry);
	return FAULT_OK;
}

static enum fault
show_all_domains(struct kv_txn *txn, domain_each *each, void *arg)
{
	struct kv_cursor cursor;
	enum fault first = FAULT_OK;

	kv_cursor_open(txn, TABLE_DOMAINS, &cursor);
	for (bool on = kv_first(&cursor); on; on = kv_next(&cursor)) {
		struct domain_entry entry = {.name = cursor.key};
		enum fault fault = domain_record_decode(cursor.value, &entry.record);
		if (fault == FAULT_OK)
			fault = show_domain(txn, &entry, each, arg);
		if (first == FAULT_OK)
			first = fault; /* of the damaged one; the others are shown all the same */
	}
	kv_cursor_close(&cursor);
	return txn->fault != FAULT_OK ? txn->fault : first;
}

enum fault
directory_list_domains(struct directory *d, struct slice only, domain_each *each, void *arg)
{
	struct arena arena;
	struct kv_txn txn;
	struct domain_entry entry = {0};
	enum fault fault = FAULT_OK;

	arena_init(&arena, DIRECTORY_ARENA);
	if (only.len > 0)
		fault = directory_normal_domain(d, only, &arena, &entry.name);
	if (fault == FAULT_OK)
		fault = kv_begin_read(d->kv, &txn);
	if (fault == FAULT_OK) {
		if (only.len == 0)
			fault = show_all_domains(&txn, each, arg);
		else
			fault = load_known_domain(d, &txn, entry.name, &entry.record);
		if (only.len > 0 && fault == FAULT_OK)
			fault = show_domain(&txn, &entry, each, arg);
		kv_abort(&txn);
	}
	arena_clear(&arena);
	return fault;
}
