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

START_TEST(look_up_order_is_account_alias_detail_catch_all)
{
	fixture_account(&f, "root@example.org");
	fixture_account(&f, "user@example.org");
	fixture_account(&f, "user+exact@example.org");
	fixture_alias(&f, "user+alias@example.org", "root@example.org");
	fixture_alias(&f, "team@example.org", "user@example.org");
	ck_assert_str_eq(fixture_expand(&f, "user@example.org"), "user@example.org");
	ck_assert_str_eq(fixture_expand(&f, "user+exact@example.org"), "user+exact@example.org");
	ck_assert_str_eq(fixture_expand(&f, "user+alias@example.org"), "root@example.org");
	ck_assert_str_eq(fixture_expand(&f, "USER+Lists@example.org"), "user@example.org+lists");
	ck_assert_str_eq(fixture_expand(&f, "user+a+b@example.org"), "user@example.org+a+b");
	ck_assert_str_eq(fixture_expand(&f, "team+x@example.org"), "user@example.org+x");
	ck_assert_str_eq(fixture_expand(&f, "+x@example.org"), "! NO_SUCH_USER");
	ck_assert_str_eq(fixture_expand(&f, "nobody@example.org"), "! NO_SUCH_USER");
	ck_assert_str_eq(fixture_expand(&f, "nobody+x@example.org"), "! NO_SUCH_USER");
	ck_assert_int_eq(directory_set_catch_all(
				 f.directory, SLICE("example.org"), SLICE("root@example.org")),
		FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "nobody@example.org"), "root@example.org");
	ck_assert_str_eq(fixture_expand(&f, "user@example.org"), "user@example.org");
	ck_assert_int_eq(
		directory_set_catch_all(f.directory, SLICE("example.org"), SLICE("")), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "nobody@example.org"), "! NO_SUCH_USER");
	ck_assert_str_eq(fixture_expand(&f, "x@elsewhere.example"), "! NOT_LOCAL");
}
END_TEST

START_TEST(a_catch_all_leads_somewhere)
{
	fixture_account(&f, "root@example.org");
	ck_assert_int_eq(directory_set_catch_all(
				 f.directory, SLICE("example.org"), SLICE("typo@example.org")),
		FAULT_NO_SUCH_USER);
	ck_assert_int_eq(
		directory_set_catch_all(f.directory, SLICE("example.org"), SLICE("no address")),
		FAULT_SYNTAX);
	ck_assert_int_eq(directory_set_catch_all(
				 f.directory, SLICE("no.example"), SLICE("root@example.org")),
		FAULT_NOT_FOUND);
	ck_assert_int_eq(directory_set_catch_all(
				 f.directory, SLICE("example.org"), SLICE("Box@elsewhere.example")),
		FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "any@example.org"), ">Box@elsewhere.example");
}
END_TEST

START_TEST(aliases_expand_to_several_also_foreign_each_once)
{
	struct slice targets[] = {
		SLICE("a@example.org"), SLICE("Ext@Elsewhere.EXAMPLE"), SLICE("inner@example.org")};

	fixture_account(&f, "a@example.org");
	fixture_account(&f, "b@example.org");
	fixture_alias(&f, "inner@example.org", "b@example.org");
	fixture_alias(&f, "inner@example.org", "a@example.org");
	fixture_alias(&f, "inner@example.org", "Ext@elsewhere.example");
	ck_assert_int_eq(
		directory_add_alias(f.directory, SLICE("all@example.org"), targets, 3), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "all@example.org"),
		"a@example.org >Ext@elsewhere.example b@example.org");
}
END_TEST

START_TEST(a_targets_own_detail_wins)
{
	fixture_account(&f, "a@example.org");
	fixture_alias(&f, "list@example.org", "a+lists@example.org");
	ck_assert_str_eq(fixture_expand(&f, "list@example.org"), "a@example.org+lists");
	ck_assert_str_eq(fixture_expand(&f, "list+x@example.org"), "a@example.org+lists");
}
END_TEST

