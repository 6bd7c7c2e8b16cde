/* SPDX-License-Identifier: ISC */
/* Opening a journal: which state of the index can be trusted, and what the log has beyond it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/base/log.h"
#include "common/store/journal_private.h"

enum { CHANGES_CAP = 256 * 1024 * 1024 };

static enum fault
path_make(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

static enum fault
dir_ensure(const struct journal *j, const char *name, char path[static PATH_MAX])
{
	mode_t mode = j->options.group_reads ? 0750 : 0700;
	enum fault fault = path_make(j->dir, name, path);

	if (fault != FAULT_OK)
		return fault;
	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? FAULT_OK : fault_from_errno(errno);
	/* mkdir obeys the umask. */
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fchmod(dir, mode) < 0)
		fault = fault_from_errno(errno);
	if (dir >= 0)
		close(dir);
	return fault;
}

static bool
is_same_boot(const struct journal *j)
{
	return memcmp(j->durable.boot_id, j->boot_id, JOURNAL_BOOT_SIZE) == 0;
}

/* An index that was synced by itself: the boot id was not known then. */
static bool
was_synced(const struct journal *j)
{
	static const uint8_t none[JOURNAL_BOOT_SIZE];

	return memcmp(j->durable.boot_id, none, JOURNAL_BOOT_SIZE) == 0;
}

/*
 * FAULT_NOT_FOUND: there is no checkpoint, the index is new, from a backup, or of a format that
 * needed none.
 */
static enum fault
checkpoint_load(struct journal *j)
{
	char path[PATH_MAX];
	enum fault fault = path_make(j->dir, "checkpoint", path);

	if (fault != FAULT_OK)
		return fault;
	j->file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->file < 0)
		return fault_from_errno(errno);
	return checkpoint_read(j->file, &j->durable);
}

/*
 * What is there may be by a process that died before it could sync it: the second record (the first
 * is about to be written again), the names in our directory.
 */
static enum fault
checkpoint_file_ensure(struct journal *j)
{
	char path[PATH_MAX];
	enum fault fault = path_make(j->dir, "checkpoint", path);

	if (fault != FAULT_OK)
		return fault;
	if (j->file < 0)
		j->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->file < 0 || fdatasync(j->file) < 0)
		return fault_from_errno(errno);
	return directory_sync(j->dir);
}

