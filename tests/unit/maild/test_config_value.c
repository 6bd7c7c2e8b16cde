/* SPDX-License-Identifier: ISC */
#include "maild/config.h"
#include "tests/unit/unit.h"

struct address_row {
	const char *text;
	bool good;
};

static const struct address_row address_rows[] = {
	{"127.0.0.1:25", true},
	{"0.0.0.0:65535", true},
	{"[::]:25", true},
	{"[2001:db8::1]:993", true},
	{"127.0.0.1", false},
	{"127.0.0.1:", false},
	{"127.0.0.1:0", false},
	{"127.0.0.1:65536", false},
	{"127.0.0.1:25x", false},
	{"[127.0.0.1]:25", false},
	{"::1:25", false},
	{"[::1]", false},
	{"[::1:25", false},
	{"mail.example.org:25", false},
	{"local:25", false},
	{":25", false},
	{"", false},
};

START_TEST(addresses_are_numeric_with_a_port)
{
	for (size_t i = 0; i < sizeof address_rows / sizeof address_rows[0]; i++) {
		const struct address_row *row = &address_rows[i];
		struct peer_address address;
		char text[CONFIG_ADDRESS_TEXT_MAX];
		bool good = config_address_parse(slice_text(row->text), &address);

		ck_assert_msg(good == row->good, "%s", row->text);
		if (good)
			ck_assert_str_eq(config_address_format(&address, text), row->text);
	}
}
END_TEST

START_TEST(hosts_may_have_names)
{
	struct slice host;
	uint16_t port;

	ck_assert(config_host_port_parse(SLICE("smart.example.net:587"), &host, &port));
	ck_assert_slice_eq(host, "smart.example.net");
	ck_assert_uint_eq(port, 587);
	ck_assert(config_host_port_parse(SLICE("[::1]:25"), &host, &port));
	ck_assert_slice_eq(host, "::1");
	ck_assert(!config_host_port_parse(SLICE("a.example"), &host, &port));
	ck_assert(!config_host_port_parse(SLICE(":25"), &host, &port));
	ck_assert(!config_host_port_parse(SLICE("[]:25"), &host, &port));
}
END_TEST

UNIT(config_value)
{
	unit_add(tc, addresses_are_numeric_with_a_port);
	unit_add(tc, hosts_may_have_names);
}
