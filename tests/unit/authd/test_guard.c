/* SPDX-License-Identifier: ISC */
#include "authd/guard.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "authd/login_memory.h"
#include "tests/unit/authd/fixture.h"

enum { LIMIT = 10 };

static struct guard *g;

static void
begin(void)
{
	ck_assert_int_eq(guard_new(&fixture_clock, &entropy_system, LIMIT, &g), FAULT_OK);
}

static void
end(void)
{
	guard_free(g);
}

static struct guard_who
who(const char *remote, const char *name)
{
	struct guard_who w = {.name = slice_text(name)};

	guard_network(slice_text(remote), &w);
	return w;
}

static unsigned
guesses_until_closed(const struct guard_who *w, unsigned most)
{
	unsigned n = 0;

	while (n < most && guard_allows(g, w)) {
		guard_charge(g, w);
		n++;
	}
	return n;
}

START_TEST(a_network_is_slowed_for_all_names)
{
	struct guard_who w = who("192.0.2.1", "a"), other = who("192.0.2.1", "b");
	struct guard_who elsewhere = who("192.0.2.2", "b");

	ck_assert_uint_eq(guesses_until_closed(&w, 100), LIMIT + 1);
	ck_assert(!guard_allows(g, &other));
	ck_assert(guard_allows(g, &elsewhere));
	fixture_mono_ms += 1000;
	ck_assert(guard_allows(g, &other));
	/* The next guess closes it for longer. */
	guard_charge(g, &other);
	fixture_mono_ms += 1000;
	ck_assert(!guard_allows(g, &other));
	fixture_mono_ms += 1000;
	ck_assert(guard_allows(g, &other));
}
END_TEST

START_TEST(a_name_is_slowed_from_everywhere)
{
	char remote[32];
	struct guard_who w;
	unsigned n = 0;

	for (; n < 1000; n++) {
		snprintf(remote, sizeof remote, "198.51.%u.%u", n / 250, n % 250);
		w = who(remote, "victim@example.org");
		if (!guard_allows(g, &w))
			break;
		guard_charge(g, &w);
	}
	ck_assert_uint_eq(n, 2 * LIMIT + 1);
	w = who("203.0.113.9", "somebody@example.org");
	ck_assert(guard_allows(g, &w));
}
END_TEST

/* The rule above all others. */
START_TEST(an_owner_at_a_known_network_is_never_locked_out)
{
	struct guard_who attacker = who("192.0.2.1", "owner@example.org");
	struct guard_who owner = who("203.0.113.7", "owner@example.org");
	struct guard_who same = attacker;

	owner.known = same.known = true;
	for (int i = 0; i < 5000; i++) {
		guard_charge(g, &attacker);
		ck_assert(guard_allows(g, &owner));
		/* Even from the network that the guesses come from. */
		ck_assert(guard_allows(g, &same));
		fixture_mono_ms += i % 7;
	}
	ck_assert(!guard_allows(g, &attacker));
	/* His own mistakes only make him wait for the answer. */
	ck_assert_int_eq(guard_delay_ms(g, &owner), 0);
	for (int i = 0; i < LIMIT + 1; i++)
		guard_charge(g, &owner);
	ck_assert(guard_allows(g, &owner));
	ck_assert_int_eq(guard_delay_ms(g, &owner), GUARD_DELAY_MS);
	ck_assert_int_eq(guard_delay_ms(g, &attacker), 0);
}
END_TEST

START_TEST(all_is_forgiven_in_time)
{
	struct guard_who w = who("192.0.2.1", "a");

	for (int i = 0; i < 1000; i++)
		guard_charge(g, &w);
	fixture_mono_ms += GUARD_NETWORK_BLOCK_MS;
	ck_assert(guard_allows(g, &w));
	/* However many there were, an hour clears them. */
	fixture_mono_ms += 3600 * 1000;
	ck_assert_uint_eq(guesses_until_closed(&w, 100), LIMIT + 1);
}
END_TEST

