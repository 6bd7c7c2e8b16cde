/* SPDX-License-Identifier: ISC */
/*
 * Appending to segment files: mailboxd (store) and queued (queue).  What lies past the committed
 * tail has never happened: it is cut off after a fault, and at start after a crash.
 */
#include "common/store/segment_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/*
 * Blocks are taken ahead, so that most syncs write data only: a file that grows costs a commit of
 * the file system's journal each time.
 */
#define ALLOCATE_AHEAD (UINT64_C(4) << 20)

/*
 * A block's first write costs a commit of the file system's journal, too.  Where few bytes come
 * with each sync that would be most of the cost: there zeros are written ahead.
 */
enum { ZEROS_AHEAD = 256 * 1024, ZEROS_LEFT = 16 * 1024, SMALL_SYNC = 64 * 1024 };
static char zeros[ZEROS_AHEAD];

/* Zero bytes between records. */
static const char padding[SEGMENT_ALIGN];

/* The last errno as a fault; told to the administrator. */
static enum fault
trouble(struct segments *s, const char *what)
{
	char name[SEGMENT_NAME_SIZE];
	int error = errno;

	if (log_limit_pass(&s->told, clock_mono_ms(&clock_system)))
		log_error("segment %s: cannot %s at %llu: %s", segment_name(s->tail.segment, name),
			what, (unsigned long long)s->tail.length, strerror(error));
	return fault_from_errno(error);
}

enum fault
segments_open(const char *dir, const struct segments_options *options, struct segments **segments)
{
	struct segments *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return FAULT_NOMEM;
	s->file = -1;
	s->size_max = options->size_max != 0 ? options->size_max : SEGMENT_SIZE_MAX;
	s->mode = options->group_reads ? 0640 : 0600;
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0) {
		enum fault fault = fault_from_errno(errno);
		free(s);
		return fault;
	}
	segment_key_find(s);
	*segments = s;
	return FAULT_OK;
}

/* The open file is always that of s->tail. */
static void
file_close(struct segments *s)
{
	/* What was taken ahead is given back; if that fails, the next start does it. */
	if (s->file >= 0 && s->allocated > s->tail.length &&
		ftruncate(s->file, (off_t)s->tail.length) == 0)
		s->allocated = s->tail.length;
	/* Data was synced before, or is given up: close has nothing to report. */
	if (s->file >= 0)
		close(s->file);
	s->file = -1;
}

/*
 * Takes blocks ahead of end.  Mail must leave a reserve behind it, from which changes of the index
 * (an expunge that makes room, say) can be logged when the disk is full.
 */
static enum fault
allocate_ahead(struct segments *s, uint64_t end, bool is_mail)
{
	uint64_t least = end + SEGMENT_RESERVE, ahead = end + ALLOCATE_AHEAD;

	if (least <= s->allocated || s->cannot_allocate)
		return FAULT_OK;
	if (ahead > s->size_max)
		ahead = s->size_max > least ? s->size_max : least;
	while (fallocate(s->file, 0, (off_t)s->tail.length, (off_t)(ahead - s->tail.length)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP || errno == ENOSYS) {
			s->cannot_allocate = true;
			return FAULT_OK;
		}
		if (ahead == least)
			return is_mail ? trouble(s, "take room for mail") : FAULT_OK;
		ahead = least;
	}
	s->allocated = ahead;
	return FAULT_OK;
}

void
segments_close(struct segments *s)
{
	if (s == NULL)
		return;
	file_close(s);
	close(s->dir);
	free(s);
}

/*
 * Only a file whose head tells the key of its headers is written to: what stands in another one
 * could be forged (format 1 had no heads), or read by nobody.
 */
static enum fault
key_of_file(struct segments *s)
{
	struct segment_key key;
	enum fault fault = segment_key_read(s->file, &key);

	if (fault == FAULT_OK)
		s->key = key;
	if (fault != FAULT_NOT_FOUND && fault != FAULT_DAMAGED)
		return fault;
	s->must_turn = true;
	return FAULT_OK;
}

static enum fault
file_open(struct segments *s, uint32_t segment, int flags)
{
	char name[SEGMENT_NAME_SIZE];

	file_close(s);
	s->file = openat(s->dir, segment_name(segment, name),
		O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, s->mode);
	if (s->file < 0)
		return trouble(s, (flags & O_CREAT) != 0 ? "begin the next file" : "open it");
	if ((flags & O_CREAT) == 0)
		return key_of_file(s);
	if (fchmod(s->file, s->mode) < 0) {
		enum fault fault = fault_from_errno(errno);
		close(s->file);
		s->file = -1;
		return fault;
	}
	return FAULT_OK;
}

enum fault
segments_remove(struct segments *s, uint32_t segment)
{
	char name[SEGMENT_NAME_SIZE];

	assert(segment != s->tail.segment);
	if (unlinkat(s->dir, segment_name(segment, name), 0) < 0 && errno != ENOENT)
		return fault_from_errno(errno);
	return FAULT_OK;
}

