/* SPDX-License-Identifier: ISC */
/* Sets of UIDs as ascending, disjoint, non-adjacent ranges on the heap. */
#ifndef STORE_UIDS_H
#define STORE_UIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"

struct uid_range {
	uint32_t first;
	uint32_t last; /* included */
};

/* A zeroed struct is an empty set. */
struct uid_set {
	struct uid_range *ranges;
	size_t count;
	size_t size; /* allocated */
	enum fault fault; /* FAULT_NOMEM once adding failed; the first one is kept */
};

void uid_set_clear(struct uid_set *);
/* Adds in ascending order; merges with the last range when adjacent.  A lower one is ignored. */
void uid_set_add(struct uid_set *, uint32_t uid);
void uid_set_add_range(struct uid_set *, uint32_t first, uint32_t last);
/* Sorts and merges ranges (in any order, overlapping) in place; returns how many are left. */
size_t uid_ranges_normalize(struct uid_range *, size_t count);
/* How many UIDs are in it. */
uint64_t uid_set_total(const struct uid_set *);
bool uid_set_has(const struct uid_set *, uint32_t uid);

#endif