START_TEST(loops_are_refused_and_found)
{
	struct slice two[] = {SLICE("b@example.org"), SLICE("user@example.org")};
	struct slice a = SLICE("a@example.org"), self = SLICE("SELF@example.org");
	uint64_t id;

	fixture_account(&f, "user@example.org");
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("self@example.org"), &self, 1),
		FAULT_MAIL_LOOP);
	fixture_alias(&f, "b@example.org", "user@example.org");
	ck_assert_int_eq(directory_add_alias(f.directory, a, two, 2), FAULT_OK);
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("b@example.org"), &a, 1), FAULT_OK);
	/* Two aliases that name each other still reach the account, once. */
	ck_assert_str_eq(fixture_expand(&f, "a@example.org"), "user@example.org");
	ck_assert_str_eq(fixture_expand(&f, "b@example.org"), "user@example.org");
	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("user@example.org"), &id), FAULT_OK);
	/* Now nothing but the loop is left. */
	ck_assert_str_eq(fixture_expand(&f, "a@example.org"), "! MAIL_LOOP");
	ck_assert_int_eq(
		directory_add_alias(f.directory, SLICE("c@example.org"), &a, 1), FAULT_MAIL_LOOP);
}
END_TEST

START_TEST(catch_alls_that_name_each_other_end)
{
	fixture_domain(&f, "b.example");
	fixture_account(&f, "x@b.example");
	ck_assert_int_eq(
		directory_set_catch_all(f.directory, SLICE("example.org"), SLICE("x@b.example")),
		FAULT_OK);
	ck_assert_int_eq(
		directory_set_catch_all(f.directory, SLICE("b.example"), SLICE("y@example.org")),
		FAULT_OK);
	uint64_t id;
	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("x@b.example"), &id), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "q@example.org"), "! MAIL_LOOP");
}
END_TEST

START_TEST(a_long_row_of_aliases_ends)
{
	char alias[40], target[40] = "user@example.org";

	fixture_account(&f, target);
	for (int i = 0; i < DIRECTORY_DEPTH_MAX; i++) {
		snprintf(alias, sizeof alias, "a%d@example.org", i);
		fixture_alias(&f, alias, target);
		memcpy(target, alias, sizeof target);
	}
	ck_assert_str_eq(fixture_expand(&f, target), "user@example.org");
	struct slice last = slice_text(target);
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("far@example.org"), &last, 1),
		FAULT_MAIL_LOOP);
}
END_TEST

START_TEST(too_many_targets_are_refused)
{
	static char texts[DIRECTORY_EXPANSION_MAX + 1][40];
	static struct slice targets[DIRECTORY_EXPANSION_MAX + 1];
	struct expansions found;

	for (size_t i = 0; i <= DIRECTORY_EXPANSION_MAX; i++) {
		snprintf(texts[i], sizeof texts[i], "user%zu@elsewhere.example", i);
		targets[i] = slice_text(texts[i]);
	}
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("many@example.org"), targets,
				 DIRECTORY_EXPANSION_MAX + 1),
		FAULT_TOO_MANY);
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("many@example.org"), targets,
				 DIRECTORY_EXPANSION_MAX),
		FAULT_OK);
	ck_assert_int_eq(directory_expand(f.directory, SLICE("many@example.org"), &f.arena, &found),
		FAULT_OK);
	ck_assert_uint_eq(found.count, DIRECTORY_EXPANSION_MAX);
	/* One more by way of another alias is too many, and the alias is not made. */
	struct slice both[] = {SLICE("many@example.org"), SLICE("one@more.example")};
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("more@example.org"), both, 2),
		FAULT_TOO_MANY);
	ck_assert_str_eq(fixture_expand(&f, "more@example.org"), "! NO_SUCH_USER");
}
END_TEST

