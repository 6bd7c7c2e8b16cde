/* SPDX-License-Identifier: ISC */
/*
 * The walk over a segment that is to be emptied, record by record.  A live body is appended again
 * as it was stored; its identity, its checksum and all that names it stay.  A damaged one cannot
 * be moved, and then the segment stays, for whoever wants to have a look.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/store/compact_private.h"
#include "common/store/journal_walk.h"
#include "common/store/reader_private.h"
#include "common/store/segment_format.h"

enum { SEARCH = 64 * 1024 }; /* bytes looked through at once behind a damaged stretch */
#define RECORD_MAX (UINT64_C(1) << 30)

/* The bytes behind the header, on the heap, with the record's slices in them. */
static enum fault
parts_read(struct segment_files *files, const struct segment_place *place,
	struct segment_record *record, char **parts)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	uint64_t len = record->prefix.len + record->structure.len + record->body.len;

	*parts = NULL;
	if (len > RECORD_MAX)
		return FAULT_DAMAGED;
	*parts = malloc((size_t)len + 1);
	if (*parts == NULL)
		return FAULT_NOMEM;
	record->prefix.data = *parts;
	record->structure.data = record->prefix.data + record->prefix.len;
	record->body.data = record->structure.data + record->structure.len;
	enum fault fault = segment_files_read(
		files, place->segment, place->offset + SEGMENT_HEADER_SIZE, *parts, (size_t)len);
	segment_parts_checksum(record->prefix, record->structure, checksum);
	if (fault == FAULT_OK && memcmp(checksum, record->parts_checksum, sizeof(checksum)) != 0)
		fault = FAULT_DAMAGED;
	return fault;
}

/* The body's bytes are not looked at: what rotted keeps its checksum, for verify to find. */
static enum fault
body_append(struct store_writer *w, const struct segment_record *record, struct index_body *body)
{
	struct index_key key = index_key_id(record->body_id);
	struct kv_change structure = {
		INDEX_STRUCTURES, false, index_key_slice(&key), record->structure};
	struct segment_place at;

	writer_body_release(w, body, w->now);
	enum fault fault = journal_append(w->journal, record, &body->place);
	if (fault != FAULT_OK)
		return fault;
	writer_body_count(w, body);
	index_body_save(&w->txn, record->body_id, body);
	at = body->place;
	at.offset += SEGMENT_HEADER_SIZE + body->prefix_len;
	journal_repeat_stored(w->journal, &w->txn, &structure, &at);
	return w->txn.fault;
}

static bool
lengths_agree(const struct segment_record *record, const struct index_body *body)
{
	return record->prefix.len == body->prefix_len &&
		record->structure.len == body->structure_len &&
		record->body.len == body->stored_len && record->codec == body->codec;
}

static enum fault
body_move(struct store_writer *w, struct compaction *c, const struct segment_place *place,
	struct segment_record *record)
{
	struct index_body body;
	char *parts;

	if (index_body_load(&w->txn, record->body_id, &body) != FAULT_OK ||
		body.place.segment != place->segment || body.place.offset != place->offset ||
		body.place.length != place->length || c->walk.is_measuring)
		return w->txn.fault;
	enum fault fault = parts_read(w->reader->files, place, record, &parts);
	if (fault == FAULT_OK && !lengths_agree(record, &body))
		fault = FAULT_DAMAGED;
	if (fault == FAULT_OK)
		fault = body_append(w, record, &body);
	free(parts);
	if (fault == FAULT_DAMAGED)
		return FAULT_OK;
	c->slice->moved += place->length;
	c->budget.bytes -= place->length < c->budget.bytes ? place->length : c->budget.bytes;
	return fault;
}

struct carrying {
	struct store_writer *writer;
	struct compaction *compaction;
	unsigned number; /* of the change */
};

/* FAULT_BUSY: not in this slice. */
static enum fault
change_carry(void *arg, const struct journal_logged *logged)
{
	struct carrying *carrying = arg;
	struct compaction *c = carrying->compaction;

	if (carrying->number++ < c->walk.place.change)
		return FAULT_OK;
	if (!compact_step(c))
		return FAULT_BUSY;
	compact_carry(carrying->writer, c, logged);
	c->walk.place.change++;
	return carrying->writer->txn.fault;
}

