/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "tests/unit/authd/fixture.h"

static struct fixture f;

static void
begin(void)
{
	fixture_open(&f);
	fixture_domain(&f, "example.org");
}

static void
end(void)
{
	fixture_close(&f);
}

START_TEST(accounts_are_found_whatever_the_case)
{
	struct account account;
	uint64_t id = fixture_account(&f, "Alice@Example.ORG");

	ck_assert_int_eq(
		directory_find_account(f.directory, SLICE("aLICE@eXAMPLE.org"), &f.arena, &account),
		FAULT_OK);
	ck_assert(account.id == id);
	ck_assert_slice_eq(account.record.address, "alice@example.org");
	ck_assert_int_eq(
		directory_find_account(f.directory, SLICE("alic@example.org"), &f.arena, &account),
		FAULT_NO_SUCH_USER);
	ck_assert_int_eq(directory_find_account(f.directory, SLICE("alice"), &f.arena, &account),
		FAULT_SYNTAX);
}
END_TEST

START_TEST(a_domain_is_the_same_in_unicode_and_as_a_labels)
{
	fixture_domain(&f, "Bücher.example");
	ck_assert_int_eq(
		directory_add_domain(f.directory, SLICE("xn--bcher-kva.example")), FAULT_EXISTS);
	fixture_account(&f, "info@bücher.example");
	ck_assert_str_eq(
		fixture_expand(&f, "info@xn--bcher-kva.EXAMPLE"), "info@xn--bcher-kva.example");
}
END_TEST

START_TEST(names_that_are_no_domains_or_addresses_are_refused_with_a_reason)
{
	static const char *const domains[] = {
		"", "a b", "-a.example", "[192.0.2.1]", "a@b", "a..b"};
	static const char *const addresses[] = {"", "x", "@example.org", "a b@example.org", "x@",
		"x@[192.0.2.1]", "<x@example.org>", "x@example.org "};

	for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
		ck_assert_msg(
			directory_add_domain(f.directory, slice_text(domains[i])) == FAULT_SYNTAX,
			"%s", domains[i]);
		ck_assert(directory_reason(f.directory)[0] != '\0');
	}
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		ck_assert_msg(directory_check_new_account(f.directory, slice_text(addresses[i])) ==
				FAULT_SYNTAX,
			"%s", addresses[i]);
}
END_TEST

START_TEST(an_address_is_account_or_alias_and_only_once)
{
	struct slice target = SLICE("bob@example.org");

	fixture_account(&f, "alice@example.org");
	fixture_account(&f, "bob@example.org");
	fixture_alias(&f, "team@example.org", "bob@example.org");
	ck_assert_int_eq(
		directory_check_new_account(f.directory, SLICE("ALICE@example.org")), FAULT_EXISTS);
	ck_assert_int_eq(
		directory_check_new_account(f.directory, SLICE("team@example.org")), FAULT_EXISTS);
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("alice@example.org"), &target, 1),
		FAULT_EXISTS);
	ck_assert_str_eq(directory_reason(f.directory), "alice@example.org is an account");
	ck_assert_int_eq(directory_check_new_account(f.directory, SLICE("x@other.example")),
		FAULT_NOT_FOUND);
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("x@other.example"), &target, 1),
		FAULT_NOT_LOCAL);
}
END_TEST

START_TEST(a_domain_in_use_is_not_removed)
{
	uint64_t id;

	fixture_account(&f, "alice@example.org");
	ck_assert_int_eq(
		directory_remove_domain(f.directory, SLICE("example.org")), FAULT_HAS_CHILDREN);
	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("alice@example.org"), &id), FAULT_OK);
	ck_assert_int_eq(directory_remove_domain(f.directory, SLICE("example.org")), FAULT_OK);
	ck_assert_int_eq(
		directory_remove_domain(f.directory, SLICE("example.org")), FAULT_NOT_FOUND);
	ck_assert_str_eq(fixture_expand(&f, "alice@example.org"), "! NOT_LOCAL");
}
END_TEST

START_TEST(a_domain_whose_name_begins_another_is_not_in_its_way)
{
	fixture_domain(&f, "example.org.uk");
	fixture_account(&f, "a@example.org.uk");
	ck_assert_int_eq(directory_remove_domain(f.directory, SLICE("example.org")), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "a@example.org.uk"), "a@example.org.uk");
}
END_TEST

