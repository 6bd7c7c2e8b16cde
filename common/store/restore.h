/* SPDX-License-Identifier: ISC */
/*
 * From a backup (backup.h) to a store: as it was when the newest state was taken, or at any time
 * since the oldest kept one: a state not after that time, and the log behind it up to the last
 * commit of that time.  Linked by mailctl.
 */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/fault.h"

#define RESTORE_NEWEST INT64_MAX

struct restore_options {
	int64_t at; /* seconds since 1970, or RESTORE_NEWEST */
	/* Where authd's directory goes, unless there is one; NULL: not restored. */
	const char *directory;
	/* Called now and then with the bytes copied so far; may be NULL. */
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

struct restore_result {
	uint64_t bytes; /* copied */
	uint64_t commits; /* of the store until then */
	uint64_t replayed; /* of them, taken from the log */
	int64_t taken_at; /* of the state that it began with */
	bool has_directory; /* one was restored */
};

/*
 * to: an existing directory without a store (FAULT_EXISTS), in use by nobody (FAULT_BUSY); what is
 * made belongs to its owner.  FAULT_NOT_FOUND: no backup at from.  FAULT_EXPIRED: the backup does
 * not reach back so far, or its log has a gap before that time.  When the store is opened for the
 * first time, its next UIDs, modification sequences and ids jump ahead, past all that the lost one
 * can have given since the backup (writer_restored()).  After a crash it can be run again.
 */
MUST_USE enum fault store_restore(
	const char *from, const char *to, const struct restore_options *, struct restore_result *);

/* A backup as it was at a time, for reader_open(dir); made in a temporary directory when needed. */
struct restore_view {
	char dir[PATH_MAX];
	bool is_temporary;
	struct restore_result result;
};
/* at, faults: as above. */
MUST_USE enum fault restore_view_open(const char *backup, int64_t at, struct restore_view *);
/* After the reader was closed. */
void restore_view_close(struct restore_view *);

#endif
