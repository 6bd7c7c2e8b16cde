/* SPDX-License-Identifier: ISC */
/*
 * Verifies a store while it is in use: first each account, in one committed state of it; then
 * the reference counts of the whole store, in one state; then every record of the segments, a few
 * at a time; then the log.  Runs in mailboxd, or in a program of its own on a store at rest.
 */
#include "common/store/verify_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/segment_format.h"

enum {
	FINDING_TEXT_SIZE = 200,
	SLICE_BODIES = 64,
	MOVES_MAX = 3, /* of one body while it is looked at */
	SLICE_BYTES = 4 * 1024 * 1024,
};

void
verify_found(struct store_verify *v, uint32_t mailbox, uint32_t uid, const char *format, ...)
{
	char text[FINDING_TEXT_SIZE];
	struct store_finding finding = {v->account, mailbox, uid, text};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	v->progress.findings++;
	if (v->options.found != NULL)
		v->options.found(v->options.arg, &finding);
}

void
verify_compare(struct store_verify *v, uint32_t mailbox, const char *what, const uint64_t values[2])
{
	if (values[0] != values[1])
		verify_found(v, mailbox, 0, "%s is %llu, but %llu were found", what,
			(unsigned long long)values[0], (unsigned long long)values[1]);
}

/* Collects the body of every email; counts messages, and emails that wait for their purge. */
static enum fault
emails_collect(struct store_verify *v)
{
	enum fault fault = FAULT_OK;
	struct kv_cursor cursor;
	uint64_t waiting = 0, references = 0;

	v->ids.count = 0;
	kv_cursor_open(&v->reader->txn, INDEX_EMAILS, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		if (cursor.key.len != 8 || cursor.value.len < 20) {
			verify_found(v, 0, 0, "there are damaged email records");
			continue;
		}
		waiting += get_u32(cursor.value.data) == 0;
		references += get_u32(cursor.value.data);
		fault = id_list_add(&v->ids, get_u64(cursor.value.data + 12));
	}
	kv_cursor_close(&cursor);
	COMPARE(v, 0, "number of expunged emails", kv_count(&v->reader->txn, INDEX_EXPUNGED),
		waiting);
	COMPARE(v, 0, "references of all emails", references,
		kv_count(&v->reader->txn, INDEX_MESSAGES));
	return fault;
}

static enum fault
bodies_compare(struct store_verify *v)
{
	struct segment_counts counts = {0};
	enum fault fault = FAULT_OK;
	struct kv_cursor cursor;
	size_t at = 0;

	kv_cursor_open(&v->reader->txn, INDEX_BODIES, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		struct index_body body;
		if (cursor.key.len != 8 || index_body_decode(cursor.value, &body) != FAULT_OK) {
			verify_found(v, 0, 0, "there are damaged body records");
			continue;
		}
		uint32_t count = id_list_take(&v->ids, &at, get_u64(cursor.key.data));
		COMPARE(v, 0, "references of a body", body.references, count);
		fault = segment_counts_add(&counts, &body);
	}
	kv_cursor_close(&cursor);
	if (fault == FAULT_OK)
		verify_segments_compare(v, &counts);
	segment_counts_clear(&counts);
	return fault;
}

static enum fault
step_references(struct store_verify *v)
{
	v->account = 0;
	v->stage = STAGE_BODIES;
	v->next = 0;
	enum fault fault = emails_collect(v);
	if (fault != FAULT_OK)
		return fault;
	id_list_sort(&v->ids);
	return bodies_compare(v);
}

/* The structure in the index is the one in the segment, and that is whole. */
static enum fault
parts_check(struct store_verify *v, uint64_t id, const struct segment_place *place,
	const struct segment_record *record)
{
	struct index_key key = index_key_id(id);
	size_t len = record->prefix.len + record->structure.len;
	struct slice structure;

	if (len > UINT32_MAX || segment_record_length(record) != place->length)
		return FAULT_DAMAGED;
	char *parts = malloc(len + 1);
	if (parts == NULL)
		return FAULT_NOMEM;
	enum fault fault = segment_files_read(
		v->reader->files, place->segment, place->offset + SEGMENT_HEADER_SIZE, parts, len);
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	struct slice stored = slice_make(parts + record->prefix.len, record->structure.len);
	segment_parts_checksum(slice_make(parts, record->prefix.len), stored, checksum);
	if (fault == FAULT_OK &&
		(memcmp(checksum, record->parts_checksum, sizeof(checksum)) != 0 ||
			!kv_get(&v->reader->txn, INDEX_STRUCTURES, index_key_slice(&key),
				&structure) ||
			!slice_equal(structure, stored)))
		fault = FAULT_DAMAGED;
	free(parts);
	return fault;
}

