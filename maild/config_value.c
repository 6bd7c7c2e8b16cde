/* SPDX-License-Identifier: ISC */
/* Values of pabal.conf that are more than text: addresses, host:port, the words of `tls`. */
#include "maild/config.h"

#include "common/base/cursor.h"

static const char *const route_tls_names[ROUTE_TLS_COUNT] = {
	[ROUTE_TLS_MAY] = "may",
	[ROUTE_TLS_MUST] = "must",
	[ROUTE_TLS_AT_ONCE] = "at-once",
};

const char *
config_route_tls_name(enum route_tls tls)
{
	return route_tls_names[tls];
}

/* "[...]": what is between the brackets. */
static bool
take_bracketed(struct cursor *c, struct slice *inside)
{
	struct cursor at = *c;

	if (!take_byte(&at, '[') || !take_until(&at, ']', inside) || !take_byte(&at, ']'))
		return false;
	*c = at;
	return true;
}

bool
config_host_port_parse(struct slice text, struct slice *host, uint16_t *port)
{
	struct cursor c = cursor_of(text);
	struct slice name;
	uint64_t number;

	if (!take_bracketed(&c, &name) && !take_until(&c, ':', &name))
		return false;
	if (name.len == 0 || name.len > 255 || !take_byte(&c, ':') ||
		!take_u64(&c, UINT16_MAX, &number) || number == 0 || !cursor_at_end(&c))
		return false;
	*host = name;
	*port = (uint16_t)number;
	return true;
}

bool
config_address_parse(struct slice text, struct peer_address *address)
{
	struct slice host;
	uint16_t port;

	if (!config_host_port_parse(text, &host, &port) || !peer_address_parse(host, address) ||
		address->family == PEER_LOCAL)
		return false;
	if ((address->family == PEER_IPV6) != (text.data[0] == '['))
		return false;
	address->port = port;
	return true;
}

const char *
config_address_format(const struct peer_address *address, char text[static CONFIG_ADDRESS_TEXT_MAX])
{
	char host[PEER_TEXT_SIZE];
	bool is_ipv6 = address->family == PEER_IPV6;

	peer_address_format(address, host);
	snprintf(text, CONFIG_ADDRESS_TEXT_MAX, "%s%s%s:%u", is_ipv6 ? "[" : "", host,
		is_ipv6 ? "]" : "", address->port);
	return text;
}

const char *
config_kind_hint(enum setting_kind kind)
{
	static const char *const hints[] = {
		[SETTING_TEXT] = "text",
		[SETTING_COUNT] = "a number",
		[SETTING_SIZE] = "a size like 50M (K, M, G)",
		[SETTING_TIME] = "a time like 90s (ms, s, m, h, d)",
		[SETTING_FLAG] = "yes or no",
	};

	return hints[kind];
}
