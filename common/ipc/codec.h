/* SPDX-License-Identifier: ISC */
/*
 * The one interpreter that turns payload structs into bytes and back, driven by the field tables
 * of payloads.c.  Fixed-width big-endian integers; text as u32 length + bytes, lists as u32 count +
 * elements, both with a limit per field.  Decoding trusts nothing.
 */
#ifndef IPC_CODEC_H
#define IPC_CODEC_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/ipc/messages.h"

enum ipc_field_kind {
	IPC_FIELD_BOOL,
	IPC_FIELD_U8,
	IPC_FIELD_U32,
	IPC_FIELD_U64,
	IPC_FIELD_SLICE,
	IPC_FIELD_LIST
};

struct ipc_layout;

struct ipc_field {
	enum ipc_field_kind kind;
	size_t offset;
	uint32_t limit; /* bytes of a slice, elements of a list */
	size_t count_offset; /* of a list: where its uint32_t count is */
	const struct ipc_layout *element;
};

struct ipc_layout {
	size_t size; /* of the struct */
	const struct ipc_field *fields;
	size_t field_count;
};

struct ipc_row {
	const char *name;
	const struct ipc_layout *layout;
	unsigned from, to; /* sets of processes */
	enum ipc_descriptor descriptor;
	enum ipc_type answer;
};

/* NULL for a type outside the table. */
const struct ipc_row *ipc_row(unsigned type);
/* True when the type answers some request. */
bool ipc_type_is_answer(enum ipc_type);
/* Of everything in the table that both sides must agree on. */
uint64_t ipc_table_hash(void);

/* FAULT_TOO_LONG when a field is over its limit, or the fault of out. */
MUST_USE enum fault ipc_encode(const struct ipc_layout *, const void *payload, struct buffer *out);
/*
 * Allocates the struct and its lists from the arena; slices borrow from bytes.
 * FAULT_PEER_PROTOCOL when bytes are short, over a limit or left over; FAULT_BUDGET by the arena.
 */
MUST_USE enum fault ipc_decode(
	const struct ipc_layout *, struct slice bytes, struct arena *, void **payload);

#endif