START_TEST(all_is_there_after_reopening)
{
	uint64_t id = fixture_account(&f, "alice@example.org");
	struct account account;
	uint8_t secret[32];

	memcpy(secret, directory_secret(f.directory), sizeof secret);
	fixture_alias(&f, "a@example.org", "alice@example.org");
	ck_assert_int_eq(directory_set_catch_all(
				 f.directory, SLICE("example.org"), SLICE("alice@example.org")),
		FAULT_OK);
	fixture_reopen(&f);
	ck_assert_int_eq(directory_get_account(f.directory, id, &f.arena, &account), FAULT_OK);
	ck_assert_slice_eq(account.record.address, "alice@example.org");
	ck_assert_slice_eq(account.record.password_hash, "$hash");
	ck_assert_uint_eq(account.record.scram.iterations, 5);
	ck_assert_str_eq(fixture_expand(&f, "a@example.org"), "alice@example.org");
	ck_assert_str_eq(fixture_expand(&f, "any@example.org"), "alice@example.org");
	ck_assert_mem_eq(secret, directory_secret(f.directory), sizeof secret);
}
END_TEST

START_TEST(password_and_state_change_alone)
{
	struct password_record other = fixture_password("$other");
	struct account account;
	uint64_t id = fixture_account(&f, "alice@example.org");

	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("alice@example.org"), true), FAULT_OK);
	ck_assert_int_eq(
		directory_set_password(f.directory, SLICE("alice@example.org"), &other), FAULT_OK);
	ck_assert_int_eq(directory_get_account(f.directory, id, &f.arena, &account), FAULT_OK);
	ck_assert(account.record.disabled);
	ck_assert_slice_eq(account.record.password_hash, "$other");
	ck_assert_mem_eq(account.record.scram.stored_key, other.scram.stored_key, SCRAM_KEY_LEN);
	ck_assert(account.record.password_at > account.record.created_at);
	ck_assert_int_eq(directory_set_password(f.directory, SLICE("bob@example.org"), &other),
		FAULT_NO_SUCH_USER);
	ck_assert_str_eq(directory_reason(f.directory), "no such account: bob@example.org");
}
END_TEST

#define ALICE SLICE("alice@example.org")

static struct account_key_record
load_key(void)
{
	struct account account;

	ck_assert_int_eq(directory_find_account(f.directory, ALICE, &f.arena, &account), FAULT_OK);
	return account.record.key;
}

START_TEST(no_password_change_loses_a_key_by_accident)
{
	struct password_record now = fixture_password("$hash"), next = fixture_password("$next");
	struct account_key_record key = {true, true, {1}, {2}, {3}},
				  other = {true, true, {9}, {8}, {7}};

	fixture_account(&f, "alice@example.org");
	ck_assert(!load_key().exists);
	/* What wraps the key must be the password that the account has. */
	ck_assert_int_eq(
		directory_set_key(f.directory, ALICE, &key, next.scram.stored_key), FAULT_CONFLICT);
	ck_assert_int_eq(
		directory_set_key(f.directory, ALICE, &key, now.scram.stored_key), FAULT_OK);
	ck_assert_int_eq(directory_set_key(f.directory, ALICE, &other, now.scram.stored_key),
		FAULT_CONFLICT);
	fixture_reopen(&f);
	struct account_key_record stored = load_key();
	ck_assert_mem_eq(&stored, &key, sizeof key);
	/* Without the key, and with another one, a new password is refused. */
	ck_assert_int_eq(directory_set_password(f.directory, ALICE, &next), FAULT_DENIED);
	next.key = &other;
	ck_assert_int_eq(directory_set_password(f.directory, ALICE, &next), FAULT_DENIED);
	/* With the same pair only the wrapping by the password is taken. */
	struct account_key_record anew = {true, false, {1}, {5}, {6}};
	next.key = &anew;
	ck_assert_int_eq(directory_set_password(f.directory, ALICE, &next), FAULT_OK);
	stored = load_key();
	ck_assert(stored.seals && stored.by_password[0] == 5 && stored.by_recovery[0] == 3);
	next.key = &other;
	next.gives_up_mail = true;
	ck_assert_int_eq(directory_set_password(f.directory, ALICE, &next), FAULT_OK);
	stored = load_key();
	ck_assert_mem_eq(&stored, &other, sizeof other);
	next.key = NULL;
	ck_assert_int_eq(directory_set_password(f.directory, ALICE, &next), FAULT_OK);
	ck_assert(!load_key().exists);
}
END_TEST

