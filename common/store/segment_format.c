/* SPDX-License-Identifier: ISC */
/*
 * Names of segment files and headers of their records.  A header that was damaged on disk is
 * found by its own checksum before any of its lengths is believed.
 *
 *	  0 magic 4 | version 2 | kind 1 | codec 1 | account 8 | mailbox 4 | uid 4
 *	 24 received_at 8 | zone 2 | flags 1 | zero 1 | prefix length 4
 *	 40 email id 8 | thread id 8 | body id 8 | structure length 4 | sum of the stored body 4
 *	 72 stored length 8 | plain length 8 | body checksum 16 | parts checksum 16
 *	120 header checksum 16, over the 120 bytes before it
 */
#include "common/store/segment_format.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/cursor.h"

#define MAGIC UINT32_C(0x50424c52) /* "PBLR" */

/* Version 2 has a keyed checksum; the head of a file, and files without one, have version 1. */
enum { VERSION_PLAIN = 1, VERSION_KEYED = 2, CHECKSUM_AT = 120, NAME_DIGITS_MIN = 8 };

const char *
segment_name(uint32_t segment, char name[static SEGMENT_NAME_SIZE])
{
	/* At most ten digits: it fits. */
	(void)snprintf(name, SEGMENT_NAME_SIZE, "%08" PRIu32 ".seg", segment);
	return name;
}

bool
segment_name_parse(struct slice name, uint32_t *segment)
{
	struct cursor c = cursor_of(name);
	uint32_t number;

	if (!take_u32(&c, &number) || name.len - c.rest.len < NAME_DIGITS_MIN || number == 0 ||
		!slice_equal(c.rest, SLICE(".seg")))
		return false;
	*segment = number;
	return true;
}

void
segment_parts_checksum(
	struct slice prefix, struct slice structure, uint8_t checksum[static SEGMENT_CHECKSUM_SIZE])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, SEGMENT_CHECKSUM_SIZE);
	crypto_generichash_update(&state, (const uint8_t *)prefix.data, prefix.len);
	crypto_generichash_update(&state, (const uint8_t *)structure.data, structure.len);
	crypto_generichash_final(&state, checksum, SEGMENT_CHECKSUM_SIZE);
}

void
segment_sum_add(struct segment_sum *s, struct slice bytes)
{
	uint8_t last[8] = {0};
	size_t i = 0;

	for (; i + sizeof(last) <= bytes.len; i += sizeof(last)) {
		s->words += get_u64(bytes.data + i);
		s->sums += s->words;
	}
	if (i == bytes.len)
		return;
	memcpy(last, bytes.data + i, bytes.len - i);
	s->words += get_u64(last);
	s->sums += s->words;
}

uint32_t
segment_sum_value(const struct segment_sum *s)
{
	uint64_t both = (s->words ^ (s->sums >> 32)) * UINT64_C(0x9e3779b97f4a7c15) + s->sums;
	uint32_t value = (uint32_t)(both >> 32) ^ (uint32_t)both;

	return value != 0 ? value : 1;
}

static void
header_checksum(const uint8_t *header, const struct segment_key *key,
	uint8_t checksum[static SEGMENT_CHECKSUM_SIZE])
{
	crypto_generichash(checksum, SEGMENT_CHECKSUM_SIZE, header, CHECKSUM_AT,
		key != NULL ? key->bytes : NULL, key != NULL ? sizeof(key->bytes) : 0);
}

void
segment_header_encode(const struct segment_record *r, const struct segment_key *key,
	uint8_t header[static SEGMENT_HEADER_SIZE])
{
	put_u32(header, MAGIC);
	put_u16(header + 4, key != NULL ? VERSION_KEYED : VERSION_PLAIN);
	header[6] = (uint8_t)r->kind;
	header[7] = r->codec;
	put_u64(header + 8, r->account);
	put_u32(header + 16, r->mailbox);
	put_u32(header + 20, r->uid);
	put_u64(header + 24, (uint64_t)r->received_at);
	put_u16(header + 32, (uint16_t)r->zone);
	header[34] = r->flags;
	header[35] = 0;
	put_u32(header + 36, (uint32_t)r->prefix.len);
	put_u64(header + 40, r->email_id);
	put_u64(header + 48, r->thread_id);
	put_u64(header + 56, r->body_id);
	put_u32(header + 64, (uint32_t)r->structure.len);
	struct segment_sum sum = {0};
	segment_sum_add(&sum, r->body);
	put_u32(header + 68, segment_sum_value(&sum));
	put_u64(header + 72, r->body.len);
	put_u64(header + 80, r->plain_len);
	memcpy(header + 88, r->checksum, SEGMENT_CHECKSUM_SIZE);
	segment_parts_checksum(r->prefix, r->structure, header + 104);
	header_checksum(header, key, header + CHECKSUM_AT);
}

