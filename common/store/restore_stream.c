/* SPDX-License-Identifier: ISC */
/*
 * A store from a stream: members are written as they come, beside the place of the store; the log
 * makes the index of the last archive's end, or of a time, from the one that came; and only then
 * is all of it put in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/store/backup_label.h"
#include "common/store/backup_stream.h"
#include "common/store/restore_private.h"
#include "common/store/segment_format.h"
#include "common/store/tar.h"

enum { TEXT_MAX = 1024 * 1024 };

struct restoring {
	const struct restore_options *options;
	struct tar_reader tar;
	struct backup_owner owner;
	char dir[PATH_MAX]; /* restore.new */
	char *piece;
	struct backup_label now; /* of the archive that is read */
	struct backup_label last; /* of the last whole one; store 0: none */
	bool is_open; /* an archive has begun and not ended */
	bool has_new_index; /* in this archive */
	int64_t index_at; /* when the index that we have was taken; 0: none */
};

/* The current member into a file of ours, from an offset on. */
static enum fault
member_write(struct restoring *r, const char *name, uint64_t offset)
{
	char path[PATH_MAX];
	size_t got = 1;
	enum fault fault = directory_path(r->dir, name, path);
	int file = -1;

	if (fault == FAULT_OK) {
		file = open(path,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (offset == 0 ? O_TRUNC : 0),
			0600);
		fault = file < 0 ? fault_from_errno(errno) : FAULT_OK;
	}
	if (fault == FAULT_OK)
		fault = backup_file_own(file, &r->owner, 0640);
	while (fault == FAULT_OK) {
		fault = tar_read(&r->tar, r->piece, BACKUP_PIECE, &got);
		if (fault != FAULT_OK || got == 0)
			break;
		if (!backup_is_zero(r->piece, got))
			fault = backup_write(file, r->piece, got, offset);
		offset += got;
		if (r->options->progress != NULL)
			r->options->progress(r->options->arg, r->tar.read);
	}
	if (fault == FAULT_OK && (ftruncate(file, (off_t)offset) < 0 || fsync(file) < 0))
		fault = fault_from_errno(errno);
	if (file >= 0)
		close(file);
	return fault;
}

/* "segments/00000001.seg" or "segments/00000001.seg+4096", and nothing that leads elsewhere. */
static enum fault
segment_write(struct restoring *r, const char *member)
{
	char name[SEGMENT_NAME_SIZE + sizeof("segments/")] = "segments/", path[PATH_MAX];
	struct slice text = slice_text(member + strlen(name));
	const char *plus = memchr(text.data, '+', text.len);
	uint64_t offset = 0;
	uint32_t segment;
	struct stat status;

	if (plus != NULL) {
		size_t len = (size_t)(plus - text.data);
		if (!slice_parse_u64(slice_after(text, len + 1), INT64_MAX, &offset))
			return FAULT_DAMAGED;
		text = slice_first(text, len);
	}
	if (!segment_name_parse(text, &segment))
		return FAULT_DAMAGED;
	segment_name(segment, name + strlen(name));
	/* A part belongs to the end of what came before it. */
	enum fault fault = directory_path(r->dir, name, path);
	if (fault == FAULT_OK && offset > 0 &&
		(stat(path, &status) < 0 || (uint64_t)status.st_size < offset))
		fault = FAULT_DAMAGED;
	return fault == FAULT_OK ? member_write(r, name, offset) : fault;
}

static enum fault
label_read(struct restoring *r)
{
	struct buffer text;
	enum fault fault;
	size_t got = 1;

	buffer_init(&text, TEXT_MAX);
	do {
		fault = tar_read(&r->tar, r->piece, BACKUP_PIECE, &got);
		if (fault == FAULT_OK)
			buffer_add(&text, r->piece, got);
	} while (fault == FAULT_OK && got > 0);
	if (fault == FAULT_OK)
		fault = buffer_fault(&text);
	backup_list_clear(&r->now.segments);
	if (fault == FAULT_OK)
		fault = backup_label_parse(buffer_slice(&text), &r->now);
	buffer_clear(&text);
	if (fault != FAULT_OK)
		return fault;
	bool follows = r->last.store == 0 ? r->now.since.sequence == 0
					  : r->now.store == r->last.store &&
			backup_points_equal(&r->now.since, &r->last.until);
	r->is_open = true;
	return follows ? FAULT_OK : FAULT_CONFLICT;
}

