/* SPDX-License-Identifier: ISC */
/*
 * mailboxd upgrades a store when it starts.  Here an administrator sees beforehand what that will
 * mean, or has it done while nothing runs.
 */
#include "mailctl/upgrade.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/upgrade_check.h"
#include "common/store/writer.h"
#include "mailctl/client.h"

static const char *
state_name(enum fault fault, const struct upgrade_check *check)
{
	if (fault == FAULT_UNSUPPORTED)
		return "newer";
	if (check->from < check->format)
		return "unfinished";
	return check->from < STORE_FORMAT ? "older" : "current";
}

/* What is known of the store, whether it can be opened or not. */
static void
check_print(const struct mailctl *mailctl, const char *store, enum fault fault,
	const struct upgrade_check *check)
{
	json_t *answer = json_pack("{s:s, s:I, s:I, s:s}", "store", store, "format",
		(json_int_t)check->format, "program", (json_int_t)STORE_FORMAT, "state",
		state_name(fault, check));

	if (fault != FAULT_UNSUPPORTED && check->from < STORE_FORMAT) {
		json_object_set_new(answer, "records", json_integer((json_int_t)check->records));
		json_object_set_new(
			answer, "about_seconds", json_integer((json_int_t)check->seconds));
		json_object_set_new(answer, "about_bytes", json_integer((json_int_t)check->bytes));
		json_object_set_new(
			answer, "free_bytes", json_integer((json_int_t)check->free_bytes));
	}
	command_print(mailctl, answer);
	json_decref(answer);
}

static enum status
check_run(const struct mailctl *mailctl, const char *store)
{
	struct upgrade_check check;
	enum fault fault = store_upgrade_check(store, &check);

	if (check.format != 0)
		check_print(mailctl, store, fault, &check);
	if (fault == FAULT_OK)
		return STATUS_OK;
	if (fault == FAULT_UNSUPPORTED && check.format != 0)
		complain("%s: this program knows formats up to %d", store, STORE_FORMAT);
	else if (fault == FAULT_EXPIRED)
		complain("%s was open when the machine went down: ask again when mailboxd has "
			 "recovered it",
			store);
	else if (fault == FAULT_NO_SPACE)
		complain("%s: there is too little space for the upgrade", store);
	else
		complain("%s: %s", store, fault_text(fault));
	return STATUS_FAILED;
}

/* Files that root makes would be closed to mailboxd. */
static bool
owner_become(const char *store)
{
	struct stat owner;

	if (geteuid() != 0)
		return true;
	if (stat(store, &owner) == 0 && setegid(owner.st_gid) == 0 && seteuid(owner.st_uid) == 0)
		return true;
	complain("%s: %s", store, strerror(errno));
	return false;
}

/* The writer upgrades what it opens. */
static enum status
upgrade_now(const struct mailctl *mailctl, const char *store)
{
	struct store_options options = {.group_reads = true};
	struct store_writer *writer = NULL;
	struct upgrade_check check;

	/* Nothing is made where no store is. */
	if (store_upgrade_check(store, &check) != FAULT_OK || check.from >= STORE_FORMAT)
		return check_run(mailctl, store);
	if (!owner_become(store))
		return STATUS_FAILED;
	enum fault fault = writer_open(store, &options, &writer);
	writer_close(writer);
	if (fault == FAULT_OK)
		return check_run(mailctl, store);
	if (fault == FAULT_BUSY)
		complain("%s is in use: mailboxd upgrades it by itself when it starts", store);
	else
		complain("%s: %s", store, fault_text(fault));
	return STATUS_FAILED;
}

/* The running suite's, or where one is by default. */
static const char *
store_place(const struct mailctl *mailctl, char place[static PATH_MAX])
{
	const char *words[] = {"store", "where"};
	struct client_reply reply;

	client_ask(mailctl->control, PROCESS_MAILBOXD, words, 2, &reply);
	json_t *answer = client_reply_json(&reply);
	const char *directory = json_string_value(json_object_get(answer, "directory"));
	snprintf(place, PATH_MAX, "%s", directory != NULL ? directory : MAILCTL_DATA "/store");
	json_decref(answer);
	client_reply_clear(&reply);
	return place;
}

enum status
upgrade_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *store = NULL;
	char found[PATH_MAX];
	bool only_check = false;

	for (size_t i = 2; i < count; i++) {
		if (strcmp(words[i], "--check") == 0) {
			only_check = true;
		} else if (store == NULL && words[i][0] != '-') {
			store = words[i];
		} else {
			fprintf(stderr, "usage: mailctl %s %s\n", command->words,
				command->arguments);
			return STATUS_USAGE;
		}
	}
	if (store == NULL)
		store = store_place(mailctl, found);
	return only_check ? check_run(mailctl, store) : upgrade_now(mailctl, store);
}
