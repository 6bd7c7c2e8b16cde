/* SPDX-License-Identifier: ISC */
#include "common/mail/address.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct arena arena;
static struct buffer out;

static void
setup(void)
{
	arena_init(&arena, 65536);
	buffer_init(&out, 65536);
}

static void
teardown(void)
{
	arena_clear(&arena);
	buffer_clear(&out);
}

/* Taken from a path: local and domain, or NULL when the path is refused. */
static const struct {
	const char *rule, *text, *local, *domain;
} forward_paths[] = {
	{"Path", "<a@b.example>", "a", "b.example"},
	{"Dot-string", "<a.b.c@example.org>", "a.b.c", "example.org"},
	{"Dot-string ends in an atom", "<a.@example.org>", NULL, NULL},
	{"Dot-string begins with an atom", "<.a@example.org>", NULL, NULL},
	{"no empty atom", "<a..b@example.org>", NULL, NULL},
	{"atext", "<!#$%&'*+-/=?^_`{|}~@x>", "!#$%&'*+-/=?^_`{|}~", "x"},
	{"Quoted-string", "<\"a b\"@x>", "\"a b\"", "x"},
	{"quoted pair", "<\"a\\\"b\"@x>", "\"a\\\"b\"", "x"},
	{"empty Quoted-string", "<\"\"@x>", "\"\"", "x"},
	{"open Quoted-string", "<\"a@x>", NULL, NULL},
	{"control in Quoted-string", "<\"a\tb\"@x>", NULL, NULL},
	{"A-d-l is dropped", "<@a.example,@b.example:c@d.example>", "c", "d.example"},
	{"A-d-l without colon", "<@a.example c@d.example>", NULL, NULL},
	{"Postmaster without domain", "<PostMaster>", "PostMaster", ""},
	{"no other name without domain", "<root>", NULL, NULL},
	{"null path is for the reverse-path", "<>", NULL, NULL},
	{"IPv4 literal", "<a@[192.0.2.1]>", "a", "[192.0.2.1]"},
	{"IPv4 literal, octet over 255", "<a@[192.0.2.256]>", NULL, NULL},
	{"IPv4 literal, three octets", "<a@[192.0.2]>", NULL, NULL},
	{"IPv6 literal", "<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]"},
	{"IPv6 literal, broken", "<a@[IPv6:2001:db8:::1]>", NULL, NULL},
	{"IPv6 literal without tag", "<a@[2001:db8::1]>", "a", "[2001:db8::1]"},
	{"open literal", "<a@[192.0.2.1>", NULL, NULL},
	{"label ends in hyphen", "<a@b-.example>", NULL, NULL},
	{"label begins with hyphen", "<a@-b.example>", NULL, NULL},
	{"empty label", "<a@b..example>", NULL, NULL},
	{"trailing dot", "<a@example.>", NULL, NULL},
	{"underscore", "<a@b_c.example>", NULL, NULL},
	{"missing bracket", "<a@b", NULL, NULL},
	{"space", "<a@b >", NULL, NULL},
	{"UTF-8 local part", "<철수@example.kr>", "철수", "example.kr"},
	{"U-label", "<a@한국.kr>", "a", "한국.kr"},
	{"broken UTF-8", "<\xff@example.kr>", NULL, NULL},
	{"broken UTF-8 in the domain", "<a@\xc3.kr>", NULL, NULL},
	{"line end", "<a@b\r\n>", NULL, NULL},
};

START_TEST(forward_path_follows_the_grammar)
{
	struct cursor c = cursor_of(slice_text(forward_paths[_i].text));
	struct address a;
	bool taken = take_forward_path(&c, &a);

	ck_assert_msg(taken == (forward_paths[_i].local != NULL), "%s: %s", forward_paths[_i].rule,
		forward_paths[_i].text);
	if (!taken) {
		ck_assert_slice_eq(c.rest, forward_paths[_i].text);
		return;
	}
	ck_assert_slice_eq(a.local, forward_paths[_i].local);
	ck_assert_slice_eq(a.domain, forward_paths[_i].domain);
	ck_assert(cursor_at_end(&c));
}
END_TEST

START_TEST(reverse_path_may_be_null)
{
	struct cursor c = cursor_of(SLICE("<> SIZE=1"));
	struct address a;

	ck_assert(take_reverse_path(&c, &a));
	ck_assert(address_is_null(&a));
	ck_assert_slice_eq(c.rest, " SIZE=1");
	c = cursor_of(SLICE("<postmaster>"));
	ck_assert(!take_reverse_path(&c, &a));
}
END_TEST

static char *
repeated(const char *before, char c, size_t count, const char *after)
{
	size_t start = strlen(before);
	char *text = calloc(1, start + count + strlen(after) + 1);

	memcpy(text, before, start);
	memset(text + start, c, count);
	memcpy(text + start + count, after, strlen(after));
	return text;
}

