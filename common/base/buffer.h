/* SPDX-License-Identifier: ISC */
/*
 * A growing byte buffer with a cap.  It keeps its first fault: add what there is to add, look
 * once at buffer_fault().  After a fault, adding does nothing.  A zeroed struct with a cap set by
 * buffer_init is ready; buffer_clear may be called twice.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdint.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

struct buffer {
	char *data;
	size_t start; /* bytes consumed at the front */
	size_t end;
	size_t size; /* allocated */
	size_t cap; /* most bytes ever held at once */
	enum fault fault;
};

void buffer_init(struct buffer *, size_t cap);
/* Frees the memory; the cap stays, the fault is gone. */
void buffer_clear(struct buffer *);
/* Empties it, keeps the memory, forgets the fault. */
void buffer_reset(struct buffer *);

static inline struct slice
buffer_slice(const struct buffer *b)
{
	return slice_make(b->data == NULL ? NULL : b->data + b->start, b->end - b->start);
}

static inline size_t
buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

/* FAULT_OK, FAULT_NOMEM or FAULT_BUDGET (over the cap). */
static inline enum fault
buffer_fault(const struct buffer *b)
{
	return b->fault;
}

void buffer_add(struct buffer *, const void *data, size_t len);
void buffer_add_slice(struct buffer *, struct slice);
void buffer_add_text(struct buffer *, const char *text);
void buffer_add_byte(struct buffer *, char);
void buffer_add_u64(struct buffer *, uint64_t value); /* decimal */
void buffer_add_be32(struct buffer *, uint32_t value); /* big-endian bytes */
void buffer_add_be64(struct buffer *, uint64_t value);
void buffer_printf(struct buffer *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * Room for len bytes at the end, to be written by the caller and then counted by
 * buffer_added(); NULL on a fault.
 */
void *buffer_reserve(struct buffer *, size_t len);
void buffer_added(struct buffer *, size_t len);
/* Drops len bytes (at most all) from the front. */
void buffer_consume(struct buffer *, size_t len);
/* Drops bytes from the end until len are left. */
void buffer_truncate(struct buffer *, size_t len);

#endif
