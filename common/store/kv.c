/* SPDX-License-Identifier: ISC */
/*
 * The door to LMDB: nothing else includes lmdb.h.  Linked by authd (directory), queued (queue),
 * mailboxd (store) and the readers of the store.  Durability is LMDB's full one: no NOSYNC, no
 * NOMETASYNC, no WRITEMAP, so a commit that returned is on disk and the file is never torn.
 */
#include "common/store/kv.h"
#include "common/base/directory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

enum { READERS_MAX = 512 };

struct kv {
	char *dir;
	struct kv_options options;
	MDB_env *env;
	MDB_dbi tables[KV_TABLES_MAX];
	unsigned table_count;
	MDB_txn *idle_reader; /* reset, kept for the next read */
	bool reading; /* the map must not move */
	bool must_grow; /* the last write transaction did not fit */
	bool broken; /* LMDB gave up on this environment: reopen it */
};

static enum fault
fault_of(struct kv *kv, int rc)
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
file_ensure(const char *dir, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return fault_from_errno(errno);
	enum fault fault = fchmod(fd, mode) < 0 ? fault_from_errno(errno) : FAULT_OK;
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
		enum fault fault =
			file_ensure(kv->dir, "data.mdb", kv->options.group_reads ? 0640 : 0600);
		if (fault == FAULT_OK)
			fault = file_ensure(
				kv->dir, "lock.mdb", kv->options.group_reads ? 0660 : 0600);
		return fault;
	}
	int n = snprintf(path, sizeof(path), "%s/data.mdb", kv->dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	if (stat(path, &status) < 0)
		return fault_from_errno(errno);
	return status.st_size == 0 ? FAULT_NOT_FOUND : FAULT_OK;
}

static enum fault
tables_open(struct kv *kv)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, kv->options.readonly ? MDB_RDONLY : 0, &txn);

	if (rc == MDB_MAP_RESIZED) {
		(void)mdb_env_set_mapsize(kv->env, 0);
		rc = mdb_txn_begin(kv->env, NULL, kv->options.readonly ? MDB_RDONLY : 0, &txn);
	}
	if (rc != 0)
		return fault_of(kv, rc);
	for (unsigned i = 0; i < kv->table_count && rc == 0; i++)
		rc = mdb_dbi_open(txn, kv->options.tables[i], kv->options.readonly ? 0 : MDB_CREATE,
			&kv->tables[i]);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return fault_of(kv, rc);
	}
	return fault_of(kv, mdb_txn_commit(txn));
}

static enum fault
env_open(struct kv *kv)
{
	unsigned flags = MDB_NOTLS | (kv->options.readonly ? MDB_RDONLY : 0);
	int rc = mdb_env_create(&kv->env);

	if (rc != 0)
		return fault_of(kv, rc);
	rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(kv->env, READERS_MAX);
	/* LMDB takes the larger of this and what the file already needs; readers take the file's.
	 */
	if (rc == 0 && !kv->options.readonly)
		rc = mdb_env_set_mapsize(kv->env, kv->options.map_bytes);
	if (rc == 0)
		rc = mdb_env_open(kv->env, kv->dir, flags, 0600);
	/* The writer has made the file, but not yet its first page. */
	if (rc == MDB_INVALID && kv->options.readonly)
		return FAULT_NOT_FOUND;
	return fault_of(kv, rc);
}

static void
env_close(struct kv *kv)
{
	if (kv->idle_reader != NULL)
		mdb_txn_abort(kv->idle_reader);
	kv->idle_reader = NULL;
	if (kv->env != NULL)
		mdb_env_close(kv->env);
	kv->env = NULL;
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
		fault = tables_open(kv);
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

void
kv_check_readers(struct kv *kv)
{
	int dead;

	if (kv->env != NULL)
		(void)mdb_reader_check(kv->env, &dead);
}

enum fault
kv_copy(struct kv *kv, const char *dir)
{
	return fault_of(kv, mdb_env_copy(kv->env, dir));
}

static enum fault
reader_start(struct kv *kv, MDB_txn **txn)
{
	int rc;

	/* Twice at most: MDB_MAP_RESIZED means that the writer's map grew; take over its size. */
	for (int attempt = 0;; attempt++) {
		if (kv->idle_reader != NULL) {
			*txn = kv->idle_reader;
			rc = mdb_txn_renew(*txn);
		} else {
			rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, txn);
		}
		if (rc != MDB_MAP_RESIZED || attempt > 0)
			break;
		rc = mdb_env_set_mapsize(kv->env, 0);
		if (rc != 0)
			break;
	}
	if (rc == 0)
		kv->idle_reader = NULL;
	return fault_of(kv, rc);
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
		return fault_of(kv, rc);
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
	return fault_of(kv, rc);
}

