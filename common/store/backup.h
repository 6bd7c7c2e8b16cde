/* SPDX-License-Identifier: ISC */
/*
 * Copies a store into another directory, while it is in use: one committed state of it, in which
 * every byte that the index names is there.  Done again with the same target, only what is new in
 * the segments is copied, as they never change in place.  A backup is a store: it can be read and
 * verified where it lies.  Earlier states of the index are kept beside it, and all segments that
 * they need, so that restore.h can go back to any time since the oldest of them.  Linked by
 * mailctl; pabal-store(5) tells the layout.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/fault.h"

enum {
	BACKUP_SNAPSHOTS_MAX = 400, /* kept at most, whatever was asked for */
	BACKUP_SNAPSHOTS = 7, /* kept by default, the newest among them */
};

struct backup_options {
	/* An existing backup of the same store may be brought up to date.  Without this, to must
	 * hold no store (FAULT_EXISTS). */
	bool may_update;
	/* authd's directory (accounts, passwords, aliases), copied too; NULL: not. */
	const char *directory;
	/* How many states to keep (0: BACKUP_SNAPSHOTS), or those of so many seconds and the last
	 * one before (0: by count). */
	unsigned keep_count;
	int64_t keep_seconds;
	const struct clock *clock; /* NULL: clock_system */
	/* Called now and then with the bytes copied so far; may be NULL. */
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

/*
 * from: a store's or a backup's directory.  to: must exist.  FAULT_CONFLICT: to is a backup of
 * another store, of one that went another way since (restored), or is newer.  FAULT_NOT_FOUND: no
 * store at from.  FAULT_BUSY: another backup runs there, or housekeeping was faster than we (ask
 * again).  On a fault an earlier backup in to is as good as it was, and the next one goes on where
 * this one ended.  bytes: how many were copied.
 */
MUST_USE enum fault store_backup(
	const char *from, const char *to, const struct backup_options *, uint64_t *bytes);

/* One state of a backup. */
struct backup_snapshot {
	int64_t taken_at; /* seconds since 1970: everything committed before is in it, nothing after
			   */
	uint64_t commits; /* of the store until then */
	uint64_t accounts;
	uint64_t messages;
	uint64_t bytes; /* of mail, as clients see it */
};
/*
 * The states of a backup, oldest first, on the heap.  FAULT_NOT_FOUND: no backup at dir;
 * FAULT_UNSUPPORTED: of another format.
 */
MUST_USE enum fault store_backup_list(
	const char *dir, struct backup_snapshot **snapshots, size_t *count);

#endif
