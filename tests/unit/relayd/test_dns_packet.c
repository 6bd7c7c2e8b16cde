/* SPDX-License-Identifier: ISC */
#include "relayd/dns_packet.h"

#include "tests/unit/unit.h"

static struct dns_mx hosts[8];
static size_t host_count;
static struct peer_address addresses[8];
static size_t address_count;

static void
add_host(void *arg, const struct dns_mx *mx)
{
	(void)arg;
	hosts[host_count++] = *mx;
}

static void
add_address(void *arg, const struct peer_address *address)
{
	(void)arg;
	addresses[address_count++] = *address;
}

static const struct dns_records records = {add_host, add_address, NULL};

#define HEAD(answers) "\x12\x34\x81\x80\0\x01\0" answers "\0\0\0\0"
#define QUESTION                                                                                   \
	"\x01"                                                                                     \
	"A\x03org\0\0\x0f\0\x01"

START_TEST(an_mx_with_a_compressed_name_is_read)
{
	struct slice packet = SLICE(
		HEAD("\x01") QUESTION "\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x09\0\x0a\x04mAil\xc0\x0c");

	ck_assert_int_eq(dns_packet_parse(packet, DNS_TYPE_MX, &records), FAULT_OK);
	ck_assert_uint_eq(host_count, 1);
	ck_assert_uint_eq(hosts[0].preference, 10);
	ck_assert_str_eq(hosts[0].host, "mail.a.org");
}
END_TEST

START_TEST(the_null_mx_is_an_empty_name)
{
	struct slice packet =
		SLICE(HEAD("\x01") QUESTION "\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x03\0\0\0");

	ck_assert_int_eq(dns_packet_parse(packet, DNS_TYPE_MX, &records), FAULT_OK);
	ck_assert_uint_eq(host_count, 1);
	ck_assert_str_eq(hosts[0].host, "");
}
END_TEST

START_TEST(addresses_behind_a_cname_are_read)
{
	struct slice packet =
		SLICE(HEAD("\x02") QUESTION "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c"
					    "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x0b");
	char text[PEER_TEXT_SIZE];

	ck_assert_int_eq(dns_packet_parse(packet, DNS_TYPE_A, &records), FAULT_OK);
	ck_assert_uint_eq(address_count, 1);
	ck_assert_str_eq(peer_address_format(&addresses[0], text), "127.0.0.11");
}
END_TEST

START_TEST(a_packet_cut_anywhere_is_a_fault_and_reads_nothing_beyond)
{
	static const char whole[] =
		HEAD("\x01") QUESTION "\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x09\0\x0a\x04mail\xc0\x0c";

	for (size_t n = 0; n < sizeof whole - 1; n++) {
		host_count = 0;
		ck_assert_int_eq(
			dns_packet_parse(slice_make(whole, n), DNS_TYPE_MX, &records), FAULT_DNS);
		ck_assert_uint_eq(host_count, 0);
	}
}
END_TEST

START_TEST(names_that_loop_or_run_forward_are_refused)
{
	char name[DNS_NAME_SIZE];
	size_t at = 0;

	ck_assert(!dns_packet_name(SLICE("\xc0\0"), &at, name));
	at = 0;
	ck_assert(!dns_packet_name(SLICE("\x01"
					 "a\xc0\0"),
		&at, name));
	at = 0;
	ck_assert(!dns_packet_name(SLICE("\xc0\x05\0\0\0\x01"
					 "a\0"),
		&at, name));
	at = 0;
	ck_assert(!dns_packet_name(SLICE("\x03"
					 "a b\0"),
		&at, name));
}
END_TEST

START_TEST(a_name_over_255_octets_is_refused)
{
	char packet[300], name[DNS_NAME_SIZE];
	size_t at = 0;

	for (size_t i = 0; i < sizeof packet; i++)
		packet[i] = i % 64 == 0 ? 63 : 'a';
	ck_assert(!dns_packet_name(slice_make(packet, sizeof packet), &at, name));
}
END_TEST

UNIT(dns_packet)
{
	unit_add(tc, an_mx_with_a_compressed_name_is_read);
	unit_add(tc, the_null_mx_is_an_empty_name);
	unit_add(tc, addresses_behind_a_cname_are_read);
	unit_add(tc, a_packet_cut_anywhere_is_a_fault_and_reads_nothing_beyond);
	unit_add(tc, names_that_loop_or_run_forward_are_refused);
	unit_add(tc, a_name_over_255_octets_is_refused);
}
