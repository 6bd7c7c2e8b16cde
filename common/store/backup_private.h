/* SPDX-License-Identifier: ISC */
/* What the files of backup and restore share. */
#ifndef STORE_BACKUP_PRIVATE_H
#define STORE_BACKUP_PRIVATE_H

#include <sys/types.h>

#include "common/base/directory.h"
#include "common/store/backup.h"
#include "common/store/index.h"
#include "common/store/journal.h"

enum {
	BACKUP_PIECE = 1024 * 1024, /* bytes copied at once */
	BACKUP_STAMP_SIZE = 32, /* of "20261121T041200Z", and years that are longer */
};

/* Keys of the index's table meta, in a copy only: see restored.c. */
#define INDEX_META_BACKUP_AT "backup-at" /* seconds since 1970 */
#define INDEX_META_BACKUP_SEGMENTS "backup-segments" /* those that were there, 4 bytes each */

/* Numbers of segments, ascending. */
struct backup_list {
	uint32_t *at;
	size_t count;
	size_t size; /* allocated */
};
MUST_USE enum fault backup_list_add(struct backup_list *, uint32_t segment);
bool backup_list_has(const struct backup_list *, uint32_t segment);
void backup_list_clear(struct backup_list *);
MUST_USE enum fault backup_list_load(struct kv_txn *, struct backup_list *);

/* What an index says of its store. */
struct backup_state {
	uint64_t store; /* its id; 0: there is no index */
	int64_t taken_at; /* 0: not of a backup */
	struct journal_point point;
};
/* index: the directory of the index.  FAULT_NOT_FOUND; FAULT_UNSUPPORTED: of another format. */
MUST_USE enum fault backup_state_load(const char *index, struct backup_state *);
MUST_USE enum fault backup_index_open(const char *index, bool readonly, struct kv **);

/* Who owns what is written: the owner of the target directory. */
struct backup_owner {
	uid_t uid;
	gid_t gid;
};
MUST_USE enum fault backup_owner_of(const char *dir, struct backup_owner *);
MUST_USE enum fault backup_file_own(int file, const struct backup_owner *, mode_t);
/* The same by name, and synced. */
MUST_USE enum fault backup_path_own(const char *path, const struct backup_owner *, mode_t);
/* Makes the directory unless it is there. */
MUST_USE enum fault backup_dir_make(
	const char *dir, const char *name, const struct backup_owner *, mode_t);

/* FAULT_EXISTS when there are segments in dir: they may be all that is left of somebody's mail. */
MUST_USE enum fault backup_no_segments(const char *dir);

#define BACKUP_UNFINISHED "segments.new"

/* Copying segments from one directory to another. */
struct backup_copy {
	int source; /* directories */
	int target;
	int unfinished; /* files on their way into target */
	struct backup_owner owner;
	/* Up to here the target is known to have everything, durably; segment 0: nothing. */
	struct segment_tail done;
	struct backup_list seen; /* segments that the source had */
	char *piece;
	uint64_t bytes;
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};
/* Opens from/segments and makes to/segments.  To be closed in any case. */
MUST_USE enum fault backup_copy_open(struct backup_copy *, const char *from, const char *to);
void backup_copy_close(struct backup_copy *);
/* Brings one segment up to length; one that the source has no more is passed over. */
MUST_USE enum fault backup_segment_copy(struct backup_copy *, uint32_t segment, uint64_t length);
/* All segments of the source up to the tail, and makes their names durable. */
MUST_USE enum fault backup_segments_copy(struct backup_copy *, const struct segment_tail *);
/* Pieces of nothing but zeros are holes. */
bool backup_is_zero(const char *bytes, size_t len);
MUST_USE enum fault backup_write(int file, const char *bytes, size_t len, uint64_t offset);
/* A whole file, to a new one. */
MUST_USE enum fault backup_file_copy(
	const char *from, const char *to, const struct backup_owner *, mode_t);

/*
 * A copy of an index in the directory to (made anew), which gets the time and the list of segments.
 * state: of the copy.
 */
MUST_USE enum fault backup_index_copy(
	const char *from, const char *to, const struct backup_owner *);
struct backup_mark {
	int64_t taken_at;
	const struct backup_list *segments;
};
MUST_USE enum fault backup_index_mark(const char *index, const struct backup_mark *);

/*
 * Whether all that the index (of a state not before until) names in the log from since to until is
 * there in dir/segments.  FAULT_BUSY: some of it was punched out, or a segment was removed, before
 * it was copied.
 */
struct backup_range {
	struct journal_point since, until;
	/* A segment that was missing each time is missing in the store. */
	bool is_last_try;
};
MUST_USE enum fault backup_check(
	const char *dir, struct kv_txn *index, const struct backup_range *);

/*
 * Whether the log of the store in from, which is at now, goes on from where a backup of it ended.
 * FAULT_CONFLICT: it went another way, or is not yet there.
 */
MUST_USE enum fault backup_history_check(
	const char *from, const struct journal_point *old, const struct journal_point *now);

/* backup_snapshots.c: the states that are kept, by the time they were taken; newest first. */
struct backup_times {
	int64_t at[BACKUP_SNAPSHOTS_MAX + 1];
	size_t count;
};
/* "20261121T041200Z" of a time. */
const char *backup_stamp(int64_t at, char stamp[static BACKUP_STAMP_SIZE]);
/* The earlier states in dir/snapshots; not the newest, which is dir/index. */
MUST_USE enum fault backup_times_list(const char *dir, struct backup_times *);
/* The directory of the state. */
MUST_USE enum fault backup_snapshot_path(const char *dir, int64_t at, char path[static PATH_MAX]);
/* Keeps the newest state of dir as an earlier one, before another takes its place. */
MUST_USE enum fault backup_snapshot_keep(
	const char *dir, const struct backup_state *, const struct backup_owner *);
/* Removes the states that shall not be kept, and the segments that only they needed. */
MUST_USE enum fault backup_snapshots_expire(
	const char *dir, const struct backup_options *, int64_t now);

#endif
