/* SPDX-License-Identifier: ISC */
/*
 * Salvage: walks every record of every segment and files it in a new index.  A record is believed
 * only when its header, its parts and its body have their checksums; after a damaged stretch the
 * next valid header is searched for.  Linked by mailctl.
 */
#include "common/store/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/reader_private.h"
#include "common/store/segment_format.h"
#include "common/store/writer_private.h"

enum {
	BATCH = 1000, /* records a commit */
	PARTS_MAX = 64 * 1024 * 1024, /* more is no structure of ours */
	SEARCH = 64 * 1024, /* bytes looked through at once */
};

struct salvage {
	struct store_writer *writer;
	struct segment_files *files;
	struct body_reader *bodies;
	struct salvage_counts *counts;
	unsigned in_batch;
};

/* Prefix and structure of a record, on the heap; FAULT_DAMAGED when they are not whole. */
static enum fault
parts_read(struct salvage *s, const struct segment_place *place, struct segment_record *record,
	char **parts)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	size_t len = record->prefix.len + record->structure.len;

	*parts = NULL;
	if (record->prefix.len > STORE_PREFIX_MAX || len > PARTS_MAX)
		return FAULT_DAMAGED;
	*parts = malloc(len + 1);
	if (*parts == NULL)
		return FAULT_NOMEM;
	record->prefix.data = *parts;
	record->structure.data = *parts + record->prefix.len;
	enum fault fault = segment_files_read(
		s->files, place->segment, place->offset + SEGMENT_HEADER_SIZE, *parts, len);
	segment_parts_checksum(record->prefix, record->structure, checksum);
	if (fault == FAULT_OK && memcmp(checksum, record->parts_checksum, sizeof(checksum)) != 0)
		fault = FAULT_DAMAGED;
	return fault;
}

/* The mailbox with this id: made, under a made-up name, when the account has none. */
static enum fault
mailbox_ensure(struct salvage *s, uint64_t id, uint32_t mailbox, struct writer_place *place)
{
	struct store_writer *w = s->writer;
	char name[32];
	enum fault fault = writer_account_ensure(w, id, 0);

	if (fault == FAULT_OK)
		fault = writer_place_load(w, id, mailbox, place);
	if (fault != FAULT_NOT_FOUND)
		return fault;
	/* Ids are given in order: take the wanted one, and never an earlier one again. */
	uint32_t next = place->account.mailbox_next;
	(void)snprintf(name, sizeof(name), "Salvaged %u", mailbox);
	struct writer_child child = {0, slice_text(name), STORE_USE_NONE};
	place->account.mailbox_next = mailbox;
	fault = writer_child_make(w, &place->account, &child, &place->mailbox);
	if (place->account.mailbox_next < next)
		place->account.mailbox_next = next;
	index_account_save(&w->txn, &place->account);
	return fault;
}

static void
ids_pass(struct store_writer *w, uint64_t id)
{
	if (id >= w->next_id && id < UINT64_MAX)
		w->next_id = id + 1;
}

/* Files one message; FAULT_EXISTS when its place or its email is taken. */
static enum fault
message_file(struct salvage *s, const struct segment_record *r, const struct index_body *body)
{
	struct store_writer *w = s->writer;
	struct writer_place place;
	struct index_email email;
	struct store_message m = {
		.account = r->account,
		.mailbox = r->mailbox,
		.uid = r->uid,
		.email_id = r->email_id,
		.thread_id = r->thread_id,
		.body_id = r->body_id,
		.received_at = r->received_at,
		.zone = r->zone,
		.flags = r->flags & STORE_FLAGS_ALL,
		.size = r->prefix.len + body->plain_len,
		.prefix_len = (uint32_t)r->prefix.len,
		.structure_len = body->structure_len,
	};

	if (r->uid == 0 || r->uid == UINT32_MAX || r->mailbox == 0 || r->mailbox == UINT32_MAX)
		return FAULT_DAMAGED;
	enum fault fault = mailbox_ensure(s, r->account, r->mailbox, &place);
	if (fault != FAULT_OK)
		return fault;
	struct index_key key = index_key_message(r->account, r->mailbox, r->uid);
	struct slice value;
	if (kv_get(&w->txn, INDEX_MESSAGES, index_key_slice(&key), &value) ||
		index_email_load(&w->txn, r->email_id, &email) != FAULT_NOT_FOUND)
		return w->txn.fault != FAULT_OK ? w->txn.fault : FAULT_EXISTS;
	m.modseq = place.account.modseq + 1;
	struct writer_arrival arrival = {&m, r->prefix};
	writer_message_add(w, &place, &arrival);
	ids_pass(w, r->email_id);
	ids_pass(w, r->thread_id);
	s->counts->messages++;
	return w->txn.fault;
}

/* A record with a body: it is read in full before it is believed. */
static enum fault
mail_file(struct salvage *s, const struct segment_place *place, const struct segment_record *r)
{
	struct index_body known,
		body = {
			.references = 1,
			.place = *place,
			.structure_len = (uint32_t)r->structure.len,
			.prefix_len = (uint16_t)r->prefix.len,
			.codec = r->codec,
			.stored_len = r->body.len,
			.plain_len = r->plain_len,
		};
	struct body_handle handle = index_body_handle(&body);
	enum fault fault = body_verify(s->bodies, &handle, r->checksum);

	if (fault == FAULT_OK && index_body_load(&s->writer->txn, r->body_id, &known) == FAULT_OK)
		fault = FAULT_EXISTS;
	if (fault == FAULT_OK)
		fault = message_file(s, r, &body);
	if (fault != FAULT_OK)
		return fault;
	writer_body_add(s->writer, r->body_id, &body, r->structure);
	ids_pass(s->writer, r->body_id);
	s->counts->bodies++;
	return s->writer->txn.fault;
}

