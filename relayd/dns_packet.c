/* SPDX-License-Identifier: ISC */
/* Reading DNS answers.  Run by relayd; trusts no byte of them. */
#include "relayd/dns_packet.h"

#include "common/base/ascii.h"
#include "common/base/bytes.h"

enum {
	HEADER_LEN = 12,
	QUESTION_FIXED = 4, /* type and class behind the name */
	RECORD_FIXED = 10, /* type, class, TTL, length */
	POINTER = 0xc0,
	JUMPS_MAX = 64,
	CLASS_IN = 1,
};

static bool
add_label(struct slice label, char name[static DNS_NAME_SIZE], size_t *len)
{
	if (*len + label.len + 2 > DNS_NAME_SIZE)
		return false;
	if (*len > 0)
		name[(*len)++] = '.';
	for (size_t i = 0; i < label.len; i++) {
		char c = label.data[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_')
			return false;
		name[(*len)++] = ascii_lower(c);
	}
	return true;
}

bool
dns_packet_name(struct slice packet, size_t *at, char name[static DNS_NAME_SIZE])
{
	size_t pos = *at, len = 0, jumps = 0;
	bool jumped = false;

	while (pos < packet.len) {
		unsigned octet = (unsigned char)packet.data[pos];
		if ((octet & POINTER) == POINTER) {
			if (pos + 1 >= packet.len || ++jumps > JUMPS_MAX)
				return false;
			size_t target = (octet & ~(unsigned)POINTER) << 8 |
				(unsigned char)packet.data[pos + 1];
			if (!jumped)
				*at = pos + 2;
			jumped = true;
			if (target >= pos)
				return false;
			pos = target;
		} else if (octet == 0) {
			if (!jumped)
				*at = pos + 1;
			name[len] = '\0';
			return true;
		} else {
			struct slice label = slice_first(slice_after(packet, pos + 1), octet);
			if ((octet & POINTER) != 0 || label.len < octet ||
				!add_label(label, name, &len))
				return false;
			pos += 1 + octet;
		}
	}
	return false;
}

/* Skips a name whatever is in its labels: owners of records may be anything. */
static bool
skip_name(struct slice packet, size_t *at)
{
	while (*at < packet.len) {
		unsigned octet = (unsigned char)packet.data[*at];
		if ((octet & POINTER) == POINTER) {
			*at += 2;
			return *at <= packet.len;
		}
		*at += 1 + octet;
		if (octet == 0)
			return true;
	}
	return false;
}

static bool
tell_mx(struct slice packet, size_t at, size_t len, const struct dns_records *records)
{
	struct dns_mx mx;

	if (len < 3)
		return false;
	mx.preference = get_u16(packet.data + at);
	at += 2;
	/* It is no place to deliver to, but neither is the domain itself (RFC 5321 5.1). */
	if (!dns_packet_name(packet, &at, mx.host))
		memcpy(mx.host, DNS_NO_HOST, sizeof DNS_NO_HOST);
	if (records->mx != NULL)
		records->mx(records->arg, &mx);
	return true;
}

static bool
tell_address(struct slice data, enum dns_type type, const struct dns_records *records)
{
	struct peer_address address = {.family = type == DNS_TYPE_A ? PEER_IPV4 : PEER_IPV6};

	if (data.len != (type == DNS_TYPE_A ? 4 : 16))
		return false;
	memcpy(address.bytes, data.data, data.len);
	if (records->address != NULL)
		records->address(records->arg, &address);
	return true;
}

static bool
take_record(
	struct slice packet, size_t *at, enum dns_type wanted, const struct dns_records *records)
{
	if (!skip_name(packet, at) || packet.len - *at < RECORD_FIXED)
		return false;
	unsigned type = get_u16(packet.data + *at), class = get_u16(packet.data + *at + 2);
	size_t len = get_u16(packet.data + *at + 8);
	size_t data = *at + RECORD_FIXED;
	if (packet.len - data < len)
		return false;
	*at = data + len;
	/* Other types are the CNAMEs on the way, and signatures. */
	if (type != (unsigned)wanted || class != CLASS_IN)
		return true;
	if (wanted == DNS_TYPE_MX)
		return tell_mx(packet, data, len, records);
	return tell_address(slice_make(packet.data + data, len), wanted, records);
}

enum fault
dns_packet_parse(struct slice packet, enum dns_type wanted, const struct dns_records *records)
{
	size_t at = HEADER_LEN;

	if (packet.len < HEADER_LEN)
		return FAULT_DNS;
	unsigned questions = get_u16(packet.data + 4), answers = get_u16(packet.data + 6);
	for (; questions > 0; questions--) {
		if (!skip_name(packet, &at) || packet.len - at < QUESTION_FIXED)
			return FAULT_DNS;
		at += QUESTION_FIXED;
	}
	for (; answers > 0; answers--) {
		if (!take_record(packet, &at, wanted, records))
			return FAULT_DNS;
	}
	return FAULT_OK;
}
