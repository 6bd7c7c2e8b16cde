/* SPDX-License-Identifier: ISC */
/* What the files of restore share. */
#ifndef STORE_RESTORE_PRIVATE_H
#define STORE_RESTORE_PRIVATE_H

#include "common/store/backup_private.h"
#include "common/store/restore.h"

/* The log behind a state of the index. */
struct restore_replay {
	const char *dir; /* of "segments" */
	int64_t until; /* commits after this time are left out */
	uint64_t last; /* and those after this number */
	/* result */
	struct journal_point point;
	uint64_t commits; /* done again */
	bool was_stopped; /* by until or last: the log goes on */
};
/* index: the directory of a copy, opened by nobody. */
MUST_USE enum fault restore_replay(const char *index, struct restore_replay *);

/* Whether dir holds no store, and none is in use there.  FAULT_EXISTS, FAULT_BUSY. */
MUST_USE enum fault restore_target_check(const char *dir);
/*
 * Makes dir/restore.new, or ends what an earlier restore left there: FAULT_EXISTS, and it was only
 * to be put in place.
 */
MUST_USE enum fault restore_begin(const char *dir, const struct backup_owner *);
/* Puts dir/restore.new/segments and dir/restore.new/index in place. */
MUST_USE enum fault restore_finish(const char *dir, const struct backup_owner *);
/* Makes to/data.mdb of a copy of authd's directory; *done: false when there is one already. */
MUST_USE enum fault restore_directory(const char *from, const char *to, bool *done);

#endif
