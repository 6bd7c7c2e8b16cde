/* SPDX-License-Identifier: ISC */
/* The table of commands, and how a command becomes words for a process and text for people. */
#include "mailctl/commands.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/secret.h"
#include "mailctl/backup.h"
#include "mailctl/client.h"
#include "mailctl/compact.h"
#include "mailctl/dns.h"
#include "mailctl/encryption.h"
#include "mailctl/restore.h"
#include "mailctl/salvage.h"
#include "mailctl/sessions.h"
#include "mailctl/upgrade.h"
#include "mailctl/verify.h"

enum { END_MS = 150000 };

static enum status run_account_show(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_account_remove(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_store_account(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_session_list(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_session_end(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_status(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_dns(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
static enum status run_stop(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

/* C(words, arguments, min, max, target, password, run, help) */
#define COMMANDS(C)                                                                                \
	C("domain add", "DOMAIN", 1, 1, AUTHD, false, NULL, "take mail for a domain")              \
	C("domain list", "", 0, 0, AUTHD, false, NULL, "the domains of this server")               \
	C("domain show", "DOMAIN", 1, 1, AUTHD, false, NULL, "one domain")                         \
	C("domain catchall", "DOMAIN ADDRESS|none", 2, 2, AUTHD, false, NULL,                      \
		"where mail for unknown addresses goes")                                           \
	C("domain remove", "DOMAIN", 1, 1, AUTHD, false, NULL, "refuse mail for it again")         \
	C("account add", "ADDRESS", 1, 1, AUTHD, true, NULL,                                       \
		"a new mailbox; the password is asked for or read from standard input")            \
	C("account list", "[DOMAIN]", 0, 1, AUTHD, false, NULL, "the accounts")                    \
	C("account show", "ADDRESS", 1, 1, AUTHD, false, run_account_show,                         \
		"one account and what it keeps")                                                   \
	C("account passwd", "ADDRESS [give-up-mail]", 1, 2, AUTHD, true, run_passwd,               \
		"set a new password")                                                              \
	C("account encrypt", "ADDRESS", 1, 1, AUTHD, false, run_encrypt,                           \
		"keep its new mail encrypted on the disk")                                         \
	C("account recovery", "ADDRESS", 1, 1, AUTHD, false, run_encrypt,                          \
		"another recovery key for encrypted mail")                                         \
	C("account decrypt", "ADDRESS", 1, 1, AUTHD, false, run_decrypt,                           \
		"do not encrypt its new mail any more")                                            \
	C("account disable", "ADDRESS", 1, 1, AUTHD, false, NULL, "no login, no new mail")         \
	C("account enable", "ADDRESS", 1, 1, AUTHD, false, NULL, "undo disable")                   \
	C("account remove", "ADDRESS", 1, 1, AUTHD, false, run_account_remove,                     \
		"the account and all its mail")                                                    \
	C("alias add", "ALIAS TARGET...", 2, COMMAND_ANY, AUTHD, false, NULL,                      \
		"mail for ALIAS goes to the targets")                                              \
	C("alias list", "[DOMAIN]", 0, 1, AUTHD, false, NULL, "the aliases")                       \
	C("alias remove", "ALIAS [TARGET...]", 1, COMMAND_ANY, AUTHD, false, NULL,                 \
		"an alias, or some of its targets")                                                \
	C("auth blocks", "", 0, 0, AUTHD, false, NULL, "who has guessed too many passwords")       \
	C("auth unblock", "ADDRESS|IP", 1, 1, AUTHD, false, NULL, "let them try again")            \
	C("queue list", "", 0, 0, QUEUED, false, NULL, "mail that waits")                          \
	C("queue show", "ID", 1, 1, QUEUED, false, NULL, "one message of the queue")               \
	C("queue retry", "ID|all", 1, 1, QUEUED, false, NULL, "try it now")                        \
	C("queue hold", "ID|all", 1, 1, QUEUED, false, NULL, "do not try it")                      \
	C("queue release", "ID|all", 1, 1, QUEUED, false, NULL, "undo hold")                       \
	C("queue remove", "ID|all", 1, 1, QUEUED, false, NULL, "drop it without a bounce")         \
	C("session list", "", 0, 0, SMTPD, false, run_session_list, "who is connected")            \
	C("session end", "SESSION", 1, 1, SMTPD, false, run_session_end, "end one of them")        \
	C("store stat", "", 0, 0, MAILBOXD, false, NULL, "sizes of the store")                     \
	C("store verify", "[ADDRESS] [rate SIZE]", 0, 3, MAILBOXD, false, verify_run,              \
		"read all mail, check every checksum; SIZE: bytes a second")                       \
	C("store compact", "[--all]", 0, 1, MAILBOXD, false, compact_run,                          \
		"give space back now; --all: even where it is little")                             \
	C("store expunged", "ADDRESS", 1, 1, MAILBOXD, false, run_store_account,                   \
		"mail of an account that can come back")                                           \
	C("store undelete", "ADDRESS EMAIL...|all", 2, COMMAND_ANY, MAILBOXD, false,               \
		run_store_account, "bring it back")                                                \
	C("store backup", "DIRECTORY|- [OPTION...]", 1, 5, MAILBOXD, false, backup_run,            \
		"copy all mail there, or what is new since the last time")                         \
	C("store backups", "DIRECTORY", 1, 1, MAILBOXD, false, backups_run,                        \
		"the states that a backup keeps")                                                  \
	C("store restore", "BACKUP|- [STORE] [OPTION...]", 1, 14, MAILBOXD, false, restore_run,    \
		"make a store before the start, or bring mail back into the running one")          \
	C("store salvage", "[STORE]", 0, 1, MAILBOXD, false, salvage_run,                          \
		"rebuild a lost index from the segments, before the start")                        \
	C("store upgrade", "[--check] [STORE]", 0, 2, MAILBOXD, false, upgrade_run,                \
		"to this program's format; --check: only say what that means")                     \
	C("status", "[PROCESS]", 0, 1, MAILD, false, run_status,                                   \
		"the processes, or one's counters")                                                \
	C("dns", "DOMAIN", 1, 1, MAILD, false, run_dns, "the DNS records that a domain needs")     \
	C("reload", "", 0, 0, MAILD, false, NULL, "read the config again")                         \
	C("stop", "", 0, 0, MAILD, false, run_stop, "end the suite, and wait for that")

static const struct command commands[] = {
#define COMMAND_ROW(words, arguments, min, max, target, password, run, help)                       \
	{words, arguments, min, max, PROCESS_##target, password, run, help},
	COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

/* True when the arguments begin with the words of the row. */
static bool
matches(const char *words, char *const *arguments, int count, int *used)
{
	int n = 0;

	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (n == count || strlen(arguments[n]) != len ||
			memcmp(arguments[n], words, len) != 0)
			return false;
		n++;
		words += len;
		words += *words == ' ';
	}
	*used = n;
	return true;
}

const struct command *
command_find(char *const *arguments, int count, int *used)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (matches(commands[i].words, arguments, count, used))
			return &commands[i];
	}
	return NULL;
}

bool
commands_print(const char *prefix, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *c = &commands[i];
		size_t len = strlen(prefix);

		if (strncmp(c->words, prefix, len) != 0 ||
			(len > 0 && c->words[len] != ' ' && c->words[len] != '\0'))
			continue;
		int width = fprintf(out, "  %s %s", c->words, c->arguments);
		fprintf(out, "%*s%s\n", width < 38 ? 38 - width : 2, "", c->help);
		any = true;
	}
	return any;
}

void
command_print(const struct mailctl *mailctl, const json_t *json)
{
	if (!mailctl->json) {
		print_json(json);
		return;
	}
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* An answer, or an error, as JSON for programs. */
static void
print_reply(const struct mailctl *mailctl, const struct client_reply *reply, const json_t *json)
{
	json_t *error;

	if (json != NULL) {
		command_print(mailctl, json);
	} else if (mailctl->json && reply->fault != FAULT_OK) {
		error = json_pack("{s:s, s:s}", "fault", fault_name(reply->fault), "text",
			reply->message[0] != '\0' ? reply->message : fault_text(reply->fault));
		command_print(mailctl, error);
		json_decref(error);
	} else if (mailctl->json) {
		puts("{}");
	}
}

enum status
command_answer(struct mailctl *mailctl, struct client_reply *reply)
{
	json_t *json = client_reply_json(reply);
	enum status status;

	print_reply(mailctl, reply, json);
	status = client_reply_status(reply, mailctl->control);
	json_decref(json);
	client_reply_clear(reply);
	return status;
}

static enum status
ask_and_print(struct mailctl *mailctl, enum process target, const char *const *words, size_t count)
{
	struct client_reply reply;

	client_ask(mailctl->control, target, words, count, &reply);
	return command_answer(mailctl, &reply);
}

/* What authd knows, and what the store keeps for it. */
static enum status
run_account_show(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	struct client_reply reply, kept;
	const char *store_words[] = {"account", "show", NULL};
	json_t *account, *store = NULL;
	enum status status;

	client_ask(mailctl->control, command->target, words, count, &reply);
	account = client_reply_json(&reply);
	store_words[2] = json_string_value(json_object_get(account, "id"));
	if (store_words[2] != NULL) {
		client_ask(mailctl->control, PROCESS_MAILBOXD, store_words, 3, &kept);
		store = client_reply_json(&kept);
		client_reply_clear(&kept);
	}
	if (store != NULL)
		json_object_set(account, "store", store);
	print_reply(mailctl, &reply, account);
	status = client_reply_status(&reply, mailctl->control);
	json_decref(store);
	json_decref(account);
	client_reply_clear(&reply);
	return status;
}

/* First nobody can log in any more, then the mail goes. */
static enum status
run_account_remove(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	struct client_reply reply;
	const char *store_words[] = {"account", "remove", NULL};
	json_t *account;
	enum status status;

	client_ask(mailctl->control, command->target, words, count, &reply);
	account = client_reply_json(&reply);
	print_reply(mailctl, &reply, mailctl->json ? account : NULL);
	status = client_reply_status(&reply, mailctl->control);
	client_reply_clear(&reply);
	store_words[2] = json_string_value(json_object_get(account, "id"));
	if (status == STATUS_OK && store_words[2] != NULL) {
		client_ask(mailctl->control, PROCESS_MAILBOXD, store_words, 3, &reply);
		/* An account that never got mail has nothing in the store. */
		if (reply.fault != FAULT_NOT_FOUND)
			status = client_reply_status(&reply, mailctl->control);
		if (status != STATUS_OK)
			complain("the account is gone, its mail is still in the store");
		client_reply_clear(&reply);
	}
	json_decref(account);
	return status;
}

enum status
command_account_find(struct mailctl *mailctl, const char *address, char id[static ID_TEXT_SIZE])
{
	const char *lookup[] = {"account", "show", address};
	struct client_reply reply;

	client_ask(mailctl->control, PROCESS_AUTHD, lookup, 3, &reply);
	json_t *account = client_reply_json(&reply);
	const char *found = json_string_value(json_object_get(account, "id"));
	enum status status = client_reply_status(&reply, mailctl->control);
	client_reply_clear(&reply);
	if (status == STATUS_OK && found == NULL)
		status = STATUS_FAILED;
	if (status == STATUS_OK)
		snprintf(id, ID_TEXT_SIZE, "%s", found);
	json_decref(account);
	return status;
}

static enum status
run_store_account(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *asked[CLIENT_WORDS_MAX];
	char id[ID_TEXT_SIZE];
	enum status status = command_account_find(mailctl, words[2], id);

	if (status != STATUS_OK)
		return status;
	memcpy(asked, words, count * sizeof(asked[0]));
	asked[2] = id;
	return ask_and_print(mailctl, command->target, asked, count);
}

static enum status
run_session_list(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	struct client_reply reply = {.fault = FAULT_OK};
	json_t *list = json_array();
	enum status status = sessions_list(mailctl, list);

	(void)command;
	(void)words;
	(void)count;
	if (status == STATUS_OK)
		print_reply(mailctl, &reply, list);
	json_decref(list);
	return status;
}

static enum status
run_session_end(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	struct session_name name;

	(void)command;
	if (!session_name_parse(words[count - 1], &name)) {
		complain("\"%s\" is not like imapd/0/17", words[count - 1]);
		return STATUS_USAGE;
	}
	const char *asked[] = {"worker", name.worker, "session", "end", name.number};
	return ask_and_print(mailctl, name.process, asked, 5);
}

static enum status
run_status(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	enum process target = command->target;

	if (count == 2 && (!process_find(words[1], &target) || target == PROCESS_MAILCTL)) {
		complain("there is no process %s", words[1]);
		return STATUS_USAGE;
	}
	return ask_and_print(mailctl, target, words, 1);
}

/* The host's name is maild's; the records are the same for every domain. */
static enum status
run_dns(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	static const char *const question[] = {"status"};
	struct client_reply reply;
	json_t *status, *records = NULL;
	enum status outcome;

	client_ask(mailctl->control, command->target, question, 1, &reply);
	outcome = client_reply_status(&reply, mailctl->control);
	status = client_reply_json(&reply);
	const char *hostname = json_string_value(json_object_get(status, "hostname"));
	if (hostname != NULL)
		records = dns_records(words[count - 1], hostname);
	if (mailctl->json)
		print_reply(mailctl, &reply, records);
	else
		dns_print(records);
	json_decref(records);
	json_decref(status);
	client_reply_clear(&reply);
	return outcome;
}

static enum status
run_stop(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	int maild = client_open_maild(mailctl->control);
	enum status status = ask_and_print(mailctl, command->target, words, count);

	if (client_wait_end(maild, status == STATUS_OK ? END_MS : 0) == FAULT_OK ||
		status != STATUS_OK)
		return status;
	complain("maild does not end");
	return STATUS_FAILED;
}

static enum status
run(struct mailctl *mailctl, const struct command *command, const char *const *words, size_t count)
{
	if (command->run != NULL)
		return command->run(mailctl, command, words, count);
	return ask_and_print(mailctl, command->target, words, count);
}

enum status
command_perform(
	struct mailctl *mailctl, const struct command *command, char *const *arguments, int count)
{
	const char *words[CLIENT_WORDS_MAX];
	char first[64], *space, *password = NULL;
	size_t n = 0;
	enum status status;

	if (count < (int)command->min || count > (int)command->max) {
		fprintf(stderr, "usage: mailctl %s %s\n", command->words, command->arguments);
		return STATUS_USAGE;
	}
	snprintf(first, sizeof first, "%s", command->words);
	space = strchr(first, ' ');
	words[n++] = first;
	if (space != NULL) {
		*space = '\0';
		words[n++] = space + 1;
	}
	for (int i = 0; i < count; i++)
		words[n++] = arguments[i];
	if (command->takes_password) {
		password = password_read("Password");
		if (password == NULL)
			return STATUS_FAILED;
		words[n++] = password;
	}
	status = run(mailctl, command, words, n);
	if (password != NULL)
		secret_wipe(password, strlen(password));
	free(password);
	return status;
}
