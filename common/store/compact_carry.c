/* SPDX-License-Identifier: ISC */
/*
 * The log stays useful: what a segment's log says, and no other one does, is said again at the
 * log's tail before the segment goes.  A put is said again while its value is the one in the index;
 * a delete while its key is not there, and an older segment might bring it back.
 */
#include "common/base/bytes.h"
#include "common/store/compact_private.h"

enum { LOOK_AT_CLOCK = 64 }; /* steps */

bool
compact_step(struct compaction *c)
{
	struct compact_budget *b = &c->budget;

	if (b->steps == 0 || b->bytes == 0)
		return false;
	b->steps--;
	return b->steps % LOOK_AT_CLOCK != 0 || clock_mono_ms(&clock_system) < b->end_ms;
}

/* What is said costs about so much. */
static uint64_t
change_length(const struct kv_change *change, size_t value_len)
{
	return 8 + change->key.len + value_len;
}

static void
count(struct compaction *c, uint64_t bytes)
{
	c->walk.place.kept += bytes;
	if (c->walk.is_measuring)
		return;
	c->slice->carried += bytes;
	c->budget.bytes -= bytes < c->budget.bytes ? bytes : c->budget.bytes;
}

/* The index has it already: only the log hears of it. */
static void
say(struct store_writer *w, struct compaction *c, const struct kv_change *change)
{
	count(c, change_length(change, change->value.len));
	if (!c->walk.is_measuring && w->txn.recorder != NULL)
		w->txn.recorder->changed(w->txn.recorder, change);
}

/* Where the structure of a body stands in the segments; false: nowhere that is known. */
static bool
structure_find(struct store_writer *w, const struct kv_change *change, struct segment_place *at)
{
	struct index_body body;

	if (change->table != INDEX_STRUCTURES || change->key.len != 8 ||
		index_body_load(&w->txn, get_u64(change->key.data), &body) != FAULT_OK ||
		body.structure_len != change->value.len)
		return false;
	*at = body.place;
	at->offset += SEGMENT_HEADER_SIZE + body.prefix_len;
	return true;
}

static void
say_stored(struct store_writer *w, struct compaction *c, const struct kv_change *change,
	const struct segment_place *at)
{
	count(c, change_length(change, 16));
	if (!c->walk.is_measuring)
		journal_repeat_stored(w->journal, &w->txn, change, at);
}

/* Ids are never used again: what was drawn after all older segments were full stands in none. */
static bool
older_may_have(const struct compact_walk *walk, const struct kv_change *change)
{
	size_t at = change->table == INDEX_EXPUNGED ? 8 : 0;

	if (!walk->has_older)
		return false;
	switch (change->table) {
	case INDEX_EMAILS:
	case INDEX_BODIES:
	case INDEX_STRUCTURES:
	case INDEX_EXPUNGED:
		return change->key.len != at + 8 ||
			get_u64(change->key.data + at) < walk->older_end_id;
	default:
		return true;
	}
}

void
compact_carry(struct store_writer *w, struct compaction *c, const struct journal_logged *logged)
{
	struct kv_change now = logged->change;
	struct segment_place at;

	if (!index_is_carried(now.table))
		return;
	bool is_there = kv_get(&w->txn, now.table, now.key, &now.value);
	if (logged->change.is_delete) {
		if (!is_there && older_may_have(&c->walk, &logged->change))
			say(w, c, &logged->change);
		return;
	}
	if (!is_there)
		return;
	if (!logged->is_stored) {
		if (slice_equal(now.value, logged->change.value))
			say(w, c, &now);
		return;
	}
	/* The bytes of a structure lie with the body; if that has moved since, a later put said so.
	 */
	if (!structure_find(w, &now, &at))
		say(w, c, &now);
	else if (at.segment == logged->value_at.segment && at.offset == logged->value_at.offset)
		say_stored(w, c, &now, &at);
}

static void
say_entry(struct store_writer *w, struct compaction *c, const struct kv_change *put)
{
	struct segment_place at;

	/* Of itself the journal does not speak. */
	if (put->table == INDEX_META && slice_equal(put->key, JOURNAL_POINT_KEY))
		return;
	if (structure_find(w, put, &at))
		say_stored(w, c, put, &at);
	else
		say(w, c, put);
}

/* True when the table has been said to its end. */
static bool
say_table(struct store_writer *w, struct compaction *c)
{
	struct compact_saying *s = &c->saying;
	struct kv_cursor cursor;

	kv_cursor_open(&w->txn, s->table, &cursor);
	bool more = s->key_len > 0 ? kv_seek(&cursor, slice_make(s->key, s->key_len))
				   : kv_first(&cursor);
	while (more && compact_step(c)) {
		struct kv_change put = {s->table, false, cursor.key, cursor.value};
		say_entry(w, c, &put);
		more = kv_next(&cursor);
	}
	s->key_len = more ? cursor.key.len : 0;
	if (more)
		memcpy(s->key, cursor.key.data, cursor.key.len);
	kv_cursor_close(&cursor);
	return !more;
}

void
compact_say(struct store_writer *w, struct compaction *c)
{
	struct compact_saying *s = &c->saying;

	while (s->table < INDEX_TABLE_COUNT) {
		if (index_is_carried(s->table) && !say_table(w, c))
			return;
		s->table++;
	}
	index_meta_save(&w->txn, INDEX_META_LOG_WHOLE, 1);
	s->is_done = true;
}
