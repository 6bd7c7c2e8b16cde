/* SPDX-License-Identifier: ISC */
/*
 * The earlier states that a backup keeps: copies of the index, each in a directory named by its
 * time.  The segments are a log, so a state and what the log has behind it make every time up to
 * the next state.  A segment stays as long as a kept state names it, or the log from the oldest
 * kept state on runs through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/store/backup_private.h"
#include "common/store/segment_format.h"

#define SNAPSHOTS "snapshots"

const char *
backup_stamp(int64_t at, char stamp[static BACKUP_STAMP_SIZE])
{
	time_t seconds = (time_t)at;
	struct tm utc;

	if (gmtime_r(&seconds, &utc) == NULL ||
		strftime(stamp, BACKUP_STAMP_SIZE, "%Y%m%dT%H%M%SZ", &utc) == 0)
		(void)snprintf(stamp, BACKUP_STAMP_SIZE, "0");
	return stamp;
}

static bool
stamp_parse(const char *stamp, int64_t *at)
{
	char again[BACKUP_STAMP_SIZE];
	struct tm utc = {0};
	const char *end = strptime(stamp, "%Y%m%dT%H%M%SZ", &utc);

	if (end == NULL || *end != '\0')
		return false;
	*at = (int64_t)timegm(&utc);
	return strcmp(backup_stamp(*at, again), stamp) == 0;
}

enum fault
backup_snapshot_path(const char *dir, int64_t at, char path[static PATH_MAX])
{
	char stamp[BACKUP_STAMP_SIZE], name[sizeof(SNAPSHOTS) + BACKUP_STAMP_SIZE];

	(void)snprintf(name, sizeof(name), SNAPSHOTS "/%s", backup_stamp(at, stamp));
	return directory_path(dir, name, path);
}

/* More than fit: the newest stay. */
static enum fault
time_add(void *arg, const char *name)
{
	struct backup_times *t = arg;
	int64_t at;
	size_t i = t->count;

	if (!stamp_parse(name, &at))
		return FAULT_OK;
	if (t->count < sizeof(t->at) / sizeof(t->at[0]))
		t->count++;
	else if (t->at[--i] >= at)
		return FAULT_OK;
	for (; i > 0 && t->at[i - 1] < at; i--)
		t->at[i] = t->at[i - 1];
	t->at[i] = at;
	return FAULT_OK;
}

static enum fault
snapshots_open(const char *dir, int *snapshots)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, SNAPSHOTS, path);

	if (fault != FAULT_OK)
		return fault;
	*snapshots = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *snapshots < 0 ? fault_from_errno(errno) : FAULT_OK;
}

enum fault
backup_times_list(const char *dir, struct backup_times *times)
{
	int snapshots;
	enum fault fault = snapshots_open(dir, &snapshots);

	times->count = 0;
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
	fault = directory_each(snapshots, time_add, times);
	close(snapshots);
	return fault;
}

/* The same file under another name; where the file system cannot, a copy. */
static enum fault
file_share(const char *from, const char *to, const struct backup_owner *owner)
{
	if (link(from, to) == 0)
		return FAULT_OK;
	if (errno == ENOENT)
		return FAULT_NOT_FOUND;
	return backup_file_copy(from, to, owner, 0600);
}

static enum fault
files_share(const char *dir, const char *to, const struct backup_owner *owner)
{
	char from[PATH_MAX], file[PATH_MAX];
	enum fault fault = directory_path(dir, "index/data.mdb", from);

	if (fault == FAULT_OK)
		fault = directory_path(to, "data.mdb", file);
	if (fault == FAULT_OK)
		fault = file_share(from, file, owner);
	if (fault == FAULT_OK)
		fault = directory_path(dir, "directory/data.mdb", from);
	if (fault == FAULT_OK)
		fault = directory_path(to, "directory.mdb", file);
	if (fault == FAULT_OK)
		fault = file_share(from, file, owner);
	if (fault == FAULT_NOT_FOUND)
		fault = FAULT_OK; /* no directory was copied then */
	return fault == FAULT_OK ? directory_sync(to) : fault;
}

