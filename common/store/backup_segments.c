/* SPDX-License-Identifier: ISC */
/*
 * Copying segments, so that a copy that is broken off can be gone on with.  A file is moved into
 * the target only when it is durable up to its length, and is written in another directory until
 * then; but for the last segment of an earlier backup, which grows in place: what is behind the
 * length that the backup's index tells does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/backup_private.h"
#include "common/store/segment_format.h"

/* One segment on its way. */
struct piece {
	int source;
	int target;
	uint64_t have; /* bytes that the target has */
	uint64_t length;
	char name[SEGMENT_NAME_SIZE];
	bool in_place;
};

bool
backup_is_zero(const char *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static enum fault
dir_open(const char *above, const char *name, int *dir)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(above, name, path);

	if (fault != FAULT_OK)
		return fault;
	*dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir < 0 ? fault_from_errno(errno) : FAULT_OK;
}

enum fault
backup_copy_open(struct backup_copy *c, const char *from, const char *to)
{
	enum fault fault = backup_dir_make(to, "segments", &c->owner, 0750);

	c->source = c->target = c->unfinished = -1;
	c->piece = malloc(BACKUP_PIECE);
	if (c->piece == NULL)
		return FAULT_NOMEM;
	if (fault == FAULT_OK)
		fault = backup_dir_make(to, BACKUP_UNFINISHED, &c->owner, 0700);
	if (fault == FAULT_OK)
		fault = dir_open(from, "segments", &c->source);
	if (fault == FAULT_OK)
		fault = dir_open(to, "segments", &c->target);
	return fault == FAULT_OK ? dir_open(to, BACKUP_UNFINISHED, &c->unfinished) : fault;
}

void
backup_copy_close(struct backup_copy *c)
{
	/* Opened for reading, or synced: close has nothing to report. */
	if (c->source >= 0)
		close(c->source);
	if (c->target >= 0)
		close(c->target);
	if (c->unfinished >= 0)
		close(c->unfinished);
	free(c->piece);
	backup_list_clear(&c->seen);
}

/* Copies from p->have to p->length. */
static enum fault
range_copy(struct backup_copy *c, struct piece *p)
{
	while (p->have < p->length) {
		uint64_t left = p->length - p->have;
		size_t want = left < BACKUP_PIECE ? (size_t)left : BACKUP_PIECE;
		ssize_t n = pread(p->source, c->piece, want, (off_t)p->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fault_from_errno(errno) : FAULT_DAMAGED;
		enum fault fault = FAULT_OK;
		if (!backup_is_zero(c->piece, (size_t)n))
			fault = backup_write(p->target, c->piece, (size_t)n, p->have);
		if (fault != FAULT_OK)
			return fault;
		p->have += (uint64_t)n;
		c->bytes += (uint64_t)n;
		if (c->progress != NULL)
			c->progress(c->arg, c->bytes);
	}
	return FAULT_OK;
}

/* How much of the segment the target has, for sure. */
static enum fault
have_find(struct backup_copy *c, struct piece *p, uint32_t segment)
{
	struct stat status;

	p->in_place = false;
	p->have = 0;
	if (fstatat(c->target, p->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	p->have = (uint64_t)status.st_size;
	p->in_place = segment <= c->done.segment;
	if (segment == c->done.segment && p->have > c->done.length)
		p->have = c->done.length;
	return FAULT_OK;
}

/* Opens the target's file for what is missing. */
static enum fault
target_open(struct backup_copy *c, struct piece *p)
{
	bool is_new = p->have == 0 && !p->in_place;

	if (!is_new && !p->in_place && renameat(c->target, p->name, c->unfinished, p->name) < 0)
		return fault_from_errno(errno);
	p->target = openat(p->in_place ? c->target : c->unfinished, p->name,
		O_RDWR | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_CREAT | O_TRUNC : 0), 0600);
	if (p->target < 0 || ftruncate(p->target, (off_t)p->have) < 0)
		return fault_from_errno(errno);
	return backup_file_own(p->target, &c->owner, 0640);
}

static enum fault
target_finish(struct backup_copy *c, struct piece *p)
{
	if (ftruncate(p->target, (off_t)p->length) < 0 || fsync(p->target) < 0)
		return fault_from_errno(errno);
	if (!p->in_place && renameat(c->unfinished, p->name, c->target, p->name) < 0)
		return fault_from_errno(errno);
	return FAULT_OK;
}

/* A full segment has its final length only once its writer has given back what it took ahead. */
static enum fault
length_limit(struct piece *p)
{
	struct stat status;

	if (fstat(p->source, &status) < 0)
		return fault_from_errno(errno);
	if (p->length > (uint64_t)status.st_size)
		p->length = (uint64_t)status.st_size;
	return FAULT_OK;
}

static enum fault
piece_copy(struct backup_copy *c, struct piece *p, uint32_t segment)
{
	enum fault fault = length_limit(p);

	if (fault == FAULT_OK)
		fault = have_find(c, p, segment);
	if (fault != FAULT_OK || (p->have >= p->length && p->length > 0))
		return fault;
	fault = target_open(c, p);
	if (fault == FAULT_OK)
		fault = range_copy(c, p);
	if (fault == FAULT_OK)
		fault = target_finish(c, p);
	/* Copied again it may be less by then: the snapshot may name what is punched out now. */
	if (fault == FAULT_OK && segment == c->done.segment)
		c->done.length = p->length;
	return fault;
}

enum fault
backup_segment_copy(struct backup_copy *c, uint32_t segment, uint64_t length)
{
	struct piece p = {.target = -1, .length = length};

	segment_name(segment, p.name);
	p.source = openat(c->source, p.name, O_RDONLY | O_CLOEXEC);
	/* Gone meanwhile: nothing lived in it. */
	if (p.source < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	enum fault fault = backup_list_add(&c->seen, segment);
	if (fault == FAULT_OK)
		fault = piece_copy(c, &p, segment);
	if (p.target >= 0)
		close(p.target);
	close(p.source);
	return fault;
}

struct listing {
	struct backup_list found;
	uint32_t last;
};

static enum fault
name_gather(void *arg, const char *name)
{
	struct listing *l = arg;
	uint32_t segment;

	if (!segment_name_parse(slice_text(name), &segment) || segment > l->last)
		return FAULT_OK;
	return backup_list_add(&l->found, segment);
}

enum fault
backup_segments_copy(struct backup_copy *c, const struct segment_tail *tail)
{
	struct listing l = {.last = tail->segment};
	enum fault fault = directory_each(c->source, name_gather, &l);

	for (size_t i = 0; fault == FAULT_OK && i < l.found.count; i++)
		fault = backup_segment_copy(c, l.found.at[i],
			l.found.at[i] == tail->segment ? tail->length : UINT64_MAX);
	backup_list_clear(&l.found);
	if (fault == FAULT_OK && fsync(c->target) < 0)
		fault = fault_from_errno(errno);
	return fault;
}
