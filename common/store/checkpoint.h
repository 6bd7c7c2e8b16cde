/* SPDX-License-Identifier: ISC */
/*
 * The file "checkpoint" beside an index with lazy commits: which state of it is durable, and what
 * puts it back.  Private to common/store, see journal.h.  The record is kept twice, so that a
 * torn or rotten one does no harm; an older one is never left behind.
 */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "common/store/journal.h"

struct checkpoint {
	uint64_t serial; /* counts up */
	uint8_t boot_id[JOURNAL_BOOT_SIZE]; /* zero: not known, the index is synced by itself */
	bool suspect; /* the index lost writes since: put this state back whatever the boot id */
	struct journal_point point;
	struct kv_metas metas;
	/* In memory: the record to be written first, as the other one is known to be whole. */
	unsigned weak_slot;
};

enum { CHECKPOINT_SLOT = 4096, CHECKPOINT_SIZE = 2 * CHECKPOINT_SLOT };

/*
 * FAULT_NOT_FOUND: no such file, or one that was never written; FAULT_DAMAGED: neither record can
 * be read; FAULT_UNSUPPORTED.
 */
MUST_USE enum fault checkpoint_read(int file, struct checkpoint *);
/*
 * Writes both records, the weak one first, each synced before the next; may run in a thread.  After
 * a fault the one that failed is the weak one: what can be read is this checkpoint or the one
 * before.
 */
MUST_USE enum fault checkpoint_write(int file, struct checkpoint *);
/* Asks the kernel; false when it does not tell. */
bool checkpoint_boot_id(uint8_t id[static JOURNAL_BOOT_SIZE]);

#endif
