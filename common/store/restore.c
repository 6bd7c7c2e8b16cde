/* SPDX-License-Identifier: ISC */
/* A whole store from a backup in a directory, or a view of it, as it was at a time. */
#include "common/store/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/restore_private.h"

/* The state that a restore begins with. */
struct base {
	char index[PATH_MAX];
	char directory[PATH_MAX]; /* the file of authd's copy */
	struct backup_state state;
	uint64_t next; /* commits in the state after it; 0: it is the newest */
	struct backup_list segments; /* that its store had */
	bool has_list;
};

static enum fault
list_read(struct base *base)
{
	struct kv_txn txn;
	struct kv *kv = NULL;
	enum fault fault = backup_index_open(base->index, true, &kv);

	if (fault == FAULT_OK)
		fault = kv_begin_read(kv, &txn);
	if (fault == FAULT_OK) {
		fault = backup_list_load(&txn, &base->segments);
		kv_abort(&txn);
	}
	kv_close(kv);
	base->has_list = fault == FAULT_OK;
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

/* An earlier state, the newest that is not after the time. */
static enum fault
earlier_find(const char *from, int64_t at, struct base *base)
{
	struct backup_times times;
	struct backup_state next;
	char path[PATH_MAX];
	enum fault fault = backup_times_list(from, &times);
	size_t i = 0;

	base->next = base->state.point.sequence;
	while (fault == FAULT_OK && i < times.count && times.at[i] > at)
		i++;
	if (fault == FAULT_OK && i == times.count)
		return FAULT_EXPIRED;
	if (fault == FAULT_OK && i > 0) {
		fault = backup_snapshot_path(from, times.at[i - 1], path);
		if (fault == FAULT_OK)
			fault = backup_state_load(path, &next);
		if (fault == FAULT_OK)
			base->next = next.point.sequence;
	}
	if (fault == FAULT_OK)
		fault = backup_snapshot_path(from, times.at[i], base->index);
	if (fault == FAULT_OK)
		fault = directory_path(base->index, "directory.mdb", base->directory);
	return fault == FAULT_OK ? backup_state_load(base->index, &base->state) : fault;
}

static enum fault
base_find(const char *from, int64_t at, struct base *base)
{
	enum fault fault = directory_path(from, "index", base->index);

	if (fault == FAULT_OK)
		fault = directory_path(from, "directory/data.mdb", base->directory);
	if (fault == FAULT_OK)
		fault = backup_state_load(base->index, &base->state);
	if (fault == FAULT_OK && base->state.taken_at > at)
		fault = earlier_find(from, at, base);
	return fault == FAULT_OK ? list_read(base) : fault;
}

/* Makes index what the store's was at the time. */
static enum fault
index_make(const char *from, const struct base *base, const char *index, int64_t at,
	const struct backup_owner *owner, struct restore_replay *replay)
{
	*replay = (struct restore_replay){
		.dir = from, .until = at, .last = UINT64_MAX, .point = base->state.point};
	enum fault fault = backup_index_copy(base->index, index, owner);
	/* Behind the newest state there is no log. */
	if (fault != FAULT_OK || base->next == 0)
		return fault;
	fault = restore_replay(index, replay);
	if (fault == FAULT_OK && !replay->was_stopped && replay->point.sequence < base->next)
		fault = FAULT_EXPIRED;
	return fault;
}

static void
result_fill(
	struct restore_result *result, const struct base *base, const struct restore_replay *replay)
{
	result->commits = replay->point.sequence;
	result->replayed = replay->commits;
	result->taken_at = base->state.taken_at;
}

static enum fault
segments_restore(struct backup_copy *copy, const struct base *base, const struct segment_tail *tail)
{
	enum fault fault = FAULT_OK;

	if (!base->has_list)
		return backup_segments_copy(copy, tail);
	for (size_t i = 0; fault == FAULT_OK && i < base->segments.count; i++)
		if (base->segments.at[i] < base->state.point.tail.segment)
			fault = backup_segment_copy(copy, base->segments.at[i], UINT64_MAX);
	for (uint32_t i = base->state.point.tail.segment; fault == FAULT_OK && i < tail->segment;
		i++)
		fault = backup_segment_copy(copy, i, UINT64_MAX);
	if (fault == FAULT_OK && tail->segment != 0)
		fault = backup_segment_copy(copy, tail->segment, tail->length);
	if (fault == FAULT_OK && fsync(copy->target) < 0)
		fault = fault_from_errno(errno);
	return fault;
}

static enum fault
store_make(const char *from, const char *to, const struct restore_options *options,
	struct restore_result *result)
{
	struct base base = {.has_list = false};
	struct backup_copy copy = {.source = -1,
		.target = -1,
		.unfinished = -1,
		.progress = options->progress,
		.arg = options->arg};
	struct restore_replay replay;
	char unfinished[PATH_MAX], index[PATH_MAX];
	enum fault fault = base_find(from, options->at, &base);

	if (fault == FAULT_OK)
		fault = backup_owner_of(to, &copy.owner);
	if (fault == FAULT_OK)
		fault = restore_begin(to, &copy.owner);
	if (fault == FAULT_OK)
		fault = directory_path(to, "restore.new", unfinished);
	if (fault == FAULT_OK)
		fault = directory_path(to, "restore.new/index", index);
	if (fault == FAULT_OK)
		fault = index_make(from, &base, index, options->at, &copy.owner, &replay);
	if (fault == FAULT_OK)
		fault = backup_copy_open(&copy, from, unfinished);
	if (fault == FAULT_OK)
		fault = segments_restore(&copy, &base, &replay.point.tail);
	struct backup_mark mark = {base.state.taken_at, &copy.seen};
	if (fault == FAULT_OK)
		fault = backup_index_mark(index, &mark);
	if (fault == FAULT_OK && options->directory != NULL)
		fault = restore_directory(
			base.directory, options->directory, &result->has_directory);
	if (fault == FAULT_OK)
		fault = restore_finish(to, &copy.owner);
	if (fault == FAULT_OK)
		result_fill(result, &base, &replay);
	result->bytes = copy.bytes;
	backup_copy_close(&copy);
	backup_list_clear(&base.segments);
	return fault;
}

enum fault
store_restore(const char *from, const char *to, const struct restore_options *options,
	struct restore_result *result)
{
	*result = (struct restore_result){0};
	return store_make(from, to, options, result);
}

/* In a directory of its own: a copied index, and a link to the segments where they are. */
static enum fault
view_make(const char *backup, int64_t at, const struct base *base, struct restore_view *view)
{
	char index[PATH_MAX], segments[PATH_MAX], link[PATH_MAX], whole[PATH_MAX];
	struct backup_owner owner = {geteuid(), getegid()};
	struct restore_replay replay;
	enum fault fault = directory_path(view->dir, "index", index);

	if (realpath(backup, whole) == NULL)
		return fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = directory_path(whole, "segments", segments);
	if (fault == FAULT_OK)
		fault = directory_path(view->dir, "segments", link);
	if (fault == FAULT_OK && symlink(segments, link) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = index_make(backup, base, index, at, &owner, &replay);
	if (fault == FAULT_OK)
		result_fill(&view->result, base, &replay);
	return fault;
}

enum fault
restore_view_open(const char *backup, int64_t at, struct restore_view *view)
{
	struct base base = {.has_list = false};
	const char *where = getenv("TMPDIR");
	enum fault fault = base_find(backup, at, &base);

	*view = (struct restore_view){0};
	backup_list_clear(&base.segments);
	if (fault != FAULT_OK)
		return fault;
	if (base.next == 0) {
		int n = snprintf(view->dir, sizeof(view->dir), "%s", backup);
		view->result = (struct restore_result){
			.commits = base.state.point.sequence, .taken_at = base.state.taken_at};
		return n < 0 || (size_t)n >= sizeof(view->dir) ? FAULT_TOO_LONG : FAULT_OK;
	}
	fault = directory_path(where != NULL ? where : "/var/tmp", "pabal-view-XXXXXX", view->dir);
	if (fault == FAULT_OK && mkdtemp(view->dir) == NULL)
		fault = fault_from_errno(errno);
	view->is_temporary = fault == FAULT_OK;
	if (fault == FAULT_OK)
		fault = view_make(backup, at, &base, view);
	if (fault != FAULT_OK)
		restore_view_close(view);
	return fault;
}

void
restore_view_close(struct restore_view *view)
{
	/* What cannot be removed is a temporary file. */
	if (view->is_temporary)
		(void)!directory_remove(view->dir);
	view->is_temporary = false;
}
