/* SPDX-License-Identifier: ISC */
/*
 * Copies a store into another directory of the same layout, while it is in use: one committed
 * state of it, in which every byte that the index names is there.  Done again with the same
 * target, only what is new in the segments is copied, as they never change in place.  A backup is
 * a store: it can be read and verified where it lies, and restored by the same copy backwards.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "common/base/fault.h"

#include <stdbool.h>
#include <stdint.h>

struct backup_options {
	/* An existing backup of the same store may be brought up to date.  Without this, to must
	 * hold no store (FAULT_EXISTS). */
	bool may_update;
	/* Called now and then with the bytes copied so far; may be NULL. */
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

/*
 * from: a store's or a backup's directory.  to: must exist.  FAULT_CONFLICT: to is a backup of
 * another store, or is newer.  FAULT_NOT_FOUND: no store at from.  On a fault an earlier backup in
 * to is as good as it was.  bytes: how many were copied.
 */
MUST_USE enum fault store_backup(
	const char *from, const char *to, const struct backup_options *, uint64_t *bytes);

#endif
