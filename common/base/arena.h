/* SPDX-License-Identifier: ISC */
/*
 * An arena owns everything of one command or one message and frees it at once.  It has a budget;
 * an allocation over it gives NULL, which is an ordinary fault (FAULT_BUDGET), never an abort.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "common/base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used; /* bytes handed out */
	size_t budget;
};

void arena_init(struct arena *, size_t budget);
/* Frees everything; the budget stays.  May be called twice and on a zeroed struct. */
void arena_clear(struct arena *);
/* Zeroed memory, aligned for any type; NULL when over the budget or out of memory. */
void *arena_alloc(struct arena *, size_t size);
/* The same for count elements; NULL also when count * size overflows. */
void *arena_array(struct arena *, size_t count, size_t size);
/* A copy with a NUL behind it that is not counted; false when it does not fit. */
bool arena_copy(struct arena *, struct slice from, struct slice *copy);

#endif
