/* SPDX-License-Identifier: ISC */
/*
 * The commands of mailctl for authd: the table, blocks of the guard, status.  The rules are the
 * directory's; here words become calls and results become JSON.
 */
#include <jansson.h>

#include "authd/authd.h"
#include "authd/control_json.h"
#include "common/mail/address.h"

enum { ANY = 1000, ARGUMENTS_MAX = 256 };

struct command {
	const char *noun, *verb; /* verb NULL: none */
	uint32_t min, max; /* arguments */
	control_run *run;
};

static const struct command commands[] = {
	{"domain", "add", 1, 1, control_domain_add},
	{"domain", "list", 0, 0, control_domain_list},
	{"domain", "show", 1, 1, control_domain_show},
	{"domain", "remove", 1, 1, control_domain_remove},
	{"domain", "catchall", 2, 2, control_domain_catchall},
	{"account", "add", 2, 2, control_account_add},
	{"account", "list", 0, 1, control_account_list},
	{"account", "show", 1, 1, control_account_show},
	{"account", "passwd", 2, 4, control_account_passwd},
	{"account", "encrypt", 2, 2, control_account_encrypt},
	{"account", "recovery", 2, 2, control_account_recovery},
	{"account", "decrypt", 1, 1, control_account_decrypt},
	{"account", "disable", 1, 1, control_account_disable},
	{"account", "enable", 1, 1, control_account_enable},
	{"account", "remove", 1, 1, control_account_remove},
	{"alias", "add", 2, ANY, control_alias_add},
	{"alias", "list", 0, 1, control_alias_list},
	{"alias", "remove", 1, ANY, control_alias_remove},
	{"auth", "blocks", 0, 0, control_auth_blocks},
	{"auth", "unblock", 1, 1, control_auth_unblock},
	{"status", NULL, 0, 0, control_status},
};

static const struct command *
find_command(const struct daemon_control *control, uint32_t *used)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *c = &commands[i];
		*used = c->verb != NULL ? 2 : 1;
		if (control->word_count < *used ||
			!slice_equal(control->words[0].text, slice_text(c->noun)))
			continue;
		if (c->verb == NULL || slice_equal(control->words[1].text, slice_text(c->verb)))
			return c;
	}
	return NULL;
}

void
authd_control(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	struct slice arguments[ARGUMENTS_MAX];
	struct control_request request = {
		.authd = state, .origin = control->origin, .arguments = arguments};
	uint32_t used;
	const struct command *command = find_command(control, &used);

	(void)daemon;
	if (command == NULL) {
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
		return;
	}
	request.count = control->word_count - used;
	if (request.count < command->min || request.count > command->max ||
		request.count > ARGUMENTS_MAX) {
		daemon_control_done(control->origin, FAULT_SYNTAX, "wrong number of arguments");
		return;
	}
	for (uint32_t i = 0; i < request.count; i++)
		arguments[i] = control->words[used + i].text;
	command->run(&request);
}

void
control_finish(const struct control_request *r, enum fault fault)
{
	const char *reason = directory_reason(r->authd->directory);

	daemon_control_done(r->origin, fault,
		fault == FAULT_OK	    ? NULL
			: reason[0] != '\0' ? reason
					    : fault_text(fault));
}

void
control_reply(struct ipc_origin origin, json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(json);
	if (text == NULL) {
		daemon_control_done(origin, FAULT_NOMEM, NULL);
		return;
	}
	daemon_control_text(origin, slice_text(text));
	daemon_control_done(origin, FAULT_OK, NULL);
	/* It may hold a recovery key. */
	secret_wipe(text, strlen(text));
	free(text);
}

json_t *
control_json_text(struct slice text)
{
	json_t *json = json_stringn(text.data != NULL ? text.data : "", text.len);

	/* Not UTF-8 (the disk's fault, or a peer's): still an answer. */
	return json != NULL ? json : json_string("?");
}

static void
add_block(void *arg, const struct guard_block *block)
{
	static const char *const kinds[] = {
		[GUARD_NETWORK] = "address", [GUARD_NAME] = "account", [GUARD_PAIR] = "late"};
	char network[GUARD_NETWORK_TEXT] = "";

	if (block->network != NULL)
		guard_format_network(block->network, network);
	json_array_append_new(arg,
		json_pack("{s:s, s:o, s:s, s:I, s:I}", "kind", kinds[block->kind], "account",
			control_json_text(block->name), "address", network, "guesses",
			(json_int_t)block->guesses, "seconds_left",
			(json_int_t)((block->closed_ms + 999) / 1000)));
}

void
control_auth_blocks(const struct control_request *r)
{
	json_t *list = json_array();

	guard_list(r->authd->guard, add_block, list);
	control_reply(r->origin, list);
}

/* A login name, or an IP address with or without the "/64" that blocks are shown with. */
static unsigned
unblock(struct authd *a, struct slice what)
{
	struct guard_who who;
	struct arena arena;
	struct login_subject subject;
	unsigned count = 0;

	if (slice_find_byte(what, '@') == what.len) {
		what = slice_first(what, slice_find_byte(what, '/'));
		guard_network(what, &who);
		return who.network_exempt ? 0 : guard_unblock_network(a->guard, who.network);
	}
	arena_init(&arena, DIRECTORY_ARENA);
	if (login_find_subject(a->logins, SLICE(""), what, &arena, &subject) == FAULT_OK)
		count = guard_unblock_name(a->guard, subject.name);
	arena_clear(&arena);
	return count;
}

void
control_auth_unblock(const struct control_request *r)
{
	unsigned count = unblock(r->authd, r->arguments[0]);

	if (count == 0)
		daemon_control_done(
			r->origin, FAULT_NOT_FOUND, "nothing is held against this address");
	else
		control_reply(r->origin, json_pack("{s:I}", "forgotten", (json_int_t)count));
}

void
control_status(const struct control_request *r)
{
	struct authd *a = r->authd;
	const struct login_counters *c = logins_counters(a->logins);

	control_reply(r->origin,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "logins",
			(json_int_t)c->right, "failures", (json_int_t)c->wrong, "slowed",
			(json_int_t)c->slowed, "remembered", (json_int_t)c->remembered, "hashed",
			(json_int_t)c->hashed, "hashes_waiting",
			(json_int_t)password_pool_waiting(a->pool), "look_ups",
			(json_int_t)a->look_ups, "signatures", (json_int_t)a->signatures,
			"certificates", (json_int_t)keys_count(a->keys)));
}