/* After a power cut: what the page cache had of the index is gone. */
static enum fault
index_restore(struct journal *j, const char *index)
{
	j->is_continued = is_same_boot(j);
	if (!j->durable.suspect && (is_same_boot(j) || was_synced(j)))
		return FAULT_OK;
	enum fault fault = kv_metas_restore(index, &j->durable.metas);
	if (fault == FAULT_BUSY)
		log_error("%s: must be recovered, but is in use by other processes: stop them",
			j->dir);
	else if (fault == FAULT_NOT_FOUND)
		log_error("%s: the index is lost, but not the checkpoint: not touched", j->dir);
	else if (fault == FAULT_DAMAGED)
		log_error("%s: the checkpoint is not of this index: not touched.  If the index was "
			  "put here by hand, remove the file \"checkpoint\"",
			j->dir);
	else if (fault == FAULT_OK)
		log_info("%s: recovering from the checkpoint of commit %llu", j->dir,
			(unsigned long long)j->durable.point.sequence);
	return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

/* Of a power cut before there was anything to keep: what was being made is no index yet. */
static enum fault
index_unmade_remove(struct journal *j, const char *index)
{
	char path[PATH_MAX];
	struct segment_tail last;
	enum fault fault = segments_last(j->segments, &last);

	if (fault == FAULT_OK && last.segment != 0)
		return FAULT_DAMAGED;
	if (fault == FAULT_OK)
		fault = path_make(index, "data.mdb", path);
	if (fault == FAULT_OK && unlink(path) < 0)
		fault = fault_from_errno(errno);
	return fault;
}

static enum fault
index_open(struct journal *j, bool has_checkpoint)
{
	char path[PATH_MAX];
	struct kv_options options = {
		.tables = j->options.tables,
		.group_reads = j->options.group_reads,
		.map_bytes = j->options.map_bytes,
		.clock = j->options.clock,
		.lazy = j->lazy,
	};
	enum fault fault = dir_ensure(j, "index", path);

	if (fault == FAULT_OK && has_checkpoint)
		fault = index_restore(j, path);
	if (fault != FAULT_OK)
		return fault;
	fault = kv_open(path, &options, &j->kv);
	if (fault == FAULT_DAMAGED && !has_checkpoint) {
		fault = index_unmade_remove(j, path);
		if (fault == FAULT_OK)
			fault = kv_open(path, &options, &j->kv);
	}
	if (fault == FAULT_OK)
		fault = kv_pin_next(j->kv);
	if (fault == FAULT_OK)
		kv_pin_move(j->kv);
	return fault;
}

static enum fault
files_open(struct journal *j)
{
	char path[PATH_MAX];
	struct segments_options options = {j->options.segment_size_max, j->options.group_reads};
	enum fault fault = dir_ensure(j, "segments", path);

	if (fault == FAULT_OK)
		fault = segments_open(path, &options, &j->segments);
	if (fault != FAULT_OK)
		return fault;
	enum fault found = checkpoint_load(j);
	if (found == FAULT_DAMAGED)
		log_error("%s/checkpoint is damaged", j->dir);
	if (found != FAULT_OK && found != FAULT_NOT_FOUND)
		return found;
	return index_open(j, found == FAULT_OK);
}

/*
 * A new index beside segments that hold records means that the index was lost: nothing may be cut
 * off then.
 */
static enum fault
new_check(struct journal *j, struct journal_point *point)
{
	struct segment_tail last;
	enum fault fault = segments_last(j->segments, &last);

	if (fault == FAULT_OK && j->options.rebuild)
		point->tail = last;
	else if (fault == FAULT_OK && last.segment != 0) {
		log_error("%s: the index is empty, but there are segments: not touched", j->dir);
		fault = FAULT_DAMAGED;
	}
	return fault;
}

static enum fault
point_find(struct journal *j, struct journal_point *point, bool *is_saved)
{
	struct kv_txn txn;
	enum fault fault = kv_begin_read(j->kv, &txn);

	*point = (struct journal_point){0};
	*is_saved = false;
	if (fault != FAULT_OK)
		return fault;
	if (j->options.check != NULL)
		fault = j->options.check(&txn);
	if (fault == FAULT_OK)
		fault = journal_point_load(&txn, j->options.meta_table, point);
	*is_saved = fault == FAULT_OK;
	if (fault == FAULT_NOT_FOUND && j->options.tail_of_older != NULL)
		fault = j->options.tail_of_older(&txn, &point->tail);
	kv_abort(&txn);
	return fault == FAULT_NOT_FOUND ? new_check(j, point) : fault;
}

static enum fault
point_write(struct journal *j)
{
	struct kv_txn txn;
	enum fault fault = kv_begin_write(j->kv, &txn);

	if (fault != FAULT_OK)
		return fault;
	journal_point_save(&txn, j->options.meta_table, &j->point);
	return kv_commit(&txn);
}

/* From the index that can be trusted to the end of the log; what follows has never happened. */
static enum fault
recover(struct journal *j)
{
	bool is_saved;
	enum fault fault = point_find(j, &j->point, &is_saved);
	uint64_t before = j->point.sequence;

	if (fault == FAULT_OK)
		fault = checkpoint_file_ensure(j);
	/*
	 * The process that held the slot of the last checkpoint is dead: its pages may be used
	 * again from the first write on.  So this state must be durable before anything is written.
	 */
	if (fault == FAULT_OK)
		fault = journal_checkpoint(j);
	if (fault == FAULT_OK)
		fault = kv_tables_make(j->kv);
	if (fault == FAULT_OK && j->options.rebuild)
		fault = journal_log_end(j, j->point.tail, j->point.tail);
	else if (fault == FAULT_OK)
		fault = journal_replay(j, &j->point);
	/* A start that finds all in order needs no room on the disk. */
	if (fault != FAULT_OK || (is_saved && j->point.sequence == before))
		return fault;
	if (!is_saved)
		fault = point_write(j);
	return fault != FAULT_OK ? fault : journal_checkpoint(j);
}

static void
boot_id_fill(struct journal *j)
{
	j->lazy = true;
	if (j->options.boot_id != NULL)
		memcpy(j->boot_id, j->options.boot_id, JOURNAL_BOOT_SIZE);
	else
		j->lazy = checkpoint_boot_id(j->boot_id);
	if (!j->lazy)
		log_warning(
			"%s: the kernel tells no boot id: the index is synced each time", j->dir);
}

enum fault
journal_open(const char *dir, const struct journal_options *options, struct journal **journal)
{
	struct journal *j = calloc(1, sizeof(*j));
	enum fault fault = j != NULL && sodium_init() >= 0 ? FAULT_OK : FAULT_NOMEM;

	if (j == NULL)
		return fault;
	j->options = *options;
	j->file = -1;
	if (j->options.clock == NULL)
		j->options.clock = &clock_system;
	buffer_init(&j->changes, CHANGES_CAP);
	journal_recorder_init(j);
	j->dir = slice_dup(slice_text(dir));
	if (j->dir == NULL)
		fault = FAULT_NOMEM;
	if (fault == FAULT_OK) {
		boot_id_fill(j);
		fault = files_open(j);
	}
	if (fault == FAULT_OK)
		fault = recover(j);
	if (fault != FAULT_OK) {
		j->broken = true;
		journal_close(j);
		return fault;
	}
	*journal = j;
	return FAULT_OK;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	/* What was told to have failed must not come back. */
	if (!j->broken && j->must_cut)
		journal_cut(j);
	/* Whoever had it run in a thread has waited for that. */
	if (!j->broken && !j->sync.running && j->commits > 0)
		(void)!journal_checkpoint(j);
	segments_close(j->segments);
	kv_close(j->kv);
	if (j->file >= 0)
		close(j->file);
	buffer_clear(&j->changes);
	free(j->dir);
	free(j);
}