/* One more mailbox for a body that came before. */
static enum fault
target_file(struct salvage *s, const struct segment_record *r)
{
	struct index_body body;
	enum fault fault = index_body_load(&s->writer->txn, r->body_id, &body);

	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	fault = message_file(s, r, &body);
	if (fault != FAULT_OK)
		return fault;
	body.references++;
	index_body_save(&s->writer->txn, r->body_id, &body);
	return s->writer->txn.fault;
}

static enum fault
record_file(struct salvage *s, const struct segment_place *place, struct segment_record *r)
{
	char *parts;
	enum fault fault = parts_read(s, place, r, &parts);

	if (fault == FAULT_OK && r->kind == SEGMENT_MAIL)
		fault = mail_file(s, place, r);
	else if (fault == FAULT_OK && r->kind == SEGMENT_TARGET)
		fault = target_file(s, r);
	free(parts);
	/* Of one record: go on with the next. */
	if (fault == FAULT_DAMAGED || fault == FAULT_EXISTS || fault == FAULT_LIMIT ||
		fault == FAULT_DENIED) {
		s->counts->lost++;
		return s->writer->txn.fault;
	}
	return fault;
}

static enum fault
batch_turn(struct salvage *s, bool last)
{
	if (!last && ++s->in_batch < BATCH)
		return FAULT_OK;
	s->in_batch = 0;
	enum fault fault = writer_commit(s->writer);
	return fault != FAULT_OK || last ? fault : writer_begin(s->writer);
}

/* Moves place on to where the next header may be: a multiple of 8 that holds no zeros. */
static enum fault
header_search(struct salvage *s, struct segment_place *place, uint64_t size)
{
	static const char zeros[SEGMENT_ALIGN];
	static char bytes[SEARCH];
	uint64_t from = place->offset;

	place->offset += SEGMENT_ALIGN;
	while (place->offset < size) {
		uint64_t left = size - place->offset;
		size_t len = left < SEARCH ? (size_t)left : SEARCH;
		enum fault fault =
			segment_files_read(s->files, place->segment, place->offset, bytes, len);
		if (fault != FAULT_OK)
			return fault;
		for (size_t at = 0; at + SEGMENT_ALIGN <= len; at += SEGMENT_ALIGN) {
			if (memcmp(bytes + at, zeros, SEGMENT_ALIGN) == 0)
				continue;
			place->offset += at;
			s->counts->skipped += place->offset - from;
			return FAULT_OK;
		}
		place->offset += SEARCH;
	}
	return FAULT_OK;
}

static enum fault
segment_salvage(struct salvage *s, uint32_t segment)
{
	struct segment_place place = {.segment = segment};
	uint64_t size = 0;
	enum fault fault = segment_files_size(s->files, segment, &size);

	/* A dead segment was removed. */
	if (fault == FAULT_NOT_FOUND)
		return FAULT_OK;
	while (fault == FAULT_OK && place.offset + SEGMENT_HEADER_SIZE <= size) {
		struct segment_record record;
		enum fault header = segment_files_header(s->files, &place, &record);
		if (header != FAULT_OK || place.length > size - place.offset) {
			fault = header_search(s, &place, size);
			continue;
		}
		fault = record_file(s, &place, &record);
		if (fault == FAULT_OK)
			fault = batch_turn(s, false);
		place.offset += place.length;
	}
	return fault;
}

static enum fault
salvage_all(struct salvage *s)
{
	uint32_t last = journal_point(s->writer->journal)->tail.segment;
	enum fault fault = writer_begin(s->writer);

	for (uint32_t i = 1; fault == FAULT_OK && i <= last && i != 0; i++)
		fault = segment_salvage(s, i);
	return fault != FAULT_OK ? fault : batch_turn(s, true);
}

/* Root salvages for another user: what was made now is that user's too. */
static enum fault
files_own(const char *dir)
{
	static const char *const names[] = {
		"index", "index/data.mdb", "index/lock.mdb", "writer.lock"};
	struct stat owner;

	if (geteuid() != 0)
		return FAULT_OK;
	if (stat(dir, &owner) < 0)
		return fault_from_errno(errno);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (n < 0 || (size_t)n >= sizeof(path))
			return FAULT_TOO_LONG;
		if (lchown(path, owner.st_uid, owner.st_gid) < 0)
			return fault_from_errno(errno);
	}
	return FAULT_OK;
}

static enum fault
no_index_check(const char *dir)
{
	char path[PATH_MAX];
	struct stat status;
	int n = snprintf(path, sizeof(path), "%s/index/data.mdb", dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	return stat(path, &status) == 0 ? FAULT_EXISTS : FAULT_OK;
}

enum fault
store_salvage(const char *dir, const struct clock *clock, struct salvage_counts *counts)
{
	struct store_options options = {.clock = clock, .group_reads = true};
	struct salvage s = {.counts = counts};
	enum fault fault = no_index_check(dir);

	*counts = (struct salvage_counts){0};
	if (fault == FAULT_OK)
		fault = writer_open_salvage(dir, &options, &s.writer);
	if (fault != FAULT_OK)
		return fault;
	s.files = s.writer->reader->files;
	s.bodies = s.writer->reader->bodies;
	fault = salvage_all(&s);
	writer_close(s.writer);
	return fault != FAULT_OK ? fault : files_own(dir);
}
