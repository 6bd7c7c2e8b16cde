/* SPDX-License-Identifier: ISC */
/* The directory beside a naive model of it, and with records that the disk has damaged. */
#include <stdio.h>
#include <stdlib.h>

#include "authd/directory_internal.h"
#include "common/base/bytes.h"
#include "tests/unit/authd/fixture.h"

enum { NAMES = 12, STEPS = 300 };

static struct fixture f;

/* Name i is "n<i>@example.org"; an account, an alias of some names, or nothing. */
struct model {
	bool account[NAMES], disabled[NAMES];
	bool alias[NAMES][NAMES];
	bool visited[NAMES], reached[NAMES];
};

static uint32_t seed;

static unsigned
draw(unsigned below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 16) % below;
}

static const char *
name_of(unsigned i)
{
	static char text[4][32];
	static unsigned next;

	snprintf(text[next % 4], sizeof text[0], "n%u@example.org", i);
	return text[next++ % 4];
}

static bool
is_alias(const struct model *m, unsigned i)
{
	for (unsigned j = 0; j < NAMES; j++)
		if (m->alias[i][j])
			return true;
	return false;
}

static void
reach(struct model *m, unsigned i)
{
	if (m->visited[i])
		return;
	m->visited[i] = true;
	if (m->account[i] && !m->disabled[i])
		m->reached[i] = true;
	for (unsigned j = 0; j < NAMES; j++)
		if (m->alias[i][j])
			reach(m, j);
}

static void
compare(struct model *m, unsigned i, unsigned step)
{
	struct expansions found;
	struct arena arena;
	unsigned expected = 0, matched = 0;

	memset(m->visited, 0, sizeof m->visited);
	memset(m->reached, 0, sizeof m->reached);
	reach(m, i);
	for (unsigned j = 0; j < NAMES; j++)
		expected += m->reached[j];
	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = directory_expand(f.directory, slice_text(name_of(i)), &arena, &found);
	if (fault != FAULT_OK)
		found.count = 0;
	for (size_t k = 0; k < found.count; k++)
		for (unsigned j = 0; j < NAMES; j++)
			matched += m->reached[j] &&
				slice_equal(found.list[k].address, slice_text(name_of(j)));
	ck_assert_msg(found.count == expected && matched == expected,
		"seed 1, step %u, name %u: %zu targets, not %u (%s)", step, i, found.count,
		expected, fault_name(fault));
	arena_clear(&arena);
}

static void
step_account(struct model *m, unsigned i)
{
	struct password_record password = {.hash = SLICE("$h"), .scram = {.iterations = 1}};
	struct slice name = slice_text(name_of(i));
	uint64_t id;

	switch (draw(3)) {
	case 0:
		if (directory_add_account(f.directory, name, &password, &id) == FAULT_OK) {
			ck_assert(!m->account[i] && !is_alias(m, i));
			m->account[i] = true;
			m->disabled[i] = false;
		} else {
			ck_assert(m->account[i] || is_alias(m, i));
		}
		return;
	case 1:
		ck_assert((directory_remove_account(f.directory, name, &id) == FAULT_OK) ==
			m->account[i]);
		m->account[i] = false;
		return;
	default:
		m->disabled[i] = draw(2);
		ck_assert((directory_set_disabled(f.directory, name, m->disabled[i]) == FAULT_OK) ==
			m->account[i]);
	}
}

static void
step_alias(struct model *m, unsigned i)
{
	unsigned j = draw(NAMES);
	struct slice name = slice_text(name_of(i)), target = slice_text(name_of(j));
	enum fault fault;

	if (draw(4) > 0) {
		/* What is refused must have changed nothing: compare() will tell. */
		fault = directory_add_alias(f.directory, name, &target, 1);
		if (fault == FAULT_OK)
			m->alias[i][j] = true;
		ck_assert(fault != FAULT_OK || (!m->account[i] && i != j));
	} else if (draw(4) > 0) {
		fault = directory_remove_alias(f.directory, name, &target, 1);
		ck_assert((fault == FAULT_OK) == m->alias[i][j]);
		m->alias[i][j] = false;
	} else {
		fault = directory_remove_alias(f.directory, name, NULL, 0);
		ck_assert((fault == FAULT_OK) == is_alias(m, i));
		memset(m->alias[i], 0, sizeof m->alias[i]);
	}
}

