/* SPDX-License-Identifier: ISC */
/* The list of known damages: rows of segment 4, offset 8, length 8; the last row is "silent". */
#include "common/store/damage.h"

#include <string.h>

#include "common/base/bytes.h"

enum { ROW = 20 };
#define DAMAGE_KEY SLICE("log-damage")

void
damage_add(struct damage_list *list, const struct segment_place *place)
{
	if (list->count < DAMAGES_MAX)
		list->places[list->count++] = *place;
	else
		list->silent =
			(struct segment_tail){place->segment, place->offset + place->length + 1};
}

bool
damage_is_known(const struct damage_list *list, const struct segment_place *place)
{
	if (place->segment < list->silent.segment ||
		(place->segment == list->silent.segment && place->offset < list->silent.length))
		return true;
	for (size_t i = 0; i < list->count; i++) {
		const struct segment_place *known = &list->places[i];
		if (place->segment == known->segment && place->offset >= known->offset &&
			place->offset + place->length <= known->offset + known->length)
			return true;
	}
	return false;
}

static bool
is_before(struct segment_tail a, struct segment_tail b)
{
	return a.segment < b.segment || (a.segment == b.segment && a.length < b.length);
}

bool
damage_is_between(const struct damage_list *list, struct segment_tail from, struct segment_tail to)
{
	bool is_between = is_before(to, list->silent);

	for (size_t i = 0; i < list->count && !is_between; i++) {
		struct segment_tail at = {list->places[i].segment, list->places[i].offset};
		is_between = !is_before(at, from) && !is_before(to, at);
	}
	return is_between;
}

enum fault
damage_load(struct kv_txn *txn, struct damage_list *list)
{
	struct slice value;

	*list = (struct damage_list){0};
	if (!kv_get(txn, INDEX_META, DAMAGE_KEY, &value))
		return txn->fault;
	if (value.len % ROW != 0 || value.len == 0 || value.len > (DAMAGES_MAX + 1) * ROW)
		return FAULT_DAMAGED;
	list->count = value.len / ROW - 1;
	for (size_t i = 0; i < list->count; i++) {
		const char *row = value.data + i * ROW;
		list->places[i] =
			(struct segment_place){get_u32(row), get_u64(row + 4), get_u64(row + 12)};
	}
	const char *last = value.data + list->count * ROW;
	list->silent = (struct segment_tail){get_u32(last), get_u64(last + 4)};
	return FAULT_OK;
}

void
damage_save(struct kv_txn *txn, const struct damage_list *list)
{
	uint8_t value[(DAMAGES_MAX + 1) * ROW];
	uint8_t *row = value;

	for (size_t i = 0; i < list->count; i++, row += ROW) {
		put_u32(row, list->places[i].segment);
		put_u64(row + 4, list->places[i].offset);
		put_u64(row + 12, list->places[i].length);
	}
	put_u32(row, list->silent.segment);
	put_u64(row + 4, list->silent.length);
	put_u64(row + 12, 0);
	if (list->count > 0)
		kv_put(txn, INDEX_META, DAMAGE_KEY, slice_make(value, (list->count + 1) * ROW));
	else
		(void)kv_delete(txn, INDEX_META, DAMAGE_KEY);
}
