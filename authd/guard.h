/* SPDX-License-Identifier: ISC */
/*
 * Slowing of password guessing, per network of the client and per login name, yet never locking an
 * owner out.
 *
 * A guess is one new (name, password) pair: the same wrong password again costs nothing
 * (login_memory.h), so that a client that tries it by three mechanisms has guessed once.  Each
 * guess weighs 1, and 1 is forgiven every GUARD_FORGIVE_MS.  Over the limit every further guess
 * closes the door for 1, 2, 4... seconds; while it is closed nothing is checked or counted.
 *
 *	network (IPv4 address, IPv6 /64)	limit		up to GUARD_NETWORK_BLOCK_MS
 *	login name				2 * limit	up to GUARD_NAME_BLOCK_MS
 *	name from a network that it has logged in from well: never closed; over the limit its
 *	failures are answered GUARD_DELAY_MS late
 *
 * Loopback is exempt as a network: behind it stand webmail users of many places.
 */
#ifndef AUTHD_GUARD_H
#define AUTHD_GUARD_H

#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	GUARD_NETWORK_LEN = 16,
	GUARD_NAME_MAX = 128, /* bytes of a name that are kept for people */
	GUARD_ENTRIES = 8192, /* the lightest go first when full */
	GUARD_FORGIVE_MS = 60 * 1000,
	GUARD_NETWORK_BLOCK_MS = 256 * 1000,
	GUARD_NAME_BLOCK_MS = 64 * 1000,
	GUARD_DELAY_MS = 3000,
};

struct guard;

/* Who tries. */
struct guard_who {
	uint8_t network[GUARD_NETWORK_LEN]; /* guard_network */
	bool network_exempt;
	struct slice name; /* login name in normal form, whether it exists or not */
	bool known; /* this name has logged in well from this network before */
};

/* limit: guesses that are free, at least 1.  FAULT_NOMEM. */
MUST_USE enum fault guard_new(
	const struct clock *, const struct entropy *, unsigned limit, struct guard **);
void guard_free(struct guard *); /* accepts NULL */
void guard_set_limit(struct guard *, unsigned limit);

/* Fills network and network_exempt from an IP address as text; no address at all is exempt. */
void guard_network(struct slice remote, struct guard_who *);

/* False: the door is closed, answer FAULT_AUTH_SLOWED. */
bool guard_allows(struct guard *, const struct guard_who *);
/* A guess begins; it counts until guard_refund says that it was right. */
void guard_charge(struct guard *, const struct guard_who *);
void guard_refund(struct guard *, const struct guard_who *);
/* How long the answer to a failed guess of a known network is held back: 0 or GUARD_DELAY_MS. */
int64_t guard_delay_ms(struct guard *, const struct guard_who *);

enum guard_kind { GUARD_NONE, GUARD_NETWORK, GUARD_NAME, GUARD_PAIR };

/* One row for `mailctl auth blocks`. */
struct guard_block {
	enum guard_kind kind;
	struct slice name; /* the login name, cut; empty for a NETWORK */
	const uint8_t *network; /* NULL for a NAME */
	unsigned guesses; /* weight now */
	int64_t closed_ms; /* how much longer; 0 for a PAIR whose answers are late */
};
typedef void guard_each(void *arg, const struct guard_block *);
/* Everything that is over its limit now. */
void guard_list(struct guard *, guard_each *, void *arg);
/* Forgets all about a network or a name; the number of entries it had. */
unsigned guard_unblock_network(struct guard *, const uint8_t network[static GUARD_NETWORK_LEN]);
unsigned guard_unblock_name(struct guard *, struct slice name);
/* "192.0.2.1" or "2001:db8::/64". */
enum { GUARD_NETWORK_TEXT = 64 };
const char *guard_format_network(
	const uint8_t network[static GUARD_NETWORK_LEN], char text[static GUARD_NETWORK_TEXT]);

#endif
