/* SPDX-License-Identifier: ISC */
/*
 * The door to LMDB: opening, growing, transactions.  Linked by authd (directory), queued (queue),
 * mailboxd (store) and the readers of the store.  Durability is LMDB's full one, so a commit that
 * returned is on disk and the file is never torn; unless the owner asks for lazy commits.
 */
#include "common/store/kv_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"

#define MIB (UINT64_C(1) << 20)

enum { RESIZED_TRIES = 8 };

enum fault
kv_fault_of(struct kv *kv, int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return FAULT_OK;
	case MDB_MAP_FULL:
		kv->must_grow = true;
		return FAULT_BUSY;
	case MDB_PANIC:
		kv->broken = true;
		return FAULT_IO;
	case MDB_READERS_FULL:
	case MDB_MAP_RESIZED:
		return FAULT_BUSY;
	case MDB_NOTFOUND:
		return FAULT_NOT_FOUND;
	case MDB_VERSION_MISMATCH:
		return FAULT_UNSUPPORTED;
	case MDB_BAD_VALSIZE:
		return FAULT_TOO_LONG;
	case MDB_TXN_FULL:
		return FAULT_LIMIT;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_CURSOR_FULL:
		return FAULT_DAMAGED;
	default:
		return rc > 0 ? fault_from_errno(rc) : FAULT_INTERNAL;
	}
}

/* Makes one file with the mode that readers of our group need, whatever the umask. */
static enum fault
file_ensure(const char *dir, const char *name, mode_t mode, void (*reserve)(int file))
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return fault_from_errno(errno);
	enum fault fault = fchmod(fd, mode) < 0 ? fault_from_errno(errno) : FAULT_OK;
	if (fault == FAULT_OK && reserve != NULL)
		reserve(fd);
	close(fd);
	return fault;
}

/* A reader must never make files: an environment that is not there yet is "not found". */
static enum fault
files_check(const struct kv *kv)
{
	char path[PATH_MAX];
	struct stat status;

	if (!kv->options.readonly) {
		bool shared = kv->options.group_reads;
		enum fault fault = file_ensure(kv->dir, "data.mdb", shared ? 0640 : 0600, NULL);
		if (fault == FAULT_OK)
			fault = file_ensure(
				kv->dir, "lock.mdb", shared ? 0660 : 0600, kv_slots_reserve);
		return fault;
	}
	int n = snprintf(path, sizeof(path), "%s/data.mdb", kv->dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	if (stat(path, &status) < 0)
		return fault_from_errno(errno);
	return status.st_size == 0 ? FAULT_NOT_FOUND : FAULT_OK;
}

/* Opens the tables that are there or, with MDB_CREATE, all. */
static int
tables_open_in(struct kv *kv, MDB_txn *txn, unsigned flags)
{
	int rc = 0;

	kv->tables_missing = false;
	for (unsigned i = 0; i < kv->table_count && rc == 0; i++) {
		rc = mdb_dbi_open(txn, kv->options.tables[i], flags, &kv->tables[i]);
		if (rc == MDB_NOTFOUND && kv->options.lazy) {
			kv->tables_missing = true;
			rc = 0;
		}
	}
	return rc;
}

static enum fault
tables_open(struct kv *kv, bool make)
{
	unsigned reading = make ? 0 : MDB_RDONLY;
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, reading, &txn);

	/* See reader_start(). */
	for (int i = 0; rc == MDB_MAP_RESIZED && i < RESIZED_TRIES; i++) {
		(void)mdb_env_set_mapsize(kv->env, 0);
		rc = mdb_txn_begin(kv->env, NULL, reading, &txn);
	}
	if (rc != 0)
		return kv_fault_of(kv, rc);
	rc = tables_open_in(kv, txn, make ? MDB_CREATE : 0);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return kv_fault_of(kv, rc);
	}
	return kv_fault_of(kv, mdb_txn_commit(txn));
}

/* A lazy environment is only written to at once when it is new: see journal_open.c. */
static bool
must_make_tables(const struct kv *kv)
{
	MDB_stat stat;

	if (kv->options.readonly)
		return false;
	return !kv->options.lazy || mdb_env_stat(kv->env, &stat) != 0 || stat.ms_entries == 0;
}

