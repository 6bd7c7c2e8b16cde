/* SPDX-License-Identifier: ISC */
/* The session's sequence numbers as sorted ranges of UIDs.  Linked by imapd. */
#include "imapd/view.h"

#include <stdlib.h>

void
view_clear(struct view *v)
{
	free(v->ranges);
	uid_set_clear(&v->expunged);
	uid_set_clear(&v->changed);
	*v = (struct view){.mailbox = 0};
}

static enum fault
reserve(struct view *v)
{
	if (v->range_count < v->range_size)
		return FAULT_OK;
	size_t size = v->range_size > 0 ? v->range_size * 2 : 4;
	struct view_range *ranges = realloc(v->ranges, size * sizeof *ranges);
	if (ranges == NULL)
		return FAULT_NOMEM;
	v->ranges = ranges;
	v->range_size = size;
	return FAULT_OK;
}

uint32_t
view_last_uid(const struct view *v)
{
	return v->range_count > 0 ? v->ranges[v->range_count - 1].last : 0;
}

enum fault
view_append(struct view *v, struct uid_range uids)
{
	uint32_t last = view_last_uid(v);

	if (uids.first <= last)
		uids.first = last + 1;
	if (uids.first == 0 || uids.last < uids.first)
		return FAULT_OK;
	if (v->range_count > 0 && uids.first == last + 1) {
		v->ranges[v->range_count - 1].last = uids.last;
	} else {
		enum fault fault = reserve(v);
		if (fault != FAULT_OK)
			return fault;
		v->ranges[v->range_count++] =
			(struct view_range){uids.first, uids.last, v->count + 1};
	}
	v->count += uids.last - uids.first + 1;
	return FAULT_OK;
}

/* Index of the first range whose last UID is not below uid. */
static size_t
find_range(const struct view *v, uint32_t uid)
{
	size_t low = 0;
	size_t high = v->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (v->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t
seq_in(const struct view *v, size_t index, uint32_t uid)
{
	if (index == v->range_count || uid < v->ranges[index].first || uid > v->ranges[index].last)
		return 0;
	return v->ranges[index].seq + (uid - v->ranges[index].first);
}

uint32_t
view_seq(const struct view *v, uint32_t uid)
{
	return seq_in(v, find_range(v, uid), uid);
}

uint32_t
view_seq_next(const struct view *v, uint32_t uid, size_t *hint)
{
	if (*hint >= v->range_count || v->ranges[*hint].first > uid)
		*hint = find_range(v, uid);
	else if (v->ranges[*hint].last < uid && *hint + 1 < v->range_count &&
		v->ranges[*hint + 1].last >= uid)
		++*hint;
	else if (v->ranges[*hint].last < uid)
		*hint = find_range(v, uid);
	return seq_in(v, *hint, uid);
}

uint32_t
view_uid(const struct view *v, uint32_t seq)
{
	size_t low = 0;
	size_t high = v->range_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (v->ranges[middle].seq > seq)
			high = middle;
		else
			low = middle;
	}
	return v->ranges[low].first + (seq - v->ranges[low].seq);
}

/* Messages with a UID below uid. */
static uint32_t
count_below(const struct view *v, uint32_t uid)
{
	size_t index = find_range(v, uid);

	if (index == v->range_count)
		return v->count;
	uint32_t before = v->ranges[index].seq - 1;
	return uid > v->ranges[index].first ? before + (uid - v->ranges[index].first) : before;
}

uint32_t
view_count_between(const struct view *v, uint32_t first, uint32_t last)
{
	if (first > last)
		return 0;
	uint32_t to = last == UINT32_MAX ? v->count : count_below(v, last + 1);
	return to - count_below(v, first);
}

/* Copies one range without what the removed ranges take from it; *at walks over them. */
static enum fault
copy_rest(struct view *to, struct view_range from, const struct uid_range *removed, size_t count)
{
	uint32_t first = from.first;

	for (size_t i = 0; i < count && removed[i].first <= from.last; i++) {
		if (removed[i].last < first)
			continue;
		if (removed[i].first > first) {
			struct uid_range kept = {first, removed[i].first - 1};
			enum fault fault = view_append(to, kept);
			if (fault != FAULT_OK)
				return fault;
		}
		if (removed[i].last >= from.last)
			return FAULT_OK;
		first = removed[i].last + 1;
	}
	return view_append(to, (struct uid_range){first, from.last});
}

enum fault
view_remove(struct view *v, const struct uid_range *removed, size_t count)
{
	struct view rest = {.count = 0};
	enum fault fault = FAULT_OK;
	size_t at = 0;

	for (size_t i = 0; fault == FAULT_OK && i < v->range_count; i++) {
		while (at < count && removed[at].last < v->ranges[i].first)
			at++;
		fault = copy_rest(&rest, v->ranges[i], removed + at, count - at);
	}
	if (fault != FAULT_OK) {
		free(rest.ranges);
		return fault;
	}
	free(v->ranges);
	v->ranges = rest.ranges;
	v->range_count = rest.range_count;
	v->range_size = rest.range_size;
	v->count = rest.count;
	return FAULT_OK;
}

void
uid_set_push(struct uid_set *set, uint32_t first, uint32_t last)
{
	if (set->count == set->size) {
		size_t size = set->size > 0 ? set->size * 2 : 8;
		struct uid_range *ranges = realloc(set->ranges, size * sizeof *ranges);
		if (ranges == NULL) {
			set->fault = FAULT_NOMEM;
			return;
		}
		set->ranges = ranges;
		set->size = size;
	}
	set->ranges[set->count++] = (struct uid_range){first, last};
}

void
uid_set_normalize(struct uid_set *set)
{
	if (set->count > 0)
		set->count = uid_ranges_normalize(set->ranges, set->count);
}
