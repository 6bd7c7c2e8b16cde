/* SPDX-License-Identifier: ISC */
/*
 * Aliases: one address of ours that stands for others, ours or foreign.  Runs in authd, for
 * mailctl.  Targets are kept as they were given, because a foreign local part may mind its case;
 * they are compared in normal form.
 */
#include "authd/directory_internal.h"

struct alias_change {
	struct address normal;
	struct slice text;
	const struct slice *targets;
	size_t count;
	struct arena *arena;
};

/* The targets of an alias while it changes. */
struct target_list {
	struct slice *texts;
	struct address *normals;
	size_t count, room;
};

static bool
make_list(struct target_list *list, struct arena *arena)
{
	list->count = 0;
	list->room = RECORD_TARGETS_MAX;
	list->texts = arena_array(arena, list->room, sizeof *list->texts);
	list->normals = arena_array(arena, list->room, sizeof *list->normals);
	return list->texts != NULL && list->normals != NULL;
}

static size_t
find_in_list(const struct target_list *list, const struct address *normal)
{
	size_t i = 0;

	while (i < list->count && !address_equal(&list->normals[i], normal))
		i++;
	return i;
}

/* A target that is there already is passed over. */
static enum fault
add_to_list(struct directory *d, struct target_list *list, struct slice text, struct arena *arena)
{
	struct address normal;
	enum fault fault = directory_normal_address(d, text, arena, &normal);

	if (fault != FAULT_OK)
		return fault;
	if (find_in_list(list, &normal) < list->count)
		return FAULT_OK;
	if (list->count == list->room)
		return directory_refuse(
			d, FAULT_TOO_MANY, "an alias has at most %d addresses", RECORD_TARGETS_MAX);
	if (!arena_copy(arena, text, &list->texts[list->count]))
		return FAULT_BUDGET;
	list->normals[list->count++] = normal;
	return FAULT_OK;
}

static enum fault
fill_list(struct directory *d, struct target_list *list, const struct name_record *r,
	struct arena *arena)
{
	struct cursor c = cursor_of(r->targets);
	struct slice text;
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && take_record_target(&c, &text))
		fault = add_to_list(d, list, text, arena);
	return fault;
}

static enum fault
save_alias(struct kv_txn *txn, const struct alias_change *change, const struct target_list *list)
{
	struct name_key key;
	struct buffer bytes;
	enum fault fault = name_key_set(&key, change->normal.domain, change->normal.local);

	if (fault != FAULT_OK)
		return fault;
	if (list->count == 0) {
		kv_delete(txn, TABLE_NAMES, name_key_slice(&key));
		return FAULT_OK;
	}
	buffer_init(&bytes, RECORD_SIZE_MAX);
	fault = name_record_encode_alias(list->texts, list->count, &bytes);
	if (fault == FAULT_OK)
		kv_put(txn, TABLE_NAMES, name_key_slice(&key), buffer_slice(&bytes));
	buffer_clear(&bytes);
	return fault;
}

/* Each new target must exist, if it is ours, and must not lead back. */
static enum fault
check_target(struct directory *d, struct kv_txn *txn, const struct alias_change *change,
	struct slice target)
{
	struct arena arena;
	struct expansions found;
	struct expander with = {d, txn, &arena};
	enum fault fault;

	arena_init(&arena, DIRECTORY_ARENA);
	fault = directory_expand_in(&with, target, &found);
	arena_clear(&arena);
	switch (fault) {
	case FAULT_NOT_LOCAL: /* foreign: for its own host to judge */
	case FAULT_ACCOUNT_DISABLED:
		return FAULT_OK;
	case FAULT_NO_SUCH_USER:
		return directory_refuse(
			d, fault, "no such address here: %" SLICE_FMT, SLICE_ARG(target));
	case FAULT_MAIL_LOOP:
		return directory_refuse(d, fault, "%" SLICE_FMT " leads back to %" SLICE_FMT,
			SLICE_ARG(target), SLICE_ARG(change->text));
	case FAULT_TOO_MANY:
		return directory_refuse(d, fault, "%" SLICE_FMT " stands for too many addresses",
			SLICE_ARG(change->text));
	default:
		return fault;
	}
}