enum fault
kv_tables_make(struct kv *kv)
{
	return kv->tables_missing ? tables_open(kv, true) : FAULT_OK;
}

static enum fault
env_open(struct kv *kv)
{
	unsigned flags = MDB_NOTLS | (kv->options.readonly ? MDB_RDONLY : 0);
	int rc = mdb_env_create(&kv->env);

	if (rc != 0)
		return kv_fault_of(kv, rc);
	rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(kv->env, KV_READERS_MAX);
	/* LMDB takes the larger of this and what the file already needs; readers take the file's.
	 */
	if (rc == 0 && !kv->options.readonly)
		rc = mdb_env_set_mapsize(kv->env, kv->options.map_bytes);
	if (rc == 0)
		rc = mdb_env_open(kv->env, kv->dir, flags, 0600);
	/* The writer has made the file, but not yet its first page. */
	if (rc == MDB_INVALID && kv->options.readonly)
		return FAULT_NOT_FOUND;
	return kv_fault_of(kv, rc);
}

static void
env_close(struct kv *kv)
{
	MDB_txn **readers[] = {&kv->idle_reader, &kv->pin, &kv->pin_next};

	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		if (*readers[i] != NULL)
			mdb_txn_abort(*readers[i]);
		*readers[i] = NULL;
	}
	if (kv->env != NULL)
		mdb_env_close(kv->env);
	kv->env = NULL;
	kv->reserved = 0;
	kv->broken = false;
}

/* What a commit says is on disk can be found after a crash only if the file's name is there too. */
static enum fault
names_sync(const struct kv *kv)
{
	if (kv->options.readonly)
		return FAULT_OK;
	return directory_sync(kv->dir);
}

static enum fault
env_start(struct kv *kv)
{
	enum fault fault = files_check(kv);

	if (fault == FAULT_OK)
		fault = names_sync(kv);
	if (fault == FAULT_OK)
		fault = env_open(kv);
	if (fault == FAULT_OK)
		fault = tables_open(kv, must_make_tables(kv));
	/* Making the environment was durable; from now on the owner's log is. */
	if (fault == FAULT_OK && kv->options.lazy)
		fault = kv_fault_of(kv, mdb_env_set_flags(kv->env, MDB_NOSYNC, 1));
	if (fault != FAULT_OK)
		env_close(kv);
	return fault;
}

enum fault
kv_open(const char *dir, const struct kv_options *options, struct kv **kv)
{
	struct kv *opened = calloc(1, sizeof(*opened));

	if (opened == NULL)
		return FAULT_NOMEM;
	opened->options = *options;
	if (opened->options.map_bytes == 0)
		opened->options.map_bytes = 256 * MIB;
	if (opened->options.margin_bytes == 0)
		opened->options.margin_bytes = 64 * MIB;
	if (opened->options.clock == NULL)
		opened->options.clock = &clock_system;
	while (options->tables[opened->table_count] != NULL)
		opened->table_count++;
	assert(opened->table_count <= KV_TABLES_MAX);
	opened->dir = slice_dup(slice_text(dir));
	enum fault fault = opened->dir != NULL ? env_start(opened) : FAULT_NOMEM;
	if (fault != FAULT_OK) {
		kv_close(opened);
		return fault;
	}
	if (!options->readonly)
		kv_check_readers(opened);
	*kv = opened;
	return FAULT_OK;
}

void
kv_close(struct kv *kv)
{
	if (kv == NULL)
		return;
	env_close(kv);
	free(kv->dir);
	free(kv);
}

enum fault
kv_copy(struct kv *kv, const char *dir)
{
	char path[PATH_MAX];
	int rc = mdb_env_copy2(kv->env, dir, MDB_CP_COMPACT);

	if (rc != MDB_INCOMPATIBLE)
		return kv_fault_of(kv, rc);
	/* Pages that nobody knows of: harmless, but LMDB leaves none out then. */
	int n = snprintf(path, sizeof(path), "%s/data.mdb", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	if (unlink(path) < 0 && errno != ENOENT)
		return fault_from_errno(errno);
	return kv_fault_of(kv, mdb_env_copy(kv->env, dir));
}

static enum fault
reader_start(struct kv *kv, MDB_txn **txn)
{
	int rc;

	/* MDB_MAP_RESIZED: the writer's map grew, take over its size; it may go on growing. */
	for (int attempt = 0;; attempt++) {
		if (kv->idle_reader != NULL) {
			*txn = kv->idle_reader;
			rc = mdb_txn_renew(*txn);
		} else {
			rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, txn);
		}
		if (rc != MDB_MAP_RESIZED || attempt == RESIZED_TRIES)
			break;
		rc = mdb_env_set_mapsize(kv->env, 0);
		if (rc != 0)
			break;
	}
	if (rc == 0)
		kv->idle_reader = NULL;
	return kv_fault_of(kv, rc);
}

