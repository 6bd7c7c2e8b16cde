/* SPDX-License-Identifier: ISC */
#include "authd/account_key.h"

#include "tests/unit/unit.h"

static const struct account_key_owner alice = {42, &entropy_system};
static const uint8_t client_key[CLIENT_KEY_LEN] = {1, 2, 3}, other_client_key[CLIENT_KEY_LEN] = {9};
static const uint8_t recovery[RECOVERY_KEY_LEN] = {4, 5, 6}, other_recovery[RECOVERY_KEY_LEN] = {8};

static struct account_key key;
static struct account_key_record record;

static void
begin(void)
{
	account_key_make(&entropy_system, &key);
	record = (struct account_key_record){.exists = true, .seals = true};
	memcpy(record.public_key, key.public_key, sizeof key.public_key);
	account_key_wrap_password(&alice, &key, client_key, &record);
	account_key_wrap_recovery(&alice, &key, recovery, &record);
}

START_TEST(password_and_recovery_key_open_the_same_key)
{
	struct account_key opened;

	ck_assert(account_key_open_password(&record, 42, client_key, &opened));
	ck_assert_mem_eq(&opened, &key, sizeof key);
	account_key_clear(&opened);
	ck_assert(account_key_open_recovery(&record, 42, recovery, &opened));
	ck_assert_mem_eq(&opened, &key, sizeof key);
	ck_assert(account_key_fits(&record, &opened));
}
END_TEST

START_TEST(nothing_else_opens_it)
{
	struct account_key opened;
	uint8_t both[CLIENT_KEY_LEN] = {0};

	ck_assert(!account_key_open_password(&record, 42, other_client_key, &opened));
	ck_assert(!account_key_open_recovery(&record, 42, other_recovery, &opened));
	/* Another account's record with this key in it is of no use to that account. */
	ck_assert(!account_key_open_password(&record, 43, client_key, &opened));
	ck_assert(!account_key_open_recovery(&record, 43, recovery, &opened));
	/* One way of wrapping does not pass for the other, whatever the secret. */
	memcpy(both, recovery, sizeof recovery);
	memcpy(record.by_password, record.by_recovery, sizeof record.by_password);
	ck_assert(!account_key_open_password(&record, 42, both, &opened));
	for (size_t i = 0; i < sizeof opened.private_key; i++)
		ck_assert_int_eq(opened.private_key[i], 0);
	record.exists = false;
	ck_assert(!account_key_open_recovery(&record, 42, recovery, &opened));
}
END_TEST

START_TEST(every_changed_byte_is_noticed)
{
	struct account_key opened;
	uint8_t *parts[] = {record.public_key, record.by_password};
	size_t lengths[] = {sizeof record.public_key, sizeof record.by_password};

	for (size_t part = 0; part < 2; part++) {
		for (size_t i = 0; i < lengths[part]; i++) {
			parts[part][i] ^= 1;
			ck_assert(!account_key_open_password(&record, 42, client_key, &opened));
			parts[part][i] ^= 1;
		}
	}
	ck_assert(account_key_open_password(&record, 42, client_key, &opened));
}
END_TEST

START_TEST(wrapping_anew_keeps_the_key_and_ends_the_old_password)
{
	struct account_key opened;
	uint8_t before[ACCOUNT_KEY_WRAPPED_LEN];

	memcpy(before, record.by_password, sizeof before);
	account_key_wrap_password(&alice, &key, client_key, &record);
	/* Another nonce each time. */
	ck_assert_mem_ne(before, record.by_password, sizeof before);
	account_key_wrap_password(&alice, &key, other_client_key, &record);
	ck_assert(!account_key_open_password(&record, 42, client_key, &opened));
	ck_assert(account_key_open_password(&record, 42, other_client_key, &opened));
	ck_assert_mem_eq(&opened, &key, sizeof key);
	ck_assert(account_key_open_recovery(&record, 42, recovery, &opened));
}
END_TEST

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

START_TEST(a_recovery_key_is_read_as_people_type_it)
{
	char text[RECOVERY_TEXT_SIZE], typed[2 * RECOVERY_TEXT_SIZE];
	uint8_t drawn[RECOVERY_KEY_LEN], got[RECOVERY_KEY_LEN];
	size_t n = 0;

	entropy_system.fill(NULL, drawn, sizeof drawn);
	recovery_key_format(drawn, text);
	ck_assert_uint_eq(strlen(text), RECOVERY_TEXT_SIZE - 1);
	ck_assert(recovery_key_parse(slice_text(text), got));
	ck_assert_mem_eq(got, drawn, sizeof got);
	for (const char *c = text; *c != '\0'; c++) {
		typed[n++] = *c == '-' ? ' ' : upper(*c);
		if (*c == '-')
			typed[n++] = ' ';
	}
	memset(got, 0, sizeof got);
	ck_assert(recovery_key_parse(slice_make(typed, n), got));
	ck_assert_mem_eq(got, drawn, sizeof got);
}
END_TEST

START_TEST(a_mistyped_recovery_key_is_noticed)
{
	char text[RECOVERY_TEXT_SIZE];
	uint8_t got[RECOVERY_KEY_LEN];

	recovery_key_format(recovery, text);
	for (size_t i = 0; i + 1 < sizeof text; i++) {
		char was = text[i];
		if (was == '-')
			continue;
		text[i] = was == 'x' ? 'y' : 'x';
		ck_assert(!recovery_key_parse(slice_text(text), got));
		text[i] = 'l'; /* not in the alphabet */
		ck_assert(!recovery_key_parse(slice_text(text), got));
		text[i] = was;
	}
	ck_assert(recovery_key_parse(slice_text(text), got));
	ck_assert(!recovery_key_parse(slice_first(slice_text(text), sizeof text - 2), got));
	ck_assert(!recovery_key_parse(slice_make(text, sizeof text), got));
	ck_assert(!recovery_key_parse(SLICE(""), got));
	ck_assert(!recovery_key_parse(SLICE("a password that is no recovery key"), got));
}
END_TEST

UNIT(account_key)
{
	tcase_add_checked_fixture(tc, begin, NULL);
	unit_add(tc, password_and_recovery_key_open_the_same_key);
	unit_add(tc, nothing_else_opens_it);
	unit_add(tc, every_changed_byte_is_noticed);
	unit_add(tc, wrapping_anew_keeps_the_key_and_ends_the_old_password);
	unit_add(tc, a_recovery_key_is_read_as_people_type_it);
	unit_add(tc, a_mistyped_recovery_key_is_noticed);
}
