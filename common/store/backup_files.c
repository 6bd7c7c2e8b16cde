/* SPDX-License-Identifier: ISC */
/*
 * Files of a backup: who owns them, copies of the index, and what a copy says of itself.  Linked by
 * mailctl, which runs as root as a rule; what it writes belongs to the owner of the target.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/backup_private.h"

enum { LIST_FIRST = 64 };

enum fault
backup_list_add(struct backup_list *l, uint32_t segment)
{
	size_t at = l->count;

	while (at > 0 && l->at[at - 1] > segment)
		at--;
	if (at > 0 && l->at[at - 1] == segment)
		return FAULT_OK;
	if (l->count == l->size) {
		size_t size = l->size == 0 ? LIST_FIRST : l->size * 2;
		uint32_t *grown = reallocarray(l->at, size, sizeof(*grown));
		if (grown == NULL)
			return FAULT_NOMEM;
		l->at = grown;
		l->size = size;
	}
	memmove(l->at + at + 1, l->at + at, (l->count - at) * sizeof(l->at[0]));
	l->at[at] = segment;
	l->count++;
	return FAULT_OK;
}

bool
backup_list_has(const struct backup_list *l, uint32_t segment)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (l->at[middle] == segment)
			return true;
		if (l->at[middle] < segment)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

void
backup_list_clear(struct backup_list *l)
{
	free(l->at);
	*l = (struct backup_list){0};
}

enum fault
backup_list_load(struct kv_txn *txn, struct backup_list *l)
{
	struct slice value;
	enum fault fault = FAULT_OK;

	if (!kv_get(txn, INDEX_META, SLICE(INDEX_META_BACKUP_SEGMENTS), &value))
		return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
	for (size_t i = 0; fault == FAULT_OK && i + 4 <= value.len; i += 4)
		fault = backup_list_add(l, get_u32(value.data + i));
	return fault;
}

enum fault
backup_index_open(const char *index, bool readonly, struct kv **kv)
{
	struct kv_options options = {.tables = index_tables, .readonly = readonly};

	return kv_open(index, &options, kv);
}

static enum fault
state_read(struct kv *kv, struct backup_state *state)
{
	struct kv_txn txn;
	uint64_t format = 0, taken_at = 0;
	enum fault fault = kv_begin_read(kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&txn, INDEX_META_FORMAT, &format);
	if (fault == FAULT_OK && format != STORE_FORMAT)
		fault = FAULT_UNSUPPORTED;
	if (fault == FAULT_OK)
		fault = index_meta_load(&txn, INDEX_META_STORE, &state->store);
	if (fault == FAULT_OK)
		fault = journal_point_load(&txn, INDEX_META, &state->point);
	if (fault == FAULT_OK && index_meta_load(&txn, INDEX_META_BACKUP_AT, &taken_at) == FAULT_OK)
		state->taken_at = (int64_t)taken_at;
	kv_abort(&txn);
	return fault;
}

enum fault
backup_state_load(const char *index, struct backup_state *state)
{
	struct kv *kv = NULL;
	enum fault fault = backup_index_open(index, true, &kv);

	*state = (struct backup_state){0};
	if (fault == FAULT_OK)
		fault = state_read(kv, state);
	kv_close(kv);
	return fault;
}

enum fault
backup_owner_of(const char *dir, struct backup_owner *owner)
{
	struct stat status;

	if (stat(dir, &status) < 0)
		return fault_from_errno(errno);
	*owner = (struct backup_owner){status.st_uid, status.st_gid};
	return FAULT_OK;
}

enum fault
backup_file_own(int file, const struct backup_owner *owner, mode_t mode)
{
	if (geteuid() == 0 && fchown(file, owner->uid, owner->gid) < 0)
		return fault_from_errno(errno);
	return fchmod(file, mode) < 0 ? fault_from_errno(errno) : FAULT_OK;
}

enum fault
backup_path_own(const char *path, const struct backup_owner *owner, mode_t mode)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (file < 0)
		return fault_from_errno(errno);
	enum fault fault = backup_file_own(file, owner, mode);
	if (fault == FAULT_OK && fsync(file) < 0)
		fault = fault_from_errno(errno);
	close(file);
	return fault;
}

enum fault
backup_dir_make(const char *dir, const char *name, const struct backup_owner *owner, mode_t mode)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, name, path);

	if (fault != FAULT_OK)
		return fault;
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? FAULT_OK : fault_from_errno(errno);
	return backup_path_own(path, owner, mode);
}

static enum fault
any_name(void *arg, const char *name)
{
	(void)arg, (void)name;
	return FAULT_EXISTS;
}

enum fault
backup_no_segments(const char *dir)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, "segments", path);

	if (fault != FAULT_OK)
		return fault;
	int segments = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (segments < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	fault = directory_each(segments, any_name, NULL);
	close(segments);
	return fault;
}

enum fault
backup_write(int file, const char *bytes, size_t len, uint64_t offset)
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

static enum fault
bytes_copy(int source, int target)
{
	char *piece = malloc(BACKUP_PIECE);
	enum fault fault = piece != NULL ? FAULT_OK : FAULT_NOMEM;
	uint64_t at = 0;

	while (fault == FAULT_OK) {
		ssize_t n = pread(source, piece, BACKUP_PIECE, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fault = fault_from_errno(errno);
		if (n <= 0)
			break;
		fault = backup_write(target, piece, (size_t)n, at);
		at += (uint64_t)n;
	}
	free(piece);
	return fault;
}

enum fault
backup_file_copy(const char *from, const char *to, const struct backup_owner *owner, mode_t mode)
{
	int target = -1, source = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	enum fault fault = FAULT_OK;

	if (source < 0)
		return fault_from_errno(errno);
	target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (target < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = bytes_copy(source, target);
	if (fault == FAULT_OK)
		fault = backup_file_own(target, owner, mode);
	if (fault == FAULT_OK && fsync(target) < 0)
		fault = fault_from_errno(errno);
	if (target >= 0)
		close(target);
	close(source);
	return fault;
}

/* LMDB wants an empty directory; what it finds there is of a backup that was broken off. */
enum fault
backup_index_copy(const char *from, const char *to, const struct backup_owner *owner)
{
	static const char *const no_tables[] = {NULL};
	struct kv_options options = {.tables = no_tables, .readonly = true};
	char file[PATH_MAX];
	struct kv *kv = NULL;
	enum fault fault = directory_path(to, "data.mdb", file);

	if (fault == FAULT_OK)
		fault = directory_remove(to);
	if (fault == FAULT_OK && mkdir(to, 0700) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = kv_open(from, &options, &kv);
	if (fault == FAULT_OK)
		fault = kv_copy(kv, to);
	kv_close(kv);
	return fault != FAULT_OK ? fault : backup_path_own(file, owner, 0600);
}

static void
list_save(struct kv_txn *txn, const struct backup_list *l)
{
	uint8_t *bytes = calloc(l->count + 1, 4);

	if (bytes == NULL) {
		kv_fail(txn, FAULT_NOMEM);
		return;
	}
	for (size_t i = 0; i < l->count; i++)
		put_u32(bytes + i * 4, l->at[i]);
	kv_put(txn, INDEX_META, SLICE(INDEX_META_BACKUP_SEGMENTS), slice_make(bytes, l->count * 4));
	free(bytes);
}

enum fault
backup_index_mark(const char *index, const struct backup_mark *mark)
{
	struct kv_txn txn;
	struct kv *kv = NULL;
	enum fault fault = backup_index_open(index, false, &kv);

	for (int tries = 0; tries < 2; tries++) {
		if (fault == FAULT_OK || fault == FAULT_BUSY)
			fault = kv_begin_write(kv, &txn);
		if (fault != FAULT_OK)
			break;
		index_meta_save(&txn, INDEX_META_BACKUP_AT, (uint64_t)mark->taken_at);
		list_save(&txn, mark->segments);
		fault = kv_commit(&txn);
		if (fault != FAULT_BUSY)
			break;
	}
	kv_close(kv);
	return fault;
}
