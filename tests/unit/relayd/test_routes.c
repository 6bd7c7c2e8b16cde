/* SPDX-License-Identifier: ISC */
#include "relayd/routes.h"

#include "tests/unit/unit.h"

static struct routes routes;

static enum fault
add(const char *domain, const char *host, uint32_t port)
{
	struct ipc_route r = {.domain = slice_text(domain), .host = slice_text(host), .port = port};

	return routes_add(&routes, &r);
}

static void
expect(const char *domain, const char *host)
{
	const struct route *r = routes_find(&routes, slice_text(domain));

	ck_assert_str_eq(r != NULL ? r->host : "none", host);
}

static void
teardown(void)
{
	routes_clear(&routes);
}

START_TEST(closest_route_wins)
{
	ck_assert_int_eq(add("*", "smart", 25), FAULT_OK);
	ck_assert_int_eq(add("x.example", "hx", 25), FAULT_OK);
	ck_assert_int_eq(add(".x.example", "below", 25), FAULT_OK);
	ck_assert_int_eq(add("Y.Example", "hy", 25), FAULT_OK);
	expect("x.example", "hx");
	expect("X.EXAMPLE", "hx");
	expect("a.b.x.example", "below");
	expect("y.example", "hy");
	expect("sub.y.example", "smart");
	expect("other", "smart");
	expect("", "smart");
}
END_TEST

START_TEST(without_a_smarthost_others_have_no_route)
{
	ck_assert_int_eq(add("x.example", "hx", 25), FAULT_OK);
	expect("y.example", "none");
}
END_TEST

START_TEST(broken_routes_are_refused)
{
	struct ipc_route r = {
		.domain = SLICE("x"), .host = SLICE("h"), .port = 25, .tls = ROUTE_TLS_COUNT};

	ck_assert_int_eq(routes_add(&routes, &r), FAULT_SYNTAX);
	ck_assert_int_eq(add("", "h", 25), FAULT_SYNTAX);
	ck_assert_int_eq(add("x", "", 25), FAULT_SYNTAX);
	ck_assert_int_eq(add("x", "h\n", 25), FAULT_SYNTAX);
	ck_assert_int_eq(add("x", "h", 0), FAULT_SYNTAX);
	ck_assert_int_eq(add("x", "h", 65536), FAULT_SYNTAX);
	ck_assert_uint_eq(routes.count, 0);
}
END_TEST

UNIT(routes)
{
	tcase_add_checked_fixture(tc, NULL, teardown);
	unit_add(tc, closest_route_wins);
	unit_add(tc, without_a_smarthost_others_have_no_route);
	unit_add(tc, broken_routes_are_refused);
}
