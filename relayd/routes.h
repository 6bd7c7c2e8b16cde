/* SPDX-License-Identifier: ISC */
/* Static routes of the config: mail for a domain goes to one host, whatever DNS says. */
#ifndef RELAYD_ROUTES_H
#define RELAYD_ROUTES_H

#include "common/base/secret.h"
#include "common/ipc/payloads.h"
#include "common/ipc/settings.h"

enum { ROUTES_MAX = 4096, ROUTE_HOST_SIZE = 256 };

struct route {
	char domain[ROUTE_HOST_SIZE]; /* lower case; "*" for all domains; ".x" for all below x */
	char host[ROUTE_HOST_SIZE]; /* a name or an address, perhaps in brackets */
	uint16_t port;
	enum route_tls tls;
	struct secret user, password; /* empty user: no AUTH */
};

struct routes {
	struct route *items;
	uint32_t count, room;
};

void routes_clear(struct routes *);
/* FAULT_SYNTAX, FAULT_TOO_MANY, FAULT_NOMEM. */
MUST_USE enum fault routes_add(struct routes *, const struct ipc_route *);
/* The route of the domain itself, else of the closest ".parent", else "*", else NULL. */
const struct route *routes_find(const struct routes *, struct slice domain);

#endif