static void
check_parse(char *text, enum fault expected)
{
	struct address a;

	ck_assert_int_eq(address_parse(slice_text(text), &a), expected);
	free(text);
}

START_TEST(limits_of_rfc_5321_4_5_3_1)
{
	check_parse(repeated("", 'a', 64, "@b"), FAULT_OK);
	check_parse(repeated("", 'a', 65, "@b"), FAULT_TOO_LONG);
	check_parse(repeated("a@", 'b', 63, ""), FAULT_OK);
	check_parse(repeated("a@", 'b', 64, ""), FAULT_SYNTAX);
	char labels[256] = "";
	for (size_t i = 0; i < 255; i++)
		labels[i] = i % 50 == 49 ? '.' : 'b';
	labels[250] = '\0';
	struct address a = {SLICE("abc"), slice_text(labels)};
	ck_assert_int_eq(address_check(&a), FAULT_OK);
	a.local = SLICE("abcd");
	ck_assert_int_eq(address_check(&a), FAULT_TOO_LONG);
}
END_TEST

static const struct {
	const char *rule, *text, *local, *domain;
} normals[] = {
	{"case", "John.Doe@Example.ORG", "john.doe", "example.org"},
	{"quotes", "\"John Doe\"@x.org", "john doe", "x.org"},
	{"needless quotes", "\"john\"@x.org", "john", "x.org"},
	{"escapes", "\"j\\ohn\"@x.org", "john", "x.org"},
	{"U-label", "a@한국.KR", "a", "xn--3e0b707e.kr"},
	{"A-label", "a@XN--3E0B707E.kr", "a", "xn--3e0b707e.kr"},
	{"UTF-8 case", "ÀÉ@x.org", "àé", "x.org"},
	{"NFC", "e\xcc\x81@x.org", "\xc3\xa9", "x.org"},
	{"sharp s is not ss", "straße@x.org", "straße", "x.org"},
	{"literal", "a@[IPv6:2001:DB8::1]", "a", "[ipv6:2001:db8::1]"},
};

START_TEST(normal_form_is_for_look_up)
{
	struct address a, normal, again;

	ck_assert_int_eq(address_parse(slice_text(normals[_i].text), &a), FAULT_OK);
	ck_assert_int_eq(address_normalize(&a, &arena, &normal), FAULT_OK);
	ck_assert_slice_eq(normal.local, normals[_i].local);
	ck_assert_slice_eq(normal.domain, normals[_i].domain);
	ck_assert_int_eq(address_normalize(&normal, &arena, &again), FAULT_OK);
	ck_assert(address_equal(&normal, &again));
}
END_TEST

START_TEST(domain_normalize_refuses_what_is_no_name)
{
	struct slice normal;

	ck_assert_int_eq(domain_normalize(SLICE("example.org."), &arena, &normal), FAULT_OK);
	ck_assert_slice_eq(normal, "example.org");
	ck_assert_int_eq(domain_normalize(SLICE(""), &arena, &normal), FAULT_SYNTAX);
	ck_assert_int_eq(domain_normalize(SLICE("a..b"), &arena, &normal), FAULT_SYNTAX);
	ck_assert_int_eq(domain_normalize(SLICE("a b"), &arena, &normal), FAULT_SYNTAX);
	struct arena tiny;
	arena_init(&tiny, 4);
	ck_assert_int_eq(domain_normalize(SLICE("example.org"), &tiny, &normal), FAULT_BUDGET);
	arena_clear(&tiny);
}
END_TEST

START_TEST(format_quotes_when_needed)
{
	static const struct {
		struct address address;
		const char *text;
	} rows[] = {
		{{SLICE_LITERAL("a.b"), SLICE_LITERAL("x.org")}, "a.b@x.org"},
		{{SLICE_LITERAL("a b"), SLICE_LITERAL("x.org")}, "\"a b\"@x.org"},
		{{SLICE_LITERAL("\"a b\""), SLICE_LITERAL("x.org")}, "\"a b\"@x.org"},
		{{SLICE_LITERAL("a\"b"), SLICE_LITERAL("x.org")}, "\"a\\\"b\"@x.org"},
		{{SLICE_LITERAL("postmaster"), SLICE_LITERAL("")}, "postmaster"},
		{{SLICE_LITERAL(""), SLICE_LITERAL("")}, ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		buffer_reset(&out);
		address_format(&rows[i].address, &out);
		ck_assert_slice_eq(buffer_slice(&out), rows[i].text);
	}
}
END_TEST

UNIT(address)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, forward_path_follows_the_grammar, 0,
		sizeof forward_paths / sizeof forward_paths[0]);
	unit_add(tc, reverse_path_may_be_null);
	unit_add(tc, limits_of_rfc_5321_4_5_3_1);
	tcase_add_loop_test(tc, normal_form_is_for_look_up, 0, sizeof normals / sizeof normals[0]);
	unit_add(tc, domain_normalize_refuses_what_is_no_name);
	unit_add(tc, format_quotes_when_needed);
}
