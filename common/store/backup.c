/* SPDX-License-Identifier: ISC */
/*
 * Hot backup.  The order makes it consistent: first the segments up to the committed tail, then a
 * snapshot of the index, then what the segments got in between.  So nothing that the snapshot
 * names can have been purged before its bytes were copied.  The index of the target is replaced
 * last, by a rename: until then an earlier backup stays whole.  Linked by mailctl.
 */
#include "common/store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/store/index.h"
#include "common/store/journal.h"
#include "common/store/segment_format.h"

enum { PIECE = 1024 * 1024 };

struct backup {
	const char *from;
	const char *to;
	const struct backup_options *options;
	char *piece;
	int source; /* directories of segments */
	int target;
	uid_t uid; /* who owns the target, and so all in it */
	gid_t gid;
	struct segment_tail done; /* what target is known to have */
	uint64_t bytes;
};

/* What an index says of its segments. */
struct state {
	uint64_t id; /* of the store */
	struct segment_tail tail;
};

static enum fault
path_make(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

/* A restored store belongs to its writer and can be read by the group of its readers. */
static enum fault
file_own(const struct backup *b, int file, mode_t mode)
{
	if (geteuid() == 0 && fchown(file, b->uid, b->gid) < 0)
		return fault_from_errno(errno);
	return fchmod(file, mode) < 0 ? fault_from_errno(errno) : FAULT_OK;
}

static enum fault
path_own(const struct backup *b, const char *path, mode_t mode)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (file < 0)
		return fault_from_errno(errno);
	enum fault fault = file_own(b, file, mode);
	if (fault == FAULT_OK && fsync(file) < 0)
		fault = fault_from_errno(errno);
	close(file);
	return fault;
}

static enum fault
dir_make(const struct backup *b, const char *name)
{
	char path[PATH_MAX];
	enum fault fault = path_make(b->to, name, path);

	if (fault != FAULT_OK)
		return fault;
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? FAULT_OK : fault_from_errno(errno);
	return path_own(b, path, 0750);
}

static enum fault
index_open(const char *store, struct kv **kv)
{
	struct kv_options options = {.tables = index_tables, .readonly = true};
	char path[PATH_MAX];
	enum fault fault = path_make(store, "index", path);

	return fault != FAULT_OK ? fault : kv_open(path, &options, kv);
}

