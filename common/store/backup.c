/* SPDX-License-Identifier: ISC */
/*
 * Hot backup.  The order makes it consistent: first the segments up to the committed tail, then a
 * snapshot of the index, then what the segments got in between.  So nothing that the snapshot
 * names can have been purged before its bytes were copied; what could have been in the last
 * stretch is looked for.  The index of the target is replaced last, by a rename: until then an
 * earlier backup stays whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/backup_private.h"
#include "common/store/reader.h"

enum { TRIES = 5 };

struct backup {
	const char *from;
	const char *to;
	const struct backup_options *options;
	int lock;
	struct backup_copy copy;
	struct backup_state old; /* what the target had; store 0: nothing */
	struct backup_state now; /* the snapshot */
};

static enum fault
state_of(const char *dir, struct backup_state *state)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, "index", path);

	*state = (struct backup_state){0};
	return fault != FAULT_OK ? fault : backup_state_load(path, state);
}

static enum fault
lock_take(struct backup *b)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(b->to, "backup.lock", path);

	if (fault != FAULT_OK)
		return fault;
	b->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->lock < 0)
		return fault_from_errno(errno);
	if (flock(b->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? FAULT_BUSY : fault_from_errno(errno);
	return FAULT_OK;
}

/* Whether the target may be written: empty, or an earlier backup of this store. */
static enum fault
target_check(struct backup *b, const struct backup_state *from)
{
	struct backup_state old;
	enum fault fault = state_of(b->to, &old);

	if (fault == FAULT_NOT_FOUND)
		return b->options->may_update ? FAULT_OK : backup_no_segments(b->to);
	if (fault != FAULT_OK)
		return fault;
	if (!b->options->may_update)
		return FAULT_EXISTS;
	if (old.store != from->store)
		return FAULT_CONFLICT;
	fault = backup_history_check(b->from, &old.point, &from->point);
	b->old = old;
	b->copy.done = old.point.tail;
	return fault;
}

static int64_t
now_seconds(const struct backup *b)
{
	const struct clock *clock = b->options->clock;

	return clock_wall_ms(clock != NULL ? clock : &clock_system) / 1000;
}

/* A snapshot of the index in index.new, and the rest of what it names in the segments. */
static enum fault
snapshot_take(struct backup *b, const char *index)
{
	char from[PATH_MAX];
	enum fault fault = directory_path(b->from, "index", from);

	if (fault == FAULT_OK)
		fault = backup_index_copy(from, index, &b->copy.owner);
	if (fault == FAULT_OK)
		fault = backup_state_load(index, &b->now);
	/* A commit of this second may be in it or not: the second counts as over then. */
	b->now.taken_at = now_seconds(b);
	if (fault == FAULT_OK)
		fault = backup_segments_copy(&b->copy, &b->now.point.tail);
	return fault;
}

static enum fault
snapshot_check(struct backup *b, const char *index, const struct backup_range *range)
{
	struct kv_txn txn;
	struct kv *kv = NULL;
	enum fault fault = backup_index_open(index, true, &kv);

	if (fault == FAULT_OK)
		fault = kv_begin_read(kv, &txn);
	if (fault == FAULT_OK) {
		fault = backup_check(b->to, &txn, range);
		kv_abort(&txn);
	}
	kv_close(kv);
	return fault;
}

static enum fault
index_make(struct backup *b, const struct journal_point *since)
{
	struct backup_range range = {.until = *since};
	char index[PATH_MAX];
	enum fault fault = directory_path(b->to, "index.new", index);

	if (fault == FAULT_OK)
		fault = FAULT_BUSY;
	for (int tries = 1; fault == FAULT_BUSY && tries <= TRIES; tries++) {
		range.since = range.until;
		range.is_last_try = tries == TRIES;
		fault = snapshot_take(b, index);
		range.until = b->now.point;
		if (fault == FAULT_OK)
			fault = snapshot_check(b, index, &range);
	}
	struct backup_mark mark = {b->now.taken_at, &b->copy.seen};
	return fault == FAULT_OK ? backup_index_mark(index, &mark) : fault;
}

/* Accounts, passwords and aliases: for the eyes of the owner alone. */
static enum fault
directory_copy(struct backup *b)
{
	char to[PATH_MAX];

	if (b->options->directory == NULL)
		return FAULT_OK;
	enum fault fault = directory_path(b->to, "directory.new", to);
	return fault != FAULT_OK ? fault
				 : backup_index_copy(b->options->directory, to, &b->copy.owner);
}

/* Moves name.new/data.mdb to name/data.mdb, durably. */
static enum fault
data_replace(struct backup *b, const char *name, mode_t dir_mode, mode_t mode)
{
	char new_dir[PATH_MAX], dir[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	char unfinished[32];
	enum fault fault = backup_dir_make(b->to, name, &b->copy.owner, dir_mode);

	(void)snprintf(unfinished, sizeof(unfinished), "%s.new", name);
	if (fault == FAULT_OK)
		fault = directory_path(b->to, unfinished, new_dir);
	if (fault == FAULT_OK)
		fault = directory_path(new_dir, "data.mdb", from);
	if (fault == FAULT_OK)
		fault = directory_path(b->to, name, dir);
	if (fault == FAULT_OK)
		fault = directory_path(dir, "data.mdb", to);
	if (fault == FAULT_OK)
		fault = backup_path_own(from, &b->copy.owner, mode);
	if (fault == FAULT_OK && rename(from, to) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	if (fault == FAULT_OK)
		fault = directory_sync(b->to);
	return fault == FAULT_OK ? directory_remove(new_dir) : fault;
}

static enum fault
publish(struct backup *b)
{
	enum fault fault = FAULT_OK;

	if (b->old.store != 0 && b->old.taken_at != 0 && b->old.taken_at != b->now.taken_at)
		fault = backup_snapshot_keep(b->to, &b->old, &b->copy.owner);
	if (fault == FAULT_OK && b->options->directory != NULL)
		fault = data_replace(b, "directory", 0700, 0600);
	/* From here on the new backup is the backup. */
	if (fault == FAULT_OK)
		fault = data_replace(b, "index", 0750, 0640);
	return fault;
}

static enum fault
backup_run(struct backup *b)
{
	struct backup_state first;
	enum fault fault = state_of(b->from, &first);

	if (fault == FAULT_OK)
		fault = backup_owner_of(b->to, &b->copy.owner);
	if (fault == FAULT_OK)
		fault = lock_take(b);
	if (fault == FAULT_OK)
		fault = target_check(b, &first);
	if (fault == FAULT_OK)
		fault = backup_copy_open(&b->copy, b->from, b->to);
	if (fault == FAULT_OK)
		fault = backup_segments_copy(&b->copy, &first.point.tail);
	if (fault == FAULT_OK)
		fault = index_make(b, &first.point);
	if (fault == FAULT_OK)
		fault = directory_copy(b);
	if (fault == FAULT_OK)
		fault = publish(b);
	return fault != FAULT_OK ? fault
				 : backup_snapshots_expire(b->to, b->options, b->now.taken_at);
}

enum fault
store_backup(
	const char *from, const char *to, const struct backup_options *options, uint64_t *bytes)
{
	struct backup b = {.from = from,
		.to = to,
		.options = options,
		.lock = -1,
		.copy = {.source = -1,
			.target = -1,
			.unfinished = -1,
			.progress = options->progress,
			.arg = options->arg}};
	enum fault fault = backup_run(&b);

	backup_copy_close(&b.copy);
	if (b.lock >= 0)
		close(b.lock);
	*bytes = b.copy.bytes;
	return fault;
}

static enum fault
totals_add(void *arg, const struct store_account *account)
{
	struct backup_snapshot *s = arg;

	s->accounts++;
	s->messages += account->messages;
	s->bytes += account->used_bytes;
	return FAULT_OK;
}

/* What one index says; the reader wants it in a directory named "index". */
static enum fault
snapshot_describe(const char *index, struct backup_snapshot *s)
{
	struct backup_state state;
	struct kv_txn txn;
	struct kv_cursor cursor;
	struct kv *kv = NULL;
	enum fault fault = backup_state_load(index, &state);

	if (fault == FAULT_OK)
		fault = backup_index_open(index, true, &kv);
	if (fault == FAULT_OK)
		fault = kv_begin_read(kv, &txn);
	if (fault == FAULT_OK) {
		*s = (struct backup_snapshot){
			.taken_at = state.taken_at, .commits = state.point.sequence};
		kv_cursor_open(&txn, INDEX_ACCOUNTS, &cursor);
		for (bool more = kv_first(&cursor); more; more = kv_next(&cursor)) {
			struct store_account account;
			if (index_account_decode(cursor.key, cursor.value, &account) == FAULT_OK)
				(void)totals_add(s, &account);
		}
		kv_cursor_close(&cursor);
		fault = txn.fault;
		kv_abort(&txn);
	}
	kv_close(kv);
	return fault;
}

enum fault
store_backup_list(const char *dir, struct backup_snapshot **snapshots, size_t *count)
{
	struct backup_times times;
	char path[PATH_MAX];
	enum fault fault = backup_times_list(dir, &times);

	*snapshots = NULL;
	*count = 0;
	if (fault == FAULT_OK)
		fault = directory_path(dir, "index", path);
	if (fault != FAULT_OK)
		return fault;
	struct backup_snapshot *list = calloc(times.count + 1, sizeof(*list));
	if (list == NULL)
		return FAULT_NOMEM;
	fault = snapshot_describe(path, &list[times.count]);
	for (size_t i = 0; fault == FAULT_OK && i < times.count; i++) {
		fault = backup_snapshot_path(dir, times.at[i], path);
		if (fault == FAULT_OK)
			fault = snapshot_describe(path, &list[times.count - 1 - i]);
	}
	if (fault != FAULT_OK) {
		free(list);
		return fault;
	}
	*snapshots = list;
	*count = times.count + 1;
	return FAULT_OK;
}
