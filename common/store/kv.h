/* SPDX-License-Identifier: ISC */
/*
 * A key-value environment: the one door to LMDB, used by the directory (authd), the queue
 * (queued) and the mail store.  One process writes, others read by mmap.
 *
 * A transaction keeps its first fault: run the straight line of gets and puts, look once at
 * kv_commit().  After a fault reads find nothing and writes do nothing.  A write transaction is
 * on disk, or as if it had never been, when kv_commit() returns.
 *
 * One environment may be open once in a process; no thread or forked child shares it.
 */
#ifndef STORE_KV_H
#define STORE_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	KV_TABLES_MAX = 24,
	KV_KEY_MAX = 511, /* bytes; a longer key is FAULT_TOO_LONG */
};

struct kv;
struct MDB_txn;
struct MDB_cursor;

struct kv_options {
	const char *const *tables; /* names, NULL at the end; the index is the table's number */
	bool readonly; /* never creates anything; needs write access to lock.mdb only */
	bool group_reads; /* a writer: files are made 0640, lock.mdb 0660, for readers of our group
			   */
	uint64_t map_bytes; /* first size of the map; 0: 256 MiB.  It grows by itself */
	uint64_t margin_bytes; /* room kept for one write transaction; 0: 64 MiB */
};

struct kv_txn {
	struct kv *kv;
	struct MDB_txn *mdb;
	bool writing;
	enum fault fault; /* the first one */
};

/* key and value stand in the map: valid until the next write or the end of the transaction. */
struct kv_cursor {
	struct kv_txn *txn;
	struct MDB_cursor *mdb;
	struct slice key;
	struct slice value;
};

/*
 * dir must exist.  Read-only: FAULT_NOT_FOUND while a writer has not yet made the environment or
 * one of the tables (try again later).
 */
MUST_USE enum fault kv_open(const char *dir, const struct kv_options *, struct kv **);
/* All transactions must have ended.  Accepts NULL. */
void kv_close(struct kv *);
/* Frees the slots of readers that died; the writer calls it every minute or so. */
void kv_check_readers(struct kv *);

/* Writes a consistent copy of the environment, while it is in use, to the empty directory dir. */
MUST_USE enum fault kv_copy(struct kv *, const char *dir);

/* At most one read and one write transaction of an environment at a time. */
MUST_USE enum fault kv_begin_read(struct kv *, struct kv_txn *);
MUST_USE enum fault kv_begin_write(struct kv *, struct kv_txn *);
/*
 * The transaction's first fault, or that of the commit itself; not FAULT_OK: nothing was changed.
 * FAULT_NO_SPACE: disk full.  FAULT_BUSY: the map was too small for this transaction; it is
 * larger now, do the whole transaction again.
 */
MUST_USE enum fault kv_commit(struct kv_txn *);
/* Ends a read transaction, or drops a write transaction.  Accepts one that has ended. */
void kv_abort(struct kv_txn *);
/* Records a fault as if the environment had raised it. */
void kv_fail(struct kv_txn *, enum fault);

/* False when there is none, or after a fault. */
bool kv_get(struct kv_txn *, unsigned table, struct slice key, struct slice *value);
/* Replaces. */
void kv_put(struct kv_txn *, unsigned table, struct slice key, struct slice value);
/* No fault when there is none; true when there was one. */
bool kv_delete(struct kv_txn *, unsigned table, struct slice key);
/* The number of keys in a table. */
uint64_t kv_count(struct kv_txn *, unsigned table);
/* Counts up with every committed write transaction. */
uint64_t kv_txn_number(const struct kv_txn *);

/*
 * A cursor is closed before its transaction ends.  All moves: false at the end or after a fault.
 * Other writes to the same table while a cursor is open: only through the cursor.
 */
void kv_cursor_open(struct kv_txn *, unsigned table, struct kv_cursor *);
void kv_cursor_close(struct kv_cursor *);
/* The first key >= key. */
bool kv_seek(struct kv_cursor *, struct slice key);
/* The last key < key. */
bool kv_seek_before(struct kv_cursor *, struct slice key);
bool kv_first(struct kv_cursor *);
bool kv_last(struct kv_cursor *);
bool kv_next(struct kv_cursor *);
bool kv_prev(struct kv_cursor *);
/* Like kv_seek and kv_next, but false at the first key that does not start with prefix. */
bool kv_seek_prefix(struct kv_cursor *, struct slice prefix);
bool kv_next_prefix(struct kv_cursor *, struct slice prefix);
/* Replaces the value under the cursor; value must not borrow from the map. */
void kv_cursor_put(struct kv_cursor *, struct slice value);
/* Deletes the entry under the cursor; kv_next() then moves to the one that followed it. */
void kv_cursor_delete(struct kv_cursor *);

#endif
