/* SPDX-License-Identifier: ISC */
/* Lists and sets of ids, for what looks at a store as a whole: verify and salvage. */
#include "common/store/ids.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_FIRST = 1024, PAGE_BITS = 1 << 20, WORD_BITS = 64 };
#define ID_MAX (UINT64_C(1) << 40)

enum fault
id_list_add(struct id_list *list, uint64_t id)
{
	if (list->count == list->size) {
		size_t size = list->size == 0 ? LIST_FIRST : list->size * 2;
		uint64_t *at = reallocarray(list->at, size, sizeof(*at));
		if (at == NULL)
			return FAULT_NOMEM;
		list->at = at;
		list->size = size;
	}
	list->at[list->count++] = id;
	return FAULT_OK;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void
id_list_sort(struct id_list *list)
{
	if (list->count > 0)
		qsort(list->at, list->count, sizeof(list->at[0]), compare_numbers);
}

uint32_t
id_list_take(const struct id_list *list, size_t *at, uint64_t id)
{
	uint32_t count = 0;

	while (*at < list->count && list->at[*at] < id)
		(*at)++;
	for (; *at < list->count && list->at[*at] == id; (*at)++)
		count++;
	return count;
}

bool
id_list_has(const struct id_list *list, uint64_t id)
{
	return list->count > 0 &&
		bsearch(&id, list->at, list->count, sizeof(list->at[0]), compare_numbers) != NULL;
}

void
id_list_clear(struct id_list *list)
{
	free(list->at);
	*list = (struct id_list){0};
}

/* Pages are made when they get their first id. */
static enum fault
page_ensure(struct id_set *set, size_t page)
{
	if (page >= set->page_count) {
		size_t count = page + 1 > 2 * set->page_count ? page + 1 : 2 * set->page_count;
		uint64_t **pages = reallocarray(set->pages, count, sizeof(pages[0]));
		if (pages == NULL)
			return FAULT_NOMEM;
		memset(pages + set->page_count, 0, (count - set->page_count) * sizeof(pages[0]));
		set->pages = pages;
		set->page_count = count;
	}
	if (set->pages[page] == NULL)
		set->pages[page] = calloc(PAGE_BITS / WORD_BITS, sizeof(uint64_t));
	return set->pages[page] != NULL ? FAULT_OK : FAULT_NOMEM;
}

enum fault
id_set_add(struct id_set *set, uint64_t id)
{
	if (id >= ID_MAX)
		return FAULT_LIMIT;
	enum fault fault = page_ensure(set, (size_t)(id / PAGE_BITS));
	if (fault == FAULT_OK)
		set->pages[id / PAGE_BITS][id % PAGE_BITS / WORD_BITS] |= UINT64_C(1)
			<< (id % WORD_BITS);
	return fault;
}

bool
id_set_has(const struct id_set *set, uint64_t id)
{
	uint64_t page = id / PAGE_BITS;

	return page < set->page_count && set->pages[page] != NULL &&
		(set->pages[page][id % PAGE_BITS / WORD_BITS] >> (id % WORD_BITS) & 1) != 0;
}

void
id_set_remove(struct id_set *set, uint64_t id)
{
	if (id_set_has(set, id))
		set->pages[id / PAGE_BITS][id % PAGE_BITS / WORD_BITS] &=
			~(UINT64_C(1) << (id % WORD_BITS));
}

void
id_set_clear(struct id_set *set)
{
	for (size_t i = 0; i < set->page_count; i++)
		free(set->pages[i]);
	free(set->pages);
	*set = (struct id_set){0};
}
