/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "tests/unit/store/fixture.h"

static enum fault
create(struct fixture *f, const char *name)
{
	struct writer_create c = {.account = ALICE, .name = slice_text(name)};

	fixture_begin(f);
	enum fault fault = writer_mailbox_create(f->writer, &c);
	fixture_commit(f);
	return fault;
}

static enum fault
mailbox_delete(struct fixture *f, const char *name)
{
	fixture_begin(f);
	enum fault fault = writer_mailbox_delete(f->writer, ALICE, slice_text(name));
	fixture_commit(f);
	return fault;
}

static enum fault
change_name(struct fixture *f, const char *from, const char *to)
{
	fixture_begin(f);
	enum fault fault =
		writer_mailbox_rename(f->writer, ALICE, slice_text(from), slice_text(to));
	fixture_commit(f);
	return fault;
}

/* All names of ALICE but the first six, separated by spaces; \Noselect in brackets. */
static const char *
names_of(struct fixture *f)
{
	static char text[4096];
	struct store_mailbox_list list;
	struct arena arena;
	size_t at = 0;

	arena_init(&arena, 1 << 20);
	ck_assert_ok(reader_begin(f->reader));
	ck_assert_ok(reader_mailboxes(f->reader, ALICE, &arena, &list));
	reader_end(f->reader);
	text[0] = '\0';
	for (size_t i = 0; i < list.count; i++) {
		const struct store_mailbox *m = &list.mailboxes[i];
		if (m->id <= 6)
			continue;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s%s%s",
			at > 0 ? " " : "", m->noselect ? "[" : "", m->name, m->noselect ? "]" : "",
			m->has_children ? "+" : "");
	}
	arena_clear(&arena);
	return text;
}

START_TEST(create_makes_parents_and_knows_bad_names)
{
	static const struct {
		const char *name;
		enum fault fault;
	} rows[] = {
		{"a/b/c", FAULT_OK}, {"a/b", FAULT_EXISTS}, {"a/x/", FAULT_OK},
		{"inbox", FAULT_EXISTS}, {"inBox/sub", FAULT_OK}, {"INBOX/sub", FAULT_EXISTS},
		{"", FAULT_SYNTAX}, {"/a", FAULT_SYNTAX}, {"a//b", FAULT_SYNTAX},
		{"a\001", FAULT_SYNTAX}, {"\xff", FAULT_SYNTAX}, {"\xc2\x85", FAULT_SYNTAX},
		{"Caf\xc3\xa9", FAULT_OK},
		{"Cafe\xcc\x81", FAULT_EXISTS}, /* the same in normal form C */
	};
	struct fixture f = {0};
	char level[257];

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum fault fault = create(&f, rows[i].name);
		ck_assert_msg(fault == rows[i].fault, "%s: %s", rows[i].name, fault_name(fault));
	}
	memset(level, 'l', 256);
	level[256] = '\0';
	ck_assert_fault(create(&f, level), FAULT_TOO_LONG);
	level[255] = '\0';
	ck_assert_ok(create(&f, level));
	ck_assert_ok(mailbox_delete(&f, level));
	ck_assert_str_eq(names_of(&f), "INBOX/sub Caf\xc3\xa9 a+ a/b+ a/b/c a/x");
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(ids_and_uidvalidity_are_never_used_again)
{
	struct fixture f = {0};

	fixture_open(&f);
	ck_assert_ok(create(&f, "a"));
	struct store_mailbox first = fixture_mailbox(&f, ALICE, "a");
	ck_assert_ok(mailbox_delete(&f, "a"));
	ck_assert_fault(mailbox_delete(&f, "a"), FAULT_NOT_FOUND);
	ck_assert_ok(create(&f, "a"));
	struct store_mailbox second = fixture_mailbox(&f, ALICE, "a");
	ck_assert_uint_gt(second.id, first.id);
	ck_assert_uint_gt(second.uidvalidity, first.uidvalidity);
	/* The clock went back: still no repetition. */
	f.now_ms -= INT64_C(1000000000);
	ck_assert_ok(mailbox_delete(&f, "a"));
	ck_assert_ok(create(&f, "a"));
	ck_assert_uint_gt(fixture_mailbox(&f, ALICE, "a").uidvalidity, second.uidvalidity);
	fixture_close(&f);
}
END_TEST

START_TEST(deleting_a_parent_leaves_a_noselect_name)
{
	struct fixture f = {0};
	struct fixture_message m;

	fixture_open(&f);
	ck_assert_ok(create(&f, "p/c"));
	struct store_mailbox p = fixture_mailbox(&f, ALICE, "p");
	fixture_append(&f, ALICE, p.id, SLICE("in the parent"));
	ck_assert_ok(mailbox_delete(&f, "p"));
	ck_assert_str_eq(names_of(&f), "[p]+ p/c");
	ck_assert_fault(mailbox_delete(&f, "p"), FAULT_HAS_CHILDREN);
	fixture_message(&f, &m, SLICE("refused"));
	m.targets[0].mailbox = p.id;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	ck_assert_fault(m.targets[0].fault, FAULT_DENIED);
	fixture_message_clear(&m);
	/* Made again it goes on with its UIDs (RFC 3501 6.3.4). */
	ck_assert_ok(create(&f, "p"));
	ck_assert_str_eq(names_of(&f), "p+ p/c");
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "p").exists, 0);
	ck_assert_uint_eq(fixture_append(&f, ALICE, p.id, SLICE("again")), 2);
	fixture_verify(&f);
	ck_assert_fault(mailbox_delete(&f, "INBOX"), FAULT_DENIED);
	fixture_close(&f);
}
END_TEST

