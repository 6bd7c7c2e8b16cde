/* SPDX-License-Identifier: ISC */
/* Peer addresses as values.  Linked by every network-facing process. */
#include "common/net/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

static void
set_ipv6(struct peer_address *a, const struct in6_addr *from)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (memcmp(from->s6_addr, mapped, sizeof mapped) == 0) {
		a->family = PEER_IPV4;
		memcpy(a->bytes, from->s6_addr + sizeof mapped, 4);
		return;
	}
	a->family = PEER_IPV6;
	memcpy(a->bytes, from->s6_addr, 16);
}

enum fault
peer_address_from(struct peer_address *a, const struct sockaddr *from, socklen_t len)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	*a = (struct peer_address){.family = PEER_LOCAL};
	if (len < (socklen_t)sizeof from->sa_family)
		return FAULT_UNSUPPORTED;
	if (from->sa_family == AF_UNIX)
		return FAULT_OK;
	if (from->sa_family == AF_INET && len >= (socklen_t)sizeof in4) {
		memcpy(&in4, from, sizeof in4);
		a->family = PEER_IPV4;
		a->port = ntohs(in4.sin_port);
		memcpy(a->bytes, &in4.sin_addr, 4);
		return FAULT_OK;
	}
	if (from->sa_family == AF_INET6 && len >= (socklen_t)sizeof in6) {
		memcpy(&in6, from, sizeof in6);
		a->port = ntohs(in6.sin6_port);
		set_ipv6(a, &in6.sin6_addr);
		return FAULT_OK;
	}
	return FAULT_UNSUPPORTED;
}

enum fault
peer_address_of_peer(struct peer_address *a, int fd)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;

	if (getpeername(fd, (struct sockaddr *)&from, &len) != 0)
		return FAULT_IO;
	return peer_address_from(a, (const struct sockaddr *)&from, len);
}

enum fault
peer_address_of_self(struct peer_address *a, int fd)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;

	if (getsockname(fd, (struct sockaddr *)&from, &len) != 0)
		return FAULT_IO;
	return peer_address_from(a, (const struct sockaddr *)&from, len);
}

const char *
peer_address_format(const struct peer_address *a, char text[static PEER_TEXT_SIZE])
{
	int family = a->family == PEER_IPV4 ? AF_INET : AF_INET6;

	if (a->family == PEER_LOCAL || inet_ntop(family, a->bytes, text, PEER_TEXT_SIZE) == NULL)
		memcpy(text, "local", sizeof "local");
	return text;
}

bool
peer_address_parse(struct slice text, struct peer_address *a)
{
	char terminated[PEER_TEXT_SIZE];
	struct in6_addr in6;

	if (text.len == 0 || text.len >= sizeof terminated)
		return false;
	memcpy(terminated, text.data, text.len);
	terminated[text.len] = '\0';
	struct peer_address parsed = {.family = PEER_IPV4};
	if (inet_pton(AF_INET, terminated, parsed.bytes) != 1) {
		if (inet_pton(AF_INET6, terminated, &in6) != 1)
			return false;
		set_ipv6(&parsed, &in6);
	}
	*a = parsed;
	return true;
}

socklen_t
peer_address_to(const struct peer_address *a, struct sockaddr_storage *to)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

	memset(to, 0, sizeof *to);
	if (a->family == PEER_IPV4) {
		memcpy(&in4.sin_addr, a->bytes, 4);
		memcpy(to, &in4, sizeof in4);
		return sizeof in4;
	}
	if (a->family == PEER_IPV6) {
		memcpy(&in6.sin6_addr, a->bytes, 16);
		memcpy(to, &in6, sizeof in6);
		return sizeof in6;
	}
	return 0;
}

bool
peer_address_is_loopback(const struct peer_address *a)
{
	static const uint8_t ipv6_loopback[16] = {[15] = 1};

	if (a->family == PEER_IPV4)
		return a->bytes[0] == 127;
	return a->family == PEER_LOCAL || memcmp(a->bytes, ipv6_loopback, 16) == 0;
}

struct peer_address
peer_address_network(const struct peer_address *a)
{
	struct peer_address network = *a;

	network.port = 0;
	if (a->family == PEER_IPV6)
		memset(network.bytes + 8, 0, 8);
	return network;
}

bool
peer_address_equal(const struct peer_address *a, const struct peer_address *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, 16) == 0;
}
