/* SPDX-License-Identifier: ISC */
/* Reading DNS answers, in relayd.  Names may point backwards only, so that no loop is possible. */
#include "relayd/dns_packet.h"

#include "common/base/ascii.h"
#include "common/base/bytes.h"
#include "common/base/cursor.h"

enum { HEADER_LEN = 12, CLASS_IN = 1, POINTER = 0xc0, ANSWERS_MAX = 512 };

static bool
take_be16(struct cursor *c, uint32_t *value)
{
	struct slice bytes;

	if (!take_bytes(c, 2, &bytes))
		return false;
	*value = get_u16(bytes.data);
	return true;
}

/* Appends one label in lower case; false for bytes that no host name has, or when it is full. */
static bool
add_label(char name[static DNS_NAME_SIZE], size_t *len, struct slice label)
{
	if (*len + label.len + 2 > DNS_NAME_SIZE)
		return false;
	if (*len > 0)
		name[(*len)++] = '.';
	for (size_t i = 0; i < label.len; i++) {
		char c = ascii_lower(label.data[i]);

		if (!ascii_is_alnum(c) && c != '-' && c != '_')
			return false;
		name[(*len)++] = c;
	}
	return true;
}

/* Passes over a name in place, without following pointers. */
static bool
skip_name(struct cursor *c)
{
	struct slice label;
	char byte;

	while (take_any(c, &byte)) {
		unsigned len = (unsigned char)byte;

		if (len == 0)
			return true;
		if ((len & POINTER) == POINTER)
			return take_any(c, &byte);
		if ((len & POINTER) != 0 || !take_bytes(c, len, &label))
			return false;
	}
	return false;
}

/* Reads the name at offset.  Every pointer must lead before the place where it was found. */
static bool
read_name(struct slice packet, size_t offset, char name[static DNS_NAME_SIZE])
{
	size_t len = 0, limit = offset;

	for (;;) {
		unsigned n;

		if (offset >= packet.len)
			return false;
		n = (unsigned char)packet.data[offset];
		if (n == 0)
			break;
		if ((n & POINTER) == POINTER) {
			if (offset + 1 >= packet.len)
				return false;
			offset = (size_t)(get_u16(packet.data + offset) & 0x3fff);
			if (offset >= limit)
				return false;
			limit = offset;
			continue;
		}
		if ((n & POINTER) != 0 || offset + 1 + n > packet.len ||
			!add_label(name, &len, slice_make(packet.data + offset + 1, n)))
			return false;
		offset += 1 + n;
	}
	name[len] = '\0';
	return true;
}

struct resource {
	uint32_t type, class;
	struct slice data;
};

static bool
take_resource(struct cursor *c, struct resource *r)
{
	struct slice ttl;
	uint32_t len;

	return skip_name(c) && take_be16(c, &r->type) && take_be16(c, &r->class) &&
		take_bytes(c, 4, &ttl) && take_be16(c, &len) && take_bytes(c, len, &r->data);
}

static bool
read_resource(struct slice packet, const struct resource *r, struct dns_record *record)
{
	*record = (struct dns_record){0};
	if (r->type == DNS_TYPE_A && r->data.len == 4) {
		record->address.family = PEER_IPV4;
		memcpy(record->address.bytes, r->data.data, 4);
		return true;
	}
	if (r->type == DNS_TYPE_AAAA && r->data.len == 16) {
		record->address.family = PEER_IPV6;
		memcpy(record->address.bytes, r->data.data, 16);
		return true;
	}
	if (r->type != DNS_TYPE_MX || r->data.len < 3)
		return false;
	record->preference = get_u16(r->data.data);
	return read_name(packet, (size_t)(r->data.data - packet.data) + 2, record->name);
}

enum fault
dns_packet_parse(struct slice packet, uint16_t type, struct dns_answer *answer)
{
	struct cursor c = cursor_of(slice_after(packet, HEADER_LEN));
	uint32_t questions, answers;
	struct slice rest;

	if (packet.len < HEADER_LEN)
		return FAULT_SYNTAX;
	answer->rcode = (unsigned char)packet.data[3] & 15u;
	answer->count = 0;
	questions = get_u16(packet.data + 4);
	answers = get_u16(packet.data + 6);
	for (uint32_t i = 0; i < questions; i++)
		if (!skip_name(&c) || !take_bytes(&c, 4, &rest))
			return FAULT_SYNTAX;
	for (uint32_t i = 0; i < answers && i < ANSWERS_MAX; i++) {
		struct resource r;

		if (!take_resource(&c, &r))
			return FAULT_SYNTAX;
		if (r.type != type || r.class != CLASS_IN || answer->count == DNS_RECORDS_MAX)
			continue;
		if (read_resource(packet, &r, &answer->records[answer->count]))
			answer->count++;
	}
	return FAULT_OK;
}