/*
 * The index of an archive that is whole; before that nobody may look into it.  One that is later
 * than the time that is wanted is of no use, but for the first.
 */
static enum fault
index_take(struct restoring *r)
{
	char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
	struct backup_state state;
	enum fault fault = directory_path(r->dir, "index.new", dir);

	r->has_new_index = false;
	if (fault == FAULT_OK)
		fault = backup_state_load(dir, &state);
	if (fault == FAULT_NOT_FOUND || (fault == FAULT_OK && state.taken_at == 0))
		fault = FAULT_DAMAGED;
	if (fault != FAULT_OK || (r->index_at != 0 && state.taken_at > r->options->at))
		return fault;
	r->index_at = state.taken_at;
	fault = directory_path(dir, "data.mdb", from);
	if (fault == FAULT_OK)
		fault = directory_path(r->dir, "index/data.mdb", to);
	if (fault == FAULT_OK && rename(from, to) < 0)
		fault = fault_from_errno(errno);
	return fault;
}

static enum fault
manifest_read(struct restoring *r)
{
	struct backup_label end;
	struct buffer text;

	buffer_init(&text, 16 * TEXT_MAX);
	enum fault fault = tar_manifest_read(&r->tar, &text);
	if (fault == FAULT_OK)
		fault = backup_label_parse(buffer_slice(&text), &end);
	buffer_clear(&text);
	if (fault != FAULT_OK)
		return fault;
	backup_list_clear(&r->last.segments);
	r->last = end;
	r->is_open = false;
	return r->has_new_index ? index_take(r) : FAULT_OK;
}

static enum fault
index_write(struct restoring *r)
{
	enum fault fault = backup_dir_make(r->dir, "index.new", &r->owner, 0700);

	r->has_new_index = true;
	return fault == FAULT_OK ? member_write(r, "index.new/data.mdb", 0) : fault;
}

static enum fault
member_take(struct restoring *r)
{
	const char *name = r->tar.member.name;

	if (strcmp(name, BACKUP_LABEL) == 0)
		return r->is_open ? FAULT_DAMAGED : label_read(r);
	if (!r->is_open)
		return FAULT_UNSUPPORTED;
	if (strcmp(name, TAR_MANIFEST) == 0)
		return manifest_read(r);
	if (strcmp(name, "index/data.mdb") == 0)
		return index_write(r);
	if (strcmp(name, "directory/data.mdb") == 0)
		return member_write(r, "directory.mdb", 0);
	if (strncmp(name, "segments/", strlen("segments/")) == 0)
		return segment_write(r, name);
	return FAULT_UNSUPPORTED;
}

static enum fault
members_read(struct restoring *r)
{
	enum fault fault;

	while ((fault = tar_next(&r->tar)) == FAULT_OK) {
		fault = member_take(r);
		if (fault != FAULT_OK)
			return fault;
	}
	if (fault != FAULT_NOT_FOUND)
		return fault;
	/* Without its manifest an archive was cut. */
	return r->is_open || r->last.store == 0 || r->index_at == 0 ? FAULT_DAMAGED : FAULT_OK;
}

/* What the log has behind the index. */
static enum fault
log_replay(struct restoring *r, struct restore_replay *replay)
{
	char index[PATH_MAX];
	struct backup_state state;
	enum fault fault = directory_path(r->dir, "index", index);

	*replay = (struct restore_replay){
		.dir = r->dir, .until = r->options->at, .last = r->last.until.sequence};
	if (fault == FAULT_OK)
		fault = backup_state_load(index, &state);
	if (fault == FAULT_OK && state.store != r->last.store)
		fault = FAULT_CONFLICT;
	if (fault == FAULT_OK && r->index_at > r->options->at)
		fault = FAULT_EXPIRED;
	if (fault == FAULT_OK)
		fault = restore_replay(index, replay);
	if (fault == FAULT_OK && !replay->was_stopped &&
		replay->point.sequence < r->last.until.sequence)
		fault = FAULT_DAMAGED;
	return fault;
}

