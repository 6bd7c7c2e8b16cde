/* SPDX-License-Identifier: ISC */
/*
 * Reading the log.  A commit is believed when its last record is whole, has the next sequence
 * number, names the commit before it and has the digest of the headers in between: what an
 * earlier, broken batch left behind in the same place has not.
 */
#include "common/store/journal_walk.h"

#include <stdlib.h>
#include <string.h>

#include "common/store/journal_private.h"
#include "common/store/segment_format.h"

enum { PREFIX_SIZE = 2 * JOURNAL_CHAIN_SIZE, SEARCH = 64 * 1024 };
#define CHANGES_LEN_MAX (UINT64_C(1) << 30)

void
journal_walk_init(struct journal_walk *w, struct segment_files *files, struct body_reader *bodies,
	const struct journal_point *after)
{
	*w = (struct journal_walk){
		.files = files, .bodies = bodies, .point = *after, .at = after->tail};
	if (w->at.segment == 0)
		w->at = (struct segment_tail){1, 0};
}

static bool
header_read(struct journal_walk *w, struct segment_place *place, struct segment_record *record)
{
	uint64_t size;

	*place = (struct segment_place){w->at.segment, w->at.length, 0};
	return segment_files_size(w->files, place->segment, &size) == FAULT_OK &&
		place->offset + SEGMENT_HEADER_SIZE <= size &&
		segment_files_header(w->files, place, record) == FAULT_OK &&
		place->length <= size - place->offset;
}

bool
journal_walk_record(
	struct journal_walk *w, struct segment_place *place, struct segment_record *record)
{
	uint64_t size;

	if (!header_read(w, place, record)) {
		/* A segment is synced before the next one is begun: this is its end. */
		if (segment_files_size(w->files, w->at.segment + 1, &size) != FAULT_OK)
			return false;
		w->at = (struct segment_tail){w->at.segment + 1, 0};
		if (!header_read(w, place, record))
			return false;
	}
	w->at.length += place->length;
	return true;
}

static bool
parts_are_whole(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	size_t len = record->prefix.len + record->structure.len;
	char *parts = malloc(len + 1);

	if (parts == NULL)
		return false;
	enum fault fault = segment_files_read(
		w->files, place->segment, place->offset + SEGMENT_HEADER_SIZE, parts, len);
	segment_parts_checksum(slice_make(parts, record->prefix.len),
		slice_make(parts + record->prefix.len, record->structure.len), checksum);
	free(parts);
	return fault == FAULT_OK && memcmp(checksum, record->parts_checksum, sizeof(checksum)) == 0;
}

bool
journal_record_is_whole(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record)
{
	struct body_handle body = {place->segment, record->codec,
		segment_body_offset(place, record), record->body.len, record->plain_len};

	if (!parts_are_whole(w, place, record))
		return false;
	/* Only a prefix: it has no body, and no checksum of one. */
	if (record->kind == SEGMENT_TARGET)
		return true;
	return body_verify(w->bodies, &body, record->checksum) == FAULT_OK;
}

static bool
stored_is_whole(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record)
{
	static char bytes[SEARCH];
	struct segment_sum sum = {0};
	uint64_t from = segment_body_offset(place, record);

	for (uint64_t at = 0; at < record->body.len; at += SEARCH) {
		uint64_t left = record->body.len - at;
		size_t len = left < SEARCH ? (size_t)left : SEARCH;
		if (segment_files_read(w->files, place->segment, from + at, bytes, len) != FAULT_OK)
			return false;
		segment_sum_add(&sum, slice_make(bytes, len));
	}
	return segment_sum_value(&sum) == record->stored_sum;
}

bool
journal_record_is_stored(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record)
{
	if (record->stored_sum == 0 || record->kind == SEGMENT_CHANGES)
		return journal_record_is_whole(w, place, record);
	return parts_are_whole(w, place, record) && stored_is_whole(w, place, record);
}