START_TEST(rename_keeps_ids_and_takes_children_along)
{
	struct fixture f = {0};

	fixture_open(&f);
	ck_assert_ok(create(&f, "a/b/c"));
	struct store_mailbox c = fixture_mailbox(&f, ALICE, "a/b/c");
	ck_assert_ok(change_name(&f, "a/b", "new/place"));
	ck_assert_str_eq(names_of(&f), "a new+ new/place+ new/place/c");
	struct store_mailbox moved = fixture_mailbox(&f, ALICE, "new/place/c");
	ck_assert_uint_eq(moved.id, c.id);
	ck_assert_uint_eq(moved.uidvalidity, c.uidvalidity);
	ck_assert_fault(change_name(&f, "a", "new"), FAULT_EXISTS);
	ck_assert_fault(change_name(&f, "new", "new/place/deeper"), FAULT_DENIED);
	ck_assert_fault(change_name(&f, "none", "other"), FAULT_NOT_FOUND);
	ck_assert_fault(change_name(&f, "a", "INBOX"), FAULT_EXISTS);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(renaming_inbox_moves_its_messages)
{
	struct fixture f = {0};

	fixture_open(&f);
	ck_assert_ok(create(&f, "INBOX/child"));
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("one"));
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("two"));
	ck_assert_ok(change_name(&f, "INBOX", "old"));
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 0);
	struct store_mailbox old = fixture_mailbox(&f, ALICE, "old");
	ck_assert_uint_eq(old.exists, 2);
	fixture_expect(&f, ALICE, old.id, 2, SLICE("two"));
	ck_assert_fault(change_name(&f, "INBOX", "old"), FAULT_EXISTS);
	ck_assert_str_eq(names_of(&f), "INBOX/child old");
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("three")), 3);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_rename_that_makes_names_too_long_is_refused)
{
	struct fixture f = {0};
	char name[STORE_NAME_MAX + 1];

	fixture_open(&f);
	memset(name, 'x', sizeof(name));
	for (size_t i = 199; i < 900; i += 200)
		name[i] = '/';
	name[900] = '\0';
	ck_assert_ok(create(&f, name));
	ck_assert_ok(create(&f, "parent/of/many/levels"));
	name[199] = '\0';
	char to[1200];
	(void)snprintf(to, sizeof(to), "parent/of/many/levels/%0100d/%s", 0, name);
	ck_assert_fault(change_name(&f, name, to), FAULT_TOO_LONG);
	(void)snprintf(to, sizeof(to), "parent/%s", name);
	ck_assert_ok(change_name(&f, name, to));
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

static enum fault
name_count(void *arg, struct slice name)
{
	(void)name;
	(*(unsigned *)arg)++;
	return FAULT_OK;
}

START_TEST(subscriptions_outlive_their_mailbox)
{
	struct fixture f = {0};
	unsigned count = 0;

	fixture_open(&f);
	ck_assert_ok(create(&f, "list"));
	fixture_begin(&f);
	ck_assert_fault(writer_subscribe(f.writer, ALICE, SLICE("nowhere"), true), FAULT_NOT_FOUND);
	ck_assert_ok(writer_subscribe(f.writer, ALICE, SLICE("list"), true));
	ck_assert_ok(writer_subscribe(f.writer, ALICE, SLICE("nowhere"), false));
	fixture_commit(&f);
	ck_assert(fixture_mailbox(&f, ALICE, "list").subscribed);
	ck_assert_ok(mailbox_delete(&f, "list"));
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_subscriptions(f.reader, ALICE, name_count, &count));
	reader_end(f.reader);
	ck_assert_uint_eq(count, 7);
	fixture_begin(&f);
	ck_assert_ok(writer_subscribe(f.writer, ALICE, SLICE("list"), false));
	fixture_commit(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_special_use_belongs_to_one_mailbox)
{
	struct fixture f = {0};
	struct writer_create c = {
		.account = ALICE, .name = SLICE("Sent 2"), .special_use = STORE_USE_SENT};

	fixture_open(&f);
	fixture_begin(&f);
	ck_assert_fault(writer_mailbox_create(f.writer, &c), FAULT_EXISTS);
	uint32_t sent = 3;
	ck_assert_ok(writer_mailbox_use(f.writer, ALICE, sent, STORE_USE_NONE));
	ck_assert_ok(writer_mailbox_create(f.writer, &c));
	ck_assert_fault(writer_mailbox_use(f.writer, ALICE, sent, STORE_USE_SENT), FAULT_EXISTS);
	fixture_commit(&f);
	ck_assert_int_eq(fixture_mailbox(&f, ALICE, "Sent 2").special_use, STORE_USE_SENT);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

UNIT(writer_mailbox)
{
	unit_add(tc, create_makes_parents_and_knows_bad_names);
	unit_add(tc, ids_and_uidvalidity_are_never_used_again);
	unit_add(tc, deleting_a_parent_leaves_a_noselect_name);
	unit_add(tc, rename_keeps_ids_and_takes_children_along);
	unit_add(tc, renaming_inbox_moves_its_messages);
	unit_add(tc, a_rename_that_makes_names_too_long_is_refused);
	unit_add(tc, subscriptions_outlive_their_mailbox);
	unit_add(tc, a_special_use_belongs_to_one_mailbox);
}