START_TEST(the_directory_does_what_a_naive_model_does)
{
	static struct model m;

	seed = 1;
	for (unsigned step = 0; step < STEPS; step++) {
		if (draw(2) == 0)
			step_account(&m, draw(NAMES));
		else
			step_alias(&m, draw(NAMES));
		if (step % 100 == 99)
			fixture_reopen(&f);
		for (unsigned i = 0; i < NAMES; i++)
			compare(&m, i, step);
	}
}
END_TEST

/* Writes bytes into a table behind the directory's back. */
static void
write_raw(unsigned table, struct slice key, struct slice value)
{
	static const char *const tables[] = {
		"meta", "domains", "accounts", "names", "logins", NULL};
	struct kv_options options = {.tables = tables};
	struct kv *kv;
	struct kv_txn txn;

	directory_close(f.directory);
	f.directory = NULL;
	ck_assert_int_eq(kv_open(f.dir, &options, &kv), FAULT_OK);
	ck_assert_int_eq(kv_begin_write(kv, &txn), FAULT_OK);
	kv_put(&txn, table, key, value);
	ck_assert_int_eq(kv_commit(&txn), FAULT_OK);
	kv_close(kv);
}

static void
count(void *arg, const struct account_entry *entry)
{
	(void)entry;
	++*(unsigned *)arg;
}

START_TEST(a_damaged_account_harms_nobody_else)
{
	uint64_t id = fixture_account(&f, "bad@example.org"), removed;
	uint8_t key[8];
	struct account account;
	unsigned seen = 0;

	fixture_account(&f, "good@example.org");
	fixture_alias(&f, "both@example.org", "good@example.org");
	put_u64(key, id);
	write_raw(TABLE_ACCOUNTS, slice_make(key, 8), SLICE("\x01junk"));
	fixture_reopen(&f);
	ck_assert_int_eq(
		directory_find_account(f.directory, SLICE("bad@example.org"), &f.arena, &account),
		FAULT_DAMAGED);
	ck_assert_str_eq(fixture_expand(&f, "bad@example.org"), "! DAMAGED");
	ck_assert_str_eq(fixture_expand(&f, "good@example.org"), "good@example.org");
	ck_assert_str_eq(fixture_expand(&f, "both@example.org"), "good@example.org");
	ck_assert_int_eq(
		directory_list_accounts(f.directory, SLICE(""), count, &seen), FAULT_DAMAGED);
	ck_assert_uint_eq(seen, 1);
	ck_assert_int_eq(directory_remove_account(f.directory, SLICE("good@example.org"), &removed),
		FAULT_OK);
}
END_TEST

START_TEST(a_name_without_its_account_is_damaged)
{
	fixture_account(&f, "a@example.org");
	write_raw(TABLE_NAMES, slice_make("example.org\0a", 13),
		slice_make("\x01\x01\0\0\0\0\0\0\0\x07", 10));
	fixture_reopen(&f);
	ck_assert_str_eq(fixture_expand(&f, "a@example.org"), "! DAMAGED");
}
END_TEST

START_TEST(a_newer_format_is_not_opened)
{
	struct directory_options options = {&fixture_clock, &entropy_system, ""};

	write_raw(TABLE_META, SLICE("format"), slice_make("\0\0\0\x02", 4));
	ck_assert_int_eq(directory_open(f.dir, &options, &f.directory), FAULT_UNSUPPORTED);
	write_raw(TABLE_META, SLICE("format"), SLICE("x"));
	ck_assert_int_eq(directory_open(f.dir, &options, &f.directory), FAULT_DAMAGED);
	f.directory = NULL;
}
END_TEST

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

UNIT(directory_model)
{
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 120);
	unit_add(tc, the_directory_does_what_a_naive_model_does);
	unit_add(tc, a_damaged_account_harms_nobody_else);
	unit_add(tc, a_name_without_its_account_is_damaged);
	unit_add(tc, a_newer_format_is_not_opened);
}
