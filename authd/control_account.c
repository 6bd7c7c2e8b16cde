/* SPDX-License-Identifier: ISC */
/*
 * mailctl's commands about accounts.  A new password is hashed by the pool; the answer follows
 * when the account is on disk.
 */
#include <jansson.h>
#include <stdlib.h>
#include "authd/authd.h"
#include "authd/control_json.h"
#include "common/base/clock.h"
#include "common/base/id.h"

json_t *
control_json_time(int64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];

	return json_string(clock_format(wall_ms, text));
}

json_t *
control_json_id(uint64_t id)
{
	char text[ID_TEXT_SIZE];

	return json_string(id_format(id, text));
}

static json_t *
account_json(uint64_t id, const struct account_record *r)
{
	return json_pack("{s:o, s:o, s:b, s:o, s:o}", "address", control_json_text(r->address),
		"id", control_json_id(id), "enabled", (int)!r->disabled, "created",
		control_json_time(r->created_at), "password_set",
		control_json_time(r->password_at));
}

static void
add_account(void *arg, const struct account_entry *entry)
{
	json_array_append_new(arg, account_json(entry->id, entry->record));
}

void
control_account_list(const struct control_request *r)
{
	json_t *list = json_array();
	struct slice domain = r->count > 0 ? r->arguments[0] : SLICE("");
	enum fault fault = directory_list_accounts(r->authd->directory, domain, add_account, list);

	if (fault == FAULT_OK) {
		control_reply(r->origin, list);
		return;
	}
	json_decref(list);
	control_finish(r, fault);
}

/* Answers with the account as it is now. */
static void
reply_account(struct authd *a, struct ipc_origin origin, struct slice address)
{
	struct arena arena;
	struct account account;

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = directory_find_account(a->directory, address, &arena, &account);
	if (fault == FAULT_OK)
		control_reply(origin, account_json(account.id, &account.record));
	else
		daemon_control_done(origin, fault,
			fault == FAULT_NO_SUCH_USER ? "no such account" : fault_text(fault));
	arena_clear(&arena);
}

void
control_account_show(const struct control_request *r)
{
	reply_account(r->authd, r->origin, r->arguments[0]);
}

static void
set_disabled(const struct control_request *r, bool disabled)
{
	enum fault fault = directory_set_disabled(r->authd->directory, r->arguments[0], disabled);

	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		reply_account(r->authd, r->origin, r->arguments[0]);
}

void
control_account_disable(const struct control_request *r)
{
	set_disabled(r, true);
}

void
control_account_enable(const struct control_request *r)
{
	set_disabled(r, false);
}

void
control_account_remove(const struct control_request *r)
{
	uint64_t id;
	enum fault fault = directory_remove_account(r->authd->directory, r->arguments[0], &id);

	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		control_reply(r->origin,
			json_pack("{s:o, s:o}", "address", control_json_text(r->arguments[0]), "id",
				control_json_id(id)));
}

/* An account whose password is being hashed. */
struct new_password {
	struct authd *authd;
	struct ipc_origin origin;
	bool is_new_account;
	char *address;
};

static void
on_made(void *arg, const struct password_answer *made)
{
	struct new_password *n = arg;
	struct directory *d = n->authd->directory;
	struct slice address = slice_text(n->address);
	struct control_request r = {.authd = n->authd, .origin = n->origin};
	enum fault fault = made->fault;
	uint64_t id;

	if (fault != FAULT_OK) {
		daemon_control_done(n->origin, fault, "the password could not be hashed");
	} else {
		struct password_record record = {slice_text(made->hash), made->scram};
		/* Things may have changed meanwhile: every rule is looked at again. */
		fault = n->is_new_account ? directory_add_account(d, address, &record, &id)
					  : directory_set_password(d, address, &record);
		if (fault == FAULT_OK)
			reply_account(n->authd, n->origin, address);
		else
			control_finish(&r, fault);
	}
	free(n->address);
	free(n);
}

static enum fault
start_hashing(const struct control_request *r, const struct secret *password, bool is_new_account)
{
	struct new_password *n = malloc(sizeof *n);
	enum fault fault = FAULT_NOMEM;

	if (n == NULL)
		return fault;
	*n = (struct new_password){r->authd, r->origin, is_new_account, slice_dup(r->arguments[0])};
	if (n->address != NULL)
		fault = password_make(r->authd->pool, password, on_made, n);
	if (fault != FAULT_OK) {
		free(n->address);
		free(n);
	}
	return fault;
}

static void
set_password(const struct control_request *r, bool is_new_account)
{
	struct secret password;
	const char *why = NULL;
	enum fault fault = password_prepare_new(r->arguments[1], &password, &why);

	if (fault == FAULT_OK)
		fault = start_hashing(r, &password, is_new_account);
	secret_clear(&password);
	if (fault != FAULT_OK)
		daemon_control_done(r->origin, fault, why != NULL ? why : fault_text(fault));
}

void
control_account_add(const struct control_request *r)
{
	enum fault fault = directory_check_new_account(r->authd->directory, r->arguments[0]);

	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		set_password(r, true);
}

void
control_account_passwd(const struct control_request *r)
{
	struct arena arena;
	struct account account;

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault =
		directory_find_account(r->authd->directory, r->arguments[0], &arena, &account);
	arena_clear(&arena);
	if (fault == FAULT_OK)
		set_password(r, false);
	else
		daemon_control_done(r->origin, fault,
			fault == FAULT_NO_SUCH_USER ? "no such account" : fault_text(fault));
}
