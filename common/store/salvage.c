/* SPDX-License-Identifier: ISC */
/*
 * Salvage: an index from the segments alone.  First the log is done again; then mail is filed that
 * the log does not know; then all is mended until it fits together.  What the mending changes
 * is logged like any commit, so that the segments tell the whole again.  Linked by mailctl.
 */
#include "common/store/salvage.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/store/journal_private.h"
#include "common/store/reader_private.h"
#include "common/store/salvage_private.h"
#include "common/store/segment_format.h"

enum { TRIES = 8, OFFSET_BITS = 37 };

void
salvage_place_found(struct salvage *s, const struct segment_place *place, const char *text)
{
	struct salvage_finding finding = {.segment = place->segment,
		.offset = place->offset,
		.length = place->length,
		.text = text};

	if (s->options.found != NULL)
		s->options.found(s->options.arg, &finding);
}

/* Offsets are multiples of 8, and files far below a terabyte. */
uint64_t
salvage_place_pack(const struct segment_place *place)
{
	return (uint64_t)place->segment << OFFSET_BITS | place->offset / SEGMENT_ALIGN;
}

struct segment_place
salvage_place_unpack(uint64_t packed)
{
	return (struct segment_place){(uint32_t)(packed >> OFFSET_BITS),
		(packed & ((UINT64_C(1) << OFFSET_BITS) - 1)) * SEGMENT_ALIGN, 0};
}

bool
salvage_next(struct salvage *s, unsigned table, struct salvage_key *at, struct slice *key,
	struct slice *value)
{
	struct kv_cursor cursor;

	kv_cursor_open(&s->writer->txn, table, &cursor);
	bool found =
		at->len == 0 ? kv_first(&cursor) : kv_seek(&cursor, slice_make(at->bytes, at->len));
	kv_cursor_close(&cursor);
	if (!found)
		return false;
	/* A copy: the page may change while the key is still needed. */
	at->len = slice_first(cursor.key, KV_KEY_MAX).len;
	memcpy(at->bytes, cursor.key.data, at->len);
	*key = slice_make(at->bytes, at->len);
	*value = cursor.value;
	/* The least key that is greater. */
	at->bytes[at->len++] = 0;
	return true;
}

/*
 * A torn record at the end of the last segment is as long as its header says: what was appended
 * there would stand within it.  So salvage begins a segment of its own.
 */
static void
segment_begin(struct salvage *s)
{
	struct journal *j = s->writer->journal;

	if (journal_tail(j).segment <= s->log.scan.end.segment)
		journal_turn(j);
}

static enum fault
step_run(struct salvage *s, salvage_step *step, struct salvage_key *at, bool *more)
{
	size_t counts[] = {
		s->message_emails.count, s->email_bodies.count, s->wanted.count, s->expunged.count};
	struct salvage_report report = *s->report;
	struct salvage_key next = *at;

	segment_begin(s);
	enum fault fault = writer_begin(s->writer);

	if (fault != FAULT_OK)
		return fault;
	*more = false;
	fault = step(s, &next, more);
	if (fault == FAULT_OK)
		fault = writer_commit(s->writer);
	else
		writer_abort(s->writer);
	if (fault == FAULT_OK) {
		*at = next;
		return FAULT_OK;
	}
	/* It may be done again. */
	*s->report = report;
	s->message_emails.count = counts[0];
	s->email_bodies.count = counts[1];
	s->wanted.count = counts[2];
	s->expunged.count = counts[3];
	return fault;
}

enum fault
salvage_steps_run(struct salvage *s, salvage_step *step)
{
	struct salvage_key at = {0};
	bool more = true;
	int tries = 0;
	enum fault fault = FAULT_OK;

	while (fault == FAULT_OK && more) {
		fault = step_run(s, step, &at, &more);
		tries = fault == FAULT_BUSY ? tries + 1 : 0;
		/* The index had to grow. */
		if (fault == FAULT_BUSY && tries < TRIES) {
			fault = FAULT_OK;
			more = true;
		}
	}
	return fault;
}

static enum fault
ids_mend(struct store_writer *w, uint64_t next_id)
{
	uint64_t stored = 0, id;
	enum fault fault = index_meta_load(&w->txn, INDEX_META_NEXT_ID, &stored);

	if (stored < next_id)
		index_meta_save(&w->txn, INDEX_META_NEXT_ID, next_id);
	if (fault == FAULT_OK || fault == FAULT_NOT_FOUND || fault == FAULT_DAMAGED)
		fault = index_meta_load(&w->txn, INDEX_META_STORE, &id);
	if (fault == FAULT_NOT_FOUND || fault == FAULT_DAMAGED)
		index_meta_save(&w->txn, INDEX_META_STORE, entropy_u64(&entropy_system));
	return w->txn.fault;
}

