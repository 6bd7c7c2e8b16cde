/* SPDX-License-Identifier: ISC */
/*
 * Backups of the mail store, and its last resort.  mailctl reads the store itself, as a reader
 * beside the others, so that mailboxd needs no right to write anywhere else; it must run as root,
 * or as the one user of a suite without root.
 */
#include "mailctl/backup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/backup.h"
#include "common/store/salvage.h"
#include "mailctl/client.h"

#define STORE_DIRECTORY MAILCTL_DATA "/store"

/* Where the running suite has its store. */
static json_t *
store_find(struct mailctl *mailctl, enum status *status)
{
	const char *words[] = {"store", "where"};
	struct client_reply reply;

	client_ask(mailctl->control, PROCESS_MAILBOXD, words, 2, &reply);
	json_t *answer = client_reply_json(&reply);
	*status = client_reply_status(&reply, mailctl->control);
	client_reply_clear(&reply);
	return answer;
}

static void
progress_show(void *arg, uint64_t bytes)
{
	uint64_t *shown = arg;

	if (bytes - *shown < UINT64_C(16) << 20)
		return;
	*shown = bytes;
	fprintf(stderr, "\r%llu MiB", (unsigned long long)(bytes >> 20));
}

static enum status
copy_run(const struct mailctl *mailctl, const char *from, const char *to, bool may_update)
{
	uint64_t shown = 0, bytes = 0;
	bool watched = !mailctl->json && isatty(STDERR_FILENO) == 1;
	struct backup_options options = {.may_update = may_update,
		.progress = watched ? progress_show : NULL,
		.arg = &shown};
	enum fault fault = store_backup(from, to, &options, &bytes);

	if (shown > 0)
		fputc('\n', stderr);
	if (fault != FAULT_OK) {
		complain("%s to %s: %s", from, to, fault_text(fault));
		return STATUS_FAILED;
	}
	if (mailctl->json)
		printf("{\"bytes\": %llu}\n", (unsigned long long)bytes);
	else
		printf("%llu bytes of mail copied\n", (unsigned long long)bytes);
	return STATUS_OK;
}

enum status
backup_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *to = words[count - 1];
	enum status status;
	json_t *where = store_find(mailctl, &status);
	const char *from = json_string_value(json_object_get(where, "directory"));

	(void)command;
	if (status == STATUS_OK && from == NULL)
		status = STATUS_FAILED;
	/* Mail: nobody else's business. */
	if (status == STATUS_OK && mkdir(to, 0700) < 0 && errno != EEXIST) {
		complain("%s: %s", to, strerror(errno));
		status = STATUS_FAILED;
	}
	if (status == STATUS_OK)
		status = copy_run(mailctl, from, to, true);
	json_decref(where);
	return status;
}

enum status
restore_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	(void)command;
	return copy_run(mailctl, words[2], count > 3 ? words[3] : STORE_DIRECTORY, false);
}

enum status
salvage_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	const char *store = count > 2 ? words[2] : STORE_DIRECTORY;
	struct salvage_counts c;
	enum fault fault = store_salvage(store, &clock_system, &c);

	(void)command;
	if (fault == FAULT_EXISTS) {
		complain("%s has an index: to give it up, move index/data.mdb away", store);
		return STATUS_FAILED;
	}
	if (fault != FAULT_OK) {
		complain("%s: %s", store, fault_text(fault));
		return STATUS_FAILED;
	}
	json_t *answer = json_pack("{s:I, s:I, s:I, s:I}", "messages", (json_int_t)c.messages,
		"bodies", (json_int_t)c.bodies, "lost", (json_int_t)c.lost, "skipped_bytes",
		(json_int_t)c.skipped);
	if (mailctl->json)
		json_dumpf(answer, stdout, JSON_INDENT(2));
	else
		print_json(answer);
	json_decref(answer);
	return STATUS_OK;
}