/* The new targets one by one, and then the whole, which must not be too much. */
static enum fault
check_alias(struct directory *d, struct kv_txn *txn, const struct alias_change *change)
{
	struct address normal;

	for (size_t i = 0; i < change->count; i++) {
		enum fault fault =
			directory_normal_address(d, change->targets[i], change->arena, &normal);
		if (fault != FAULT_OK)
			return fault;
		if (address_equal(&normal, &change->normal))
			return directory_refuse(d, FAULT_MAIL_LOOP,
				"%" SLICE_FMT " cannot stand for itself", SLICE_ARG(change->text));
		fault = check_target(d, txn, change, change->targets[i]);
		if (fault != FAULT_OK)
			return fault;
	}
	return check_target(d, txn, change, change->text);
}

static enum fault
load_alias(struct directory *d, struct kv_txn *txn, const struct alias_change *change,
	struct name_record *r)
{
	struct domain_record domain;
	enum fault fault = directory_load_domain(txn, change->normal.domain, &domain);

	if (fault == FAULT_NOT_FOUND)
		return directory_refuse(d, FAULT_NOT_LOCAL,
			"the domain %" SLICE_FMT " is not ours; add it first: domain add",
			SLICE_ARG(change->normal.domain));
	if (fault != FAULT_OK)
		return fault;
	fault = directory_load_name(txn, &change->normal, r);
	if (fault == FAULT_OK && r->kind != NAME_ALIAS)
		return directory_refuse(
			d, FAULT_EXISTS, "%" SLICE_FMT " is an account", SLICE_ARG(change->text));
	return fault;
}

static enum fault
add_alias(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct alias_change *change = arg;
	struct name_record r;
	struct target_list list;
	enum fault fault = load_alias(d, txn, change, &r);

	if (fault != FAULT_OK && fault != FAULT_NOT_FOUND)
		return fault;
	if (!make_list(&list, change->arena))
		return FAULT_BUDGET;
	if (fault == FAULT_OK)
		fault = fill_list(d, &list, &r, change->arena);
	else
		fault = FAULT_OK;
	for (size_t i = 0; i < change->count && fault == FAULT_OK; i++)
		fault = add_to_list(d, &list, change->targets[i], change->arena);
	if (fault == FAULT_OK)
		fault = save_alias(txn, change, &list);
	/* Looked at in the new state: a fault drops the transaction. */
	return fault == FAULT_OK ? check_alias(d, txn, change) : fault;
}

static enum fault
remove_targets(struct directory *d, struct alias_change *change, struct target_list *list)
{
	struct address normal;

	for (size_t i = 0; i < change->count; i++) {
		enum fault fault =
			directory_normal_address(d, change->targets[i], change->arena, &normal);
		if (fault != FAULT_OK)
			return fault;
		size_t at = find_in_list(list, &normal);
		if (at == list->count)
			return directory_refuse(d, FAULT_NOT_FOUND,
				"%" SLICE_FMT " does not stand for %" SLICE_FMT,
				SLICE_ARG(change->text), SLICE_ARG(change->targets[i]));
		list->count--;
		for (size_t j = at; j < list->count; j++) {
			list->texts[j] = list->texts[j + 1];
			list->normals[j] = list->normals[j + 1];
		}
	}
	return FAULT_OK;
}