enum fault
kv_begin_write(struct kv *kv, struct kv_txn *txn)
{
	enum fault fault = FAULT_OK;

	*txn = (struct kv_txn){.kv = kv, .writing = true};
	if (kv->broken && !kv->reading)
		env_close(kv);
	if (kv->env == NULL)
		fault = env_start(kv);
	if (fault == FAULT_OK)
		fault = map_grow(kv);
	if (fault == FAULT_OK)
		fault = fault_of(kv, mdb_txn_begin(kv->env, NULL, 0, &txn->mdb));
	if (fault != FAULT_OK)
		txn->mdb = NULL;
	txn->fault = fault;
	return fault;
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
	fault = fault_of(txn->kv, mdb_txn_commit(txn->mdb));
	txn->mdb = NULL;
	return fault;
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

static MDB_val
val_of(struct slice s)
{
	return (MDB_val){s.len, (void *)(uintptr_t)s.data};
}

/* True on success; "not found" is no fault. */
static bool
succeeded(struct kv_txn *txn, int rc)
{
	if (rc != 0 && rc != MDB_NOTFOUND)
		kv_fail(txn, fault_of(txn->kv, rc));
	return rc == 0;
}

static bool
key_fits(struct kv_txn *txn, struct slice key)
{
	if (txn->fault != FAULT_OK || txn->mdb == NULL)
		return false;
	if (key.len == 0 || key.len > KV_KEY_MAX)
		kv_fail(txn, FAULT_TOO_LONG);
	return txn->fault == FAULT_OK;
}

bool
kv_get(struct kv_txn *txn, unsigned table, struct slice key, struct slice *value)
{
	MDB_val k = val_of(key), v;

	if (!key_fits(txn, key) ||
		!succeeded(txn, mdb_get(txn->mdb, txn->kv->tables[table], &k, &v)))
		return false;
	*value = slice_make(v.mv_data, v.mv_size);
	return true;
}

void
kv_put(struct kv_txn *txn, unsigned table, struct slice key, struct slice value)
{
	MDB_val k = val_of(key), v = val_of(value);

	if (key_fits(txn, key))
		(void)succeeded(txn, mdb_put(txn->mdb, txn->kv->tables[table], &k, &v, 0));
}

bool
kv_delete(struct kv_txn *txn, unsigned table, struct slice key)
{
	MDB_val k = val_of(key);

	return key_fits(txn, key) &&
		succeeded(txn, mdb_del(txn->mdb, txn->kv->tables[table], &k, NULL));
}

uint64_t
kv_count(struct kv_txn *txn, unsigned table)
{
	MDB_stat stat;

	if (txn->fault != FAULT_OK || txn->mdb == NULL ||
		!succeeded(txn, mdb_stat(txn->mdb, txn->kv->tables[table], &stat)))
		return 0;
	return stat.ms_entries;
}

uint64_t
kv_txn_number(const struct kv_txn *txn)
{
	return txn->mdb != NULL ? mdb_txn_id(txn->mdb) : 0;
}

void
kv_cursor_open(struct kv_txn *txn, unsigned table, struct kv_cursor *cursor)
{
	*cursor = (struct kv_cursor){.txn = txn};
	if (txn->fault == FAULT_OK && txn->mdb != NULL &&
		!succeeded(txn, mdb_cursor_open(txn->mdb, txn->kv->tables[table], &cursor->mdb)))
		cursor->mdb = NULL;
}

void
kv_cursor_close(struct kv_cursor *cursor)
{
	if (cursor->mdb != NULL)
		mdb_cursor_close(cursor->mdb);
	cursor->mdb = NULL;
}

static bool
cursor_move(struct kv_cursor *cursor, struct slice key, MDB_cursor_op op)
{
	MDB_val k = val_of(key), v;

	if (cursor->mdb == NULL || cursor->txn->fault != FAULT_OK ||
		!succeeded(cursor->txn, mdb_cursor_get(cursor->mdb, &k, &v, op)))
		return false;
	cursor->key = slice_make(k.mv_data, k.mv_size);
	cursor->value = slice_make(v.mv_data, v.mv_size);
	return true;
}

bool
kv_seek(struct kv_cursor *cursor, struct slice key)
{
	return key_fits(cursor->txn, key) && cursor_move(cursor, key, MDB_SET_RANGE);
}

bool
kv_seek_before(struct kv_cursor *cursor, struct slice key)
{
	return kv_seek(cursor, key) ? kv_prev(cursor) : kv_last(cursor);
}

bool
kv_first(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_FIRST);
}

bool
kv_last(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_LAST);
}

bool
kv_next(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_NEXT);
}

bool
kv_prev(struct kv_cursor *cursor)
{
	return cursor_move(cursor, SLICE(""), MDB_PREV);
}

bool
kv_seek_prefix(struct kv_cursor *cursor, struct slice prefix)
{
	return kv_seek(cursor, prefix) && slice_starts(cursor->key, prefix);
}

bool
kv_next_prefix(struct kv_cursor *cursor, struct slice prefix)
{
	return kv_next(cursor) && slice_starts(cursor->key, prefix);
}

void
kv_cursor_put(struct kv_cursor *cursor, struct slice value)
{
	char key[KV_KEY_MAX];

	if (cursor->mdb == NULL || cursor->txn->fault != FAULT_OK || cursor->key.len > sizeof(key))
		return;
	/* The page that holds the key may be rewritten while LMDB still reads the key. */
	memcpy(key, cursor->key.data, cursor->key.len);
	MDB_val k = {cursor->key.len, key}, v = val_of(value);
	(void)succeeded(cursor->txn, mdb_cursor_put(cursor->mdb, &k, &v, MDB_CURRENT));
}

void
kv_cursor_delete(struct kv_cursor *cursor)
{
	if (cursor->mdb != NULL && cursor->txn->fault == FAULT_OK)
		(void)succeeded(cursor->txn, mdb_cursor_del(cursor->mdb, 0));
}
