/* SPDX-License-Identifier: ISC */
/* The queue's records as a disk may give them: decoded, encoded, decoded to the same. */
/* fuzz-links: queued */
#include <assert.h>
#include <stdlib.h>

#include "queued/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_recipient(struct slice in)
{
	struct queue_recipient r = {0}, again = {0};
	struct buffer out;

	if (queue_recipient_decode(in, &r) != FAULT_OK)
		return;
	buffer_init(&out, 1 << 20);
	queue_recipient_encode(&r, &out);
	assert(slice_equal(buffer_slice(&out), in));
	assert(queue_recipient_decode(buffer_slice(&out), &again) == FAULT_OK);
	buffer_clear(&out);
}

static void
fuzz_message(struct slice in)
{
	struct queue_message m = {0};
	struct buffer out;

	if (queue_message_decode(in, &m) != FAULT_OK)
		return;
	buffer_init(&out, 1 << 20);
	queue_message_encode(&m, &out);
	assert(slice_equal(buffer_slice(&out), in));
	buffer_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_recipient(slice_make(data, size));
	fuzz_message(slice_make(data, size));
	return 0;
}