static enum fault
state_read(struct kv *kv, struct state *state)
{
	struct kv_txn txn;
	uint64_t format = 0;
	struct journal_point point = {0};
	enum fault fault = kv_begin_read(kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	*state = (struct state){0};
	fault = index_meta_load(&txn, INDEX_META_FORMAT, &format);
	if (fault == FAULT_OK)
		fault = index_meta_load(&txn, INDEX_META_STORE, &state->id);
	if (fault == FAULT_OK)
		fault = journal_point_load(&txn, INDEX_META, &point);
	kv_abort(&txn);
	if (fault == FAULT_OK && format != STORE_FORMAT)
		fault = FAULT_UNSUPPORTED;
	state->tail = point.tail;
	return fault;
}

static enum fault
state_of(const char *store, struct state *state)
{
	struct kv *kv = NULL;
	enum fault fault = index_open(store, &kv);

	if (fault == FAULT_OK)
		fault = state_read(kv, state);
	kv_close(kv);
	return fault;
}

/* Segments without an index may be all that is left of somebody's mail. */
static enum fault
no_segments_check(const struct backup *b)
{
	static const struct segments_options options;
	struct segments *segments;
	struct segment_tail last;
	char path[PATH_MAX];
	enum fault fault = path_make(b->to, "segments", path);

	if (fault == FAULT_OK)
		fault = segments_open(path, &options, &segments);
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
	fault = segments_last(segments, &last);
	segments_close(segments);
	if (fault == FAULT_OK && last.segment != 0)
		fault = FAULT_EXISTS;
	return fault;
}

/* Whether the target may be written: empty, or an earlier backup of this store. */
static enum fault
target_check(struct backup *b, const struct state *from)
{
	struct state old;
	enum fault fault = state_of(b->to, &old);

	if (fault == FAULT_NOT_FOUND)
		return b->options->may_update ? FAULT_OK : no_segments_check(b);
	if (fault != FAULT_OK)
		return fault;
	if (!b->options->may_update)
		return FAULT_EXISTS;
	if (old.id != from->id || old.tail.segment > from->tail.segment ||
		(old.tail.segment == from->tail.segment && old.tail.length > from->tail.length))
		return FAULT_CONFLICT;
	b->done = old.tail;
	return FAULT_OK;
}

static bool
is_zero(const char *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static enum fault
write_all(int file, const char *bytes, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(file, bytes, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_from_errno(n < 0 ? errno : EIO);
		bytes += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return FAULT_OK;
}

/* Copies [at, end); pieces of nothing but zeros stay holes. */
static enum fault
range_copy(struct backup *b, int source, int target, uint64_t at, uint64_t end)
{
	while (at < end) {
		size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = pread(source, b->piece, want, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fault_from_errno(errno) : FAULT_DAMAGED;
		if (!is_zero(b->piece, (size_t)n)) {
			enum fault fault = write_all(target, b->piece, (size_t)n, at);
			if (fault != FAULT_OK)
				return fault;
		}
		at += (uint64_t)n;
		b->bytes += (uint64_t)n;
		if (b->options->progress != NULL)
			b->options->progress(b->options->arg, b->bytes);
	}
	return FAULT_OK;
}

/* The bytes of a segment that the target is known to have, durably. */
static uint64_t
done_length(const struct backup *b, uint32_t segment, uint64_t size)
{
	if (segment > b->done.segment)
		return 0;
	return segment == b->done.segment && b->done.length < size ? b->done.length : size;
}

/* Makes target the first length bytes of source. */
static enum fault
file_extend(struct backup *b, int source, int target, const struct segment_tail *end)
{
	struct stat status;

	if (fstat(target, &status) < 0)
		return fault_from_errno(errno);
	uint64_t have = done_length(b, end->segment, (uint64_t)status.st_size);
	if (have == end->length)
		return FAULT_OK;
	enum fault fault = range_copy(b, source, target, have, end->length);
	if (fault == FAULT_OK && (ftruncate(target, (off_t)end->length) < 0 || fsync(target) < 0))
		fault = fault_from_errno(errno);
	return fault;
}

static enum fault
segment_copy(struct backup *b, uint32_t segment, const struct segment_tail *tail)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat status;
	enum fault fault = FAULT_OK;
	int source = openat(b->source, segment_name(segment, name), O_RDONLY | O_CLOEXEC);

	/* Gone meanwhile: nothing lived in it. */
	if (source < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	int target = openat(b->target, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (target < 0 || fstat(source, &status) < 0)
		fault = fault_from_errno(errno);
	else
		fault = file_own(b, target, 0640);
	if (fault == FAULT_OK)
		fault = file_extend(b, source, target,
			&(struct segment_tail){segment,
				segment == tail->segment ? tail->length
							 : (uint64_t)status.st_size});
	if (target >= 0)
		close(target);
	close(source);
	return fault;
}

/* A full segment has its final length only once its writer has given back what it took ahead. */
static enum fault
segments_copy(struct backup *b, const struct segment_tail *tail)
{
	enum fault fault = FAULT_OK;
	int copy = openat(b->source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;

	if (list == NULL) {
		fault = fault_from_errno(errno);
		if (copy >= 0)
			close(copy);
		return fault;
	}
	for (struct dirent *entry; fault == FAULT_OK && (entry = readdir(list)) != NULL;) {
		uint32_t segment;
		if (segment_name_parse(slice_text(entry->d_name), &segment) &&
			segment <= tail->segment)
			fault = segment_copy(b, segment, tail);
	}
	closedir(list);
	if (fault == FAULT_OK && fsync(b->target) < 0)
		fault = fault_from_errno(errno);
	return fault;
}

/* Removes segments of the target that the source has no more. */
static enum fault
segments_drop(struct backup *b)
{
	enum fault fault = FAULT_OK;
	int copy = openat(b->target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;

	if (list == NULL) {
		fault = fault_from_errno(errno);
		if (copy >= 0)
			close(copy);
		return fault;
	}
	for (struct dirent *entry; fault == FAULT_OK && (entry = readdir(list)) != NULL;) {
		uint32_t segment;
		if (segment_name_parse(slice_text(entry->d_name), &segment) &&
			faccessat(b->source, entry->d_name, F_OK, 0) < 0 && errno == ENOENT &&
			unlinkat(b->target, entry->d_name, 0) < 0)
			fault = fault_from_errno(errno);
	}
	closedir(list);
	return fault;
}

/* Writes a snapshot of the index to index.new, and says what it is a snapshot of. */
static enum fault
index_snapshot(struct backup *b, struct state *state)
{
	char dir[PATH_MAX], file[PATH_MAX];
	struct kv *kv = NULL;
	enum fault fault = dir_make(b, "index.new");

	if (fault == FAULT_OK)
		fault = path_make(b->to, "index.new", dir);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "index.new/data.mdb", file);
	/* Of a backup that was broken off. */
	if (fault == FAULT_OK && unlink(file) < 0 && errno != ENOENT)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = index_open(b->from, &kv);
	if (fault == FAULT_OK)
		fault = kv_copy(kv, dir);
	kv_close(kv);
	kv = NULL;
	if (fault == FAULT_OK)
		fault = path_own(b, file, 0640);
	struct kv_options options = {.tables = index_tables, .readonly = true};
	if (fault == FAULT_OK)
		fault = kv_open(dir, &options, &kv);
	if (fault == FAULT_OK)
		fault = state_read(kv, state);
	kv_close(kv);
	return fault;
}

/* From here on the new backup is the backup. */
static enum fault
index_replace(struct backup *b)
{
	char from[PATH_MAX], to[PATH_MAX], lock[PATH_MAX], dir[PATH_MAX];
	enum fault fault = dir_make(b, "index");

	if (fault == FAULT_OK)
		fault = path_make(b->to, "index.new/data.mdb", from);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "index/data.mdb", to);
	if (fault == FAULT_OK && rename(from, to) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "index", dir);
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	if (fault == FAULT_OK)
		fault = directory_sync(b->to);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "index.new/lock.mdb", lock);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "index.new", dir);
	/* Only tidying up: what is left of it does no harm. */
	if (fault == FAULT_OK && unlink(lock) == 0)
		(void)rmdir(dir);
	return fault;
}

static enum fault
directories_open(struct backup *b)
{
	char from[PATH_MAX], to[PATH_MAX];
	enum fault fault = dir_make(b, "segments");

	if (fault == FAULT_OK)
		fault = path_make(b->from, "segments", from);
	if (fault == FAULT_OK)
		fault = path_make(b->to, "segments", to);
	if (fault != FAULT_OK)
		return fault;
	b->source = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->source >= 0)
		b->target = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->target < 0 ? fault_from_errno(errno) : FAULT_OK;
}

static enum fault
backup_run(struct backup *b)
{
	struct state first, snapshot;
	struct stat status;
	enum fault fault = state_of(b->from, &first);

	if (fault != FAULT_OK)
		return fault;
	if (stat(b->to, &status) < 0)
		return fault_from_errno(errno);
	b->uid = status.st_uid;
	b->gid = status.st_gid;
	fault = target_check(b, &first);
	if (fault == FAULT_OK)
		fault = directories_open(b);
	if (fault == FAULT_OK)
		fault = segments_copy(b, &first.tail);
	if (fault == FAULT_OK)
		b->done = first.tail;
	if (fault == FAULT_OK)
		fault = index_snapshot(b, &snapshot);
	if (fault == FAULT_OK)
		fault = segments_copy(b, &snapshot.tail);
	if (fault == FAULT_OK)
		fault = index_replace(b);
	return fault != FAULT_OK ? fault : segments_drop(b);
}

enum fault
store_backup(
	const char *from, const char *to, const struct backup_options *options, uint64_t *bytes)
{
	struct backup b = {.from = from, .to = to, .options = options, .source = -1, .target = -1};
	enum fault fault = FAULT_NOMEM;

	b.piece = malloc(PIECE);
	if (b.piece != NULL)
		fault = backup_run(&b);
	if (b.source >= 0)
		close(b.source);
	if (b.target >= 0)
		close(b.target);
	free(b.piece);
	*bytes = b.bytes;
	return fault;
}