/* Opens the tail's file and cuts it to the tail's length. */
static enum fault
tail_restore(struct segments *s, struct segment_tail tail)
{
	struct stat status;

	file_close(s);
	s->tail = tail;
	s->allocated = s->zeroed = s->synced = tail.length;
	if (tail.segment == 0)
		return FAULT_OK;
	enum fault fault = file_open(s, tail.segment, 0);
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	if (fstat(s->file, &status) < 0)
		return fault_from_errno(errno);
	if (status.st_size < 0 || (uint64_t)status.st_size < tail.length)
		return FAULT_DAMAGED;
	if ((uint64_t)status.st_size > tail.length && ftruncate(s->file, (off_t)tail.length) < 0)
		return fault_from_errno(errno);
	return FAULT_OK;
}

enum fault
segments_recover(struct segments *s, struct segment_tail tail)
{
	enum fault fault = tail_restore(s, tail);
	if (fault == FAULT_OK)
		fault = segment_later_remove(s, tail.segment);
	s->file_dirty = s->dir_dirty = true;
	/* A backup has none. */
	if (fault == FAULT_OK && s->key_is_known)
		segment_key_copy(s);
	return fault;
}

enum fault
segments_cut(struct segments *s, struct segment_tail tail)
{
	if (s->broken == FAULT_OK && s->file >= 0 && tail.segment == s->tail.segment &&
		tail.length == s->tail.length)
		return FAULT_OK;
	enum fault fault = tail_restore(s, tail);
	if (fault == FAULT_OK)
		fault = segment_later_remove(s, tail.segment);
	/* What is left may wait for its first sync, and the cut itself can be made durable. */
	s->file_dirty = s->dir_dirty = true;
	/* One that was done by half has to be done again, whatever the tail says now. */
	s->broken = fault_of_host(fault);
	return fault;
}

