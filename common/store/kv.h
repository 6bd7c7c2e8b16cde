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

#include "common/base/clock.h"
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
	/*
	 * Commits after kv_open() are seen by readers at once, but are not durable: whoever sets
	 * this keeps a log of his own (journal.h) and pins what is durable.
	 */
	bool lazy;
	bool group_reads; /* a writer: files are made 0640, lock.mdb 0660, for readers of our group
			   */
	uint64_t map_bytes; /* first size of the map; 0: 256 MiB.  It grows by itself */
	uint64_t margin_bytes; /* room kept for one write transaction; 0: 64 MiB */
	const struct clock *clock; /* NULL: clock_system */
};

/* One put or delete that a write transaction made. */
struct kv_change {
	unsigned table;
	bool is_delete; /* value is empty then */
	struct slice key; /* borrowed until changed() returns */
	struct slice value;
};

/* Hears of every change of the transactions that name it, after the change was made. */
struct kv_recorder {
	void (*changed)(struct kv_recorder *, const struct kv_change *);
};

struct kv_txn {
	struct kv *kv;
	struct MDB_txn *mdb;
	struct kv_recorder *recorder; /* set after kv_begin_write(), or NULL */
	bool writing;
	enum fault fault; /* the first one */
};

/* key and value stand in the map: valid until the next write or the end of the transaction. */
struct kv_cursor {
	struct kv_txn *txn;
	struct MDB_cursor *mdb;
	unsigned table;
	struct slice key;
	struct slice value;
};

/*
 * dir must exist.  Read-only: FAULT_NOT_FOUND while a writer has not yet made the environment or
 * one of the tables (try again later).
 */
MUST_USE enum fault kv_open(const char *dir, const struct kv_options *, struct kv **);
/*
 * A lazy environment that was made before some of its tables were thought of: makes those.  Until
 * then they must not be touched.
 */
MUST_USE enum fault kv_tables_make(struct kv *);
/* All transactions must have ended.  Accepts NULL. */
void kv_close(struct kv *);
/*
 * Frees the slots of readers that died, and warns of one that has been reading for half a minute
 * while others wrote: nothing that was freed since can be used again.  The writer calls it every
 * minute or so.
 */
void kv_check_readers(struct kv *);

/*
 * Writes a consistent copy of the environment, while it is in use, to the empty directory dir; free
 * pages are left out.
 */
MUST_USE enum fault kv_copy(struct kv *, const char *dir);

/*
 * What a lazy environment needs to be put back, after a power cut, to a state that was durable:
 * the beginnings of LMDB's two meta pages.
 */
enum { KV_META_SIZE = 512, KV_PAGE_MAX = 65536 };
struct kv_metas {
	uint32_t page_size;
	uint8_t pages[2][KV_META_SIZE];
};
/* Between write transactions: the metas of the last commit. */
MUST_USE enum fault kv_metas_read(struct kv *, struct kv_metas *);
/*
 * Puts metas back into the environment in dir, which is not open; right only while no page of that
 * state has been used again.  FAULT_BUSY: some process has the environment open; FAULT_DAMAGED: it
 * is not the one that the metas are of.
 */
MUST_USE enum fault kv_metas_restore(const char *dir, const struct kv_metas *);
/*
 * kv_pin_next() keeps all pages of the last commit from being used again, beside those of the
 * earlier pin; kv_pin_move() lets go of the earlier one, kv_pin_stay() of the new one.
 */
MUST_USE enum fault kv_pin_next(struct kv *);
void kv_pin_move(struct kv *);
void kv_pin_stay(struct kv *);
/* The descriptor of the data file, for fdatasync(), by any thread, until kv_close(). */
int kv_file(const struct kv *);
/* Bytes of the data file that are in use, free pages included. */
uint64_t kv_size(struct kv *);
/*
 * Takes blocks ahead for this many bytes of growth; FAULT_NO_SPACE: the disk is full, commits can
 * still succeed as long as earlier blocks last.
 */
MUST_USE enum fault kv_reserve(struct kv *, uint64_t bytes);

/* At most one read and one write transaction of an environment at a time. */
MUST_USE enum fault kv_begin_read(struct kv *, struct kv_txn *);
MUST_USE enum fault kv_begin_write(struct kv *, struct kv_txn *);
/*
 * The transaction's first fault, or that of the commit itself; not FAULT_OK: nothing was changed.
 * FAULT_NO_SPACE: disk full.  FAULT_BUSY: the map was too small for this transaction; it is
 * larger now, do the whole transaction again.
 */
MUST_USE enum fault kv_commit(struct kv_txn *);
/* LMDB has given up on a lazy environment: it must be opened anew. */
bool kv_is_broken(const struct kv *);
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
/* Bytes of the data file's pages that hold nothing: they are used again, the file never shrinks. */
MUST_USE enum fault kv_free_bytes(struct kv_txn *, uint64_t *bytes);
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
