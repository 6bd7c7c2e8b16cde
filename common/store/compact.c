/* SPDX-License-Identifier: ISC */
/*
 * Compaction: which segment is to be emptied next, and when an emptied one goes.  The order is
 * the guarantee: bodies and log are at the tail, durably, before the segment is marked as carried;
 * a checkpoint covers that mark, and the readers have had their time, before the file is removed.
 */
#include "common/store/compact.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/store/compact_private.h"
#include "common/store/reader_private.h"

enum {
	SLICE_STEPS = 4000, /* records and changes looked at */
	SLICE_MS = 10,
	MEASURED_S = 86400, /* how long what was measured is believed */
	REST_S = 600, /* of a segment that there was no room to empty */
	GAIN_MIN = 4096, /* bytes; less is not worth a walk */
};

void
compaction_free(struct compaction *c)
{
	if (c == NULL)
		return;
	compact_walk_drop(&c->walk);
	free(c->notes);
	free(c);
}

static enum fault
compaction_ensure(struct store_writer *w)
{
	if (w->compaction == NULL)
		w->compaction = calloc(1, sizeof(*w->compaction));
	return w->compaction != NULL ? FAULT_OK : FAULT_NOMEM;
}

/* The note of a segment, made when there is none; NULL: no memory. */
static struct compact_note *
note_of(struct compaction *c, uint32_t segment)
{
	for (size_t i = 0; i < c->note_count; i++)
		if (c->notes[i].segment == segment)
			return &c->notes[i];
	struct compact_note *notes = reallocarray(c->notes, c->note_count + 1, sizeof(*notes));
	if (notes == NULL)
		return NULL;
	c->notes = notes;
	notes[c->note_count] = (struct compact_note){.segment = segment};
	return &notes[c->note_count++];
}

static void
note_forget(struct compaction *c, uint32_t segment)
{
	for (size_t i = 0; i < c->note_count; i++)
		if (c->notes[i].segment == segment)
			c->notes[i--] = c->notes[--c->note_count];
}

/* One look at all segments, in a transaction. */
struct survey {
	struct store_writer *writer;
	struct compaction *compaction;
	const struct compact_options *options;
	struct space_files files;
	struct index_segment *records; /* as the files */
	/* the one most worth emptying */
	size_t best; /* of the files; or their count */
	double best_share;
	bool unsettled; /* there may be more after the next checkpoint */
};

static enum fault
survey_load(struct survey *s)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/segments", s->writer->dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return FAULT_TOO_LONG;
	enum fault fault = space_files_list(path, &s->files);
	if (fault != FAULT_OK)
		return fault;
	s->best = s->files.count;
	s->records = calloc(s->files.count + 1, sizeof(s->records[0]));
	if (s->records == NULL)
		return FAULT_NOMEM;
	for (size_t i = 0; i < s->files.count; i++) {
		fault = index_segment_load(
			&s->writer->txn, s->files.files[i].segment, &s->records[i]);
		/* Its log is all that it has. */
		if (fault == FAULT_NOT_FOUND)
			s->records[i] = (struct index_segment){0};
		else if (fault != FAULT_OK)
			return fault;
	}
	return FAULT_OK;
}

static void
survey_clear(struct survey *s)
{
	space_files_clear(&s->files);
	free(s->records);
}

/* A segment is full as soon as there is a later one: no later id stands in it. */
static void
ends_note(struct survey *s)
{
	struct store_writer *w = s->writer;

	for (size_t i = 0; i < s->files.count; i++) {
		if (s->records[i].end_id != 0 ||
			s->files.files[i].segment >= journal_point(w->journal)->tail.segment)
			continue;
		s->records[i].end_id = w->next_id;
		index_segment_save(&w->txn, s->files.files[i].segment, &s->records[i]);
	}
}

/* Bytes of a segment that are needed, as far as is known. */
static uint64_t
needed(const struct survey *s, const struct compact_note *note, const struct index_segment *record)
{
	uint64_t kept = 0;

	if (note->is_measured && s->writer->now - note->measured_at < MEASURED_S &&
		s->writer->now >= note->measured_at)
		kept = note->kept;
	return record->live_bytes + kept;
}