/* From here on commits are logged. */
static enum fault
log_resume(struct salvage *s)
{
	struct store_writer *w = s->writer;

	journal_rebuild_end(w->journal, &s->log.point);
	*s->report = s->log.report;
	segment_begin(s);
	enum fault fault = journal_begin(w->journal, &w->txn);
	if (fault != FAULT_OK)
		return fault;
	fault = ids_mend(w, s->log.id_max + 1);
	if (fault == FAULT_OK)
		return journal_commit(w->journal, &w->txn);
	journal_abort(w->journal, &w->txn);
	return fault;
}

/* Only now it is a store. */
static enum fault
finish_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct kv_txn *txn = &s->writer->txn;

	(void)at, (void)more;
	index_meta_save(txn, INDEX_META_FORMAT, STORE_FORMAT);
	damage_save(txn, &s->log.damages);
	s->report->messages = kv_count(txn, INDEX_MESSAGES);
	s->report->bodies = kv_count(txn, INDEX_BODIES);
	return txn->fault;
}

static enum fault
salvage_all(struct salvage *s)
{
	enum fault fault = salvage_log_read(s);

	if (fault == FAULT_OK)
		fault = log_resume(s);
	if (fault == FAULT_OK)
		fault = salvage_mailboxes_mend(s);
	if (fault == FAULT_OK)
		fault = salvage_bodies_check(s);
	if (fault == FAULT_OK)
		fault = salvage_mail_file(s);
	if (fault == FAULT_OK)
		fault = salvage_messages_mend(s);
	if (fault == FAULT_OK)
		fault = salvage_counts_mend(s);
	if (fault == FAULT_OK)
		fault = salvage_steps_run(s, finish_step);
	return fault != FAULT_OK ? fault : journal_checkpoint(s->writer->journal);
}

static enum fault
path_own(const char *dir, const char *name, const struct stat *owner)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	if (lchown(path, owner->st_uid, owner->st_gid) < 0 && errno != ENOENT)
		return fault_from_errno(errno);
	return FAULT_OK;
}

/* Root salvages for another user: what was made now is that user's too. */
static enum fault
files_own(const char *dir, uint32_t first, uint32_t last)
{
	static const char *const names[] = {
		"index", "index/data.mdb", "index/lock.mdb", "writer.lock", "checkpoint"};
	enum fault fault = FAULT_OK;
	struct stat owner;

	if (geteuid() != 0)
		return FAULT_OK;
	if (stat(dir, &owner) < 0)
		return fault_from_errno(errno);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && fault == FAULT_OK; i++)
		fault = path_own(dir, names[i], &owner);
	if (fault == FAULT_OK)
		fault = path_own(dir, "segments/00000000.seg", &owner);
	for (uint32_t i = first; i <= last && fault == FAULT_OK; i++) {
		char name[SEGMENT_NAME_SIZE], path[sizeof("segments/") + SEGMENT_NAME_SIZE];
		(void)snprintf(path, sizeof(path), "segments/%s", segment_name(i, name));
		fault = path_own(dir, path, &owner);
	}
	return fault;
}

static void
clear(struct salvage *s)
{
	id_set_clear(&s->emails);
	id_set_clear(&s->removed);
	id_list_clear(&s->expunged);
	id_list_clear(&s->candidates);
	id_list_clear(&s->wanted);
	id_list_clear(&s->message_emails);
	id_list_clear(&s->email_bodies);
	writer_close(s->writer);
	free(s);
}

static enum fault
salvage_run(struct salvage *s, const char *dir)
{
	struct journal_point none = {0};

	s->files = s->writer->reader->files;
	s->bodies = s->writer->reader->bodies;
	journal_walk_init(&s->walk, s->files, s->bodies, &none);
	uint32_t first = journal_point(s->writer->journal)->tail.segment + 1;
	enum fault fault = salvage_all(s);
	if (fault == FAULT_OK)
		fault = files_own(dir, first, journal_tail(s->writer->journal).segment);
	return fault != FAULT_OK ? fault : salvage_mark_remove(dir);
}

enum fault
store_salvage(const char *dir, const struct salvage_options *options, struct salvage_report *report)
{
	struct store_options writer = {.clock = options->clock, .group_reads = true};
	struct salvage *s = calloc(1, sizeof(*s));

	*report = (struct salvage_report){0};
	if (s == NULL)
		return FAULT_NOMEM;
	s->options = *options;
	s->report = report;
	enum fault fault = writer_open_salvage(dir, &writer, &s->writer);
	if (fault == FAULT_OK)
		fault = salvage_run(s, dir);
	clear(s);
	return fault;
}