START_TEST(right_logins_cost_nothing)
{
	struct guard_who w = who("192.0.2.1", "a");

	for (int i = 0; i < 1000; i++) {
		ck_assert(guard_allows(g, &w));
		guard_charge(g, &w);
		guard_refund(g, &w);
	}
	/* Many at the same time, too: the refund opens the door again. */
	for (int i = 0; i < LIMIT + 1; i++)
		guard_charge(g, &w);
	ck_assert(!guard_allows(g, &w));
	for (int i = 0; i < LIMIT + 1; i++)
		guard_refund(g, &w);
	ck_assert(guard_allows(g, &w));
}
END_TEST

START_TEST(networks_are_slash_64_and_loopback_is_exempt)
{
	struct guard_who a = who("2001:db8::1", "a"), b = who("2001:db8::ffff:2", "b");
	struct guard_who c = who("2001:db8:0:1::1", "c"), local = who("127.0.0.1", "d");
	struct guard_who six = who("::1", "e"), none = who("", "f"), junk = who("junk", "g");
	char text[GUARD_NETWORK_TEXT];

	ck_assert_mem_eq(a.network, b.network, sizeof a.network);
	ck_assert_mem_ne(a.network, c.network, sizeof a.network);
	ck_assert(!a.network_exempt && local.network_exempt && six.network_exempt);
	ck_assert(none.network_exempt && junk.network_exempt);
	ck_assert_str_eq(guard_format_network(a.network, text), "2001:db8::/64");
	a = who("192.0.2.77", "a");
	ck_assert_str_eq(guard_format_network(a.network, text), "192.0.2.77");
	/* Loopback is slowed by name only. */
	ck_assert_uint_eq(guesses_until_closed(&local, 100), 2 * LIMIT + 1);
}
END_TEST

struct seen {
	unsigned networks, names;
};

static void
see(void *arg, const struct guard_block *block)
{
	struct seen *seen = arg;

	if (block->kind == GUARD_NETWORK)
		seen->networks++;
	else if (slice_equal(block->name, SLICE("victim")))
		seen->names++;
	ck_assert_uint_gt(block->guesses, LIMIT);
}

START_TEST(blocks_are_shown_and_lifted)
{
	struct guard_who w = who("192.0.2.1", "victim"), innocent = who("192.0.2.9", "x");
	struct seen seen = {0};

	guard_charge(g, &innocent);
	for (int i = 0; i < 2 * LIMIT + 1; i++)
		guard_charge(g, &w);
	guard_list(g, see, &seen);
	ck_assert_uint_eq(seen.networks, 1);
	ck_assert_uint_eq(seen.names, 1);
	ck_assert_uint_eq(guard_unblock_network(g, w.network), 1);
	ck_assert(!guard_allows(g, &w));
	ck_assert_uint_eq(guard_unblock_name(g, SLICE("victim")), 1);
	ck_assert(guard_allows(g, &w));
	ck_assert_uint_eq(guard_unblock_name(g, SLICE("victim")), 0);
}
END_TEST

