/* SPDX-License-Identifier: ISC */
#include "common/net/address.h"

#include "common/net/limits.h"
#include "tests/unit/unit.h"

static struct peer_address
address(const char *text)
{
	struct peer_address a;

	ck_assert_msg(peer_address_parse(slice_text(text), &a), "%s", text);
	return a;
}

START_TEST(text_is_read_back)
{
	static const char *const rows[][2] = {
		{"192.0.2.1", "192.0.2.1"},
		{"2001:DB8::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::1", "::1"},
	};
	char text[PEER_TEXT_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct peer_address a = address(rows[i][0]);
		struct sockaddr_storage to;
		struct peer_address back;

		ck_assert_str_eq(peer_address_format(&a, text), rows[i][1]);
		socklen_t len = peer_address_to(&a, &to);
		ck_assert(peer_address_from(&back, (struct sockaddr *)&to, len) == FAULT_OK);
		ck_assert(peer_address_equal(&a, &back));
	}
	struct peer_address a;
	ck_assert(!peer_address_parse(SLICE("192.0.2"), &a));
	ck_assert(!peer_address_parse(SLICE("192.0.2.1 "), &a));
	ck_assert(!peer_address_parse(SLICE(""), &a));
}
END_TEST

START_TEST(loopback_is_known)
{
	struct peer_address a = address("127.8.8.8"), b = address("::1"), c = address("128.0.0.1");

	ck_assert(peer_address_is_loopback(&a));
	ck_assert(peer_address_is_loopback(&b));
	ck_assert(!peer_address_is_loopback(&c));
}
END_TEST

START_TEST(limits_count_an_ipv6_customer_as_one)
{
	struct limits *l = limits_new();
	struct peer_address a = address("2001:db8::1"), b = address("2001:db8::2"),
			    c = address("2001:db8:0:1::1");

	ck_assert(limits_take(l, &a, 2));
	ck_assert(limits_take(l, &b, 2));
	ck_assert(!limits_take(l, &b, 2));
	ck_assert(limits_take(l, &c, 2));
	limits_release(l, &a);
	ck_assert(limits_take(l, &b, 2));
	struct peer_address none = address("192.0.2.7");
	ck_assert(!limits_take(l, &none, 0));
	limits_free(l);
}
END_TEST

START_TEST(limits_survive_many_addresses)
{
	struct limits *l = limits_new();
	struct peer_address a = address("10.0.0.0");

	for (unsigned i = 0; i < 5000; i++) {
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		ck_assert(limits_take(l, &a, 1));
	}
	for (unsigned i = 0; i < 5000; i++) {
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		ck_assert_uint_eq(limits_count(l, &a), 1);
		limits_release(l, &a);
		ck_assert_uint_eq(limits_count(l, &a), 0);
	}
	limits_free(l);
}
END_TEST

UNIT(address)
{
	unit_add(tc, text_is_read_back);
	unit_add(tc, loopback_is_known);
	unit_add(tc, limits_count_an_ipv6_customer_as_one);
	unit_add(tc, limits_survive_many_addresses);
}
