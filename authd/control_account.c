/* SPDX-License-Identifier: ISC */
/* mailctl's commands about accounts, those that need no password. */
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

static const char *
encryption_text(const struct account_key_record *key)
{
	return !key->exists ? "off" : key->seals ? "on" : "old mail only";
}

static json_t *
account_json(uint64_t id, const struct account_record *r)
{
	return json_pack("{s:o, s:o, s:b, s:s, s:o, s:o}", "address", control_json_text(r->address),
		"id", control_json_id(id), "enabled", (int)!r->disabled, "encryption",
		encryption_text(&r->key), "created", control_json_time(r->created_at),
		"password_set", control_json_time(r->password_at));
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

void
control_account_reply(const struct control_request *r, const char *recovery_key)
{
	struct arena arena;
	struct account account;
	json_t *json;

	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault =
		directory_find_account(r->authd->directory, r->arguments[0], &arena, &account);
	if (fault == FAULT_OK) {
		json = account_json(account.id, &account.record);
		if (recovery_key != NULL)
			json_object_set_new(json, "recovery_key", json_string(recovery_key));
		control_reply(r->origin, json);
	} else {
		control_finish_account(r, fault);
	}
	arena_clear(&arena);
}

void
control_finish_account(const struct control_request *r, enum fault fault)
{
	daemon_control_done(r->origin, fault,
		fault == FAULT_NO_SUCH_USER ? "no such account" : fault_text(fault));
}

void
control_account_show(const struct control_request *r)
{
	control_account_reply(r, NULL);
}

static void
set_disabled(const struct control_request *r, bool disabled)
{
	enum fault fault = directory_set_disabled(r->authd->directory, r->arguments[0], disabled);

	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		control_account_reply(r, NULL);
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

	if (fault != FAULT_OK) {
		control_finish(r, fault);
		return;
	}
	login_memory_forget_keys(r->authd->memory, id);
	control_reply(r->origin,
		json_pack("{s:o, s:o}", "address", control_json_text(r->arguments[0]), "id",
			control_json_id(id)));
}

void
control_account_decrypt(const struct control_request *r)
{
	enum fault fault = directory_stop_sealing(r->authd->directory, r->arguments[0]);

	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		control_account_reply(r, NULL);
}