static void
changes_drop(struct compact_walk *walk)
{
	free((void *)(uintptr_t)walk->changes.data);
	walk->changes = (struct slice){0};
}

static void
record_pass(struct compaction *c, uint64_t length)
{
	c->walk.place.at += length;
	c->walk.place.change = 0;
	c->slice->read += length;
}

/* Goes on with the record of changes at hand. */
static enum fault
changes_carry(struct store_writer *w, struct compaction *c)
{
	struct carrying carrying = {w, c, 0};
	enum fault fault =
		journal_changes_each(c->walk.changes, INDEX_TABLE_COUNT, change_carry, &carrying);

	if (fault == FAULT_BUSY)
		return FAULT_OK;
	c->walk.is_damaged |= fault == FAULT_DAMAGED;
	if (fault != FAULT_OK && fault != FAULT_DAMAGED)
		return fault;
	changes_drop(&c->walk);
	record_pass(c, c->walk.changes_len);
	return FAULT_OK;
}

/* Moves on to what may be the next header; the walk comes back when it is none. */
static enum fault
header_search(struct store_writer *w, struct compaction *c)
{
	struct compact_walk *walk = &c->walk;
	static char bytes[SEARCH];
	uint64_t from = walk->place.at + SEGMENT_ALIGN;
	uint64_t left = walk->size > from ? walk->size - from : 0;
	size_t len = left < SEARCH ? (size_t)left : SEARCH, at = 0;

	walk->is_damaged = true;
	enum fault fault = segment_files_read(w->reader->files, walk->segment, from, bytes, len);
	if (fault != FAULT_OK)
		return fault;
	while (at + SEGMENT_ALIGN <= len && !segment_is_magic(bytes + at))
		at += SEGMENT_ALIGN;
	record_pass(c, left == 0 ? walk->size - walk->place.at : SEGMENT_ALIGN + at);
	return FAULT_OK;
}

static enum fault
changes_begin(struct store_writer *w, struct compaction *c, const struct segment_place *place,
	const struct segment_record *record)
{
	struct journal_walk walk = {.files = w->reader->files, .bodies = w->reader->bodies};
	enum fault fault = journal_changes_read(&walk, place, record, &c->walk.changes);

	c->walk.changes_len = place->length;
	/* What is at hand is on the heap, or nothing. */
	if (fault != FAULT_OK)
		c->walk.changes = (struct slice){0};
	if (fault != FAULT_DAMAGED)
		return fault;
	/* No one can read it any more: nothing is lost with it. */
	c->walk.is_damaged = true;
	record_pass(c, place->length);
	return FAULT_OK;
}

static enum fault
record_next(struct store_writer *w, struct compaction *c)
{
	struct compact_walk *walk = &c->walk;
	struct segment_place place = {walk->segment, walk->place.at, 0};
	struct segment_record record;
	enum fault fault = FAULT_DAMAGED;

	if (walk->size - walk->place.at >= SEGMENT_HEADER_SIZE)
		fault = segment_files_header(w->reader->files, &place, &record);
	if (fault == FAULT_OK && place.length > walk->size - walk->place.at)
		fault = FAULT_DAMAGED;
	if (fault == FAULT_DAMAGED)
		return header_search(w, c);
	if (fault != FAULT_OK)
		return fault;
	if (record.kind == SEGMENT_CHANGES)
		return changes_begin(w, c, &place, &record);
	if (record.kind == SEGMENT_MAIL)
		fault = body_move(w, c, &place, &record);
	if (fault == FAULT_OK)
		record_pass(c, place.length);
	return fault;
}

void
compact_walk_drop(struct compact_walk *walk)
{
	changes_drop(walk);
	*walk = (struct compact_walk){0};
}

enum fault
compact_walk(struct store_writer *w, struct compaction *c, bool *done)
{
	struct compact_walk *walk = &c->walk;
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && walk->place.at < walk->size && compact_step(c))
		fault = walk->changes.data != NULL ? changes_carry(w, c) : record_next(w, c);
	*done = fault == FAULT_OK && walk->place.at >= walk->size;
	return fault != FAULT_OK ? fault : w->txn.fault;
}
