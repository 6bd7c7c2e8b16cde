/* SPDX-License-Identifier: ISC */
/*
 * First the segments up to the committed tail, then a look at the index (a copy of it, for a
 * stream of everything), then what the log got in between: as in backup.c.  What follows on an
 * earlier stream needs no index: the log makes it from the earlier one.
 */
#include "common/store/backup_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/store/backup_label.h"
#include "common/store/journal_walk.h"
#include "common/store/segment_format.h"
#include "common/store/tar.h"

enum { TRIES = 5, TEXT_MAX = 1024 * 1024, FILES_OPEN = 4 };

struct stream {
	const char *from;
	const struct backup_stream_options *options;
	struct tar_writer tar;
	struct backup_label label;
	struct segment_tail sent; /* everything before went out */
	struct backup_list found; /* segments of which something went out, or nothing was new */
	int segments;
	char *piece;
	char copy[PATH_MAX]; /* a directory for copies */
	bool has_copy;
	bool has_index; /* the stream must have one */
};

static enum fault
file_send(struct stream *s, int file, uint64_t from, uint64_t end)
{
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && from < end) {
		size_t want = end - from < BACKUP_PIECE ? (size_t)(end - from) : BACKUP_PIECE;
		ssize_t n = pread(file, s->piece, want, (off_t)from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fault_from_errno(errno) : FAULT_DAMAGED;
		fault = tar_write(&s->tar, slice_make(s->piece, (size_t)n));
		from += (uint64_t)n;
		if (s->options->progress != NULL)
			s->options->progress(s->options->arg, s->tar.written);
	}
	return fault;
}

/* A part of a segment has its place in its name. */
static enum fault
part_send(struct stream *s, uint32_t segment, uint64_t from, uint64_t end)
{
	char name[SEGMENT_NAME_SIZE], member[TAR_NAME_MAX + 1];
	struct stat status;
	int file = openat(s->segments, segment_name(segment, name), O_RDONLY | O_CLOEXEC);
	enum fault fault = FAULT_OK;

	/* Gone meanwhile: nothing lived in it. */
	if (file < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	fault = backup_list_add(&s->found, segment);
	if (fault == FAULT_OK)
		fault = backup_list_add(&s->label.segments, segment);
	if (fault == FAULT_OK && fstat(file, &status) < 0)
		fault = fault_from_errno(errno);
	else if (fault == FAULT_OK && end > (uint64_t)status.st_size)
		end = (uint64_t)status.st_size;
	if (from == 0)
		(void)snprintf(member, sizeof(member), "segments/%s", name);
	else
		(void)snprintf(
			member, sizeof(member), "segments/%s+%llu", name, (unsigned long long)from);
	if (fault == FAULT_OK && from < end) {
		fault = tar_begin(&s->tar, member, end - from);
		if (fault == FAULT_OK)
			fault = file_send(s, file, from, end);
		if (fault == FAULT_OK)
			fault = tar_end(&s->tar);
	}
	close(file);
	return fault;
}

static enum fault
log_send(struct stream *s, const struct segment_tail *tail)
{
	enum fault fault = FAULT_OK;

	for (uint32_t i = s->sent.segment != 0 ? s->sent.segment : 1;
		fault == FAULT_OK && i <= tail->segment; i++)
		fault = part_send(s, i, i == s->sent.segment ? s->sent.length : 0,
			i == tail->segment ? tail->length : UINT64_MAX);
	s->sent = *tail;
	return fault;
}

static enum fault
name_note(void *arg, const char *name)
{
	struct backup_list *list = arg;
	uint32_t segment;

	return segment_name_parse(slice_text(name), &segment) ? backup_list_add(list, segment)
							      : FAULT_OK;
}

/* Whether some of the log since the last stream is gone: then only an index can tell. */
static bool
has_gap(const struct stream *s)
{
	bool found = false;

	for (uint32_t i = s->label.since.tail.segment; i != 0 && i <= s->label.until.tail.segment;
		i++)
		found |= !backup_list_has(&s->found, i);
	return found;
}

static enum fault
round_check(struct stream *s, struct kv *kv, const struct journal_point *since, bool is_last)
{
	struct backup_range range = {*since, s->label.until, is_last};
	struct kv_txn txn;
	enum fault fault = kv_begin_read(kv, &txn);

	if (fault == FAULT_OK)
		fault = journal_point_load(&txn, INDEX_META, &s->label.until);
	range.until = s->label.until;
	if (fault == FAULT_OK)
		fault = log_send(s, &s->label.until.tail);
	/* What is whole now was whole when it was sent. */
	if (fault == FAULT_OK)
		fault = backup_check(s->from, &txn, &range);
	kv_abort(&txn);
	return fault;
}

/* So that the copy tells its time. */
static enum fault
copy_mark(struct stream *s)
{
	struct backup_mark mark = {s->label.taken_at, &s->label.segments};
	char index[PATH_MAX];
	enum fault fault = directory_path(s->copy, "index", index);

	return fault == FAULT_OK ? backup_index_mark(index, &mark) : fault;
}

/* One look at the index, or a copy of it, and what the log has up to there. */
static enum fault
round_run(struct stream *s, const struct journal_point *since, bool is_last)
{
	char from[PATH_MAX], copy[PATH_MAX];
	struct backup_owner owner = {geteuid(), getegid()};
	struct kv *kv = NULL;
	enum fault fault = directory_path(s->from, "index", from);

	if (fault == FAULT_OK && s->has_index) {
		fault = directory_path(s->copy, "index", copy);
		if (fault == FAULT_OK)
			fault = backup_index_copy(from, copy, &owner);
	}
	s->label.taken_at = clock_wall_ms(&clock_system) / 1000;
	if (fault == FAULT_OK)
		fault = backup_index_open(s->has_index ? copy : from, true, &kv);
	if (fault == FAULT_OK)
		fault = round_check(s, kv, since, is_last);
	kv_close(kv);
	return fault;
}

static enum fault
rounds_run(struct stream *s, struct journal_point since)
{
	enum fault fault = FAULT_BUSY;

	for (int tries = 1; fault == FAULT_BUSY && tries <= TRIES; tries++) {
		bool had_index = s->has_index;
		fault = round_run(s, &since, tries == TRIES);
		since = s->label.until;
		s->has_index |= fault == FAULT_OK && has_gap(s);
		if (fault == FAULT_OK && s->has_index != had_index)
			fault = FAULT_BUSY;
	}
	return fault;
}

static enum fault
copy_send(struct stream *s, const char *name)
{
	char path[PATH_MAX];
	struct stat status;
	enum fault fault = directory_path(s->copy, name, path);
	int file = fault == FAULT_OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fault == FAULT_OK && (file < 0 || fstat(file, &status) < 0))
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = tar_begin(&s->tar, name, (uint64_t)status.st_size);
	if (fault == FAULT_OK)
		fault = file_send(s, file, 0, (uint64_t)status.st_size);
	if (file >= 0)
		close(file);
	return fault == FAULT_OK ? tar_end(&s->tar) : fault;
}