/* Guesses sprayed from very many networks do not wash a heavy entry out of the table. */
START_TEST(spraying_does_not_evict_the_heavy)
{
	struct guard_who heavy = who("192.0.2.1", "victim");
	char remote[64], name[32];

	for (int i = 0; i < 2 * LIMIT; i++)
		guard_charge(g, &heavy);
	ck_assert(!guard_allows(g, &heavy));
	for (unsigned i = 0; i < 4 * GUARD_ENTRIES; i++) {
		snprintf(remote, sizeof remote, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
		snprintf(name, sizeof name, "n%u", i);
		struct guard_who w = who(remote, name);
		guard_charge(g, &w);
	}
	ck_assert(!guard_allows(g, &heavy));
}
END_TEST

START_TEST(the_memory_keeps_right_and_wrong_for_a_time)
{
	struct login_memory *m;
	struct login_try try = {SLICE("a"), SLICE("$hash"), SLICE("secret")};
	struct login_tag right, wrong, changed;

	ck_assert_int_eq(login_memory_new(&fixture_clock, &entropy_system, 300000, &m), FAULT_OK);
	login_memory_tag(m, &try, &right);
	try.verifier = SLICE("$other");
	login_memory_tag(m, &try, &changed);
	try.password = SLICE("guess");
	login_memory_tag(m, &try, &wrong);
	login_memory_add(m, &right, LOGIN_RIGHT);
	login_memory_add(m, &wrong, LOGIN_WRONG);
	ck_assert_int_eq(login_memory_find(m, &right), LOGIN_RIGHT);
	ck_assert_int_eq(login_memory_find(m, &wrong), LOGIN_WRONG);
	/* The same password after it was set anew is not known. */
	ck_assert_int_eq(login_memory_find(m, &changed), LOGIN_UNKNOWN);
	fixture_mono_ms += 299999;
	ck_assert_int_eq(login_memory_find(m, &right), LOGIN_RIGHT);
	fixture_mono_ms += 1;
	ck_assert_int_eq(login_memory_find(m, &right), LOGIN_UNKNOWN);
	login_memory_set_lifetime(m, 0);
	login_memory_add(m, &right, LOGIN_RIGHT);
	ck_assert_int_eq(login_memory_find(m, &right), LOGIN_UNKNOWN);
	login_memory_free(m);
}
END_TEST

START_TEST(the_memory_keeps_keys_as_long_as_their_logins)
{
	struct login_memory *m;
	struct login_try try = {SLICE("a"), SLICE("$hash"), SLICE("secret")};
	struct login_tag with, without;
	uint8_t key[LOGIN_KEY_LEN] = {7}, got[LOGIN_KEY_LEN];

	ck_assert_int_eq(login_memory_new(&fixture_clock, &entropy_system, 300000, &m), FAULT_OK);
	login_memory_tag(m, &try, &with);
	try.name = SLICE("b");
	login_memory_tag(m, &try, &without);
	login_memory_add_key(m, &with, 42, key);
	login_memory_add(m, &without, LOGIN_RIGHT);
	ck_assert_int_eq(login_memory_find(m, &with), LOGIN_RIGHT);
	ck_assert(login_memory_key(m, &with, got));
	ck_assert_mem_eq(got, key, sizeof key);
	ck_assert(!login_memory_key(m, &without, got));
	login_memory_forget_keys(m, 43);
	ck_assert(login_memory_key(m, &with, got));
	login_memory_forget_keys(m, 42);
	ck_assert(!login_memory_key(m, &with, got));
	ck_assert_int_eq(login_memory_find(m, &with), LOGIN_UNKNOWN);
	ck_assert_int_eq(login_memory_find(m, &without), LOGIN_RIGHT);
	login_memory_add_key(m, &with, 42, key);
	fixture_mono_ms += 299999;
	login_memory_sweep(m);
	ck_assert(login_memory_key(m, &with, got));
	fixture_mono_ms += 1;
	ck_assert(!login_memory_key(m, &with, got));
	login_memory_sweep(m);
	login_memory_add_key(m, &with, 42, key);
	login_memory_clear(m);
	ck_assert(!login_memory_key(m, &with, got));
	login_memory_free(m);
}
END_TEST

/* As a user who may not lock any memory; what it exits with. */
static int
remember_without_locking(void)
{
	const struct rlimit none = {0, 0};
	struct login_memory *m;
	struct login_try try = {SLICE("a"), SLICE("$hash"), SLICE("secret")};
	struct login_tag tag;
	uint8_t key[LOGIN_KEY_LEN] = {7};

	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0) ||
		login_memory_new(&fixture_clock, &entropy_system, 300000, &m) != FAULT_OK)
		return 2;
	login_memory_tag(m, &try, &tag);
	login_memory_add_key(m, &tag, 42, key);
	bool forgot =
		login_memory_find(m, &tag) == LOGIN_UNKNOWN && !login_memory_key(m, &tag, key);
	login_memory_free(m);
	return forgot ? 0 : 1;
}

