/* SPDX-License-Identifier: ISC */
/*
 * Backups of the mail store.  mailctl reads the store itself, as a reader beside the others, so
 * that mailboxd needs no right to write anywhere else; it must run as root, or as the one user of a
 * suite without root.
 */
#include "mailctl/backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/store/backup.h"
#include "mailctl/backup_stream.h"
#include "mailctl/store_words.h"
#include "mailctl/when.h"

static const char usage[] = "usage: mailctl store backup DIRECTORY [--keep N|AGE] [--store STORE]\n"
			    "       mailctl store backup - [--state FILE] [--store STORE]\n";

static void
progress_show(void *arg, uint64_t bytes)
{
	uint64_t *shown = arg;

	if (bytes - *shown < UINT64_C(16) << 20)
		return;
	*shown = bytes;
	fprintf(stderr, "\r%llu MiB", (unsigned long long)(bytes >> 20));
}

/* "7" states, or those of "30d". */
static bool
keep_parse(const char *text, struct backup_options *options)
{
	uint64_t count;

	if (text == NULL)
		return true;
	if (slice_parse_u64(slice_text(text), BACKUP_SNAPSHOTS_MAX, &count) && count > 0) {
		options->keep_count = (unsigned)count;
		return true;
	}
	if (when_parse_age(text, &options->keep_seconds))
		return true;
	complain(
		"--keep %s: a number from 1 to %d, or an age like 30d", text, BACKUP_SNAPSHOTS_MAX);
	return false;
}

static void
backup_complain(const char *from, const char *to, enum fault fault)
{
	if (fault == FAULT_CONFLICT)
		complain("%s is a backup of another store, or of another past of this one: use a "
			 "new directory",
			to);
	else if (fault == FAULT_BUSY)
		complain("%s: another backup runs there, or mail came and went too fast: try again",
			to);
	else if (fault == FAULT_NOT_FOUND)
		complain("%s: there is no store", from);
	else if (fault == FAULT_EXISTS)
		complain("%s holds segments that belong to no backup", to);
	else if (fault == FAULT_NO_SPACE)
		complain("%s: disk full; an earlier backup there is as good as it was", to);
	else
		complain("%s to %s: %s", from, to, fault_text(fault));
}

static enum status
backup_to(const struct mailctl *mailctl, const char *from, const char *to,
	struct backup_options *options)
{
	uint64_t shown = 0, bytes = 0;
	char directory[PATH_MAX];
	bool is_there = store_words_beside(from, "directory/data.mdb", directory) &&
		access(directory, F_OK) == 0;

	if (is_there && store_words_beside(from, "directory", directory))
		options->directory = directory;
	options->may_update = true;
	options->progress = !mailctl->json && isatty(STDERR_FILENO) == 1 ? progress_show : NULL;
	options->arg = &shown;
	enum fault fault = store_backup(from, to, options, &bytes);
	if (shown > 0)
		fputc('\n', stderr);
	if (fault != FAULT_OK) {
		backup_complain(from, to, fault);
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
	struct backup_options options = {.may_update = true};
	struct store_words w;
	char from[PATH_MAX];

	(void)command;
	if (!store_words_parse(usage, words, count, &w) || w.place_count != 1 ||
		!keep_parse(w.keep, &options))
		return STATUS_USAGE;
	enum status status = store_words_locate(mailctl, &w, from);
	if (status != STATUS_OK)
		return status;
	if (strcmp(w.places[0], "-") == 0)
		return backup_stream_run(mailctl, from, w.state);
	/* Mail: nobody else's business. */
	if (mkdir(w.places[0], 0700) < 0 && errno != EEXIST) {
		complain("%s: %s", w.places[0], strerror(errno));
		return STATUS_FAILED;
	}
	return backup_to(mailctl, from, w.places[0], &options);
}

enum status
backups_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	struct backup_snapshot *list;
	const char *dir = words[count - 1];
	json_t *answer = json_array();
	char time[WHEN_SIZE];
	enum fault fault = store_backup_list(dir, &list, &count);

	(void)command;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(answer,
			json_pack("{s:s, s:I, s:I, s:I, s:I}", "time",
				when_format(list[i].taken_at, time), "accounts",
				(json_int_t)list[i].accounts, "messages",
				(json_int_t)list[i].messages, "bytes", (json_int_t)list[i].bytes,
				"commits", (json_int_t)list[i].commits));
	if (fault == FAULT_OK)
		command_print(mailctl, answer);
	else if (fault == FAULT_NOT_FOUND)
		complain("%s: there is no backup", dir);
	else
		complain("%s: %s", dir, fault_text(fault));
	json_decref(answer);
	free(list);
	return fault == FAULT_OK ? STATUS_OK : STATUS_FAILED;
}
