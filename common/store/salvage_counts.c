/* SPDX-License-Identifier: ISC */
/*
 * Salvage: emails are counted anew by their messages, bodies by their emails, segments by their
 * bodies; what has nothing behind it any more is dropped.
 */
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/salvage_private.h"

enum { SEGMENTS_MAX = 1 << 24 };

/* An email without messages that can still be brought back. */
static bool
is_expunged(struct salvage *s, struct slice key, struct slice value)
{
	struct kv_txn *txn = &s->writer->txn;
	struct index_email email;
	struct index_body body;
	struct store_message m;

	return key.len == 16 && value.len > 16 &&
		index_message_decode(slice_first(value, 16), slice_after(value, 16), &m) ==
		FAULT_OK &&
		m.email_id == get_u64(key.data + 8) &&
		index_email_load(txn, m.email_id, &email) == FAULT_OK &&
		index_body_load(txn, email.body_id, &body) == FAULT_OK &&
		!id_list_has(&s->message_emails, m.email_id);
}

static enum fault
expunged_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && fault == FAULT_OK; i++) {
		*more = salvage_next(s, INDEX_EXPUNGED, at, &key, &value);
		if (!*more)
			break;
		if (is_expunged(s, key, value))
			fault = id_list_add(&s->expunged, get_u64(key.data + 8));
		else
			(void)kv_delete(&s->writer->txn, INDEX_EXPUNGED, key);
	}
	return fault != FAULT_OK ? fault : s->writer->txn.fault;
}

/* The last entry of an email that was expunged twice counts. */
static enum fault
doubles_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct kv_cursor cursor;
	struct id_set seen = {0};
	enum fault fault = FAULT_OK;

	(void)at, (void)more;
	kv_cursor_open(&s->writer->txn, INDEX_EXPUNGED, &cursor);
	for (bool found = kv_last(&cursor); found && fault == FAULT_OK; found = kv_prev(&cursor)) {
		uint64_t id = get_u64(cursor.key.data + 8);
		if (id_set_has(&seen, id))
			kv_cursor_delete(&cursor);
		else
			fault = id_set_add(&seen, id);
	}
	kv_cursor_close(&cursor);
	id_set_clear(&seen);
	return fault != FAULT_OK ? fault : s->writer->txn.fault;
}

static enum fault
expunged_mend(struct salvage *s)
{
	bool doubles = false;
	enum fault fault = salvage_steps_run(s, expunged_step);

	id_list_sort(&s->expunged);
	for (size_t i = 1; i < s->expunged.count; i++)
		doubles |= s->expunged.at[i] == s->expunged.at[i - 1];
	return fault == FAULT_OK && doubles ? salvage_steps_run(s, doubles_step) : fault;
}

/* One email: how many messages it has; gone when it has none and does not wait. */
static enum fault
email_count(struct salvage *s, uint64_t id, size_t *sorted)
{
	struct kv_txn *txn = &s->writer->txn;
	struct index_key key = index_key_id(id);
	struct index_email email;
	uint32_t count = id_list_take(&s->message_emails, sorted, id);

	bool is_whole = index_email_load(txn, id, &email) == FAULT_OK;
	bool is_lost = count == 0 && !id_list_has(&s->expunged, id);
	/* Its messages were copies, or moved, in commits that are lost. */
	if (is_whole && is_lost && salvage_email_file(s, id, &email) == FAULT_OK)
		return id_list_add(&s->email_bodies, email.body_id);
	if (!is_whole || is_lost) {
		(void)kv_delete(txn, INDEX_EMAILS, index_key_slice(&key));
		return txn->fault;
	}
	if (email.references != count) {
		char prefix[STORE_PREFIX_MAX];
		memcpy(prefix, email.prefix.data, email.prefix.len);
		email.prefix.data = prefix;
		email.references = count;
		index_email_save(txn, id, &email);
	}
	return id_list_add(&s->email_bodies, email.body_id);
}

/* Where an id stands in a sorted list, or would stand. */
static size_t
list_place(const struct id_list *list, uint64_t id)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list->at[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum fault
emails_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	size_t sorted = at->len < 8 ? 0 : list_place(&s->message_emails, get_u64(at->bytes));
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && fault == FAULT_OK; i++) {
		*more = salvage_next(s, INDEX_EMAILS, at, &key, &value);
		if (!*more)
			break;
		if (key.len == 8)
			fault = email_count(s, get_u64(key.data), &sorted);
		else
			(void)kv_delete(&s->writer->txn, INDEX_EMAILS, key);
	}
	return fault;
}

/* What lives must never be punched. */
static void
punch_drop(struct kv_txn *txn, const struct segment_place *place)
{
	struct index_key key = {.len = 0};
	struct slice value;

	index_key_u32(&key, place->segment);
	index_key_u64(&key, place->offset);
	if (kv_get(txn, INDEX_PUNCHES, index_key_slice(&key), &value))
		(void)kv_delete(txn, INDEX_PUNCHES, index_key_slice(&key));
}

static enum fault
body_count(struct salvage *s, uint64_t id, size_t *sorted)
{
	struct kv_txn *txn = &s->writer->txn;
	struct index_key key = index_key_id(id);
	struct index_body body;
	uint32_t count = id_list_take(&s->email_bodies, sorted, id);

	if (index_body_load(txn, id, &body) != FAULT_OK || count == 0) {
		(void)kv_delete(txn, INDEX_BODIES, index_key_slice(&key));
		(void)kv_delete(txn, INDEX_STRUCTURES, index_key_slice(&key));
		return txn->fault;
	}
	if (body.references != count) {
		body.references = count;
		index_body_save(txn, id, &body);
	}
	punch_drop(txn, &body.place);
	return txn->fault;
}

