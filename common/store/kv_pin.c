/* SPDX-License-Identifier: ISC */
/*
 * The door to LMDB: what journal.c needs of an environment whose commits are not synced.  LMDB
 * writes a commit to pages that no reader's snapshot holds, and last to one of its two meta pages.
 * So a state that was synced once stays whole on disk as long as a reader's slot holds it; all that
 * gets lost of it are the two meta pages, which kv_metas_restore() puts back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/store/kv_private.h"

/* The whole of a small read or write, or a fault. */
static enum fault
transferred(ssize_t n, size_t wanted)
{
	if (n < 0)
		return fault_from_errno(errno);
	return (size_t)n == wanted ? FAULT_OK : FAULT_DAMAGED;
}

enum fault
kv_metas_read(struct kv *kv, struct kv_metas *metas)
{
	MDB_stat stat;
	int rc = mdb_env_stat(kv->env, &stat);

	if (rc != 0)
		return kv_fault_of(kv, rc);
	metas->page_size = stat.ms_psize;
	enum fault fault = FAULT_OK;
	for (int i = 0; i < 2 && fault == FAULT_OK; i++)
		fault = transferred(pread(kv_file(kv), metas->pages[i], KV_META_SIZE,
					    (off_t)i * metas->page_size),
			KV_META_SIZE);
	return fault;
}

static enum fault
file_open(const char *dir, const char *name, int *file)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	*file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return *file < 0 ? fault_from_errno(errno) : FAULT_OK;
}

/*
 * Whoever has the environment open holds a lock on the first byte of its lock file; whoever wants
 * to open it waits while we hold it.
 */
static enum fault
unused_lock(const char *dir, int *file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	enum fault fault = file_open(dir, "lock.mdb", file);

	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
	if (fcntl(*file, F_SETLK, &lock) < 0)
		return errno == EACCES || errno == EAGAIN ? FAULT_BUSY : fault_from_errno(errno);
	return FAULT_OK;
}

/* What LMDB has at the beginning of its two first pages, as far as it matters here. */
enum { META_MAGIC_AT = 16, META_TXN_AT = 144 };
#define META_MAGIC UINT32_C(0xbeefc0de)

static uint64_t
meta_txn(const uint8_t *page)
{
	uint64_t number;

	memcpy(&number, page + META_TXN_AT, sizeof(number));
	return number;
}

static bool
is_meta(const uint8_t *page)
{
	uint32_t magic;

	memcpy(&magic, page + META_MAGIC_AT, sizeof(magic));
	return magic == META_MAGIC;
}

/* The file went on from that state, or it is another one, which somebody put here. */
static enum fault
lineage_check(int file, const struct kv_metas *metas)
{
	uint32_t size = metas->page_size;

	if (size < KV_META_SIZE || size > KV_PAGE_MAX || (size & (size - 1)) != 0)
		return FAULT_DAMAGED;
	for (int i = 0; i < 2; i++) {
		const uint8_t *then = metas->pages[i];
		uint8_t now[KV_META_SIZE];
		enum fault fault =
			transferred(pread(file, now, sizeof(now), (off_t)i * size), sizeof(now));
		if (fault != FAULT_OK)
			return fault;
		if (!is_meta(then) || (is_meta(now) && meta_txn(now) < meta_txn(then)))
			return FAULT_DAMAGED;
	}
	return FAULT_OK;
}

enum fault
kv_metas_restore(const char *dir, const struct kv_metas *metas)
{
	int file = -1, lock = -1;
	enum fault fault = unused_lock(dir, &lock);

	if (fault == FAULT_OK)
		fault = file_open(dir, "data.mdb", &file);
	if (fault == FAULT_OK)
		fault = lineage_check(file, metas);
	for (int i = 0; i < 2 && fault == FAULT_OK; i++)
		fault = transferred(
			pwrite(file, metas->pages[i], KV_META_SIZE, (off_t)i * metas->page_size),
			KV_META_SIZE);
	if (fault == FAULT_OK && fdatasync(file) < 0)
		fault = fault_from_errno(errno);
	if (file >= 0)
		close(file);
	if (lock >= 0)
		close(lock);
	return fault;
}

enum fault
kv_pin_next(struct kv *kv)
{
	if (kv->env == NULL || kv->pin_next != NULL)
		return FAULT_INTERNAL;
	return kv_fault_of(kv, mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &kv->pin_next));
}

void
kv_pin_move(struct kv *kv)
{
	if (kv->pin != NULL)
		mdb_txn_abort(kv->pin);
	kv->pin = kv->pin_next;
	kv->pin_next = NULL;
}

void
kv_pin_stay(struct kv *kv)
{
	if (kv->pin_next != NULL)
		mdb_txn_abort(kv->pin_next);
	kv->pin_next = NULL;
}

int
kv_file(const struct kv *kv)
{
	int file = -1;

	if (kv->env != NULL)
		(void)mdb_env_get_fd(kv->env, &file);
	return file;
}

uint64_t
kv_size(struct kv *kv)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (kv->env == NULL || mdb_env_info(kv->env, &info) != 0 ||
		mdb_env_stat(kv->env, &stat) != 0)
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static enum fault
no_room(struct kv *kv)
{
	int error = errno;

	if (log_limit_pass(&kv->told, clock_mono_ms(kv->options.clock)))
		log_error("%s/data.mdb: cannot take room: %s", kv->dir, strerror(error));
	return fault_from_errno(error);
}

enum fault
kv_reserve(struct kv *kv, uint64_t bytes)
{
	uint64_t used = kv_size(kv);

	if (used + bytes <= kv->reserved)
		return FAULT_OK;
	/* LMDB knows by itself how much of the file it uses. */
	if (fallocate(kv_file(kv), 0, (off_t)used, (off_t)(2 * bytes)) == 0)
		kv->reserved = used + 2 * bytes;
	else if (fallocate(kv_file(kv), 0, (off_t)used, (off_t)bytes) == 0)
		kv->reserved = used + bytes;
	else if (errno != EOPNOTSUPP && errno != ENOSYS)
		return no_room(kv);
	return FAULT_OK;
}
