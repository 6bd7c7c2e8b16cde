/* SPDX-License-Identifier: ISC */
/* What lives in each segment, against what the index says of it.  Part of the verifier. */
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/verify_private.h"

struct segment_count {
	uint32_t segment;
	struct index_segment live;
};

/* The index of the first segment from this one on. */
static size_t
count_find(const struct segment_counts *c, uint32_t segment)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->counts[middle].segment < segment)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum fault
count_insert(struct segment_counts *c, size_t at, uint32_t segment)
{
	struct segment_count *counts = reallocarray(c->counts, c->count + 1, sizeof(counts[0]));

	if (counts == NULL)
		return FAULT_NOMEM;
	c->counts = counts;
	memmove(counts + at + 1, counts + at, (c->count - at) * sizeof(counts[0]));
	counts[at] = (struct segment_count){.segment = segment};
	c->count++;
	return FAULT_OK;
}

enum fault
segment_counts_add(struct segment_counts *c, const struct index_body *body)
{
	uint32_t segment = body->place.segment;

	/* Bodies that came one after another lie in one segment, as a rule. */
	if (c->last >= c->count || c->counts[c->last].segment != segment) {
		c->last = count_find(c, segment);
		enum fault fault = FAULT_OK;
		if (c->last == c->count || c->counts[c->last].segment != segment)
			fault = count_insert(c, c->last, segment);
		if (fault != FAULT_OK)
			return fault;
	}
	c->counts[c->last].live.live_records++;
	c->counts[c->last].live.live_bytes += body->place.length;
	return FAULT_OK;
}

void
segment_counts_clear(struct segment_counts *c)
{
	free(c->counts);
	*c = (struct segment_counts){0};
}

/* The counted ones before a segment: the index has no record of them. */
static void
missing_tell(struct store_verify *v, const struct segment_counts *c, size_t *at, uint64_t before)
{
	for (; *at < c->count && c->counts[*at].segment < before; (*at)++)
		verify_found(
			v, 0, 0, "segment %u has no record in the index", c->counts[*at].segment);
}

void
verify_segments_compare(struct store_verify *v, const struct segment_counts *c)
{
	static const struct index_segment nothing;
	struct kv_cursor cursor;
	size_t at = 0;

	kv_cursor_open(&v->reader->txn, INDEX_SEGMENTS, &cursor);
	for (bool more = kv_first(&cursor); more; more = kv_next(&cursor)) {
		struct index_segment stored;
		if (cursor.key.len != 4 ||
			index_segment_decode(cursor.value, &stored) != FAULT_OK) {
			verify_found(v, 0, 0, "there are damaged segment records");
			continue;
		}
		uint32_t segment = get_u32(cursor.key.data);
		missing_tell(v, c, &at, segment);
		bool is_counted = at < c->count && c->counts[at].segment == segment;
		const struct index_segment *live = is_counted ? &c->counts[at++].live : &nothing;
		COMPARE(v, 0, "live records of a segment", stored.live_records, live->live_records);
		COMPARE(v, 0, "live bytes of a segment", stored.live_bytes, live->live_bytes);
	}
	kv_cursor_close(&cursor);
	missing_tell(v, c, &at, UINT64_MAX);
}