START_TEST(the_default_budget_is_enough_for_the_largest_expansion)
{
	static char texts[900][40];
	static struct slice targets[900];
	struct arena arena;
	struct expansions found;

	for (size_t i = 0; i < 900; i++) {
		snprintf(texts[i], sizeof texts[i], "user%zu@elsewhere.example", i);
		targets[i] = slice_text(texts[i]);
	}
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("many@example.org"), targets, 900),
		FAULT_OK);
	arena_init(&arena, DIRECTORY_ARENA);
	ck_assert_int_eq(
		directory_expand(f.directory, SLICE("many@example.org"), &arena, &found), FAULT_OK);
	ck_assert_uint_eq(found.count, 900);
	arena_clear(&arena);
}
END_TEST

START_TEST(disabled_accounts_get_no_mail_but_others_of_the_alias_do)
{
	fixture_account(&f, "a@example.org");
	fixture_account(&f, "b@example.org");
	fixture_alias(&f, "both@example.org", "a@example.org");
	fixture_alias(&f, "both@example.org", "b@example.org");
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("a@example.org"), true), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "a@example.org"), "! ACCOUNT_DISABLED");
	ck_assert_str_eq(fixture_expand(&f, "a+x@example.org"), "! ACCOUNT_DISABLED");
	ck_assert_str_eq(fixture_expand(&f, "both@example.org"), "b@example.org");
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("a@example.org"), false), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "both@example.org"), "a@example.org b@example.org");
}
END_TEST

/* RFC 5321 4.5.1 */
START_TEST(postmaster_is_always_somebody)
{
	uint64_t id;

	ck_assert_str_eq(fixture_expand(&f, "postmaster@example.org"), "! NO_SUCH_USER");
	fixture_account(&f, "first@example.org");
	fixture_account(&f, "second@example.org");
	fixture_account(&f, "third@example.org");
	ck_assert_str_eq(fixture_expand(&f, "PostMaster@example.org"), "first@example.org");
	ck_assert_str_eq(fixture_expand(&f, "abuse@example.org"), "first@example.org");
	ck_assert_str_eq(fixture_expand(&f, "Postmaster"), "first@example.org");
	ck_assert_str_eq(fixture_expand(&f, "postmaster@mail.example.org"), "first@example.org");
	ck_assert_str_eq(fixture_expand(&f, "other@mail.example.org"), "! NOT_LOCAL");
	ck_assert_int_eq(
		directory_remove_account(f.directory, SLICE("first@example.org"), &id), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "postmaster@example.org"), "second@example.org");
	fixture_alias(&f, "postmaster@example.org", "third@example.org");
	ck_assert_str_eq(fixture_expand(&f, "postmaster@example.org"), "third@example.org");
}
END_TEST

START_TEST(postmaster_passes_over_a_disabled_account)
{
	fixture_account(&f, "first@example.org");
	fixture_account(&f, "second@example.org");
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("first@example.org"), true), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "postmaster@example.org"), "second@example.org");
}
END_TEST

START_TEST(quoted_and_plain_local_parts_are_one)
{
	fixture_account(&f, "\"john doe\"@example.org");
	fixture_account(&f, "plain@example.org");
	ck_assert_str_eq(
		fixture_expand(&f, "\"John Doe\"@example.org"), "\"john doe\"@example.org");
	ck_assert_str_eq(fixture_expand(&f, "\"plain\"@example.org"), "plain@example.org");
}
END_TEST

static enum fault
may_send(uint64_t account, const char *address)
{
	return directory_may_send(f.directory, account, slice_text(address), &f.arena);
}

