/* SPDX-License-Identifier: ISC */
/* What the files of the key-value environment share: nothing else includes lmdb.h. */
#ifndef STORE_KV_PRIVATE_H
#define STORE_KV_PRIVATE_H

#include <lmdb.h>

#include "common/base/log.h"
#include "common/store/kv.h"

struct kv {
	char *dir;
	struct kv_options options;
	MDB_env *env;
	MDB_dbi tables[KV_TABLES_MAX];
	unsigned table_count;
	bool tables_missing; /* some of the options' are not there yet */
	MDB_txn *idle_reader; /* reset, kept for the next read */
	MDB_txn *pin; /* only their slots count: nothing is read through them */
	MDB_txn *pin_next;
	uint64_t reserved; /* the data file has its blocks up to here */
	bool reading; /* the map must not move */
	bool must_grow; /* the last write transaction did not fit */
	bool broken; /* LMDB gave up on this environment: reopen it */
	/* The reader of another process that held the oldest state at the last check. */
	struct kv_slow_reader {
		long pid; /* 0: none */
		uint64_t txn;
		int64_t since_ms;
	} slow;
	struct log_limit told;
};

/* What a result of LMDB means; remembers in kv what has to be done about it. */
enum fault kv_fault_of(struct kv *, int rc);
/* kv_readers.c: room for all slots of readers, see there. */
enum { KV_READERS_MAX = 512 };
void kv_slots_reserve(int lock_file);

#endif