static enum fault
bodies_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct slice key, value;
	size_t sorted = at->len < 8 ? 0 : list_place(&s->email_bodies, get_u64(at->bytes));
	enum fault fault = FAULT_OK;

	for (int i = 0; i < SALVAGE_BATCH && fault == FAULT_OK; i++) {
		*more = salvage_next(s, INDEX_BODIES, at, &key, &value);
		if (!*more)
			break;
		if (key.len == 8)
			fault = body_count(s, get_u64(key.data), &sorted);
		else
			(void)kv_delete(&s->writer->txn, INDEX_BODIES, key);
	}
	return fault;
}

static enum fault
structures_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct kv_txn *txn = &s->writer->txn;
	struct slice key, value, body;

	/* Every body has one: they were compared. */
	if (kv_count(txn, INDEX_STRUCTURES) == kv_count(txn, INDEX_BODIES))
		return txn->fault;
	for (int i = 0; i < SALVAGE_BATCH; i++) {
		*more = salvage_next(s, INDEX_STRUCTURES, at, &key, &value);
		if (!*more)
			break;
		if (!kv_get(txn, INDEX_BODIES, key, &body))
			(void)kv_delete(txn, INDEX_STRUCTURES, key);
	}
	return txn->fault;
}

static enum fault
live_count(struct salvage *s, struct index_segment *counted, uint32_t last)
{
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(&s->writer->txn, INDEX_BODIES, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		struct index_body body;
		fault = index_body_decode(cursor.value, &body);
		if (fault == FAULT_OK && body.place.segment > last)
			fault = FAULT_INTERNAL;
		if (fault != FAULT_OK)
			break;
		counted[body.place.segment].live_records++;
		counted[body.place.segment].live_bytes += body.place.length;
	}
	kv_cursor_close(&cursor);
	return fault;
}

static void
segment_mend(struct salvage *s, uint32_t number, const struct index_segment *counted)
{
	struct kv_txn *txn = &s->writer->txn;
	struct index_segment stored = {.is_older = true};
	uint64_t size;
	enum fault fault = index_segment_load(txn, number, &stored);

	if (segment_files_size(s->files, number, &size) == FAULT_NOT_FOUND) {
		struct index_key key = {.len = 0};
		index_key_u32(&key, number);
		if (fault != FAULT_NOT_FOUND)
			(void)kv_delete(txn, INDEX_SEGMENTS, index_key_slice(&key));
		return;
	}
	bool is_right = fault == FAULT_OK && stored.live_bytes == counted->live_bytes &&
		stored.live_records == counted->live_records;
	if (is_right && !(s->in_doubt && stored.is_carried))
		return;
	stored.live_bytes = counted->live_bytes;
	stored.live_records = counted->live_records;
	/* What was said again may be lost by now. */
	if (s->in_doubt)
		stored.is_carried = false;
	index_segment_save(txn, number, &stored);
}

static enum fault
segments_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	uint32_t last = journal_point(s->writer->journal)->tail.segment;

	(void)at, (void)more;
	if (last > SEGMENTS_MAX)
		return FAULT_LIMIT;
	struct index_segment *counted = calloc((size_t)last + 1, sizeof(*counted));
	if (counted == NULL)
		return FAULT_NOMEM;
	enum fault fault = live_count(s, counted, last);
	for (uint32_t i = 1; i <= last && fault == FAULT_OK; i++)
		segment_mend(s, i, &counted[i]);
	free(counted);
	return fault;
}

/* So that it is forgotten in its time, like all others. */
static void
delivered_remember(struct salvage *s, struct slice delivery)
{
	struct index_key key = index_key_id((uint64_t)s->writer->now);

	index_key_bytes(&key, slice_first(delivery, STORE_DELIVERY_ID_SIZE + 8));
	kv_put(&s->writer->txn, INDEX_DELIVERED_AT, index_key_slice(&key), SLICE(""));
}

/* The first bytes of a delivery id are as good as random. */
static enum fault
delivered_step(struct salvage *s, struct salvage_key *at, bool *more)
{
	struct kv_txn *txn = &s->writer->txn;
	struct slice key, value;
	struct id_list known = {0};
	enum fault fault = FAULT_OK;

	if (kv_count(txn, INDEX_DELIVERED) == kv_count(txn, INDEX_DELIVERED_AT))
		return txn->fault;
	(void)more;
	while (fault == FAULT_OK && salvage_next(s, INDEX_DELIVERED_AT, at, &key, &value))
		if (key.len >= 16)
			fault = id_list_add(&known, get_u64(key.data + 8));
	id_list_sort(&known);
	at->len = 0;
	while (fault == FAULT_OK && salvage_next(s, INDEX_DELIVERED, at, &key, &value))
		if (key.len >= 8 && !id_list_has(&known, get_u64(key.data)))
			delivered_remember(s, key);
	id_list_clear(&known);
	return fault != FAULT_OK ? fault : txn->fault;
}

enum fault
salvage_counts_mend(struct salvage *s)
{
	static salvage_step *const steps[] = {
		bodies_step, structures_step, segments_step, delivered_step};
	enum fault fault = expunged_mend(s);

	if (fault == FAULT_OK)
		fault = salvage_steps_run(s, emails_step);
	id_list_sort(&s->email_bodies);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && fault == FAULT_OK; i++)
		fault = salvage_steps_run(s, steps[i]);
	return fault;
}
