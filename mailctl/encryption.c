/* SPDX-License-Identifier: ISC */
/*
 * Encryption of an account's mail.  authd has the rules and the keys; here the recovery key is
 * shown in words that nobody overlooks, and sessions that began before the change are ended: they
 * hold no key, or an old one.
 */
#include "mailctl/encryption.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/secret.h"
#include "mailctl/client.h"
#include "mailctl/sessions.h"

/* Words of these commands: noun, verb, address, then what the verb wants. */
enum { WORD_ADDRESS = 2, WORDS_MAX = 6 };

static void
print_recovery_key(const char *key)
{
	printf("\nThe recovery key, which is shown now and never again:\n\n    %s\n\n", key);
	puts("Write it down, and keep it away from this server.  It opens the encrypted mail when "
	     "the\n"
	     "password is lost; without both nobody can read that mail any more.");
}

static void
print_account(const struct mailctl *mailctl, json_t *account)
{
	const char *key = json_string_value(json_object_get(account, "recovery_key"));

	if (mailctl->json) {
		json_dumpf(account, stdout, JSON_INDENT(2));
		putchar('\n');
		return;
	}
	json_t *shown = json_copy(account);
	json_object_del(shown, "recovery_key");
	print_json(shown);
	json_decref(shown);
	if (key != NULL)
		print_recovery_key(key);
}

/* Tells authd, shows what it says, and ends sessions of before when that matters. */
static enum status
change(struct mailctl *mailctl, const char *const *words, size_t count, bool ends_sessions)
{
	struct client_reply reply;

	client_ask(mailctl->control, PROCESS_AUTHD, words, count, &reply);
	json_t *account = client_reply_json(&reply);
	enum status status = client_reply_status(&reply, mailctl->control);
	const char *address = json_string_value(json_object_get(account, "address"));
	if (status == STATUS_OK && account != NULL)
		print_account(mailctl, account);
	if (status == STATUS_OK && ends_sessions && address != NULL)
		status = sessions_end_of(mailctl, address);
	json_decref(account);
	/* It may have held a recovery key. */
	if (reply.text.data != NULL)
		secret_wipe(reply.text.data, reply.text.size);
	client_reply_clear(&reply);
	return status;
}

enum status
run_encrypt(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *asked[WORDS_MAX] = {words[0], words[1], words[WORD_ADDRESS]};
	char *password = password_read_known("Password");

	(void)command;
	(void)count;
	if (password == NULL)
		return STATUS_FAILED;
	asked[3] = password;
	enum status status = change(mailctl, asked, 4, strcmp(words[1], "encrypt") == 0);
	secret_wipe(password, strlen(password));
	free(password);
	return status;
}

enum status
run_decrypt(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	(void)command;
	return change(mailctl, words, count, true);
}

/* Does mail of the account hang on its password?  A fault is for the command itself to meet. */
static bool
has_key(const struct mailctl *mailctl, const char *address)
{
	const char *words[] = {"account", "show", address};
	struct client_reply reply;

	client_ask(mailctl->control, PROCESS_AUTHD, words, 3, &reply);
	json_t *account = client_reply_json(&reply);
	const char *encryption = json_string_value(json_object_get(account, "encryption"));
	bool has = encryption != NULL && strcmp(encryption, "off") != 0;
	json_decref(account);
	client_reply_clear(&reply);
	return has;
}

enum status
run_passwd(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *asked[WORDS_MAX] = {words[0], words[1], words[WORD_ADDRESS], words[count - 1]};
	bool gives_up = count == 5;
	size_t n = 4;
	char *old = NULL;

	if (gives_up && strcmp(words[3], "give-up-mail") != 0) {
		complain("usage: mailctl %s %s", command->words, command->arguments);
		return STATUS_USAGE;
	}
	if (gives_up) {
		asked[n++] = "";
		asked[n++] = "give-up-mail";
	} else if (has_key(mailctl, words[WORD_ADDRESS])) {
		old = password_read_known("Old password or recovery key");
		if (old != NULL)
			asked[n++] = old;
	}
	enum status status = change(mailctl, asked, n, gives_up);
	if (old != NULL)
		secret_wipe(old, strlen(old));
	free(old);
	return status;
}
