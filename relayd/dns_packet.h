/* SPDX-License-Identifier: ISC */
/*
 * The answer section of a DNS message (RFC 1035 4), as libunbound hands it over.  Pure; made for
 * hostile bytes: every length and pointer is checked, pointers only go backwards.
 */
#ifndef RELAYD_DNS_PACKET_H
#define RELAYD_DNS_PACKET_H

#include "relayd/dns.h"

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_MX = 15, DNS_TYPE_AAAA = 28 };

/* Called for each record of the wanted type in the answer section. */
struct dns_records {
	void (*mx)(void *arg, const struct dns_mx *);
	void (*address)(void *arg, const struct peer_address *);
	void *arg;
};

/* FAULT_DNS when the message is malformed; records before the fault have been told. */
MUST_USE enum fault dns_packet_parse(
	struct slice packet, enum dns_type, const struct dns_records *);
/*
 * Reads the name at *at (RFC 1035 4.1.4) as lower-case text and moves *at behind it.  Labels with
 * bytes other than letters, digits, '-' and '_' are refused: they cannot be host names.
 */
bool dns_packet_name(struct slice packet, size_t *at, char name[static DNS_NAME_SIZE]);

#endif
