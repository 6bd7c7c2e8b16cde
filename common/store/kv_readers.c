/* SPDX-License-Identifier: ISC */
/*
 * The door to LMDB: readers of other processes, as the writer sees them.  A reader holds a slot in
 * lock.mdb while it reads; pages that were freed since it began cannot be used again.  So one that
 * died in there, or stands still, makes the index grow.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "common/store/kv_private.h"

enum { SLOT_SIZE = 64, HEAD_SIZE = 4096, SLOW_MS = 30000 };

/*
 * Slots are written to through a map: without their blocks, a full disk would end a process that
 * takes a further one by a signal.  Nothing more can be done where it fails.
 */
void
kv_slots_reserve(int lock_file)
{
	(void)!fallocate(lock_file, FALLOC_FL_KEEP_SIZE, 0, HEAD_SIZE + KV_READERS_MAX * SLOT_SIZE);
}

/* The oldest state that another process reads. */
struct oldest {
	long pid;
	uint64_t txn;
};

/* A line of LMDB's list: process id, thread (hexadecimal), transaction or "-". */
static int
on_slot(const char *line, void *arg)
{
	struct oldest *o = arg;
	char *rest;
	long pid = strtol(line, &rest, 10);

	(void)strtoull(rest, &rest, 16);
	while (*rest == ' ')
		rest++;
	if (*rest < '0' || *rest > '9' || pid == getpid())
		return 0;
	uint64_t txn = strtoull(rest, NULL, 10);
	if (o->pid == 0 || txn < o->txn)
		*o = (struct oldest){pid, txn};
	return 0;
}

/* The same one in the same state as before, and states of others since. */
static void
slow_check(struct kv *kv, const struct oldest *o)
{
	struct kv_slow_reader *slow = &kv->slow;
	int64_t now = clock_mono_ms(kv->options.clock);
	MDB_envinfo info;

	if (o->pid != slow->pid || o->txn != slow->txn)
		*slow = (struct kv_slow_reader){o->pid, o->txn, now};
	if (o->pid == 0 || now - slow->since_ms < SLOW_MS || mdb_env_info(kv->env, &info) != 0 ||
		info.me_last_txnid <= o->txn || !log_limit_pass(&kv->told, now))
		return;
	log_warning("%s: process %ld has been reading one state for %lld s: the index grows while "
		    "it does (%llu commits, %llu KiB in all)",
		kv->dir, o->pid, (long long)(now - slow->since_ms) / 1000,
		(unsigned long long)(info.me_last_txnid - o->txn),
		(unsigned long long)kv_size(kv) / 1024);
}

void
kv_check_readers(struct kv *kv)
{
	struct oldest oldest = {0};
	int dead = 0;

	if (kv->env == NULL)
		return;
	(void)mdb_reader_check(kv->env, &dead);
	if (dead > 0)
		log_info("%s: slots of %d dead readers are free again", kv->dir, dead);
	if (mdb_reader_list(kv->env, on_slot, &oldest) >= 0)
		slow_check(kv, &oldest);
}