START_TEST(who_may_send_as_whom)
{
	uint64_t a = fixture_account(&f, "a@example.org");
	uint64_t b = fixture_account(&f, "b@example.org");

	fixture_alias(&f, "sales@example.org", "a@example.org");
	fixture_alias(&f, "outer@example.org", "sales@example.org");
	fixture_alias(&f, "away@example.org", "a@elsewhere.example");
	ck_assert_int_eq(may_send(a, "A@example.org"), FAULT_OK);
	ck_assert_int_eq(may_send(a, "a+shop@example.org"), FAULT_OK);
	ck_assert_int_eq(may_send(a, "sales@example.org"), FAULT_OK);
	ck_assert_int_eq(may_send(a, "outer@example.org"), FAULT_OK);
	ck_assert_int_eq(may_send(a, ""), FAULT_OK);
	ck_assert_int_eq(may_send(b, "a@example.org"), FAULT_DENIED);
	ck_assert_int_eq(may_send(b, "sales@example.org"), FAULT_DENIED);
	ck_assert_int_eq(may_send(a, "away@example.org"), FAULT_DENIED);
	ck_assert_int_eq(may_send(a, "a@elsewhere.example"), FAULT_DENIED);
	ck_assert_int_eq(may_send(a, "nobody@example.org"), FAULT_DENIED);
	ck_assert_int_eq(may_send(a, "no address"), FAULT_DENIED);
	ck_assert_int_eq(may_send(a ^ b ^ 12345, "a@example.org"), FAULT_DENIED);
	ck_assert_int_eq(
		directory_set_disabled(f.directory, SLICE("a@example.org"), true), FAULT_OK);
	ck_assert_int_eq(may_send(a, "a@example.org"), FAULT_ACCOUNT_DISABLED);
}
END_TEST

START_TEST(targets_are_removed_one_by_one_or_all)
{
	struct slice a = SLICE("A@example.org"), c = SLICE("c@example.org");

	fixture_account(&f, "a@example.org");
	fixture_account(&f, "b@example.org");
	fixture_alias(&f, "both@example.org", "a@example.org");
	fixture_alias(&f, "both@example.org", "b@example.org");
	ck_assert_int_eq(directory_remove_alias(f.directory, SLICE("both@example.org"), &c, 1),
		FAULT_NOT_FOUND);
	ck_assert_int_eq(
		directory_remove_alias(f.directory, SLICE("both@example.org"), &a, 1), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "both@example.org"), "b@example.org");
	ck_assert_int_eq(
		directory_remove_alias(f.directory, SLICE("both@example.org"), NULL, 0), FAULT_OK);
	ck_assert_str_eq(fixture_expand(&f, "both@example.org"), "! NO_SUCH_USER");
	ck_assert_int_eq(directory_remove_alias(f.directory, SLICE("both@example.org"), NULL, 0),
		FAULT_NOT_FOUND);
	ck_assert_int_eq(
		directory_remove_alias(f.directory, SLICE("a@example.org"), NULL, 0), FAULT_EXISTS);
}
END_TEST

START_TEST(a_target_of_ours_must_exist)
{
	struct slice targets[] = {SLICE("a@example.org"), SLICE("typo@example.org")};

	fixture_account(&f, "a@example.org");
	ck_assert_int_eq(directory_add_alias(f.directory, SLICE("x@example.org"), targets, 2),
		FAULT_NO_SUCH_USER);
	ck_assert_str_eq(directory_reason(f.directory), "no such address here: typo@example.org");
	ck_assert_str_eq(fixture_expand(&f, "x@example.org"), "! NO_SUCH_USER");
}
END_TEST

UNIT(directory_resolve)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, look_up_order_is_account_alias_detail_catch_all);
	unit_add(tc, a_catch_all_leads_somewhere);
	unit_add(tc, aliases_expand_to_several_also_foreign_each_once);
	unit_add(tc, a_targets_own_detail_wins);
	unit_add(tc, loops_are_refused_and_found);
	unit_add(tc, catch_alls_that_name_each_other_end);
	unit_add(tc, a_long_row_of_aliases_ends);
	unit_add(tc, too_many_targets_are_refused);
	unit_add(tc, the_default_budget_is_enough_for_the_largest_expansion);
	unit_add(tc, disabled_accounts_get_no_mail_but_others_of_the_alias_do);
	unit_add(tc, postmaster_is_always_somebody);
	unit_add(tc, postmaster_passes_over_a_disabled_account);
	unit_add(tc, quoted_and_plain_local_parts_are_one);
	unit_add(tc, who_may_send_as_whom);
	unit_add(tc, targets_are_removed_one_by_one_or_all);
	unit_add(tc, a_target_of_ours_must_exist);
}
