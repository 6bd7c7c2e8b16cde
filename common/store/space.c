/* SPDX-License-Identifier: ISC */
/* What the files of a store take on the disk.  Linked by mailboxd. */
#include "common/store/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/store/compact.h"
#include "common/store/segment_format.h"
#include "common/store/writer_private.h"

enum { STAT_BLOCK = 512 }; /* bytes of st_blocks' unit */

static enum fault
file_add(struct space_files *list, uint32_t segment, const struct stat *status)
{
	struct space_file *files =
		reallocarray(list->files, list->count + 1, sizeof(list->files[0]));

	if (files == NULL)
		return FAULT_NOMEM;
	list->files = files;
	files[list->count++] = (struct space_file){
		segment, (uint64_t)status->st_size, (uint64_t)status->st_blocks * STAT_BLOCK};
	return FAULT_OK;
}

static int
compare_segments(const void *a, const void *b)
{
	const struct space_file *x = a, *y = b;

	return (x->segment > y->segment) - (x->segment < y->segment);
}

enum fault
space_files_list(const char *segments, struct space_files *list)
{
	enum fault fault = FAULT_OK;
	DIR *dir = opendir(segments);

	*list = (struct space_files){0};
	if (dir == NULL)
		return fault_from_errno(errno);
	for (struct dirent *entry; fault == FAULT_OK && (entry = readdir(dir)) != NULL;) {
		struct stat status;
		uint32_t segment;
		/* One that was removed meanwhile takes nothing. */
		if (segment_name_parse(slice_text(entry->d_name), &segment) &&
			fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			fault = file_add(list, segment, &status);
	}
	closedir(dir);
	if (fault != FAULT_OK)
		space_files_clear(list);
	else if (list->count > 0)
		qsort(list->files, list->count, sizeof(list->files[0]), compare_segments);
	return fault;
}

void
space_files_clear(struct space_files *list)
{
	free(list->files);
	*list = (struct space_files){0};
}

static void
segment_add(struct store_space *s, const struct space_file *file, const struct index_segment *r)
{
	uint64_t live = r->live_bytes < file->occupied ? r->live_bytes : file->occupied;

	s->segments++;
	s->length += file->length;
	s->occupied += file->occupied;
	s->live += r->live_bytes;
	s->live_records += r->live_records;
	s->mail += r->is_older ? r->live_bytes : r->mail_bytes;
	if (!r->is_older) {
		s->plain += r->plain_bytes;
		s->packed += r->live_bytes;
	}
	if (r->is_carried) {
		s->emptied++;
		s->emptied_bytes += file->occupied;
	} else if ((double)live * 100 < (double)file->occupied * COMPACT_PERCENT) {
		s->worthwhile++;
		s->reclaimable += file->occupied - live;
	}
}

static enum fault
segments_add(struct store_writer *w, struct kv_txn *txn, struct store_space *s)
{
	char path[PATH_MAX];
	struct space_files list;
	int n = snprintf(path, sizeof(path), "%s/segments", w->dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	enum fault fault = space_files_list(path, &list);
	if (fault != FAULT_OK)
		return fault;
	struct segment_tail tail = journal_point(w->journal)->tail;
	for (size_t i = 0; i < list.count; i++) {
		struct index_segment record = {0};
		struct store_space before = *s;
		/* One that is damaged shows as full of nothing; verify tells of it. */
		if (index_segment_load(txn, list.files[i].segment, &record) != FAULT_OK)
			record = (struct index_segment){0};
		/* Of the one that is written to, blocks are taken ahead, and it is not to be
		 * emptied. */
		if (list.files[i].segment == tail.segment && list.files[i].length > tail.length)
			list.files[i].length = tail.length;
		segment_add(s, &list.files[i], &record);
		if (list.files[i].segment == tail.segment) {
			s->worthwhile = before.worthwhile;
			s->reclaimable = before.reclaimable;
		}
	}
	space_files_clear(&list);
	s->log = s->length > s->mail ? s->length - s->mail : 0;
	return FAULT_OK;
}

static void
waiting_add(struct kv_txn *txn, struct store_space *s)
{
	struct kv_cursor cursor;

	s->expunged = kv_count(txn, INDEX_EXPUNGED);
	s->delivered = kv_count(txn, INDEX_DELIVERED);
	kv_cursor_open(txn, INDEX_EXPUNGED, &cursor);
	if (kv_first(&cursor) && cursor.key.len >= 8)
		s->expunged_since = (int64_t)get_u64(cursor.key.data);
	kv_cursor_close(&cursor);
}

static enum fault
index_add(struct store_writer *w, struct kv_txn *txn, struct store_space *s)
{
	struct stat status;

	if (fstat(kv_file(journal_kv(w->journal)), &status) < 0)
		return fault_from_errno(errno);
	s->index_length = (uint64_t)status.st_size;
	s->index_occupied = (uint64_t)status.st_blocks * STAT_BLOCK;
	return kv_free_bytes(txn, &s->index_free);
}

enum fault
writer_space(struct store_writer *w, struct store_space *s)
{
	struct kv_txn txn;
	enum fault fault = kv_begin_read(journal_kv(w->journal), &txn);

	*s = (struct store_space){0};
	if (fault != FAULT_OK)
		return fault;
	fault = segments_add(w, &txn, s);
	if (fault == FAULT_OK)
		fault = index_add(w, &txn, s);
	waiting_add(&txn, s);
	if (fault == FAULT_OK)
		fault = txn.fault;
	kv_abort(&txn);
	s->checkpoint_ms = journal_checkpoint_age_ms(w->journal, &s->commits);
	return fault;
}