static enum fault
directory_send(struct stream *s)
{
	struct backup_owner owner = {geteuid(), getegid()};
	char path[PATH_MAX];

	if (s->options->directory == NULL)
		return FAULT_OK;
	enum fault fault = directory_path(s->copy, "directory", path);
	if (fault == FAULT_OK)
		fault = backup_index_copy(s->options->directory, path, &owner);
	return fault == FAULT_OK ? copy_send(s, "directory/data.mdb") : fault;
}

static enum fault
label_send(struct stream *s, const char *member)
{
	struct buffer text;
	enum fault fault;

	buffer_init(&text, TEXT_MAX);
	backup_label_format(&text, &s->label);
	fault = buffer_fault(&text);
	if (fault == FAULT_OK && member != NULL)
		fault = tar_add(&s->tar, member, buffer_slice(&text));
	else if (fault == FAULT_OK)
		fault = tar_finish(&s->tar, buffer_slice(&text));
	buffer_clear(&text);
	return fault;
}

/* Whether this store's log goes on from there. */
static enum fault
since_check(struct stream *s, const struct backup_state *now)
{
	struct backup_label last;
	enum fault fault = backup_label_parse(s->options->since, &last);

	if (fault == FAULT_OK && last.store != now->store)
		fault = FAULT_CONFLICT;
	if (fault == FAULT_OK)
		fault = backup_history_check(s->from, &last.until, &now->point);
	s->label.since = last.until;
	s->sent = last.until.tail;
	backup_list_clear(&last.segments);
	return fault;
}

static enum fault
stream_run(struct stream *s)
{
	const char *where = getenv("TMPDIR");
	char path[PATH_MAX];
	struct backup_state now;
	enum fault fault = directory_path(s->from, "index", path);

	if (fault == FAULT_OK)
		fault = backup_state_load(path, &now);
	if (fault != FAULT_OK)
		return fault;
	s->label.store = now.store;
	s->label.until = now.point;
	s->has_index = s->options->since.len == 0;
	if (!s->has_index)
		fault = since_check(s, &now);
	if (fault == FAULT_OK)
		fault = directory_path(
			where != NULL ? where : "/var/tmp", "pabal-stream-XXXXXX", s->copy);
	s->has_copy = fault == FAULT_OK && mkdtemp(s->copy) != NULL;
	if (fault == FAULT_OK && !s->has_copy)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = directory_path(s->from, "segments", path);
	if (fault == FAULT_OK) {
		s->segments = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fault = s->segments < 0
			? fault_from_errno(errno)
			: directory_each(s->segments, name_note, &s->label.segments);
	}
	if (fault == FAULT_OK)
		fault = label_send(s, BACKUP_LABEL);
	if (fault == FAULT_OK)
		fault = log_send(s, &now.point.tail);
	if (fault == FAULT_OK)
		fault = rounds_run(s, now.point);
	if (fault == FAULT_OK && s->has_index)
		fault = copy_mark(s);
	if (fault == FAULT_OK && s->has_index)
		fault = copy_send(s, "index/data.mdb");
	if (fault == FAULT_OK)
		fault = directory_send(s);
	return fault == FAULT_OK ? label_send(s, NULL) : fault;
}

enum fault
store_backup_stream(const char *from, const struct backup_stream_options *options,
	struct buffer *end, uint64_t *bytes)
{
	struct stream s = {.from = from, .options = options, .segments = -1};
	enum fault fault = FAULT_NOMEM;

	tar_writer_init(&s.tar, options->out, clock_wall_ms(&clock_system) / 1000);
	s.piece = malloc(BACKUP_PIECE);
	if (s.piece != NULL)
		fault = stream_run(&s);
	if (fault == FAULT_OK) {
		backup_list_clear(&s.label.segments);
		backup_label_format(end, &s.label);
		fault = buffer_fault(end);
	}
	*bytes = s.tar.written;
	/* A temporary directory. */
	if (s.has_copy)
		(void)!directory_remove(s.copy);
	if (s.segments >= 0)
		close(s.segments);
	backup_list_clear(&s.label.segments);
	backup_list_clear(&s.found);
	tar_writer_clear(&s.tar);
	free(s.piece);
	return fault;
}
