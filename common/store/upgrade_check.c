/* SPDX-License-Identifier: ISC */
#include "common/store/upgrade_check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/store/checkpoint.h"
#include "common/store/index.h"

/* An older format may lack some tables of today; these were always there. */
enum { TABLE_META, TABLE_MESSAGES, TABLE_EXPUNGED };
static const char *const tables[] = {"meta", "messages", "expunged", NULL};
_Static_assert((int)TABLE_META == (int)INDEX_META, "index_meta_load() reads that table");

/* Measured with a million messages, and rounded up. */
enum { RECORDS_PER_SECOND = 100000, BYTES_PER_RECORD = 500 };

static enum fault
free_bytes_ask(const char *dir, uint64_t *bytes)
{
	struct statvfs status;

	if (statvfs(dir, &status) < 0)
		return fault_from_errno(errno);
	*bytes = (uint64_t)status.f_bavail * status.f_frsize;
	return FAULT_OK;
}

static enum fault
file_open(const char *dir, const char *name, int *file)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	*file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *file < 0 ? fault_from_errno(errno) : FAULT_OK;
}

/* FAULT_NOT_FOUND: an older format had none, and needs none. */
static enum fault
checkpoint_load(const char *dir, struct checkpoint *checkpoint)
{
	int file;
	enum fault fault = file_open(dir, "checkpoint", &file);

	if (fault != FAULT_OK)
		return fault;
	fault = checkpoint_read(file, checkpoint);
	close(file);
	return fault;
}

/* The index is as the checkpoint says: nothing was committed since. */
static enum fault
metas_compare(const char *dir, const struct kv_metas *metas)
{
	char found[KV_META_SIZE];
	int file;
	enum fault fault = file_open(dir, "index/data.mdb", &file);

	if (fault != FAULT_OK)
		return fault;
	for (int i = 0; i < 2 && fault == FAULT_OK; i++) {
		off_t at = (off_t)i * metas->page_size;
		if (pread(file, found, sizeof(found), at) != (ssize_t)sizeof(found) ||
			memcmp(found, metas->pages[i], sizeof(found)) != 0)
			fault = FAULT_EXPIRED;
	}
	close(file);
	return fault;
}

/*
 * Commits after the last checkpoint are in the page cache only: when that is lost, the index may
 * be torn, and LMDB does not bear looking at it.
 */
static enum fault
index_trust(const char *dir)
{
	static const uint8_t unknown[JOURNAL_BOOT_SIZE];
	uint8_t boot_id[JOURNAL_BOOT_SIZE];
	struct checkpoint c;
	enum fault fault = checkpoint_load(dir, &c);

	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
	(void)checkpoint_boot_id(boot_id);
	if (!c.suspect &&
		(memcmp(c.boot_id, boot_id, sizeof(boot_id)) == 0 ||
			memcmp(c.boot_id, unknown, sizeof(unknown)) == 0))
		return FAULT_OK;
	return metas_compare(dir, &c.metas);
}

static enum fault
formats_load(struct kv_txn *txn, struct upgrade_check *check)
{
	enum fault fault = index_meta_load(txn, INDEX_META_FORMAT, &check->format);

	if (fault != FAULT_OK)
		return fault;
	check->from = check->format;
	if (check->format > STORE_FORMAT)
		return FAULT_UNSUPPORTED;
	/* Of an upgrade that did not end. */
	fault = index_meta_load(txn, INDEX_META_UPGRADE, &check->from);
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

static enum fault
index_look(struct kv *kv, struct upgrade_check *check)
{
	struct kv_txn txn;
	enum fault fault = kv_begin_read(kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = formats_load(&txn, check);
	if (fault == FAULT_OK && check->from < STORE_FORMAT)
		check->records = kv_count(&txn, TABLE_MESSAGES) + kv_count(&txn, TABLE_EXPUNGED);
	if (fault == FAULT_OK)
		fault = txn.fault;
	kv_abort(&txn);
	return fault;
}

enum fault
store_upgrade_check(const char *dir, struct upgrade_check *check)
{
	struct kv_options options = {.tables = tables, .readonly = true};
	struct kv *kv = NULL;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/index", dir);

	*check = (struct upgrade_check){0};
	enum fault fault = n < 0 || (size_t)n >= sizeof(path) ? FAULT_TOO_LONG : index_trust(dir);
	if (fault == FAULT_OK)
		fault = kv_open(path, &options, &kv);
	if (fault == FAULT_OK)
		fault = index_look(kv, check);
	kv_close(kv);
	if (fault == FAULT_OK)
		fault = free_bytes_ask(dir, &check->free_bytes);
	if (fault != FAULT_OK || check->from >= STORE_FORMAT)
		return fault;
	check->seconds = 1 + check->records / RECORDS_PER_SECOND;
	check->bytes = check->records * BYTES_PER_RECORD;
	return check->free_bytes < check->bytes ? FAULT_NO_SPACE : FAULT_OK;
}
