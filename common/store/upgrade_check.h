/* SPDX-License-Identifier: ISC */
/*
 * What opening a store for writing would mean: nothing, an upgrade to the format of this program,
 * or a refusal.  Only reads; the store may be at rest or in use.  Linked by mailctl.
 */
#ifndef STORE_UPGRADE_CHECK_H
#define STORE_UPGRADE_CHECK_H

#include "common/store/store.h"

struct upgrade_check {
	uint64_t format; /* of the store */
	uint64_t from; /* the oldest format that records may have; STORE_FORMAT: nothing to do */
	uint64_t records; /* to be written anew */
	uint64_t seconds; /* that takes about */
	uint64_t bytes; /* of disk space that it takes about, for good or for a while */
	uint64_t free_bytes; /* on the disk of the store, for its user */
};

/*
 * FAULT_OK: can be opened, after an upgrade when from is older.  FAULT_UNSUPPORTED: of a newer
 * format, which is filled in.  FAULT_NO_SPACE: too little for the upgrade.  FAULT_EXPIRED: the
 * machine went down while the store was open, and nobody has recovered it since.  FAULT_NOT_FOUND:
 * no store in dir.
 */
MUST_USE enum fault store_upgrade_check(const char *dir, struct upgrade_check *);

#endif
