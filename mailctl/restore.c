/* SPDX-License-Identifier: ISC */
/* A whole store from a backup, where there is none; as root, or as the one user of a suite. */
#include "mailctl/restore.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/backup_stream.h"
#include "mailctl/when.h"

#define STORE_DIRECTORY MAILCTL_DATA "/store"

static const char usage[] =
	"usage: mailctl store restore BACKUP|- [STORE] [--at TIME]\n"
	"       mailctl store restore BACKUP --account ADDRESS [--from ACCOUNT] [--at TIME]\n"
	"           [--mailbox NAME] [--uid UID] [--email EMAIL]\n";

void
restore_complain(const char *backup, int64_t at, enum fault fault)
{
	char time[WHEN_SIZE];

	if (fault == FAULT_EXPIRED)
		complain("%s does not reach back to %s: see mailctl store backups", backup,
			when_format(at, time));
	else if (fault == FAULT_NOT_FOUND)
		complain("%s: there is no backup", backup);
	else
		complain("%s: %s", backup, fault_text(fault));
}

static void
whole_complain(const char *from, const char *to, int64_t at, enum fault fault)
{
	if (fault == FAULT_EXISTS)
		complain("%s holds a store, or segments of one: move it away first", to);
	else if (fault == FAULT_BUSY)
		complain("%s is in use: stop the suite first", to);
	else if (fault == FAULT_NO_SPACE)
		complain("%s: disk full", to);
	else
		restore_complain(from, at, fault);
}

static void
stream_complain(const char *to, enum fault fault)
{
	if (fault == FAULT_DAMAGED)
		complain("the stream was cut, or is not what was written; nothing was restored");
	else if (fault == FAULT_CONFLICT)
		complain("the streams do not follow on one another; nothing was restored");
	else if (fault == FAULT_UNSUPPORTED)
		complain("the stream is no backup that this program knows");
	else
		whole_complain("the stream", to, 0, fault);
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

/* What maild would make at its first start, with the owner that it would have. */
static bool
directory_ensure(const char *path, const char *user, mode_t mode)
{
	const struct passwd *owner = getpwnam(user);
	struct stat status;

	if (stat(path, &status) == 0)
		return true;
	if (geteuid() == 0 && owner == NULL) {
		complain("%s is not there, and there is no user %s to make it for", path, user);
		return false;
	}
	if (mkdir(path, 0700) == 0 && chmod(path, mode) == 0 &&
		(geteuid() != 0 || chown(path, owner->pw_uid, owner->pw_gid) == 0))
		return true;
	complain("%s: %s", path, strerror(errno));
	return false;
}

static void
whole_print(const struct mailctl *mailctl, const struct restore_result *result)
{
	char time[WHEN_SIZE];
	json_t *answer = json_pack("{s:I, s:s, s:I, s:I, s:b}", "bytes", (json_int_t)result->bytes,
		"state", when_format(result->taken_at, time), "commits",
		(json_int_t)result->commits, "replayed", (json_int_t)result->replayed, "directory",
		(int)result->has_directory);

	command_print(mailctl, answer);
	json_decref(answer);
}

static enum status
whole_run(const struct mailctl *mailctl, const struct store_words *w, int64_t at)
{
	const char *to = w->place_count > 1 ? w->places[1] : STORE_DIRECTORY;
	struct restore_options options = {.at = at};
	struct restore_result result;
	char directory[PATH_MAX];
	uint64_t shown = 0;

	if (!directory_ensure(to, "_mailboxd", 0750) ||
		!store_words_beside(to, "directory", directory) ||
		!directory_ensure(directory, "_authd", 0700))
		return STATUS_FAILED;
	options.directory = directory;
	options.progress = !mailctl->json && isatty(STDERR_FILENO) == 1 ? progress_show : NULL;
	options.arg = &shown;
	bool is_stream = strcmp(w->places[0], "-") == 0;
	enum fault fault = is_stream ? store_restore_stream(STDIN_FILENO, to, &options, &result)
				     : store_restore(w->places[0], to, &options, &result);
	if (shown > 0)
		fputc('\n', stderr);
	if (fault != FAULT_OK && is_stream && fault != FAULT_EXPIRED) {
		stream_complain(to, fault);
		return STATUS_FAILED;
	}
	if (fault != FAULT_OK) {
		whole_complain(is_stream ? "the stream" : w->places[0], to, at, fault);
		return STATUS_FAILED;
	}
	whole_print(mailctl, &result);
	return STATUS_OK;
}

enum status
restore_run(struct mailctl *mailctl, const struct command *command, const char *const *words,
	size_t count)
{
	int64_t at = RESTORE_NEWEST;
	struct store_words w;

	(void)command;
	if (!store_words_parse(usage, words, count, &w))
		return STATUS_USAGE;
	if (w.at != NULL && !when_parse(w.at, &at)) {
		complain("--at %s: not like 2026-11-21T04:12:00Z or \"2026-11-21 04:12\"", w.at);
		return STATUS_USAGE;
	}
	if (w.account == NULL && (w.mailbox != NULL || w.uid != NULL || w.email != NULL)) {
		complain("whose mail?  Say --account");
		return STATUS_USAGE;
	}
	return w.account != NULL ? restore_parts_run(mailctl, &w, at) : whole_run(mailctl, &w, at);
}
