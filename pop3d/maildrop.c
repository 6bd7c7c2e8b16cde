/* SPDX-License-Identifier: ISC */
/* The messages of a session and their deletion marks. */
#include "pop3d/maildrop.h"

#include <stdlib.h>

#include "common/base/bytes.h"

enum { FIRST_SIZE = 16 };

enum fault
maildrop_add(struct maildrop *d, uint32_t uid, uint64_t size)
{
	if (d->count == d->allocated) {
		uint32_t wanted = d->allocated == 0 ? FIRST_SIZE : d->allocated * 2;
		struct maildrop_message *grown = wanted > d->allocated
			? reallocarray(d->messages, wanted, sizeof *grown)
			: NULL;

		if (grown == NULL)
			return FAULT_NOMEM;
		d->messages = grown;
		d->allocated = wanted;
	}
	d->messages[d->count++] = (struct maildrop_message){.uid = uid, .size = size};
	d->octets += size;
	return FAULT_OK;
}

struct maildrop_message *
maildrop_find(struct maildrop *d, uint32_t number)
{
	if (number == 0 || number > d->count || d->messages[number - 1].deleted)
		return NULL;
	return &d->messages[number - 1];
}

void
maildrop_delete(struct maildrop *d, struct maildrop_message *message)
{
	message->deleted = true;
	d->deleted++;
	d->octets -= message->size;
}

void
maildrop_reset(struct maildrop *d)
{
	for (uint32_t i = 0; i < d->count; i++) {
		if (d->messages[i].deleted)
			d->octets += d->messages[i].size;
		d->messages[i].deleted = false;
	}
	d->deleted = 0;
}

static void
add_range(struct buffer *ranges, uint32_t first, uint32_t last)
{
	uint8_t pair[8];

	put_u32(pair, first);
	put_u32(pair + 4, last);
	buffer_add(ranges, pair, sizeof pair);
}

void
maildrop_format_deleted(const struct maildrop *d, struct buffer *ranges)
{
	uint32_t first = 0, last = 0; /* 0 is no UID: no range is open */

	for (uint32_t i = 0; i < d->count; i++) {
		if (!d->messages[i].deleted)
			continue;
		if (first != 0 && d->messages[i].uid != last + 1) {
			add_range(ranges, first, last);
			first = 0;
		}
		last = d->messages[i].uid;
		if (first == 0)
			first = last;
	}
	if (first != 0)
		add_range(ranges, first, last);
}

void
maildrop_clear(struct maildrop *d)
{
	free(d->messages);
	*d = (struct maildrop){.messages = NULL};
}