struct pruning {
	int dir;
	const struct segment_tail *tail;
	const struct backup_list *had; /* NULL: all may have been needed */
	struct backup_list kept;
};

/* Nothing may follow on the log's end, or the start of the store would go on with it. */
static enum fault
segment_prune(void *arg, const char *name)
{
	struct pruning *p = arg;
	uint32_t segment;
	int rc = 0;

	if (!segment_name_parse(slice_text(name), &segment))
		return FAULT_OK;
	if (segment > p->tail->segment || (p->had != NULL && !backup_list_has(p->had, segment)))
		return unlinkat(p->dir, name, 0) < 0 ? fault_from_errno(errno) : FAULT_OK;
	if (segment == p->tail->segment) {
		int file = openat(p->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		rc = file < 0 ? -1 : ftruncate(file, (off_t)p->tail->length);
		if (rc == 0)
			rc = fsync(file);
		if (file >= 0)
			close(file);
	}
	return rc < 0 ? fault_from_errno(errno) : backup_list_add(&p->kept, segment);
}

static enum fault
segments_prune(struct restoring *r, const struct restore_replay *replay)
{
	struct pruning p = {.tail = &replay->point.tail,
		.had = r->options->at == RESTORE_NEWEST ? &r->last.segments : NULL};
	char path[PATH_MAX];
	enum fault fault = directory_path(r->dir, "segments", path);

	if (fault != FAULT_OK)
		return fault;
	p.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fault = p.dir < 0 ? fault_from_errno(errno) : directory_each(p.dir, segment_prune, &p);
	if (fault == FAULT_OK && fsync(p.dir) < 0)
		fault = fault_from_errno(errno);
	if (p.dir >= 0)
		close(p.dir);
	struct backup_mark mark = {r->last.taken_at, &p.kept};
	if (fault == FAULT_OK)
		fault = directory_path(r->dir, "index", path);
	if (fault == FAULT_OK)
		fault = backup_index_mark(path, &mark);
	backup_list_clear(&p.kept);
	return fault;
}

static enum fault
place_make(struct restoring *r, const char *to)
{
	enum fault fault = backup_owner_of(to, &r->owner);

	if (fault == FAULT_OK)
		fault = restore_begin(to, &r->owner);
	if (fault == FAULT_OK)
		fault = directory_path(to, "restore.new", r->dir);
	if (fault == FAULT_OK)
		fault = backup_dir_make(r->dir, "segments", &r->owner, 0750);
	return fault == FAULT_OK ? backup_dir_make(r->dir, "index", &r->owner, 0750) : fault;
}

static enum fault
stream_restore(struct restoring *r, const char *to, struct restore_result *result)
{
	struct restore_replay replay;
	char directory[PATH_MAX];
	enum fault fault = place_make(r, to);

	if (fault == FAULT_OK)
		fault = members_read(r);
	if (fault == FAULT_OK)
		fault = log_replay(r, &replay);
	if (fault == FAULT_OK)
		fault = segments_prune(r, &replay);
	if (fault == FAULT_OK)
		fault = directory_path(r->dir, "directory.mdb", directory);
	if (fault == FAULT_OK && r->options->directory != NULL)
		fault = restore_directory(directory, r->options->directory, &result->has_directory);
	if (fault == FAULT_OK)
		fault = restore_finish(to, &r->owner);
	if (fault != FAULT_OK)
		return fault;
	result->commits = replay.point.sequence;
	result->replayed = replay.commits;
	result->taken_at = r->last.taken_at;
	return FAULT_OK;
}

enum fault
store_restore_stream(int in, const char *to, const struct restore_options *options,
	struct restore_result *result)
{
	struct restoring r = {.options = options};
	enum fault fault = FAULT_NOMEM;

	*result = (struct restore_result){0};
	tar_reader_init(&r.tar, in);
	r.piece = malloc(BACKUP_PIECE);
	if (r.piece != NULL)
		fault = stream_restore(&r, to, result);
	result->bytes = r.tar.read;
	backup_list_clear(&r.now.segments);
	backup_list_clear(&r.last.segments);
	tar_reader_clear(&r.tar);
	free(r.piece);
	return fault;
}
