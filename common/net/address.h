/* SPDX-License-Identifier: ISC */
/*
 * The address of a peer as a plain value: for logs, limits, Received fields and IPC.  An IPv4
 * address that arrives mapped into IPv6 (RFC 4291 2.5.5.2) becomes the IPv4 address.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

enum peer_family { PEER_LOCAL, PEER_IPV4, PEER_IPV6 }; /* LOCAL: an AF_UNIX socket */

struct peer_address {
	enum peer_family family;
	uint16_t port;
	uint8_t bytes[16]; /* IPv4: the first four; network byte order */
};

enum { PEER_TEXT_SIZE = INET6_ADDRSTRLEN };

/* FAULT_UNSUPPORTED for another family. */
MUST_USE enum fault peer_address_from(
	struct peer_address *, const struct sockaddr *, socklen_t len);
/* The far and the near end of a connected socket. */
MUST_USE enum fault peer_address_of_peer(struct peer_address *, int fd);
MUST_USE enum fault peer_address_of_self(struct peer_address *, int fd);
/* "192.0.2.1", "2001:db8::1" or "local", without port; returns text. */
const char *peer_address_format(const struct peer_address *, char text[static PEER_TEXT_SIZE]);
/* The same text read back; the port is 0. */
bool peer_address_parse(struct slice text, struct peer_address *);
/* For connect and bind; returns the length, 0 for PEER_LOCAL. */
socklen_t peer_address_to(const struct peer_address *, struct sockaddr_storage *);
bool peer_address_is_loopback(const struct peer_address *);
/*
 * What limits count as one peer: an IPv4 address, an IPv6 /64 (one customer has at least that).
 * The same address with the host part and the port zeroed.
 */
struct peer_address peer_address_network(const struct peer_address *);
bool peer_address_equal(const struct peer_address *, const struct peer_address *);

#endif
