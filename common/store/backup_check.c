/* SPDX-License-Identifier: ISC */
/*
 * Housekeeping goes on while a backup copies.  What a snapshot of the index names was whole when
 * the snapshot was taken; what of it is copied only afterwards (the log's last stretch) may have
 * been given back to the file system in between.  That takes an undelete time of seconds, and is
 * found here.
 */
#include <string.h>

#include "common/base/bytes.h"
#include "common/store/backup_label.h"
#include "common/store/backup_private.h"
#include "common/store/journal_walk.h"

enum { LOOKED_AT = 4096, FILES_OPEN = 8 };

/* A record's parts are never all zeros: what is, was punched out. */
static bool
is_punched(struct segment_files *files, const struct segment_place *place)
{
	char bytes[LOOKED_AT];
	uint64_t behind = place->length - SEGMENT_HEADER_SIZE;
	size_t len = behind < sizeof(bytes) ? (size_t)behind : sizeof(bytes);

	return segment_files_read(files, place->segment, place->offset + SEGMENT_HEADER_SIZE, bytes,
		       len) != FAULT_OK ||
		(len > 0 && backup_is_zero(bytes, len));
}

static bool
is_named(struct kv_txn *index, const struct segment_place *place, uint64_t body_id)
{
	struct index_body body;

	return index_body_load(index, body_id, &body) == FAULT_OK &&
		body.place.segment == place->segment && body.place.offset == place->offset;
}

/* The part of the log in one segment; earlier and later ones may have been removed. */
static enum fault
segment_check(struct segment_files *files, struct kv_txn *index, const struct segment_tail *from,
	uint64_t end)
{
	struct journal_point begin = {.tail = *from};
	struct segment_place place;
	struct segment_record record;
	struct journal_walk walk;

	journal_walk_init(&walk, files, NULL, &begin);
	while (journal_walk_record(&walk, &place, &record) && place.segment == from->segment &&
		place.offset < end)
		if (record.kind == SEGMENT_MAIL && is_punched(files, &place) &&
			is_named(index, &place, record.body_id))
			return FAULT_BUSY;
	return FAULT_OK;
}

static enum fault
records_check(struct segment_files *files, struct kv_txn *index, const struct backup_range *range)
{
	const struct segment_tail *until = &range->until.tail;
	struct segment_tail at = range->since.tail;
	enum fault fault = FAULT_OK;

	for (; fault == FAULT_OK && at.segment <= until->segment; at.segment++, at.length = 0)
		if (at.segment != 0)
			fault = segment_check(files, index, &at,
				at.segment == until->segment ? until->length : UINT64_MAX);
	return fault;
}

/* Every segment in which something lives was copied. */
static enum fault
files_check(struct segment_files *files, struct kv_txn *index)
{
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(index, INDEX_SEGMENTS, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		struct index_segment segment;
		uint64_t size;
		if (cursor.key.len != 4 ||
			index_segment_decode(cursor.value, &segment) != FAULT_OK ||
			segment.live_records == 0)
			continue;
		fault = segment_files_size(files, get_u32(cursor.key.data), &size);
		if (fault == FAULT_NOT_FOUND)
			fault = FAULT_BUSY;
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : index->fault;
}

enum fault
backup_check(const char *dir, struct kv_txn *index, const struct backup_range *range)
{
	struct segment_files *files = NULL;
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, "segments", path);

	if (fault == FAULT_OK)
		fault = segment_files_open(path, FILES_OPEN, &files);
	if (fault != FAULT_OK)
		return fault;
	fault = range->is_last_try ? FAULT_OK : files_check(files, index);
	if (fault == FAULT_OK)
		fault = records_check(files, index, range);
	segment_files_close(files);
	return fault;
}

/* Whether the log goes on behind a point of it. */
static enum fault
log_goes_on(const char *from, const struct journal_point *old)
{
	struct segment_files *files = NULL;
	struct journal_walk walk;
	char path[PATH_MAX];
	uint64_t size;
	enum fault fault = directory_path(from, "segments", path);

	if (fault == FAULT_OK)
		fault = segment_files_open(path, FILES_OPEN, &files);
	if (fault != FAULT_OK)
		return fault;
	struct body_reader *bodies = body_reader_new(files);
	if (bodies == NULL)
		fault = FAULT_NOMEM;
	/* A segment without life was removed: then nothing can be compared. */
	else if (segment_files_size(files, old->tail.segment, &size) == FAULT_OK) {
		journal_walk_init(&walk, files, bodies, old);
		fault = journal_walk_commit(&walk, NULL, NULL);
		if (fault == FAULT_NOT_FOUND)
			fault = FAULT_CONFLICT;
	}
	body_reader_free(bodies);
	segment_files_close(files);
	return fault;
}

enum fault
backup_history_check(
	const char *from, const struct journal_point *old, const struct journal_point *now)
{
	if (old->sequence > now->sequence)
		return FAULT_CONFLICT;
	if (old->sequence == now->sequence)
		return backup_points_equal(old, now) ? FAULT_OK : FAULT_CONFLICT;
	return log_goes_on(from, old);
}