static bool
is_worth(const struct survey *s, uint64_t need, uint64_t occupied)
{
	return need < occupied && occupied - need >= GAIN_MIN &&
		(double)need * 100 < (double)occupied * s->options->percent;
}

static enum fault
candidate_look(struct survey *s, size_t i)
{
	const struct space_file *file = &s->files.files[i];
	const struct compact_note *note = note_of(s->compaction, file->segment);

	if (note == NULL)
		return FAULT_NOMEM;
	if (s->records[i].is_carried || s->writer->now < note->rest_until)
		return FAULT_OK;
	uint64_t need = needed(s, note, &s->records[i]);
	double share = (double)need / (double)(file->occupied + 1);
	if (!is_worth(s, need, file->occupied) ||
		(s->best < s->files.count && share >= s->best_share))
		return FAULT_OK;
	if (file->segment >= journal_settled(s->writer->journal)->tail.segment) {
		s->unsettled = true;
		return FAULT_OK;
	}
	s->best = i;
	s->best_share = share;
	return FAULT_OK;
}

/* The segment that is written to is ended when it would be worth emptying. */
static void
tail_look(struct survey *s, size_t i)
{
	const struct space_file *file = &s->files.files[i];
	uint64_t need = s->records[i].live_bytes, least = s->options->tail_garbage;
	/* Its file has blocks taken ahead. */
	uint64_t used = journal_point(s->writer->journal)->tail.length;
	uint64_t occupied = file->occupied < used ? file->occupied : used;

	if (least == 0 || occupied < need || occupied - need < least ||
		!is_worth(s, need, occupied))
		return;
	journal_turn(s->writer->journal);
	/* A commit that goes into the new one. */
	s->records[i].end_id = s->writer->next_id;
	index_segment_save(&s->writer->txn, file->segment, &s->records[i]);
	s->unsettled = true;
}

static enum fault
candidates_look(struct survey *s)
{
	uint32_t tail = journal_point(s->writer->journal)->tail.segment;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < s->files.count && fault == FAULT_OK; i++) {
		uint32_t segment = s->files.files[i].segment;
		if (s->options->last != 0 && segment > s->options->last)
			break;
		if (segment < tail)
			fault = candidate_look(s, i);
		else if (segment == tail)
			tail_look(s, i);
	}
	return fault;
}

static void
walk_begin(struct survey *s)
{
	const struct compact_note *note = note_of(s->compaction, s->files.files[s->best].segment);
	struct compact_walk *walk = &s->compaction->walk;
	bool is_fresh = note->is_measured && s->writer->now >= note->measured_at &&
		s->writer->now - note->measured_at < MEASURED_S;

	*walk = (struct compact_walk){
		.segment = note->segment,
		.is_measuring = !is_fresh,
		.size = s->files.files[s->best].length,
		.has_older = s->best > 0,
	};
	for (size_t i = 0; i < s->best; i++) {
		uint64_t end = s->records[i].end_id != 0 ? s->records[i].end_id : UINT64_MAX;
		if (end > walk->older_end_id)
			walk->older_end_id = end;
	}
}

/* An emptied segment whose time has come. */
static bool
may_go(struct survey *s, const struct index_segment *record, const struct compact_note *note)
{
	const struct store_writer *w = s->writer;

	if (note != NULL && note->sequence > journal_settled(w->journal)->sequence) {
		s->unsettled = true;
		return false;
	}
	return record->emptied_at == 0 || w->now >= record->emptied_at + COMPACT_GRACE_S;
}

static enum fault
emptied_remove(struct survey *s, size_t i)
{
	struct store_writer *w = s->writer;
	uint32_t segment = s->files.files[i].segment;
	struct index_key key = {.len = 0};

	enum fault fault = journal_remove(w->journal, segment);
	if (fault == FAULT_BUSY)
		s->unsettled = true;
	if (fault != FAULT_OK)
		return fault == FAULT_BUSY ? FAULT_OK : fault;
	segment_files_forget(w->reader->files, segment);
	note_forget(s->compaction, segment);
	index_key_u32(&key, segment);
	(void)kv_delete(&w->txn, INDEX_SEGMENTS, index_key_slice(&key));
	s->compaction->slice->freed += s->files.files[i].occupied;
	log_info("store: segment %u is removed, %llu KiB come back", segment,
		(unsigned long long)(s->files.files[i].occupied >> 10));
	return FAULT_OK;
}

