/* SPDX-License-Identifier: ISC */
/*
 * Asynchronous DNS by libunbound on relayd's event loop: MX, A and AAAA.  Answers come from
 * anybody on the network and are only data.
 */
#ifndef RELAYD_DNS_H
#define RELAYD_DNS_H

#include <event2/event.h>

#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/net/address.h"

enum {
	DNS_HOSTS_MAX = 64, /* MX records used of one domain */
	DNS_ADDRESSES_MAX = 64, /* of one host, both families */
	DNS_NAME_SIZE = 256, /* a name as text with its NUL */
	DNS_TIMEOUT_MS = 30000, /* for one look-up, whatever libunbound does */
};

#define DNS_NO_HOST "?"

struct dns;
struct dns_lookup;

struct dns_mx {
	uint16_t preference;
	/* Lower case, without the last dot; empty: the null MX (RFC 7505).  DNS_NO_HOST: no host
	 * has such a name; the record counts all the same. */
	char host[DNS_NAME_SIZE];
};

struct dns_answer {
	/* OK; NOT_FOUND: no such domain (permanent); DNS: no answer (temporary).  OK with a count
	 * of 0: the name exists and has no such record. */
	enum fault fault;
	bool secure; /* DNSSEC validated */
	const struct dns_mx *hosts; /* of an MX look-up, in the order of the answer */
	size_t host_count;
	const struct peer_address *addresses; /* of an address look-up, port 0 */
	size_t address_count;
};

/* The answer and all in it are gone when the function returns. */
typedef void dns_done_fn(void *arg, const struct dns_answer *);

/*
 * resolver: "ADDRESS[@PORT]" of a forwarder, or empty for the system's (resolv.conf, read now, so
 * before the sandbox).  NULL when libunbound cannot be set up.
 */
struct dns *dns_open(struct event_base *, const char *resolver);
/* Look-ups under way are dropped in silence.  Accepts NULL. */
void dns_close(struct dns *);
/* done is called exactly once, never from inside this call; NULL when memory is out.
 * domain is an A-label name of at most 253 bytes. */
struct dns_lookup *dns_find_mx(struct dns *, struct slice domain, dns_done_fn *done, void *arg);
/* Both A and AAAA in one answer. */
struct dns_lookup *dns_find_addresses(
	struct dns *, struct slice host, dns_done_fn *done, void *arg);
/* done will not be called.  Accepts NULL. */
void dns_cancel(struct dns_lookup *);

#endif
