/* SPDX-License-Identifier: ISC */
#include "relayd/mx.h"

#include "tests/unit/unit.h"

static struct dns_mx hosts[DNS_HOSTS_MAX];
static struct dns_answer answer;
static struct mx_list list;

static void
add(uint16_t preference, const char *host)
{
	struct dns_mx *mx = &hosts[answer.host_count++];

	mx->preference = preference;
	snprintf(mx->host, sizeof mx->host, "%s", host);
	answer.hosts = hosts;
}

static void
setup(void)
{
	memset(&answer, 0, sizeof answer);
}

static enum fault
order(void)
{
	return mx_order(&list, &answer, "me.example", &entropy_system);
}

START_TEST(lowest_preference_comes_first)
{
	add(30, "c");
	add(10, "a");
	add(20, "b");
	ck_assert_int_eq(order(), FAULT_OK);
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(list.hosts[0].host, "a");
	ck_assert_str_eq(list.hosts[1].host, "b");
	ck_assert_str_eq(list.hosts[2].host, "c");
}
END_TEST

START_TEST(equals_are_spread)
{
	int first_a = 0;

	add(10, "a");
	add(10, "b");
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(order(), FAULT_OK);
		first_a += list.hosts[0].host[0] == 'a';
	}
	ck_assert_int_gt(first_a, 20);
	ck_assert_int_lt(first_a, 180);
}
END_TEST

START_TEST(null_mx_takes_no_mail)
{
	add(0, "");
	ck_assert_int_eq(order(), FAULT_REFUSED);
}
END_TEST

START_TEST(root_beside_real_hosts_is_passed_over)
{
	add(0, "");
	add(10, "a");
	ck_assert_int_eq(order(), FAULT_OK);
	ck_assert_uint_eq(list.count, 1);
}
END_TEST

/* RFC 5321 5.1: then the domain itself must not be tried. */
START_TEST(names_of_no_host_leave_nothing)
{
	add(10, DNS_NO_HOST);
	ck_assert_int_eq(order(), FAULT_OK);
	ck_assert_uint_eq(list.count, 0);
	add(20, "a");
	ck_assert_int_eq(order(), FAULT_OK);
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.hosts[0].host, "a");
}
END_TEST

START_TEST(we_ourselves_and_worse_hosts_are_dropped)
{
	add(10, "a");
	add(20, "ME.example");
	add(20, "beside");
	add(30, "worse");
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(order(), FAULT_OK);
		ck_assert_uint_eq(list.count, 1);
		ck_assert_str_eq(list.hosts[0].host, "a");
	}
}
END_TEST

START_TEST(we_as_the_best_host_are_a_loop)
{
	add(10, "me.example");
	add(20, "worse");
	ck_assert_int_eq(order(), FAULT_MAIL_LOOP);
}
END_TEST

UNIT(mx)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	unit_add(tc, lowest_preference_comes_first);
	unit_add(tc, equals_are_spread);
	unit_add(tc, null_mx_takes_no_mail);
	unit_add(tc, root_beside_real_hosts_is_passed_over);
	unit_add(tc, names_of_no_host_leave_nothing);
	unit_add(tc, we_ourselves_and_worse_hosts_are_dropped);
	unit_add(tc, we_as_the_best_host_are_a_loop);
}
