/* SPDX-License-Identifier: ISC */
/* Block-wise allocation with a budget.  Linked by every process. */
#include "common/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 4096 };

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char bytes[];
};

void
arena_init(struct arena *a, size_t budget)
{
	*a = (struct arena){.budget = budget};
}

void
arena_clear(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;
		free(a->blocks);
		a->blocks = next;
	}
	a->used = 0;
}

static bool
add_block(struct arena *a, size_t size)
{
	size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
	struct arena_block *block = calloc(1, sizeof *block + room);

	if (block == NULL)
		return false;
	block->size = room;
	block->next = a->blocks;
	a->blocks = block;
	return true;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	if (size > a->budget || a->used > a->budget - size)
		return NULL;
	/* The budget bounds size, so that rounding up cannot overflow. */
	size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *block = a->blocks;
	if (block == NULL || block->size - block->used < rounded) {
		if (!add_block(a, rounded))
			return NULL;
		block = a->blocks;
	}
	void *at = block->bytes + block->used;
	block->used += rounded;
	a->used += size;
	return at;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	return arena_alloc(a, count * size);
}

bool
arena_copy(struct arena *a, struct slice from, struct slice *copy)
{
	if (from.len == SIZE_MAX)
		return false;
	char *at = arena_alloc(a, from.len + 1);
	if (at == NULL)
		return false;
	if (from.len > 0)
		memcpy(at, from.data, from.len);
	*copy = slice_make(at, from.len);
	return true;
}
