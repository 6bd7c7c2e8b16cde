/* SPDX-License-Identifier: ISC */
/*
 * Reading segment files, for every process that reads mail from disk.  A bounded number of
 * descriptors is kept open; the one that was used least recently goes first.
 */
#include "common/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/segment_format.h"

struct open_file {
	uint32_t segment; /* 0: free */
	int file;
	enum { KEY_UNREAD, KEY_NONE, KEY_KNOWN } key_state;
	struct segment_key key; /* of its headers */
	bool is_headless; /* its head is damaged: the key is a guess, or not known */
	uint64_t used_at; /* of segment_files.turn */
};

struct segment_files {
	int dir;
	bool has_key; /* one was found: for a file whose own head is damaged */
	struct segment_key key;
	unsigned most;
	uint64_t turn;
	struct log_limit told;
	struct open_file files[]; /* most of them */
};

enum fault
segment_files_open(const char *dir, unsigned most, struct segment_files **files)
{
	struct segment_files *f = calloc(1, sizeof(*f) + most * sizeof(f->files[0]));

	if (f == NULL)
		return FAULT_NOMEM;
	f->most = most;
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0) {
		enum fault fault = fault_from_errno(errno);
		free(f);
		return fault;
	}
	*files = f;
	return FAULT_OK;
}

void
segment_files_close(struct segment_files *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->most; i++)
		if (f->files[i].segment != 0)
			close(f->files[i].file);
	close(f->dir);
	free(f);
}

/* The entry of a segment, or the one to be used for it: free, or least recently used. */
static struct open_file *
slot_find(struct segment_files *f, uint32_t segment)
{
	struct open_file *oldest = &f->files[0];

	for (unsigned i = 0; i < f->most; i++) {
		if (f->files[i].segment == segment)
			return &f->files[i];
		if (f->files[i].segment == 0 ||
			(oldest->segment != 0 && f->files[i].used_at < oldest->used_at))
			oldest = &f->files[i];
	}
	return oldest;
}

/* The last errno as a fault; told with what an administrator needs to find the place. */
static enum fault
trouble(struct segment_files *f, uint32_t segment, uint64_t offset)
{
	char name[SEGMENT_NAME_SIZE];
	int error = errno;

	/* A file that is not there is told by who knows that it should be. */
	if (error != ENOENT && log_limit_pass(&f->told, clock_mono_ms(&clock_system)))
		log_error("segment %s: cannot read at %llu: %s", segment_name(segment, name),
			(unsigned long long)offset, strerror(error));
	return fault_from_errno(error);
}

static void
slot_free(struct open_file *slot)
{
	if (slot->segment != 0)
		close(slot->file);
	*slot = (struct open_file){0};
}

/* Gives back the descriptor that was used least recently; false when there is none. */
static bool
oldest_free(struct segment_files *f)
{
	struct open_file *oldest = NULL;

	for (unsigned i = 0; i < f->most; i++)
		if (f->files[i].segment != 0 &&
			(oldest == NULL || f->files[i].used_at < oldest->used_at))
			oldest = &f->files[i];
	if (oldest != NULL)
		slot_free(oldest);
	return oldest != NULL;
}