START_TEST(a_key_is_not_kept_in_memory_that_cannot_be_locked)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(remember_without_locking());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(WIFEXITED(status));
}
END_TEST

START_TEST(the_oldest_key_goes_with_its_login)
{
	struct login_memory *m;
	struct login_try try = {SLICE("a"), SLICE("$hash"), SLICE("secret")};
	struct login_tag tags[LOGIN_MEMORY_KEYS + 1];
	uint8_t key[LOGIN_KEY_LEN] = {0}, got[LOGIN_KEY_LEN];
	unsigned known = 0;
	char name[32];

	ck_assert_int_eq(login_memory_new(&fixture_clock, &entropy_system, 300000, &m), FAULT_OK);
	for (unsigned i = 0; i <= LOGIN_MEMORY_KEYS; i++) {
		snprintf(name, sizeof name, "%u", i);
		try.name = slice_text(name);
		login_memory_tag(m, &try, &tags[i]);
		memcpy(key, &i, sizeof i);
		login_memory_add_key(m, &tags[i], i, key);
	}
	ck_assert_int_eq(login_memory_find(m, &tags[0]), LOGIN_UNKNOWN);
	for (unsigned i = 0; i <= LOGIN_MEMORY_KEYS; i++) {
		if (!login_memory_key(m, &tags[i], got))
			continue;
		memcpy(key, &i, sizeof i);
		ck_assert_mem_eq(got, key, sizeof key);
		known++;
	}
	/* The table has ways: now and then one goes a little before its time. */
	ck_assert(known > LOGIN_MEMORY_KEYS * 9 / 10 && known <= LOGIN_MEMORY_KEYS);
	login_memory_free(m);
}
END_TEST

START_TEST(a_flood_of_wrong_ones_evicts_no_right_one)
{
	struct login_memory *m;
	struct login_try try = {SLICE("a"), SLICE("$hash"), SLICE("secret")};
	struct login_tag right, wrong;
	char guess[32];

	ck_assert_int_eq(login_memory_new(&fixture_clock, &entropy_system, 300000, &m), FAULT_OK);
	login_memory_tag(m, &try, &right);
	login_memory_add(m, &right, LOGIN_RIGHT);
	for (unsigned i = 0; i < 4 * LOGIN_MEMORY_ENTRIES; i++) {
		snprintf(guess, sizeof guess, "%u", i);
		try.password = slice_text(guess);
		login_memory_tag(m, &try, &wrong);
		login_memory_add(m, &wrong, LOGIN_WRONG);
	}
	ck_assert_int_eq(login_memory_find(m, &right), LOGIN_RIGHT);
	login_memory_free(m);
}
END_TEST

UNIT(guard)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, a_network_is_slowed_for_all_names);
	unit_add(tc, a_name_is_slowed_from_everywhere);
	unit_add(tc, an_owner_at_a_known_network_is_never_locked_out);
	unit_add(tc, all_is_forgiven_in_time);
	unit_add(tc, right_logins_cost_nothing);
	unit_add(tc, networks_are_slash_64_and_loopback_is_exempt);
	unit_add(tc, blocks_are_shown_and_lifted);
	unit_add(tc, spraying_does_not_evict_the_heavy);
	unit_add(tc, the_memory_keeps_right_and_wrong_for_a_time);
	unit_add(tc, the_memory_keeps_keys_as_long_as_their_logins);
	/* The address sanitizer makes mlock() do nothing, and say that it did. */
	if (HAS_ASAN)
		puts("skipped: a_key_is_not_kept_in_memory_that_cannot_be_locked");
	else
		unit_add(tc, a_key_is_not_kept_in_memory_that_cannot_be_locked);
	unit_add(tc, the_oldest_key_goes_with_its_login);
	unit_add(tc, a_flood_of_wrong_ones_evicts_no_right_one);
}