static void
header_fields(const uint8_t *header, struct segment_record *r)
{
	*r = (struct segment_record){
		.kind = header[6],
		.codec = header[7],
		.flags = header[34],
		.zone = (int16_t)get_u16(header + 32),
		.account = get_u64(header + 8),
		.mailbox = get_u32(header + 16),
		.uid = get_u32(header + 20),
		.received_at = (int64_t)get_u64(header + 24),
		.email_id = get_u64(header + 40),
		.thread_id = get_u64(header + 48),
		.body_id = get_u64(header + 56),
		.stored_sum = get_u32(header + 68),
		.plain_len = get_u64(header + 80),
		.prefix = {NULL, get_u32(header + 36)},
		.structure = {NULL, get_u32(header + 64)},
		.body = {NULL, get_u64(header + 72)},
	};
	memcpy(r->checksum, header + 88, SEGMENT_CHECKSUM_SIZE);
	memcpy(r->parts_checksum, header + 104, SEGMENT_CHECKSUM_SIZE);
}

enum fault
segment_header_decode(const uint8_t header[static SEGMENT_HEADER_SIZE],
	const struct segment_key *key, struct segment_record *record)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];

	if (get_u32(header) != MAGIC)
		return FAULT_DAMAGED;
	header_checksum(header, key, checksum);
	if (memcmp(checksum, header + CHECKSUM_AT, sizeof(checksum)) != 0)
		return FAULT_DAMAGED;
	if (get_u16(header + 4) > VERSION_KEYED)
		return FAULT_UNSUPPORTED;
	if (get_u16(header + 4) != (key != NULL ? VERSION_KEYED : VERSION_PLAIN))
		return FAULT_DAMAGED;
	header_fields(header, record);
	memcpy(record->header_checksum, checksum, sizeof(checksum));
	/* A sum of three such lengths cannot wrap round. */
	return record->body.len > UINT64_MAX / 4 ? FAULT_DAMAGED : FAULT_OK;
}

void
segment_head_encode(const struct segment_key *key, uint8_t head[static SEGMENT_HEAD_SIZE])
{
	struct segment_record record = {
		.kind = SEGMENT_HEAD, .prefix = slice_make(key->bytes, sizeof(key->bytes))};

	segment_header_encode(&record, NULL, head);
	memcpy(head + SEGMENT_HEADER_SIZE, key->bytes, sizeof(key->bytes));
}

enum fault
segment_head_decode(const uint8_t head[static SEGMENT_HEAD_SIZE], struct segment_key *key)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	struct segment_record record;
	enum fault fault = segment_header_decode(head, NULL, &record);

	if (fault != FAULT_OK)
		return fault;
	memcpy(key->bytes, head + SEGMENT_HEADER_SIZE, sizeof(key->bytes));
	segment_parts_checksum(slice_make(key->bytes, sizeof(key->bytes)), SLICE(""), checksum);
	if (record.kind != SEGMENT_HEAD || record.prefix.len != sizeof(key->bytes) ||
		record.structure.len != 0 || record.body.len != 0 ||
		memcmp(checksum, record.parts_checksum, sizeof(checksum)) != 0)
		return FAULT_DAMAGED;
	return FAULT_OK;
}

enum fault
segment_key_read(int file, struct segment_key *key)
{
	uint8_t head[SEGMENT_HEAD_SIZE] = {0};
	struct segment_record record;
	ssize_t n = pread(file, head, sizeof(head), 0);

	if (n < 0)
		return fault_from_errno(errno);
	if (n == SEGMENT_HEAD_SIZE && segment_head_decode(head, key) == FAULT_OK)
		return FAULT_OK;
	if (n >= SEGMENT_HEADER_SIZE && segment_header_decode(head, NULL, &record) == FAULT_OK &&
		record.kind != SEGMENT_HEAD)
		return FAULT_NOT_FOUND;
	return FAULT_DAMAGED;
}

bool
segment_is_magic(const char *at)
{
	return get_u32(at) == MAGIC;
}

uint64_t
segment_record_length(const struct segment_record *r)
{
	uint64_t length =
		SEGMENT_HEADER_SIZE + (uint64_t)r->prefix.len + r->structure.len + r->body.len;

	return (length + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
}

uint64_t
segment_body_offset(const struct segment_place *place, const struct segment_record *r)
{
	return place->offset + SEGMENT_HEADER_SIZE + r->prefix.len + r->structure.len;
}