static enum fault
slot_get(struct segment_files *f, uint32_t segment, struct open_file **found)
{
	char name[SEGMENT_NAME_SIZE];

	if (segment == 0)
		return FAULT_DAMAGED;
	struct open_file *slot = slot_find(f, segment);
	if (slot->segment != segment) {
		int opened;
		do
			opened = openat(f->dir, segment_name(segment, name),
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		while (opened < 0 && (errno == EMFILE || errno == ENFILE) && oldest_free(f));
		if (opened < 0)
			return trouble(f, segment, 0);
		slot_free(slot);
		*slot = (struct open_file){.segment = segment, .file = opened};
	}
	slot->used_at = ++f->turn;
	*found = slot;
	return FAULT_OK;
}

static enum fault
file_get(struct segment_files *f, uint32_t segment, int *file)
{
	struct open_file *slot;
	enum fault fault = slot_get(f, segment, &slot);

	if (fault == FAULT_OK)
		*file = slot->file;
	return fault;
}

static void
other_key_read(struct segment_files *f, uint32_t segment)
{
	char name[SEGMENT_NAME_SIZE];
	int file = openat(f->dir, segment_name(segment, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	f->has_key = file >= 0 && segment_key_read(file, &f->key) == FAULT_OK;
	if (file >= 0)
		close(file);
}

/* All files of a store have one key, as a rule. */
static void
other_key_find(struct segment_files *f)
{
	struct dirent *entry;

	if (!f->has_key)
		other_key_read(f, SEGMENT_KEY_COPY);
	int copy = f->has_key ? -1 : openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;

	if (list == NULL && copy >= 0)
		close(copy);
	while (list != NULL && !f->has_key && (entry = readdir(list)) != NULL) {
		uint32_t segment;
		if (segment_name_parse(slice_text(entry->d_name), &segment))
			other_key_read(f, segment);
	}
	if (list != NULL)
		closedir(list);
}

/* What the headers of a file are checked with: NULL for one of format 1. */
static enum fault
key_get(struct segment_files *f, uint32_t segment, const struct segment_key **key)
{
	struct open_file *slot;
	enum fault fault = slot_get(f, segment, &slot);

	*key = NULL;
	if (fault != FAULT_OK)
		return fault;
	if (slot->key_state == KEY_UNREAD) {
		fault = segment_key_read(slot->file, &slot->key);
		slot->is_headless = fault == FAULT_DAMAGED;
		if (fault == FAULT_DAMAGED) {
			other_key_find(f);
			slot->key = f->key;
			fault = f->has_key ? FAULT_OK : FAULT_NOT_FOUND;
		}
		if (fault != FAULT_OK && fault != FAULT_NOT_FOUND)
			return fault;
		slot->key_state = fault == FAULT_OK ? KEY_KNOWN : KEY_NONE;
	}
	if (slot->key_state == KEY_KNOWN)
		*key = &slot->key;
	return FAULT_OK;
}

bool
segment_files_is_headless(struct segment_files *f, uint32_t segment)
{
	const struct segment_key *key;
	struct open_file *slot;

	return key_get(f, segment, &key) == FAULT_OK && slot_get(f, segment, &slot) == FAULT_OK &&
		slot->is_headless;
}

enum fault
segment_files_read(struct segment_files *f, uint32_t segment, uint64_t offset, void *at, size_t len)
{
	int file;
	char *to = at;

	if (offset > INT64_MAX - len)
		return FAULT_DAMAGED;
	enum fault fault = file_get(f, segment, &file);
	if (fault != FAULT_OK)
		return fault;
	while (len > 0) {
		ssize_t n = pread(file, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? trouble(f, segment, offset) : FAULT_DAMAGED;
		to += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return FAULT_OK;
}

enum fault
segment_files_header(
	struct segment_files *f, struct segment_place *place, struct segment_record *record)
{
	uint8_t header[SEGMENT_HEADER_SIZE];
	const struct segment_key *key;
	enum fault fault =
		segment_files_read(f, place->segment, place->offset, header, sizeof(header));

	if (fault == FAULT_OK)
		fault = key_get(f, place->segment, &key);
	if (fault != FAULT_OK)
		return fault;
	fault = segment_header_decode(header, key, record);
	/* The head of the file has no key. */
	if (fault == FAULT_DAMAGED && place->offset == 0)
		fault = segment_header_decode(header, NULL, record);
	if (fault == FAULT_OK)
		place->length = segment_record_length(record);
	return fault;
}

enum fault
segment_files_size(struct segment_files *f, uint32_t segment, uint64_t *size)
{
	struct stat status;
	int file;
	enum fault fault = file_get(f, segment, &file);

	if (fault != FAULT_OK)
		return fault;
	if (fstat(file, &status) < 0)
		return fault_from_errno(errno);
	*size = (uint64_t)status.st_size;
	return FAULT_OK;
}

static void
slot_close(struct open_file *slot)
{
	close(slot->file);
	*slot = (struct open_file){0};
}

void
segment_files_forget(struct segment_files *f, uint32_t segment)
{
	for (unsigned i = 0; i < f->most && segment != 0; i++)
		if (f->files[i].segment == segment)
			slot_close(&f->files[i]);
}

void
segment_files_sweep(struct segment_files *f)
{
	struct stat status;

	for (unsigned i = 0; i < f->most; i++)
		if (f->files[i].segment != 0 && fstat(f->files[i].file, &status) == 0 &&
			status.st_nlink == 0)
			slot_close(&f->files[i]);
}