START_TEST(an_expansion_says_whom_to_encrypt_to)
{
	struct password_record now = fixture_password("$hash");
	struct account_key_record key = {true, true, {1, 2}, {2}, {3}};
	struct expansions found;

	fixture_account(&f, "alice@example.org");
	fixture_account(&f, "bob@example.org");
	fixture_alias(&f, "both@example.org", "alice@example.org");
	fixture_alias(&f, "both@example.org", "bob@example.org");
	ck_assert_int_eq(directory_stop_sealing(f.directory, ALICE), FAULT_NOT_FOUND);
	ck_assert_int_eq(
		directory_set_key(f.directory, ALICE, &key, now.scram.stored_key), FAULT_OK);
	ck_assert_int_eq(directory_expand(f.directory, SLICE("both@example.org"), &f.arena, &found),
		FAULT_OK);
	ck_assert_uint_eq(found.count, 2);
	ck_assert_uint_eq(found.list[0].public_key.len, ACCOUNT_KEY_LEN);
	ck_assert_mem_eq(found.list[0].public_key.data, key.public_key, ACCOUNT_KEY_LEN);
	ck_assert_uint_eq(found.list[1].public_key.len, 0);
	ck_assert_int_eq(directory_stop_sealing(f.directory, ALICE), FAULT_OK);
	ck_assert(load_key().exists);
	ck_assert_int_eq(directory_expand(f.directory, ALICE, &f.arena, &found), FAULT_OK);
	ck_assert_uint_eq(found.list[0].public_key.len, 0);
}
END_TEST

START_TEST(a_removed_account_is_gone_and_its_address_is_free)
{
	struct account account;
	uint64_t old = fixture_account(&f, "alice@example.org"), id = 0;

	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("alice@example.org"), &id), FAULT_OK);
	ck_assert(id == old);
	ck_assert_int_eq(
		directory_get_account(f.directory, old, &f.arena, &account), FAULT_NO_SUCH_USER);
	ck_assert(fixture_account(&f, "alice@example.org") != old);
}
END_TEST

struct counted {
	unsigned count;
	char first[300];
};

static void
count_account(void *arg, const struct account_entry *entry)
{
	struct counted *c = arg;

	if (c->count++ == 0)
		snprintf(c->first, sizeof c->first, "%" SLICE_FMT,
			SLICE_ARG(entry->record->address));
}

static void
count_domain(void *arg, const struct domain_entry *entry)
{
	struct counted *c = arg;

	if (c->count++ == 0)
		snprintf(c->first, sizeof c->first,
			"%" SLICE_FMT " %u %u [%" SLICE_FMT "] %" SLICE_FMT, SLICE_ARG(entry->name),
			entry->accounts, entry->aliases, SLICE_ARG(entry->record.catch_all),
			SLICE_ARG(entry->postmaster));
}

static void
count_alias(void *arg, const struct alias_entry *entry)
{
	struct counted *c = arg;

	if (c->count++ == 0)
		snprintf(c->first, sizeof c->first, "%" SLICE_FMT " %u", SLICE_ARG(entry->address),
			entry->target_count);
}

