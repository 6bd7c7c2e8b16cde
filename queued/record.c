/* SPDX-License-Identifier: ISC */
/*
 * Encoding of queue records, in queued: a version byte, fixed fields big-endian, then texts as
 * length (u16) and bytes.  Read back with all bounds checked, as a disk may give anything.
 */
#include "queued/record.h"

#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/ipc/payloads.h"

enum { RECORD_VERSION = 1, FLAG_SMTPUTF8 = 1, FLAG_LOCAL = 1, FLAG_DELAY_TOLD = 2 };

static void
add_u8(struct buffer *b, unsigned v)
{
	buffer_add_byte(b, (char)v);
}

/* Replies of others are cut to what a record takes. */
static void
add_text(struct buffer *b, struct slice text)
{
	uint8_t len[2];

	text = slice_first(text, RECORD_TEXT_MAX);
	put_u16(len, (uint16_t)text.len);
	buffer_add(b, len, sizeof len);
	buffer_add_slice(b, text);
}

static bool
take_u8(struct cursor *c, uint32_t max, uint32_t *v)
{
	char byte;

	if (!take_any(c, &byte))
		return false;
	*v = (unsigned char)byte;
	return *v <= max;
}

static bool
take_be32(struct cursor *c, uint32_t *v)
{
	struct slice bytes;

	if (!take_bytes(c, 4, &bytes))
		return false;
	*v = get_u32(bytes.data);
	return true;
}

static bool
take_be64(struct cursor *c, uint64_t *v)
{
	struct slice bytes;

	if (!take_bytes(c, 8, &bytes))
		return false;
	*v = get_u64(bytes.data);
	return true;
}

static bool
take_time(struct cursor *c, int64_t *v)
{
	uint64_t raw;

	if (!take_be64(c, &raw) || raw > INT64_MAX)
		return false;
	*v = (int64_t)raw;
	return true;
}

static bool
take_string(struct cursor *c, size_t max, struct slice *text)
{
	struct slice len;

	if (!take_bytes(c, 2, &len) || get_u16(len.data) > max)
		return false;
	return take_bytes(c, get_u16(len.data), text);
}

static enum fault
take_version(struct cursor *c)
{
	uint32_t version;

	if (!take_u8(c, 255, &version) || version == 0)
		return FAULT_DAMAGED;
	return version > RECORD_VERSION ? FAULT_UNSUPPORTED : FAULT_OK;
}

void
queue_message_encode(const struct queue_message *m, struct buffer *b)
{
	add_u8(b, RECORD_VERSION);
	buffer_add_be64(b, (uint64_t)m->arrived_ms);
	buffer_add_be64(b, m->account);
	add_u8(b, m->body);
	add_u8(b, m->ret);
	add_u8(b, m->smtputf8 ? FLAG_SMTPUTF8 : 0);
	buffer_add_be32(b, m->next_number);
	buffer_add_be32(b, m->left);
	buffer_add_be32(b, m->place.segment);
	buffer_add_be64(b, m->place.offset);
	buffer_add_be64(b, m->place.length);
	buffer_add_be64(b, m->size);
	buffer_add(b, m->checksum, sizeof m->checksum);
	add_text(b, m->sender);
	add_text(b, m->client);
	add_text(b, m->envid);
}

static bool
take_place(struct cursor *c, struct segment_place *place)
{
	return take_be32(c, &place->segment) && take_be64(c, &place->offset) &&
		take_be64(c, &place->length);
}

static bool
take_message_fields(struct cursor *c, struct queue_message *m)
{
	uint32_t flags;
	struct slice checksum;

	if (!take_time(c, &m->arrived_ms) || !take_be64(c, &m->account) ||
		!take_u8(c, IPC_BODY_BINARY, &m->body) || !take_u8(c, IPC_RET_HDRS, &m->ret) ||
		!take_u8(c, FLAG_SMTPUTF8, &flags) || !take_be32(c, &m->next_number) ||
		!take_be32(c, &m->left) || !take_place(c, &m->place) || !take_be64(c, &m->size) ||
		!take_bytes(c, sizeof m->checksum, &checksum))
		return false;
	memcpy(m->checksum, checksum.data, sizeof m->checksum);
	m->smtputf8 = flags == FLAG_SMTPUTF8;
	return take_string(c, RECORD_TEXT_MAX, &m->sender) &&
		take_string(c, RECORD_TEXT_MAX, &m->client) &&
		take_string(c, RECORD_TEXT_MAX, &m->envid);
}

enum fault
queue_message_decode(struct slice bytes, struct queue_message *m)
{
	struct cursor c = cursor_of(bytes);
	enum fault fault = take_version(&c);

	if (fault != FAULT_OK)
		return fault;
	return take_message_fields(&c, m) && cursor_at_end(&c) ? FAULT_OK : FAULT_DAMAGED;
}

void
queue_recipient_encode(const struct queue_recipient *r, struct buffer *b)
{
	add_u8(b, RECORD_VERSION);
	add_u8(b, r->state);
	add_u8(b, (r->local ? FLAG_LOCAL : 0u) | (r->delay_told ? FLAG_DELAY_TOLD : 0u));
	add_u8(b, r->notify);
	buffer_add_be32(b, r->attempts);
	buffer_add_be64(b, (uint64_t)r->next_ms);
	buffer_add_be32(b, r->fault);
	buffer_add_be32(b, r->code);
	add_text(b, r->address);
	add_text(b, r->orcpt);
	add_text(b, r->destination);
	add_text(b, r->status);
	add_text(b, r->text);
	add_text(b, r->host);
}

static bool
take_recipient_fields(struct cursor *c, struct queue_recipient *r)
{
	uint32_t state, flags;

	if (!take_u8(c, RECIPIENT_STATE_COUNT - 1, &state) ||
		!take_u8(c, FLAG_LOCAL | FLAG_DELAY_TOLD, &flags) || !take_u8(c, 15, &r->notify) ||
		!take_be32(c, &r->attempts) || !take_time(c, &r->next_ms) ||
		!take_be32(c, &r->fault) || !take_be32(c, &r->code))
		return false;
	r->state = (enum recipient_state)state;
	r->local = (flags & FLAG_LOCAL) != 0;
	r->delay_told = (flags & FLAG_DELAY_TOLD) != 0;
	return fault_is_known(r->fault) && take_string(c, RECORD_TEXT_MAX, &r->address) &&
		take_string(c, RECORD_TEXT_MAX, &r->orcpt) &&
		take_string(c, RECORD_DESTINATION_MAX, &r->destination) &&
		take_string(c, RECORD_TEXT_MAX, &r->status) &&
		take_string(c, RECORD_TEXT_MAX, &r->text) &&
		take_string(c, RECORD_TEXT_MAX, &r->host);
}

enum fault
queue_recipient_decode(struct slice bytes, struct queue_recipient *r)
{
	struct cursor c = cursor_of(bytes);
	enum fault fault = take_version(&c);

	if (fault != FAULT_OK)
		return fault;
	return take_recipient_fields(&c, r) && cursor_at_end(&c) ? FAULT_OK : FAULT_DAMAGED;
}
