/* SPDX-License-Identifier: ISC */
/* A backup as a stream.  What people read goes to standard error: standard output is taken. */
#include "mailctl/backup_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/store/backup_stream.h"
#include "mailctl/store_words.h"

enum { STATE_MAX = 64 * 1024 };

static void
progress_show(void *arg, uint64_t bytes)
{
	uint64_t *shown = arg;

	if (bytes - *shown < UINT64_C(16) << 20)
		return;
	*shown = bytes;
	fprintf(stderr, "\r%llu MiB", (unsigned long long)(bytes >> 20));
}

/* A file that is not there yet is empty. */
static bool
state_load(const char *path, struct buffer *text)
{
	char piece[4096];
	int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	if (file < 0) {
		if (path == NULL || errno == ENOENT)
			return true;
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	while ((n = read(file, piece, sizeof(piece))) > 0)
		buffer_add(text, piece, (size_t)n);
	close(file);
	if (n == 0 && buffer_fault(text) == FAULT_OK && buffer_len(text) > 0)
		return true;
	complain("%s: no state of a backup", path);
	return false;
}

static bool
state_write(const char *path, struct slice text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = file >= 0 && write(file, text.data, text.len) == (ssize_t)text.len &&
		fsync(file) == 0;

	if (file >= 0)
		close(file);
	return good;
}

/* From now on the next stream follows on this one. */
static bool
state_save(const char *path, struct slice text)
{
	char unfinished[PATH_MAX];
	int n = snprintf(unfinished, sizeof(unfinished), "%s.new", path);

	if (n > 0 && (size_t)n < sizeof(unfinished) && state_write(unfinished, text) &&
		rename(unfinished, path) == 0)
		return true;
	complain("%s: %s", path, strerror(errno));
	return false;
}

static void
stream_complain(const char *from, const char *state, enum fault fault)
{
	if (fault == FAULT_PEER_LOST)
		complain("nobody reads the stream any more");
	else if (fault == FAULT_CONFLICT || fault == FAULT_DAMAGED)
		complain("%s does not follow on %s: remove that, and begin with everything", from,
			state != NULL ? state : "itself");
	else if (fault == FAULT_NO_SPACE)
		complain("disk full (a copy of the index needs room in TMPDIR, too)");
	else
		complain("%s: %s", from, fault_text(fault));
}

static enum status
stream_write(struct mailctl *mailctl, const char *from, const char *state, struct buffer *since)
{
	uint64_t shown = 0, bytes = 0;
	char directory[PATH_MAX];
	struct buffer end;
	struct backup_stream_options options = {
		.out = STDOUT_FILENO,
		.since = buffer_slice(since),
		.progress = !mailctl->json && isatty(STDERR_FILENO) == 1 ? progress_show : NULL,
		.arg = &shown,
	};

	if (store_words_beside(from, "directory/data.mdb", directory) &&
		access(directory, F_OK) == 0 && store_words_beside(from, "directory", directory))
		options.directory = directory;
	buffer_init(&end, STATE_MAX);
	enum fault fault = store_backup_stream(from, &options, &end, &bytes);
	if (shown > 0)
		fputc('\n', stderr);
	/* What a pipe has taken is gone; a file must have it. */
	if (fault == FAULT_OK && fsync(STDOUT_FILENO) < 0 && errno != EINVAL && errno != EROFS)
		fault = fault_from_errno(errno);
	enum status status = fault == FAULT_OK ? STATUS_OK : STATUS_FAILED;
	if (fault != FAULT_OK)
		stream_complain(from, state, fault);
	else if (state != NULL && !state_save(state, buffer_slice(&end)))
		status = STATUS_FAILED;
	if (status == STATUS_OK && mailctl->json)
		fprintf(stderr, "{\"bytes\": %llu}\n", (unsigned long long)bytes);
	buffer_clear(&end);
	return status;
}

enum status
backup_stream_run(struct mailctl *mailctl, const char *from, const char *state)
{
	struct buffer since;
	enum status status = STATUS_FAILED;

	if (isatty(STDOUT_FILENO) == 1) {
		complain("a backup is nothing for a terminal: give it a file or a pipe");
		return STATUS_USAGE;
	}
	buffer_init(&since, STATE_MAX);
	if (state_load(state, &since))
		status = stream_write(mailctl, from, state, &since);
	buffer_clear(&since);
	return status;
}
