/* SPDX-License-Identifier: ISC */
/*
 * The IPC decoder under hostile bytes: the first byte chooses the message, the rest is its payload.
 * What decodes must encode to the very same bytes, for the encoding has one form only.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/ipc/codec.h"
#include "common/ipc/payloads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ipc_row *row = size > 0 ? ipc_row(data[0]) : NULL;
	struct arena arena;
	struct buffer again;
	void *payload;

	if (row == NULL)
		return 0;
	struct slice bytes = slice_make(data + 1, size - 1);
	arena_init(&arena, 4 << 20);
	buffer_init(&again, IPC_PAYLOAD_MAX);
	if (ipc_decode(row->layout, bytes, &arena, &payload) == FAULT_OK &&
		(ipc_encode(row->layout, payload, &again) != FAULT_OK ||
			!slice_equal(bytes, buffer_slice(&again))))
		abort();
	buffer_clear(&again);
	arena_clear(&arena);
	return 0;
}
