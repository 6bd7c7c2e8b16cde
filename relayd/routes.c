/* SPDX-License-Identifier: ISC */
/* The table of static routes, in relayd. */
#include "relayd/routes.h"

#include <stdlib.h>

#include "common/base/ascii.h"

void
routes_clear(struct routes *routes)
{
	for (uint32_t i = 0; i < routes->count; i++)
		secret_clear(&routes->items[i].password);
	free(routes->items);
	*routes = (struct routes){0};
}

static bool
copy_name(char to[static ROUTE_HOST_SIZE], struct slice from)
{
	if (from.len == 0 || from.len >= ROUTE_HOST_SIZE)
		return false;
	for (size_t i = 0; i < from.len; i++) {
		if (ascii_is_control(from.data[i]) || from.data[i] == ' ')
			return false;
		to[i] = ascii_lower(from.data[i]);
	}
	to[from.len] = '\0';
	return true;
}

static enum fault
fill_route(struct route *r, const struct ipc_route *from)
{
	*r = (struct route){.port = (uint16_t)from->port, .tls = (enum route_tls)from->tls};
	if (!copy_name(r->domain, from->domain) || !copy_name(r->host, from->host) ||
		from->port == 0 || from->port > 65535 || from->tls >= ROUTE_TLS_COUNT)
		return FAULT_SYNTAX;
	if (secret_set(&r->user, from->user) != FAULT_OK)
		return FAULT_SYNTAX;
	return secret_set(&r->password, from->password);
}

enum fault
routes_add(struct routes *routes, const struct ipc_route *from)
{
	struct route *grown;
	uint32_t room = routes->room == 0 ? 8 : routes->room * 2;
	enum fault fault;

	if (routes->count == ROUTES_MAX)
		return FAULT_TOO_MANY;
	if (routes->count == routes->room) {
		grown = realloc(routes->items, room * sizeof *grown);
		if (grown == NULL)
			return FAULT_NOMEM;
		routes->items = grown;
		routes->room = room;
	}
	fault = fill_route(&routes->items[routes->count], from);
	if (fault == FAULT_OK)
		routes->count++;
	return fault;
}

static const struct route *
find_exactly(const struct routes *routes, struct slice domain)
{
	for (uint32_t i = 0; i < routes->count; i++)
		if (slice_equal_nocase(slice_text(routes->items[i].domain), domain))
			return &routes->items[i];
	return NULL;
}

const struct route *
routes_find(const struct routes *routes, struct slice domain)
{
	const struct route *found = find_exactly(routes, domain);
	struct slice rest = domain;

	while (found == NULL && rest.len > 0) {
		size_t dot = slice_find_byte(rest, '.');

		if (dot == rest.len)
			break;
		found = find_exactly(routes, slice_after(rest, dot));
		rest = slice_after(rest, dot + 1);
	}
	return found != NULL ? found : find_exactly(routes, SLICE("*"));
}