/* Writes all of the parts at the tail. */
static enum fault
write_parts(struct segments *s, struct iovec *parts, int count)
{
	uint64_t offset = s->tail.length;

	while (count > 0) {
		ssize_t n = pwritev(s->file, parts, count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return trouble(s, "write");
		offset += (uint64_t)n;
		for (size_t left = (size_t)n; count > 0; parts++, count--) {
			if (left < parts->iov_len) {
				parts->iov_base = (char *)parts->iov_base + left;
				parts->iov_len -= left;
				break;
			}
			left -= parts->iov_len;
		}
	}
	return FAULT_OK;
}

enum fault
segments_rewrite(struct segments *s, struct segment_tail from)
{
	enum { CHUNK = 64 * 1024 };
	static char bytes[CHUNK];
	/* An earlier file was synced before this one was begun. */
	uint64_t at = from.segment == s->tail.segment ? from.length : 0;

	while (s->file >= 0 && at < s->tail.length) {
		uint64_t left = s->tail.length - at;
		ssize_t n = pread(s->file, bytes, left < CHUNK ? (size_t)left : CHUNK, (off_t)at);
		if (n > 0)
			n = pwrite(s->file, bytes, (size_t)n, (off_t)at);
		if (n <= 0)
			return n < 0 ? trouble(s, "write again") : FAULT_DAMAGED;
		at += (uint64_t)n;
	}
	return FAULT_OK;
}

/* A new file tells the key of its headers before anything else. */
static enum fault
head_write(struct segments *s)
{
	uint8_t head[SEGMENT_HEAD_SIZE];
	struct iovec part = {head, sizeof(head)};

	segment_head_encode(&s->key, head);
	s->file_dirty = true;
	enum fault fault = write_parts(s, &part, 1);
	if (fault == FAULT_OK)
		s->tail.length = sizeof(head);
	segment_key_copy(s);
	return fault;
}

/* The kernel tells of lost pages once: a second sync would say that all is well. */
static enum fault
sync_failed(struct segments *s, const char *what)
{
	s->broken = fault_of_host(trouble(s, what));
	return s->broken;
}

/*
 * A full file ends with its last record, durably: zeros there would look like records that are
 * lost, once the segments behind it have been removed.
 */
static enum fault
file_finish(struct segments *s)
{
	if (s->file < 0 || s->allocated <= s->tail.length)
		return FAULT_OK;
	if (ftruncate(s->file, (off_t)s->tail.length) < 0)
		return trouble(s, "give blocks back");
	s->allocated = s->zeroed = s->tail.length;
	return fsync(s->file) < 0 ? sync_failed(s, "sync") : FAULT_OK;
}

/* Begins a new file.  The old one is made durable first: segments_sync() knows only the last. */
static enum fault
roll_over(struct segments *s)
{
	enum fault fault = FAULT_OK;

	if (s->file >= 0 && s->file_dirty)
		fault = segments_sync(s);
	if (fault == FAULT_OK)
		fault = file_finish(s);
	if (fault == FAULT_OK)
		fault = file_open(s, s->tail.segment + 1, O_CREAT | O_TRUNC);
	if (fault != FAULT_OK)
		return fault;
	struct segment_tail full = s->tail;
	s->tail = (struct segment_tail){.segment = full.segment + 1};
	s->allocated = s->zeroed = s->synced = 0;
	s->dir_dirty = true;
	fault = head_write(s);
	if (fault == FAULT_OK) {
		s->must_turn = false;
		return FAULT_OK;
	}
	/* Without its head a file must not be written to: the next try begins it anew. */
	file_close(s);
	s->tail = full;
	s->allocated = s->zeroed = s->synced = full.length;
	s->file_dirty = false;
	return fault;
}

static struct iovec
part_of(struct slice s)
{
	return (struct iovec){(void *)(uintptr_t)s.data, s.len};
}

/* The file that the next record goes to. */
static enum fault
tail_ensure(struct segments *s, bool is_mail)
{
	if (s->broken != FAULT_OK)
		return s->broken;
	/* Changes of the index ask for a new file only when this one has grown far too long. */
	bool is_full = s->tail.length >= (is_mail ? 1u : 2u) * s->size_max;
	enum fault fault = FAULT_OK;
	if (s->file < 0 && s->tail.segment != 0)
		fault = file_open(s, s->tail.segment, 0);
	if (fault == FAULT_OK && (s->tail.segment == 0 || s->must_turn || is_full))
		fault = roll_over(s);
	return fault_of_host(fault);
}

enum fault
segments_append(
	struct segments *s, const struct segment_record *record, struct segment_place *place)
{
	uint8_t header[SEGMENT_HEADER_SIZE];

	if (record->prefix.len > UINT32_MAX || record->structure.len > UINT32_MAX)
		return FAULT_TOO_BIG;
	bool is_mail = record->kind != SEGMENT_CHANGES;
	enum fault fault = tail_ensure(s, is_mail);
	if (fault != FAULT_OK)
		return fault;
	segment_header_encode(record, &s->key, header);
	uint64_t length = segment_record_length(record);
	uint64_t unpadded =
		SEGMENT_HEADER_SIZE + record->prefix.len + record->structure.len + record->body.len;
	struct iovec parts[] = {{header, sizeof(header)}, part_of(record->prefix),
		part_of(record->structure), part_of(record->body),
		{(void *)(uintptr_t)padding, length - unpadded}};
	s->file_dirty = true;
	fault = allocate_ahead(s, s->tail.length + length, is_mail);
	if (fault == FAULT_OK)
		fault = write_parts(s, parts, sizeof(parts) / sizeof(parts[0]));
	if (fault != FAULT_OK)
		return fault_of_host(fault);
	*place = (struct segment_place){s->tail.segment, s->tail.length, length};
	memcpy(s->header_checksum, header + SEGMENT_HEADER_SIZE - SEGMENT_CHECKSUM_SIZE,
		SEGMENT_CHECKSUM_SIZE);
	s->tail.length += length;
	return FAULT_OK;
}

const uint8_t *
segments_header_checksum(const struct segments *s)
{
	return s->header_checksum;
}

/* No guarantee hangs on it. */
static void
write_ahead(struct segments *s)
{
	uint64_t from = s->zeroed > s->tail.length ? s->zeroed : s->tail.length;
	uint64_t end = from + ZEROS_AHEAD < s->allocated ? from + ZEROS_AHEAD : s->allocated;
	bool is_small = s->tail.length - s->synced <= SMALL_SYNC;

	s->synced = s->tail.length;
	if (!is_small || s->zeroed >= s->tail.length + ZEROS_LEFT || from >= end)
		return;
	ssize_t n = pwrite(s->file, zeros, (size_t)(end - from), (off_t)from);
	if (n > 0)
		s->zeroed = from + (uint64_t)n;
}

enum fault
segments_sync(struct segments *s)
{
	if (s->broken != FAULT_OK)
		return s->broken;
	/* The bytes must be on disk before an index that points at them is. */
	if (s->file_dirty && s->file >= 0 && fdatasync(s->file) < 0)
		return sync_failed(s, "sync");
	s->file_dirty = false;
	/* A new file's name too, or the index would point at no file after a crash. */
	if (s->dir_dirty && fsync(s->dir) < 0)
		return sync_failed(s, "sync the directory");
	s->dir_dirty = false;
	if (s->file >= 0)
		write_ahead(s);
	return FAULT_OK;
}

void
segments_turn(struct segments *s)
{
	s->must_turn = s->tail.segment != 0 && s->tail.length > SEGMENT_HEAD_SIZE;
}

struct segment_tail
segments_tail(const struct segments *s)
{
	return s->tail;
}

enum fault
segments_punch(struct segments *s, const struct segment_place *place)
{
	char name[SEGMENT_NAME_SIZE];

	if (place->length <= SEGMENT_HEADER_SIZE)
		return FAULT_OK;
	int file = openat(
		s->dir, segment_name(place->segment, name), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	int rc = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)(place->offset + SEGMENT_HEADER_SIZE),
		(off_t)(place->length - SEGMENT_HEADER_SIZE));
	enum fault fault = FAULT_OK;
	/* A file system without holes keeps the bytes until the whole segment is dead. */
	if (rc < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		fault = fault_from_errno(errno);
	close(file);
	return fault;
}