START_TEST(lists_are_of_one_domain_or_of_all)
{
	struct counted c = {0};

	fixture_domain(&f, "b.example");
	fixture_account(&f, "zoe@b.example");
	fixture_account(&f, "amy@b.example");
	fixture_account(&f, "bob@example.org");
	fixture_alias(&f, "all@b.example", "amy@b.example");
	fixture_alias(&f, "all@b.example", "ZOE@B.example");
	fixture_alias(&f, "all@b.example", "zoe@b.example"); /* there already */
	ck_assert_int_eq(
		directory_list_accounts(f.directory, SLICE("B.example"), count_account, &c),
		FAULT_OK);
	ck_assert_uint_eq(c.count, 2);
	ck_assert_str_eq(c.first, "amy@b.example");
	c = (struct counted){0};
	ck_assert_int_eq(
		directory_list_accounts(f.directory, SLICE(""), count_account, &c), FAULT_OK);
	ck_assert_uint_eq(c.count, 3);
	c = (struct counted){0};
	ck_assert_int_eq(directory_list_domains(f.directory, SLICE("b.example"), count_domain, &c),
		FAULT_OK);
	ck_assert_uint_eq(c.count, 1);
	ck_assert_str_eq(c.first, "b.example 2 1 [] zoe@b.example");
	c = (struct counted){0};
	ck_assert_int_eq(
		directory_list_domains(f.directory, SLICE(""), count_domain, &c), FAULT_OK);
	ck_assert_uint_eq(c.count, 2);
	c = (struct counted){0};
	ck_assert_int_eq(directory_list_aliases(f.directory, SLICE(""), count_alias, &c), FAULT_OK);
	ck_assert_uint_eq(c.count, 1);
	ck_assert_str_eq(c.first, "all@b.example 2");
	ck_assert_int_eq(directory_list_aliases(f.directory, SLICE("no.example"), count_alias, &c),
		FAULT_NOT_FOUND);
}
END_TEST

START_TEST(networks_of_logins_are_remembered_and_bounded)
{
	struct directory_login login = {fixture_account(&f, "alice@example.org"), {0}};

	for (unsigned i = 0; i < DIRECTORY_NETWORKS_MAX + 5; i++) {
		login.network[0] = (uint8_t)i;
		fixture_wall_ms += 1000;
		ck_assert_int_eq(directory_note_logins(f.directory, &login, 1), FAULT_OK);
	}
	fixture_reopen(&f);
	ck_assert(directory_network_seen(f.directory, login.account, login.network) ==
		fixture_wall_ms);
	login.network[0] = 4;
	ck_assert(directory_network_seen(f.directory, login.account, login.network) == 0);
	login.network[0] = 5;
	ck_assert(directory_network_seen(f.directory, login.account, login.network) != 0);
	ck_assert(directory_network_seen(f.directory, login.account + 1, login.network) == 0);
}
END_TEST

START_TEST(networks_go_with_their_account)
{
	struct directory_login logins[2] = {{fixture_account(&f, "alice@example.org"), {1}},
		{fixture_account(&f, "bob@example.org"), {2}}};
	uint64_t id;

	ck_assert_int_eq(directory_note_logins(f.directory, logins, 2), FAULT_OK);
	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("alice@example.org"), &id), FAULT_OK);
	ck_assert(directory_network_seen(f.directory, id, logins[0].network) == 0);
	ck_assert(directory_network_seen(f.directory, logins[1].account, logins[1].network) != 0);
	/* A login that was under way when the account went leaves nothing behind. */
	ck_assert_int_eq(directory_note_logins(f.directory, logins, 1), FAULT_OK);
	ck_assert(directory_network_seen(f.directory, id, logins[0].network) == 0);
}
END_TEST

UNIT(directory)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, accounts_are_found_whatever_the_case);
	unit_add(tc, a_domain_is_the_same_in_unicode_and_as_a_labels);
	unit_add(tc, names_that_are_no_domains_or_addresses_are_refused_with_a_reason);
	unit_add(tc, an_address_is_account_or_alias_and_only_once);
	unit_add(tc, a_domain_in_use_is_not_removed);
	unit_add(tc, a_domain_whose_name_begins_another_is_not_in_its_way);
	unit_add(tc, all_is_there_after_reopening);
	unit_add(tc, password_and_state_change_alone);
	unit_add(tc, no_password_change_loses_a_key_by_accident);
	unit_add(tc, an_expansion_says_whom_to_encrypt_to);
	unit_add(tc, a_removed_account_is_gone_and_its_address_is_free);
	unit_add(tc, lists_are_of_one_domain_or_of_all);
	unit_add(tc, networks_of_logins_are_remembered_and_bounded);
	unit_add(tc, networks_go_with_their_account);
}
