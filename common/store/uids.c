/* SPDX-License-Identifier: ISC */
/* Sets of UIDs.  Linked by the store and by those who ask it for many messages at once. */
#include "common/store/uids.h"

#include <stdlib.h>

void
uid_set_clear(struct uid_set *set)
{
	free(set->ranges);
	*set = (struct uid_set){0};
}

static bool
room_ensure(struct uid_set *set)
{
	if (set->count < set->size)
		return true;
	size_t size = set->size == 0 ? 8 : set->size * 2;
	struct uid_range *ranges = reallocarray(set->ranges, size, sizeof(*ranges));
	if (ranges == NULL) {
		set->fault = FAULT_NOMEM;
		return false;
	}
	set->ranges = ranges;
	set->size = size;
	return true;
}

void
uid_set_add_range(struct uid_set *set, uint32_t first, uint32_t last)
{
	struct uid_range *end = set->count > 0 ? &set->ranges[set->count - 1] : NULL;

	if (set->fault != FAULT_OK || first > last)
		return;
	if (end != NULL && first <= end->last)
		first = end->last + 1;
	if (first > last || first == 0)
		return;
	if (end != NULL && first == end->last + 1)
		end->last = last;
	else if (room_ensure(set))
		set->ranges[set->count++] = (struct uid_range){first, last};
}

void
uid_set_add(struct uid_set *set, uint32_t uid)
{
	uid_set_add_range(set, uid, uid);
}

static int
compare_ranges(const void *a, const void *b)
{
	const struct uid_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

size_t
uid_ranges_normalize(struct uid_range *ranges, size_t count)
{
	size_t kept = 0;

	if (count > 0)
		qsort(ranges, count, sizeof(*ranges), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		struct uid_range *last = kept > 0 ? &ranges[kept - 1] : NULL;
		if (ranges[i].first > ranges[i].last)
			continue;
		if (last == NULL || (last->last != UINT32_MAX && ranges[i].first > last->last + 1))
			ranges[kept++] = ranges[i];
		else if (ranges[i].last > last->last)
			last->last = ranges[i].last;
	}
	return kept;
}

uint64_t
uid_set_total(const struct uid_set *set)
{
	uint64_t total = 0;

	for (size_t i = 0; i < set->count; i++)
		total += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	return total;
}

bool
uid_set_has(const struct uid_set *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (set->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->ranges[low].first <= uid;
}
