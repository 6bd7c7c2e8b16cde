/* SPDX-License-Identifier: ISC */
/* The capped, fault-keeping byte buffer.  Linked by every process. */
#include "common/base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"

enum { FIRST_SIZE = 256 };

void
buffer_init(struct buffer *b, size_t cap)
{
	*b = (struct buffer){.cap = cap};
}

void
buffer_clear(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->cap);
}

void
buffer_reset(struct buffer *b)
{
	b->start = b->end = 0;
	b->fault = FAULT_OK;
}

static void
compact(struct buffer *b)
{
	if (b->start == 0)
		return;
	memmove(b->data, b->data + b->start, b->end - b->start);
	b->end -= b->start;
	b->start = 0;
}

static bool
grow(struct buffer *b, size_t want)
{
	size_t size = b->size > 0 ? b->size : FIRST_SIZE;

	while (size < want)
		size = size > SIZE_MAX / 2 ? want : size * 2;
	char *data = realloc(b->data, size);
	if (data == NULL) {
		b->fault = FAULT_NOMEM;
		return false;
	}
	b->data = data;
	b->size = size;
	return true;
}

void *
buffer_reserve(struct buffer *b, size_t len)
{
	if (b->fault != FAULT_OK)
		return NULL;
	if (len > b->cap || buffer_len(b) > b->cap - len) {
		b->fault = FAULT_BUDGET;
		return NULL;
	}
	if (b->size - b->end < len) {
		compact(b);
		if (b->size - b->end < len && !grow(b, b->end + len))
			return NULL;
	}
	if (b->data == NULL && !grow(b, FIRST_SIZE))
		return NULL;
	return b->data + b->end;
}

void
buffer_added(struct buffer *b, size_t len)
{
	assert(len <= b->size - b->end);
	b->end += len;
}

void
buffer_add(struct buffer *b, const void *data, size_t len)
{
	void *room = buffer_reserve(b, len);

	if (room == NULL || len == 0)
		return;
	memcpy(room, data, len);
	b->end += len;
}

void
buffer_add_slice(struct buffer *b, struct slice s)
{
	buffer_add(b, s.data, s.len);
}

void
buffer_add_text(struct buffer *b, const char *text)
{
	buffer_add(b, text, strlen(text));
}

void
buffer_add_byte(struct buffer *b, char byte)
{
	buffer_add(b, &byte, 1);
}

void
buffer_add_u64(struct buffer *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buffer_add(b, digits + at, sizeof digits - at);
}

void
buffer_add_be32(struct buffer *b, uint32_t value)
{
	uint8_t bytes[4];

	put_u32(bytes, value);
	buffer_add(b, bytes, sizeof bytes);
}

void
buffer_add_be64(struct buffer *b, uint64_t value)
{
	uint8_t bytes[8];

	put_u64(bytes, value);
	buffer_add(b, bytes, sizeof bytes);
}

void
buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int need = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (need < 0) {
		b->fault = b->fault == FAULT_OK ? FAULT_INTERNAL : b->fault;
		return;
	}
	/* One byte more for the NUL that vsnprintf insists on; it is not counted. */
	char *room = buffer_reserve(b, (size_t)need + 1);
	if (room == NULL)
		return;
	va_start(args, format);
	vsnprintf(room, (size_t)need + 1, format, args);
	va_end(args);
	b->end += (size_t)need;
}

void
buffer_consume(struct buffer *b, size_t len)
{
	b->start += len < buffer_len(b) ? len : buffer_len(b);
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buffer_truncate(struct buffer *b, size_t len)
{
	if (len < buffer_len(b))
		b->end = b->start + len;
}