enum fault
kv_begin_read(struct kv *kv, struct kv_txn *txn)
{
	assert(!kv->reading);
	*txn = (struct kv_txn){.kv = kv};
	enum fault fault = kv->env != NULL ? FAULT_OK : env_start(kv);
	if (fault == FAULT_OK)
		fault = reader_start(kv, &txn->mdb);
	if (fault != FAULT_OK) {
		txn->mdb = NULL;
		return fault;
	}
	kv->reading = true;
	return FAULT_OK;
}

/* Grows ahead of need, as within a transaction the map can no longer move. */
static enum fault
map_grow(struct kv *kv)
{
	MDB_envinfo info;
	MDB_stat stat;
	int rc = mdb_env_info(kv->env, &info);

	if (rc == 0)
		rc = mdb_env_stat(kv->env, &stat);
	if (rc != 0)
		return kv_fault_of(kv, rc);
	uint64_t size = info.me_mapsize;
	uint64_t used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
	/* Half of what there is leaves room to copy or expunge a very large mailbox at once. */
	uint64_t wanted = used + used / 2 + kv->options.margin_bytes;
	if (kv->reading || (!kv->must_grow && size >= wanted))
		return FAULT_OK;
	size = wanted > size ? wanted * 2 : size * 2;
	rc = mdb_env_set_mapsize(kv->env, size);
	if (rc == 0)
		kv->must_grow = false;
	return kv_fault_of(kv, rc);
}

enum fault
kv_begin_write(struct kv *kv, struct kv_txn *txn)
{
	enum fault fault = FAULT_OK;

	*txn = (struct kv_txn){.kv = kv, .writing = true};
	/* A lazy one must be opened anew, by its owner: only he knows what is durable. */
	if (kv->broken && kv->options.lazy)
		fault = FAULT_IO;
	else if (kv->broken && !kv->reading)
		env_close(kv);
	if (fault == FAULT_OK && kv->env == NULL)
		fault = env_start(kv);
	if (fault == FAULT_OK)
		fault = map_grow(kv);
	if (fault == FAULT_OK)
		fault = kv_fault_of(kv, mdb_txn_begin(kv->env, NULL, 0, &txn->mdb));
	if (fault != FAULT_OK)
		txn->mdb = NULL;
	txn->fault = fault;
	return fault;
}

/* Whether LMDB has given up it tells to the next write transaction only. */
static void
panic_find(struct kv *kv)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, 0, &txn);

	if (rc == 0)
		mdb_txn_abort(txn);
	else if (rc == MDB_PANIC)
		kv->broken = true;
}

enum fault
kv_commit(struct kv_txn *txn)
{
	assert(txn->writing);
	enum fault fault = txn->fault;
	if (fault != FAULT_OK || txn->mdb == NULL) {
		kv_abort(txn);
		return fault != FAULT_OK ? fault : FAULT_INTERNAL;
	}
	fault = kv_fault_of(txn->kv, mdb_txn_commit(txn->mdb));
	txn->mdb = NULL;
	if (fault != FAULT_OK)
		panic_find(txn->kv);
	return fault;
}

bool
kv_is_broken(const struct kv *kv)
{
	return kv->broken && kv->options.lazy;
}

void
kv_abort(struct kv_txn *txn)
{
	if (txn->mdb == NULL)
		return;
	if (txn->writing) {
		mdb_txn_abort(txn->mdb);
	} else {
		mdb_txn_reset(txn->mdb);
		txn->kv->idle_reader = txn->mdb;
		txn->kv->reading = false;
	}
	txn->mdb = NULL;
}

void
kv_fail(struct kv_txn *txn, enum fault fault)
{
	if (txn->fault == FAULT_OK)
		txn->fault = fault;
}
