/* SPDX-License-Identifier: ISC */
/*
 * The answer section of a DNS message (RFC 1035 4) as typed records.  Pure.  libunbound has
 * resolved, followed CNAMEs and thrown out what does not belong; still every bound is checked.
 */
#ifndef RELAYD_DNS_PACKET_H
#define RELAYD_DNS_PACKET_H

#include "common/base/fault.h"
#include "common/net/address.h"

enum {
	DNS_NAME_SIZE = 256, /* text without trailing dot, and a NUL */
	DNS_RECORDS_MAX = 64,
	DNS_TYPE_A = 1,
	DNS_TYPE_MX = 15,
	DNS_TYPE_AAAA = 28,
};

struct dns_record {
	uint32_t preference; /* MX */
	char name[DNS_NAME_SIZE]; /* MX, lower case; empty is the root: a null MX (RFC 7505) */
	struct peer_address address; /* A and AAAA; port 0 */
};

struct dns_answer {
	uint32_t rcode;
	struct dns_record *records;
	uint32_t count;
};

/*
 * The records of the type, at most DNS_RECORDS_MAX, into answer->records, which has room for so
 * many.  FAULT_SYNTAX when the packet is none.  Records that are malformed in themselves, or names
 * with bytes that no host name has, are passed over.
 */
MUST_USE enum fault dns_packet_parse(struct slice packet, uint16_t type, struct dns_answer *);

#endif