/* Removes what may go, counts what still waits. */
static enum fault
emptied_look(struct survey *s)
{
	struct store_writer *w = s->writer;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < s->files.count && fault == FAULT_OK; i++) {
		struct index_segment *r = &s->records[i];
		if (!r->is_carried || r->live_records > 0)
			continue;
		/* Of a clock that was put back: the time begins anew. */
		if (r->emptied_at > w->now) {
			r->emptied_at = w->now;
			index_segment_save(&w->txn, s->files.files[i].segment, r);
		}
		if (may_go(s, r, note_of(s->compaction, s->files.files[i].segment)))
			fault = emptied_remove(s, i);
		else
			s->compaction->slice->waiting += s->files.files[i].occupied;
	}
	return fault;
}

/* Records of segments whose files are gone: of a crash between the removal and its commit. */
static void
gone_forget(struct survey *s)
{
	struct kv_cursor cursor;
	size_t at = 0;

	kv_cursor_open(&s->writer->txn, INDEX_SEGMENTS, &cursor);
	for (bool found = kv_first(&cursor); found; found = kv_next(&cursor)) {
		struct index_segment record;
		uint32_t segment = cursor.key.len == 4 ? get_u32(cursor.key.data) : 0;
		while (at < s->files.count && s->files.files[at].segment < segment)
			at++;
		if ((at == s->files.count || s->files.files[at].segment != segment) &&
			index_segment_decode(cursor.value, &record) == FAULT_OK &&
			record.is_carried && record.live_records == 0)
			kv_cursor_delete(&cursor);
	}
	kv_cursor_close(&cursor);
}

static enum fault
survey_run(struct survey *s)
{
	enum fault fault = survey_load(s);

	if (fault != FAULT_OK)
		return fault;
	gone_forget(s);
	ends_note(s);
	fault = emptied_look(s);
	if (fault == FAULT_OK)
		fault = candidates_look(s);
	if (fault == FAULT_OK && s->best < s->files.count)
		walk_begin(s);
	s->compaction->must_settle = s->best == s->files.count && s->unsettled;
	if (s->best == s->files.count)
		s->compaction->slice->next = s->unsettled ? COMPACT_SETTLES : COMPACT_DONE;
	return fault;
}

/* What no commit has covered is done again. */
static void
walk_put_back(struct compaction *c, const struct compact_place *place)
{
	struct compact_walk walk = c->walk;

	walk.changes = (struct slice){0};
	walk.place = *place;
	compact_walk_drop(&c->walk);
	c->walk = walk;
}

static void
walk_give_up(struct store_writer *w, struct compaction *c, enum fault fault)
{
	struct compact_note *note = note_of(c, c->walk.segment);
	bool is_full = fault == FAULT_NO_SPACE;

	log_warning("store: segment %u is not emptied%s: %s", c->walk.segment,
		is_full ? " now" : "", fault_text(fault));
	if (note != NULL)
		note->rest_until = is_full ? w->now + REST_S : INT64_MAX;
	compact_walk_drop(&c->walk);
}

/* All of it was looked at: what is left in it is damaged, and stays (*left). */
static enum fault
walk_mark(struct store_writer *w, struct compaction *c, bool *left)
{
	struct index_segment record;
	enum fault fault = index_segment_load(&w->txn, c->walk.segment, &record);

	if (fault == FAULT_NOT_FOUND)
		record = (struct index_segment){0};
	else if (fault != FAULT_OK)
		return fault;
	*left = record.live_records > 0;
	if (*left)
		return FAULT_OK;
	if (c->walk.is_damaged)
		log_warning("store: segment %u was damaged in part; no mail was there",
			c->walk.segment);
	record.is_carried = true;
	index_segment_save(&w->txn, c->walk.segment, &record);
	return FAULT_OK;
}

