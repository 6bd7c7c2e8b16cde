/* SPDX-License-Identifier: ISC */
#include "common/store/upgrade_check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>

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
formats_load(struct kv_txn *txn, struct upgrade_check *check)
{
	enum fault fault = index_meta_load(txn, INDEX_META_FORMAT, &check->format);

	if (fault != FAULT_OK)
		return fault;
	check->from = check->format;
	return check->format > STORE_FORMAT ? FAULT_UNSUPPORTED : FAULT_OK;
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
	enum fault fault =
		n < 0 || (size_t)n >= sizeof(path) ? FAULT_TOO_LONG : kv_open(path, &options, &kv);
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
