/* SPDX-License-Identifier: ISC */
/*
 * Ids in numbers: a list that is sorted and counted, 8 bytes each, and a set of one bit each, for
 * walks over whole stores.  Private to common/store.
 */
#ifndef STORE_IDS_H
#define STORE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"

struct id_list {
	uint64_t *at;
	size_t count;
	size_t size; /* allocated */
};
MUST_USE enum fault id_list_add(struct id_list *, uint64_t id);
void id_list_sort(struct id_list *);
/* How often an id stands in the sorted list from *at on; *at moves behind it. */
uint32_t id_list_take(const struct id_list *, size_t *at, uint64_t id);
/* In a sorted list. */
bool id_list_has(const struct id_list *, uint64_t id);
void id_list_clear(struct id_list *);

/* Ids are dense; those that nothing of ours can have given (2^40 and more) are FAULT_LIMIT. */
struct id_set {
	uint64_t **pages;
	size_t page_count;
};
MUST_USE enum fault id_set_add(struct id_set *, uint64_t id);
void id_set_remove(struct id_set *, uint64_t id);
bool id_set_has(const struct id_set *, uint64_t id);
void id_set_clear(struct id_set *);

#endif