enum fault
backup_snapshot_keep(
	const char *dir, const struct backup_state *state, const struct backup_owner *owner)
{
	char path[PATH_MAX], unfinished[PATH_MAX];
	struct stat status;
	enum fault fault = backup_dir_make(dir, SNAPSHOTS, owner, 0700);

	if (fault == FAULT_OK)
		fault = backup_snapshot_path(dir, state->taken_at, path);
	if (fault != FAULT_OK || stat(path, &status) == 0)
		return fault;
	fault = directory_path(dir, SNAPSHOTS "/new", unfinished);
	if (fault == FAULT_OK)
		fault = directory_remove(unfinished);
	if (fault == FAULT_OK)
		fault = backup_dir_make(dir, SNAPSHOTS "/new", owner, 0700);
	if (fault == FAULT_OK)
		fault = files_share(dir, unfinished, owner);
	if (fault == FAULT_OK && rename(unfinished, path) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = directory_path(dir, SNAPSHOTS, path);
	return fault == FAULT_OK ? directory_sync(path) : fault;
}

/* Earlier states beside the newest that shall stay: so many of the first in the list. */
static size_t
kept_count(const struct backup_times *times, const struct backup_options *o, int64_t now)
{
	size_t most = o->keep_count > 0 ? o->keep_count : BACKUP_SNAPSHOTS, kept = 0;

	if (o->keep_seconds > 0) {
		most = BACKUP_SNAPSHOTS_MAX;
		while (kept < times->count && times->at[kept] > now - o->keep_seconds)
			kept++;
		/* What lies between this one and the first within reach is reached from it. */
		kept += kept < times->count;
	} else {
		kept = times->count;
	}
	if (most > BACKUP_SNAPSHOTS_MAX)
		most = BACKUP_SNAPSHOTS_MAX;
	return kept < most ? kept : most - 1;
}

/* What is known of the segments in the target. */
struct segment_use {
	int dir;
	struct backup_list needed;
	uint32_t log_from; /* the log of the oldest kept state begins here */
	bool unknown; /* a state does not say what it needs */
};

static enum fault
use_add(struct segment_use *use, const char *index)
{
	struct backup_state state;
	struct kv_txn txn;
	struct kv *kv = NULL;
	enum fault fault = backup_state_load(index, &state);

	if (fault == FAULT_OK)
		fault = backup_index_open(index, true, &kv);
	if (fault == FAULT_OK)
		fault = kv_begin_read(kv, &txn);
	if (fault == FAULT_OK) {
		fault = backup_list_load(&txn, &use->needed);
		kv_abort(&txn);
	}
	kv_close(kv);
	if (state.point.tail.segment < use->log_from)
		use->log_from = state.point.tail.segment;
	if (fault != FAULT_NOMEM && fault != FAULT_OK)
		use->unknown = true;
	return fault == FAULT_NOMEM ? fault : FAULT_OK;
}

static enum fault
segment_drop(void *arg, const char *name)
{
	struct segment_use *use = arg;
	uint32_t segment;

	if (use->unknown || !segment_name_parse(slice_text(name), &segment) ||
		segment >= use->log_from || backup_list_has(&use->needed, segment))
		return FAULT_OK;
	return unlinkat(use->dir, name, 0) < 0 ? fault_from_errno(errno) : FAULT_OK;
}

static enum fault
segments_drop(const char *dir, const struct backup_times *kept)
{
	struct segment_use use = {.log_from = UINT32_MAX};
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, "index", path);

	if (fault == FAULT_OK)
		fault = use_add(&use, path);
	for (size_t i = 0; fault == FAULT_OK && i < kept->count; i++) {
		fault = backup_snapshot_path(dir, kept->at[i], path);
		if (fault == FAULT_OK)
			fault = use_add(&use, path);
	}
	if (fault == FAULT_OK)
		fault = directory_path(dir, "segments", path);
	if (fault == FAULT_OK) {
		use.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fault = use.dir < 0 ? fault_from_errno(errno)
				    : directory_each(use.dir, segment_drop, &use);
		if (use.dir >= 0)
			close(use.dir);
	}
	backup_list_clear(&use.needed);
	return fault;
}

enum fault
backup_snapshots_expire(const char *dir, const struct backup_options *options, int64_t now)
{
	struct backup_times times;
	char path[PATH_MAX];
	enum fault fault = backup_times_list(dir, &times);
	size_t keep = fault == FAULT_OK ? kept_count(&times, options, now) : 0;

	for (size_t i = keep; fault == FAULT_OK && i < times.count; i++) {
		fault = backup_snapshot_path(dir, times.at[i], path);
		if (fault == FAULT_OK)
			fault = directory_remove(path);
	}
	if (fault != FAULT_OK)
		return fault;
	times.count = keep < times.count ? keep : times.count;
	fault = segments_drop(dir, &times);
	/* Of a segment that the store no longer had when the copy was gone on with. */
	if (fault == FAULT_OK)
		fault = directory_path(dir, BACKUP_UNFINISHED, path);
	return fault == FAULT_OK ? directory_remove(path) : fault;
}