static enum fault
remove_alias(struct directory *d, struct kv_txn *txn, void *arg)
{
	struct alias_change *change = arg;
	struct name_record r;
	struct target_list list;
	enum fault fault = load_alias(d, txn, change, &r);

	if (fault == FAULT_NOT_FOUND)
		return directory_refuse(
			d, fault, "no such alias: %" SLICE_FMT, SLICE_ARG(change->text));
	if (fault != FAULT_OK)
		return fault;
	if (!make_list(&list, change->arena))
		return FAULT_BUDGET;
	/* Without targets the list stays empty: the whole alias goes. */
	if (change->count > 0)
		fault = fill_list(d, &list, &r, change->arena);
	if (fault == FAULT_OK)
		fault = remove_targets(d, change, &list);
	return fault == FAULT_OK ? save_alias(txn, change, &list) : fault;
}

static enum fault
change_alias(
	struct directory *d, struct slice alias, directory_change *run, struct alias_change *change)
{
	struct arena arena;
	enum fault fault;

	/* Each try of the transaction takes its lists from here. */
	arena_init(&arena, 8 * (size_t)DIRECTORY_ARENA);
	change->arena = &arena;
	fault = directory_normal_address(d, alias, &arena, &change->normal);
	if (fault == FAULT_OK) {
		change->text = directory_address_text(&change->normal, &arena);
		fault = change->text.data == NULL ? FAULT_BUDGET : FAULT_OK;
	}
	if (fault == FAULT_OK &&
		(change->text.len > ADDRESS_MAX || change->normal.local.len > ADDRESS_LOCAL_MAX))
		fault = directory_refuse(
			d, FAULT_TOO_LONG, "%" SLICE_FMT " is too long", SLICE_ARG(change->text));
	if (fault == FAULT_OK)
		fault = directory_write(d, run, change);
	arena_clear(&arena);
	return fault;
}

enum fault
directory_add_alias(
	struct directory *d, struct slice alias, const struct slice *targets, size_t count)
{
	struct alias_change change = {.targets = targets, .count = count};

	if (count == 0)
		return directory_refuse(d, FAULT_SYNTAX, "an alias needs an address to stand for");
	return change_alias(d, alias, add_alias, &change);
}

enum fault
directory_remove_alias(
	struct directory *d, struct slice alias, const struct slice *targets, size_t count)
{
	struct alias_change change = {.targets = targets, .count = count};

	return change_alias(d, alias, remove_alias, &change);
}

/* The address that a key of TABLE_NAMES stands for. */
static enum fault
show_alias(const struct kv_cursor *cursor, const struct name_record *r, alias_each *each, void *arg)
{
	struct arena arena;
	struct address normal = {name_key_local(cursor->key),
		slice_first(cursor->key, slice_find_byte(cursor->key, '\0'))};
	struct alias_entry entry = {.targets = r->targets, .target_count = r->target_count};

	arena_init(&arena, DIRECTORY_ARENA);
	entry.address = directory_address_text(&normal, &arena);
	if (entry.address.data != NULL)
		each(arg, &entry);
	arena_clear(&arena);
	return entry.address.data != NULL ? FAULT_OK : FAULT_BUDGET;
}

static enum fault
show_aliases(struct kv_txn *txn, struct slice prefix, alias_each *each, void *arg)
{
	struct kv_cursor cursor;
	struct name_record r;
	enum fault first = FAULT_OK;

	kv_cursor_open(txn, TABLE_NAMES, &cursor);
	for (bool on = directory_first_name(&cursor, prefix); on;
		on = kv_next_prefix(&cursor, prefix)) {
		enum fault fault = name_record_decode(cursor.value, &r);
		if (fault == FAULT_OK && r.kind == NAME_ALIAS)
			fault = show_alias(&cursor, &r, each, arg);
		if (first == FAULT_OK)
			first = fault;
	}
	kv_cursor_close(&cursor);
	return txn->fault != FAULT_OK ? txn->fault : first;
}

enum fault
directory_list_aliases(struct directory *d, struct slice only, alias_each *each, void *arg)
{
	struct kv_txn txn;
	struct name_key prefix;
	enum fault fault = directory_begin_list(d, only, &prefix, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = show_aliases(&txn, name_key_slice(&prefix), each, arg);
	kv_abort(&txn);
	return fault;
}
