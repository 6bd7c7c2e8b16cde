/* SPDX-License-Identifier: ISC */
#include "authd/record.h"

#include "common/base/bytes.h"
#include "tests/unit/unit.h"

static struct buffer out;

static void
begin(void)
{
	buffer_init(&out, RECORD_SIZE_MAX);
}

static void
end(void)
{
	buffer_clear(&out);
}

static const struct account_record account = {
	.disabled = true,
	.created_at = 1700000000000,
	.password_at = 1700000000001,
	.address = SLICE_LITERAL("a@example.org"),
	.password_hash = SLICE_LITERAL("$argon2id$"),
	.scram = {{1, 2}, 10000, {3, 4}, {5, 6}},
};

START_TEST(records_come_back_as_they_were)
{
	struct domain_record domain = {5, 77, SLICE("all@example.org")}, got_domain;
	struct account_record got;
	struct name_record name;
	struct slice targets[] = {SLICE("a@b"), SLICE("c@d")}, target;

	ck_assert_int_eq(domain_record_encode(&domain, &out), FAULT_OK);
	ck_assert_int_eq(domain_record_decode(buffer_slice(&out), &got_domain), FAULT_OK);
	ck_assert(got_domain.created_at == 5 && got_domain.postmaster == 77);
	ck_assert_slice_eq(got_domain.catch_all, "all@example.org");
	buffer_reset(&out);
	ck_assert_int_eq(account_record_encode(&account, &out), FAULT_OK);
	ck_assert_int_eq(account_record_decode(buffer_slice(&out), &got), FAULT_OK);
	ck_assert(got.disabled && got.created_at == account.created_at &&
		got.password_at == account.password_at);
	ck_assert_slice_eq(got.address, "a@example.org");
	ck_assert_mem_eq(&got.scram, &account.scram, sizeof got.scram);
	buffer_reset(&out);
	ck_assert_int_eq(name_record_encode_alias(targets, 2, &out), FAULT_OK);
	ck_assert_int_eq(name_record_decode(buffer_slice(&out), &name), FAULT_OK);
	struct cursor c = cursor_of(name.targets);
	ck_assert(name.kind == NAME_ALIAS && take_record_target(&c, &target));
	ck_assert(take_record_target(&c, &target));
	ck_assert_slice_eq(target, "c@d");
	ck_assert(!take_record_target(&c, &target));
}
END_TEST

/* Whatever length a torn or foreign record has, it is a fault and not a crash. */
START_TEST(every_cut_and_every_longer_record_is_damaged)
{
	struct account_record got;
	char copy[512];

	ck_assert_int_eq(account_record_encode(&account, &out), FAULT_OK);
	size_t len = buffer_len(&out);
	memcpy(copy, buffer_slice(&out).data, len);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(account_record_decode(slice_make(copy, i), &got), FAULT_DAMAGED);
	copy[len] = 0;
	ck_assert_int_eq(account_record_decode(slice_make(copy, len + 1), &got), FAULT_DAMAGED);
}
END_TEST

START_TEST(only_a_key_pair_makes_a_newer_record)
{
	struct account_record with = account, got;
	char copy[1024];

	ck_assert_int_eq(account_record_encode(&account, &out), FAULT_OK);
	ck_assert_int_eq(out.data[0], 1);
	ck_assert_int_eq(account_record_decode(buffer_slice(&out), &got), FAULT_OK);
	ck_assert(!got.key.exists && !got.key.seals);
	buffer_reset(&out);
	with.key = (struct account_key_record){true, true, {1}, {2}, {3}};
	ck_assert_int_eq(account_record_encode(&with, &out), FAULT_OK);
	ck_assert_int_eq(out.data[0], 2);
	ck_assert_int_eq(account_record_decode(buffer_slice(&out), &got), FAULT_OK);
	ck_assert_mem_eq(&got.key, &with.key, sizeof got.key);
	ck_assert(got.disabled);
	memcpy(copy, buffer_slice(&out).data, buffer_len(&out));
	for (size_t i = 0; i < buffer_len(&out); i++)
		ck_assert_int_eq(account_record_decode(slice_make(copy, i), &got), FAULT_DAMAGED);
	copy[0] = 1; /* the old version has neither the flag nor the key */
	ck_assert_int_eq(
		account_record_decode(slice_make(copy, buffer_len(&out)), &got), FAULT_DAMAGED);
	copy[0] = 3;
	ck_assert_int_eq(
		account_record_decode(slice_make(copy, buffer_len(&out)), &got), FAULT_UNSUPPORTED);
}
END_TEST

START_TEST(every_cut_of_an_alias_is_damaged)
{
	struct slice targets[] = {SLICE("a@b"), SLICE("c@d")};
	struct name_record got;

	ck_assert_int_eq(name_record_encode_alias(targets, 2, &out), FAULT_OK);
	for (size_t i = 0; i < buffer_len(&out); i++)
		ck_assert_int_eq(name_record_decode(slice_first(buffer_slice(&out), i), &got),
			FAULT_DAMAGED);
}
END_TEST

START_TEST(values_that_cannot_be_are_damaged)
{
	struct name_record name;
	struct domain_record domain;

	ck_assert_int_eq(name_record_encode_account(0, &out), FAULT_OK);
	ck_assert_int_eq(name_record_decode(buffer_slice(&out), &name), FAULT_DAMAGED);
	buffer_reset(&out);
	ck_assert_int_eq(name_record_encode_account(1, &out), FAULT_OK);
	out.data[1] = 9; /* kind */
	ck_assert_int_eq(name_record_decode(buffer_slice(&out), &name), FAULT_DAMAGED);
	out.data[0] = RECORD_VERSION + 1;
	ck_assert_int_eq(name_record_decode(buffer_slice(&out), &name), FAULT_UNSUPPORTED);
	buffer_reset(&out);
	ck_assert_int_eq(
		domain_record_encode(&(struct domain_record){-1, 0, SLICE("")}, &out), FAULT_OK);
	ck_assert_int_eq(domain_record_decode(buffer_slice(&out), &domain), FAULT_DAMAGED);
	ck_assert_int_eq(name_record_encode_alias(NULL, 0, &out), FAULT_TOO_MANY);
}
END_TEST

START_TEST(a_text_over_the_limit_is_refused)
{
	static char text[RECORD_TEXT_MAX + 1];
	struct domain_record domain = {.catch_all = slice_make(text, sizeof text)};

	ck_assert_int_eq(domain_record_encode(&domain, &out), FAULT_TOO_LONG);
}
END_TEST

UNIT(record)
{
	tcase_add_checked_fixture(tc, begin, end);
	unit_add(tc, records_come_back_as_they_were);
	unit_add(tc, every_cut_and_every_longer_record_is_damaged);
	unit_add(tc, only_a_key_pair_makes_a_newer_record);
	unit_add(tc, every_cut_of_an_alias_is_damaged);
	unit_add(tc, values_that_cannot_be_are_damaged);
	unit_add(tc, a_text_over_the_limit_is_refused);
}