static enum fault
body_check(struct store_verify *v, uint64_t id, const struct index_body *body)
{
	struct segment_place place = body->place;
	struct segment_record record;
	enum fault fault = segment_files_header(v->reader->files, &place, &record);

	if (fault == FAULT_OK &&
		(record.body_id != id || place.length != body->place.length ||
			record.codec != body->codec || record.body.len != body->stored_len ||
			record.plain_len != body->plain_len ||
			record.prefix.len != body->prefix_len ||
			record.structure.len != body->structure_len))
		fault = FAULT_DAMAGED;
	if (fault == FAULT_OK)
		fault = parts_check(v, id, &place, &record);
	if (fault != FAULT_OK || !v->options.bodies)
		return fault;
	struct body_handle handle = index_body_handle(body);
	v->progress.bytes += record.body.len;
	return body_verify(v->reader->bodies, &handle, record.checksum);
}

/* Looks a body up anew, as of now: it may have been purged or moved while we read it. */
static enum fault
body_reload(struct store_verify *v, uint64_t id, struct index_body *body)
{
	reader_end(v->reader);
	enum fault fault = reader_begin(v->reader);
	return fault != FAULT_OK ? fault : index_body_load(&v->reader->txn, id, body);
}

/* Only what is wrong with it where it lies now is a fault. */
static enum fault
body_check_now(struct store_verify *v, uint64_t id, struct index_body *body)
{
	for (unsigned tries = 0;; tries++) {
		struct segment_place read = body->place;
		enum fault fault = body_check(v, id, body);
		if (fault == FAULT_OK || fault == FAULT_NOMEM || fault == FAULT_BUSY)
			return fault;
		if (body_reload(v, id, body) != FAULT_OK)
			return FAULT_OK;
		if (tries == MOVES_MAX ||
			(read.segment == body->place.segment && read.offset == body->place.offset))
			return fault;
	}
}

/* Those of one account; one that is missing was reported with its message. */
static bool
body_next_listed(struct store_verify *v, uint64_t *id, struct index_body *body)
{
	bool is_there = false;

	while (!is_there && v->body_at < v->bodies.count) {
		*id = v->bodies.at[v->body_at];
		(void)id_list_take(&v->bodies, &v->body_at, *id);
		is_there = index_body_load(&v->reader->txn, *id, body) == FAULT_OK;
	}
	return is_there;
}

static bool
body_next(struct store_verify *v, uint64_t *id, struct index_body *body)
{
	struct index_key key = index_key_id(v->next);
	struct kv_cursor cursor;

	kv_cursor_open(&v->reader->txn, INDEX_BODIES, &cursor);
	bool is_there = kv_seek(&cursor, index_key_slice(&key)) && cursor.key.len == 8;
	if (is_there) {
		*id = get_u64(cursor.key.data);
		/* A damaged one was reported when references were counted. */
		if (index_body_decode(cursor.value, body) != FAULT_OK)
			body->references = 0;
	}
	kv_cursor_close(&cursor);
	return is_there;
}

static enum fault
step_bodies(struct store_verify *v)
{
	uint64_t end = v->progress.bytes + SLICE_BYTES;

	for (unsigned i = 0; i < SLICE_BODIES && v->progress.bytes < end; i++) {
		struct index_body body;
		uint64_t id;
		bool is_there = v->options.account != 0 ? body_next_listed(v, &id, &body)
							: body_next(v, &id, &body);
		if (!is_there) {
			v->stage = v->options.account != 0 ? STAGE_DONE : STAGE_LOG;
			break;
		}
		v->next = id + 1;
		if (body.references == 0)
			continue;
		enum fault fault = body_check_now(v, id, &body);
		if (fault == FAULT_NOMEM || fault == FAULT_BUSY)
			return fault;
		if (fault != FAULT_OK)
			verify_found(v, 0, 0, "body %llu in segment %u at %llu: %s",
				(unsigned long long)id, body.place.segment,
				(unsigned long long)body.place.offset, fault_text(fault));
	}
	return FAULT_OK;
}

struct store_verify *
verify_new(struct store_reader *reader, const struct verify_options *options)
{
	struct store_verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->reader = reader;
	v->options = *options;
	return v;
}

void
verify_free(struct store_verify *v)
{
	if (v == NULL)
		return;
	id_list_clear(&v->ids);
	id_list_clear(&v->bodies);
	free(v->log);
	free(v);
}

enum fault
verify_step(struct store_verify *v, bool *done)
{
	enum fault fault = reader_begin(v->reader);

	if (fault != FAULT_OK)
		return fault;
	if (v->stage == STAGE_ACCOUNTS)
		fault = verify_step_accounts(v);
	else if (v->stage == STAGE_REFERENCES)
		fault = step_references(v);
	else if (v->stage == STAGE_BODIES)
		fault = step_bodies(v);
	else if (v->stage == STAGE_LOG)
		fault = verify_step_log(v);
	reader_end(v->reader);
	*done = v->stage == STAGE_DONE;
	return fault;
}

const struct verify_progress *
verify_progress(const struct store_verify *v)
{
	return &v->progress;
}

enum fault
store_verify(struct store_reader *reader, const struct verify_options *options,
	struct verify_progress *progress)
{
	struct store_verify *v = verify_new(reader, options);
	enum fault fault = v != NULL ? FAULT_OK : FAULT_NOMEM;

	for (bool done = false; fault == FAULT_OK && !done;)
		fault = verify_step(v, &done);
	if (v != NULL)
		*progress = v->progress;
	verify_free(v);
	return fault;
}
