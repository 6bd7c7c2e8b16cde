/* SPDX-License-Identifier: ISC */
/*
 * Rebuilds a lost index from the segments alone: the last resort, when there is no backup.  What
 * segments do not tell is lost: names of mailboxes beyond the first six ("Salvaged 7"), later
 * flags, moves and copies; what was expunged but not purged comes back; UIDVALIDITY is new.
 */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include "common/store/writer.h"

struct salvage_counts {
	uint64_t messages; /* in the new index */
	uint64_t bodies;
	uint64_t lost; /* records whose bytes are damaged or were punched out */
	uint64_t skipped; /* bytes that belong to no record */
};

/*
 * dir is the store's directory, in use by nobody.  FAULT_EXISTS: it has an index (move
 * index/data.mdb away first).  Files get the owner of dir.  clock as in struct store_options.
 */
MUST_USE enum fault store_salvage(const char *dir, const struct clock *, struct salvage_counts *);

#endif