enum fault
journal_changes_read(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record, struct slice *changes)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];

	*changes = SLICE("");
	if (record->kind != SEGMENT_CHANGES || record->codec != BODY_RAW ||
		record->body.len > CHANGES_LEN_MAX)
		return FAULT_DAMAGED;
	char *bytes = malloc(record->body.len + 1);
	if (bytes == NULL)
		return FAULT_NOMEM;
	*changes = slice_make(bytes, record->body.len);
	enum fault fault = segment_files_read(w->files, place->segment,
		segment_body_offset(place, record), bytes, record->body.len);
	body_checksum(*changes, checksum);
	if (fault == FAULT_OK && memcmp(checksum, record->checksum, sizeof(checksum)) != 0)
		fault = FAULT_DAMAGED;
	if (fault != FAULT_OK) {
		free(bytes);
		*changes = SLICE("");
	}
	return fault;
}

/* The record that ends a commit: does it end this one? */
static bool
ends_commit(struct journal_walk *w, const struct segment_place *place,
	const struct segment_record *record)
{
	uint8_t prefix[PREFIX_SIZE];

	if (record->email_id != w->point.sequence + 1 || record->prefix.len != PREFIX_SIZE ||
		record->structure.len != 0 || !journal_record_is_whole(w, place, record) ||
		segment_files_read(w->files, place->segment, place->offset + SEGMENT_HEADER_SIZE,
			prefix, sizeof(prefix)) != FAULT_OK)
		return false;
	return memcmp(prefix, w->point.chain, JOURNAL_CHAIN_SIZE) == 0 &&
		memcmp(prefix + JOURNAL_CHAIN_SIZE, w->digest, JOURNAL_CHAIN_SIZE) == 0;
}

enum fault
journal_walk_commit(struct journal_walk *w, journal_each *each, void *arg)
{
	struct segment_place place;
	struct segment_record record;
	enum fault fault = FAULT_OK;

	memset(w->digest, 0, sizeof(w->digest));
	while (fault == FAULT_OK && journal_walk_record(w, &place, &record)) {
		/* The head of a file belongs to no batch. */
		if (record.kind == SEGMENT_HEAD)
			continue;
		bool is_last = record.kind == SEGMENT_CHANGES && record.mailbox == 1;
		if (is_last && !ends_commit(w, &place, &record))
			return FAULT_NOT_FOUND;
		if (each != NULL)
			fault = each(arg, &place, &record);
		if (!is_last) {
			journal_digest_add(w->digest, record.header_checksum);
			continue;
		}
		if (fault != FAULT_OK)
			return fault;
		w->point.sequence++;
		w->point.tail = w->at;
		memcpy(w->point.chain, record.header_checksum, JOURNAL_CHAIN_SIZE);
		return FAULT_OK;
	}
	return fault != FAULT_OK ? fault : FAULT_NOT_FOUND;
}

static bool
is_later_commit(struct journal_walk *w, uint64_t offset, uint64_t sequence)
{
	struct segment_place place = {w->at.segment, offset, 0};
	struct segment_record record;

	return segment_files_header(w->files, &place, &record) == FAULT_OK &&
		record.kind == SEGMENT_CHANGES && record.email_id > sequence;
}

/* In the segment that the walk stands in. */
static bool
segment_has_later(struct journal_walk *w, uint64_t size, uint64_t sequence)
{
	static char bytes[SEARCH];
	/* What this file had up to here was synced, so its head has become damaged since. */
	bool any = w->at.segment == w->point.tail.segment && w->point.tail.length > 0 &&
		segment_files_is_headless(w->files, w->at.segment);

	for (uint64_t at = w->at.length; at + SEGMENT_HEADER_SIZE <= size; at += SEARCH) {
		size_t len = size - at < SEARCH ? (size_t)(size - at) : SEARCH;
		if (segment_files_read(w->files, w->at.segment, at, bytes, len) != FAULT_OK)
			return false;
		for (size_t i = 0; i + SEGMENT_ALIGN <= len; i += SEGMENT_ALIGN)
			if (segment_is_magic(bytes + i) &&
				(any || is_later_commit(w, at + i, sequence)))
				return true;
	}
	return false;
}

bool
journal_walk_has_later(struct journal_walk *w, uint64_t sequence)
{
	uint64_t size;

	while (segment_files_size(w->files, w->at.segment, &size) == FAULT_OK) {
		if (segment_has_later(w, size, sequence))
			return true;
		w->at = (struct segment_tail){w->at.segment + 1, 0};
	}
	return false;
}
