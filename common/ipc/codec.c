/* SPDX-License-Identifier: ISC */
/* Encoding and decoding by field table.  Linked by every process; decodes bytes of processes that
 * may have been broken into. */
#include "common/ipc/codec.h"

#include "common/base/bytes.h"
#include "common/base/cursor.h"

static enum fault
encode_list(const struct ipc_field *field, const char *base, struct buffer *out)
{
	uint32_t count;
	const char *elements;

	memcpy(&count, base + field->count_offset, sizeof count);
	memcpy(&elements, base + field->offset, sizeof elements);
	if (count > field->limit)
		return FAULT_TOO_LONG;
	buffer_add_be32(out, count);
	for (uint32_t i = 0; i < count; i++) {
		enum fault fault =
			ipc_encode(field->element, elements + i * field->element->size, out);
		if (fault != FAULT_OK)
			return fault;
	}
	return FAULT_OK;
}

static enum fault
encode_slice(const struct ipc_field *field, const char *at, struct buffer *out)
{
	struct slice s;

	memcpy(&s, at, sizeof s);
	if (s.len > field->limit)
		return FAULT_TOO_LONG;
	buffer_add_be32(out, (uint32_t)s.len);
	buffer_add_slice(out, s);
	return FAULT_OK;
}

static enum fault
encode_field(const struct ipc_field *field, const char *base, struct buffer *out)
{
	const char *at = base + field->offset;
	uint32_t u32;
	uint64_t u64;

	switch (field->kind) {
	case IPC_FIELD_BOOL:
	case IPC_FIELD_U8:
		buffer_add_byte(out, *at);
		return FAULT_OK;
	case IPC_FIELD_U32:
		memcpy(&u32, at, sizeof u32);
		buffer_add_be32(out, u32);
		return FAULT_OK;
	case IPC_FIELD_U64:
		memcpy(&u64, at, sizeof u64);
		buffer_add_be64(out, u64);
		return FAULT_OK;
	case IPC_FIELD_SLICE:
		return encode_slice(field, at, out);
	case IPC_FIELD_LIST:
		return encode_list(field, base, out);
	}
	return FAULT_INTERNAL;
}

enum fault
ipc_encode(const struct ipc_layout *layout, const void *payload, struct buffer *out)
{
	for (size_t i = 0; i < layout->field_count; i++) {
		enum fault fault = encode_field(&layout->fields[i], payload, out);
		if (fault != FAULT_OK)
			return fault;
	}
	return buffer_fault(out);
}

static bool
take_be32(struct cursor *c, uint32_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 4, &bytes))
		return false;
	*value = get_u32(bytes.data);
	return true;
}

static enum fault decode_fields(
	const struct ipc_layout *layout, struct cursor *c, struct arena *arena, char *base);

static enum fault
decode_list(const struct ipc_field *field, struct cursor *c, struct arena *arena, char *base)
{
	uint32_t count;

	/* Every element takes a byte or more, so that a count cannot ask for more memory than a
	 * small multiple of the frame. */
	if (!take_be32(c, &count) || count > field->limit || count > c->rest.len)
		return FAULT_PEER_PROTOCOL;
	char *elements = arena_array(arena, count > 0 ? count : 1, field->element->size);
	if (elements == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < count; i++) {
		enum fault fault = decode_fields(
			field->element, c, arena, elements + i * field->element->size);
		if (fault != FAULT_OK)
			return fault;
	}
	memcpy(base + field->offset, &elements, sizeof elements);
	memcpy(base + field->count_offset, &count, sizeof count);
	return FAULT_OK;
}

static enum fault
decode_slice(const struct ipc_field *field, struct cursor *c, char *at)
{
	uint32_t len;
	struct slice s;

	if (!take_be32(c, &len) || len > field->limit || !take_bytes(c, len, &s))
		return FAULT_PEER_PROTOCOL;
	memcpy(at, &s, sizeof s);
	return FAULT_OK;
}

static enum fault
decode_number(const struct ipc_field *field, struct cursor *c, char *at)
{
	size_t len = field->kind == IPC_FIELD_U64 ? 8 : field->kind == IPC_FIELD_U32 ? 4 : 1;
	struct slice bytes;

	if (!take_bytes(c, len, &bytes))
		return FAULT_PEER_PROTOCOL;
	uint64_t u64 = len == 8 ? get_u64(bytes.data) : 0;
	uint32_t u32 = len == 4 ? get_u32(bytes.data) : 0;
	if (len == 8)
		memcpy(at, &u64, sizeof u64);
	else if (len == 4)
		memcpy(at, &u32, sizeof u32);
	else if (field->kind == IPC_FIELD_BOOL && (unsigned char)bytes.data[0] > 1)
		return FAULT_PEER_PROTOCOL;
	else
		*at = bytes.data[0];
	return FAULT_OK;
}

static enum fault
decode_fields(const struct ipc_layout *layout, struct cursor *c, struct arena *arena, char *base)
{
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < layout->field_count && fault == FAULT_OK; i++) {
		const struct ipc_field *field = &layout->fields[i];
		if (field->kind == IPC_FIELD_LIST)
			fault = decode_list(field, c, arena, base);
		else if (field->kind == IPC_FIELD_SLICE)
			fault = decode_slice(field, c, base + field->offset);
		else
			fault = decode_number(field, c, base + field->offset);
	}
	return fault;
}

enum fault
ipc_decode(const struct ipc_layout *layout, struct slice bytes, struct arena *arena, void **payload)
{
	struct cursor c = cursor_of(bytes);
	char *base = arena_alloc(arena, layout->size);

	if (base == NULL)
		return FAULT_BUDGET;
	enum fault fault = decode_fields(layout, &c, arena, base);
	if (fault == FAULT_OK && !cursor_at_end(&c))
		fault = FAULT_PEER_PROTOCOL;
	*payload = base;
	return fault;
}