static enum fault
walk_end(struct store_writer *w, struct compaction *c)
{
	struct compact_note *note = note_of(c, c->walk.segment);

	if (note == NULL)
		return FAULT_NOMEM;
	note->is_measured = true;
	note->measured_at = w->now;
	note->kept = c->walk.place.kept;
	note->sequence = journal_point(w->journal)->sequence;
	compact_walk_drop(&c->walk);
	return FAULT_OK;
}

static enum fault
slice_walk(struct store_writer *w, struct compaction *c)
{
	struct compact_place before = c->walk.place;
	bool done = false, left = false;
	enum fault fault = compact_walk(w, c, &done);

	if (fault == FAULT_OK && done && !c->walk.is_measuring)
		fault = walk_mark(w, c, &left);
	if (fault != FAULT_OK || c->walk.is_measuring)
		writer_abort(w);
	else
		fault = writer_commit(w);
	if (left && fault == FAULT_OK)
		walk_give_up(w, c, FAULT_DAMAGED);
	if (fault == FAULT_OK)
		return done && !left ? walk_end(w, c) : FAULT_OK;
	walk_put_back(c, &before);
	/* The index had to grow. */
	if (fault == FAULT_BUSY)
		return FAULT_OK;
	if (fault == FAULT_DAMAGED || fault == FAULT_NO_SPACE || fault == FAULT_IO ||
		fault == FAULT_NOT_FOUND)
		walk_give_up(w, c, fault);
	return fault == FAULT_DAMAGED || fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

static enum fault
slice_say(struct store_writer *w, struct compaction *c)
{
	struct compact_saying before = c->saying;

	compact_say(w, c);
	enum fault fault = writer_commit(w);
	if (fault != FAULT_OK)
		c->saying = before;
	return fault == FAULT_BUSY ? FAULT_OK : fault;
}

static enum fault
slice_survey(struct store_writer *w, struct compaction *c, const struct compact_options *options)
{
	struct survey s = {.writer = w, .compaction = c, .options = options};
	enum fault fault = survey_run(&s);

	survey_clear(&s);
	if (fault != FAULT_OK) {
		compact_walk_drop(&c->walk);
		writer_abort(w);
		return fault;
	}
	fault = writer_commit(w);
	if (fault != FAULT_OK)
		compact_walk_drop(&c->walk);
	return fault == FAULT_BUSY ? FAULT_OK : fault;
}

/* Known once; a store of an older format has it said in the first slices. */
static enum fault
log_is_whole(struct store_writer *w, struct compaction *c)
{
	uint64_t whole;
	enum fault fault = FAULT_OK;

	if (!c->saying.is_done) {
		fault = index_meta_load(&w->txn, INDEX_META_LOG_WHOLE, &whole);
		c->saying.is_done = fault == FAULT_OK;
	}
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

uint32_t
writer_compact_last(const struct store_writer *w)
{
	return journal_point(w->journal)->tail.segment;
}

enum fault
writer_compact(
	struct store_writer *w, const struct compact_options *options, struct compact_slice *slice)
{
	*slice = (struct compact_slice){.next = COMPACT_MORE};
	enum fault fault = compaction_ensure(w);

	if (fault == FAULT_OK && w->compaction->must_settle && !w->options.checkpoints_apart)
		fault = journal_checkpoint(w->journal);
	if (fault == FAULT_OK)
		fault = writer_begin(w);
	if (fault != FAULT_OK)
		return fault;
	struct compaction *c = w->compaction;
	c->slice = slice;
	c->budget = (struct compact_budget){
		options->bytes_max, SLICE_STEPS, clock_mono_ms(&clock_system) + SLICE_MS};
	fault = log_is_whole(w, c);
	if (fault != FAULT_OK) {
		writer_abort(w);
		return fault;
	}
	if (!c->saying.is_done)
		return slice_say(w, c);
	if (c->walk.segment != 0)
		return slice_walk(w, c);
	return slice_survey(w, c, options);
}
