/* SPDX-License-Identifier: ISC */
/* mailctl's commands about domains and aliases. */
#include <jansson.h>

#include "authd/authd.h"
#include "authd/control_json.h"

/* Changes answer with what they changed. */
static void
reply_name(const struct control_request *r, enum fault fault, const char *field)
{
	if (fault != FAULT_OK)
		control_finish(r, fault);
	else
		control_reply(
			r->origin, json_pack("{s:o}", field, control_json_text(r->arguments[0])));
}

void
control_domain_add(const struct control_request *r)
{
	reply_name(r, directory_add_domain(r->authd->directory, r->arguments[0]), "domain");
}

void
control_domain_remove(const struct control_request *r)
{
	reply_name(r, directory_remove_domain(r->authd->directory, r->arguments[0]), "domain");
}

void
control_domain_catchall(const struct control_request *r)
{
	struct slice address = r->arguments[1];

	if (slice_equal_nocase(address, SLICE("none")))
		address = SLICE("");
	reply_name(r, directory_set_catch_all(r->authd->directory, r->arguments[0], address),
		"domain");
}

static void
add_domain(void *arg, const struct domain_entry *entry)
{
	json_array_append_new(arg,
		json_pack("{s:o, s:I, s:I, s:o, s:o, s:o}", "domain",
			control_json_text(entry->name), "accounts", (json_int_t)entry->accounts,
			"aliases", (json_int_t)entry->aliases, "catchall",
			control_json_text(entry->record.catch_all), "postmaster",
			control_json_text(entry->postmaster), "created",
			control_json_time(entry->record.created_at)));
}

/* A list, or its first member alone. */
static void
reply_list(const struct control_request *r, enum fault fault, json_t *list, bool one)
{
	json_t *json = list;

	if (fault == FAULT_OK && one) {
		json = json_incref(json_array_get(list, 0));
		json_decref(list);
	}
	if (fault == FAULT_OK) {
		control_reply(r->origin, json);
		return;
	}
	json_decref(json);
	control_finish(r, fault);
}

void
control_domain_list(const struct control_request *r)
{
	json_t *list = json_array();
	enum fault fault = directory_list_domains(r->authd->directory, SLICE(""), add_domain, list);

	reply_list(r, fault, list, false);
}

void
control_domain_show(const struct control_request *r)
{
	json_t *list = json_array();
	enum fault fault = FAULT_NOT_FOUND;

	if (r->arguments[0].len > 0)
		fault = directory_list_domains(
			r->authd->directory, r->arguments[0], add_domain, list);
	reply_list(r, fault, list, true);
}

void
control_alias_add(const struct control_request *r)
{
	reply_name(r,
		directory_add_alias(
			r->authd->directory, r->arguments[0], r->arguments + 1, r->count - 1),
		"alias");
}

void
control_alias_remove(const struct control_request *r)
{
	reply_name(r,
		directory_remove_alias(
			r->authd->directory, r->arguments[0], r->arguments + 1, r->count - 1),
		"alias");
}

static void
add_alias(void *arg, const struct alias_entry *entry)
{
	json_t *targets = json_array();
	struct cursor c = cursor_of(entry->targets);
	struct slice target;

	while (take_record_target(&c, &target))
		json_array_append_new(targets, control_json_text(target));
	json_array_append_new(arg,
		json_pack("{s:o, s:o}", "alias", control_json_text(entry->address), "targets",
			targets));
}

void
control_alias_list(const struct control_request *r)
{
	json_t *list = json_array();
	struct slice domain = r->count > 0 ? r->arguments[0] : SLICE("");
	enum fault fault = directory_list_aliases(r->authd->directory, domain, add_alias, list);

	reply_list(r, fault, list, false);
}
