/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "tests/unit/store/fixture.h"

/* Ten messages in ALICE's INBOX. */
static void
ten_open(struct fixture *f)
{
	fixture_open(f);
	for (uint32_t i = 1; i <= 10; i++)
		ck_assert_uint_eq(fixture_append(f, ALICE, STORE_INBOX, SLICE("body")), i);
}

static struct writer_flags
flags_of(const struct uid_range *range, enum writer_flags_verb verb, uint8_t flags)
{
	return (struct writer_flags){
		.uids = {ALICE, STORE_INBOX, range, range != NULL ? 1 : 0},
		.verb = verb,
		.flags = flags,
	};
}

static void
flags_store(struct fixture *f, struct writer_flags *flags)
{
	fixture_begin(f);
	ck_assert_ok(writer_flags_store(f->writer, flags));
	fixture_commit(f);
}

static void
flags_clear(struct writer_flags *flags)
{
	uid_set_clear(&flags->changed);
	uid_set_clear(&flags->failed);
}

START_TEST(flags_are_set_added_and_removed)
{
	static const struct {
		enum writer_flags_verb verb;
		uint8_t flags;
		uint8_t expected;
		bool changes;
	} rows[] = {
		{WRITER_FLAGS_ADD, STORE_SEEN, STORE_SEEN, true},
		{WRITER_FLAGS_ADD, STORE_SEEN, STORE_SEEN, false},
		{WRITER_FLAGS_ADD, STORE_DELETED, STORE_SEEN | STORE_DELETED, true},
		{WRITER_FLAGS_REMOVE, STORE_SEEN | STORE_DRAFT, STORE_DELETED, true},
		{WRITER_FLAGS_SET, STORE_FLAGGED | 128, STORE_FLAGGED, true},
		{WRITER_FLAGS_SET, 0, 0, true},
	};
	struct fixture f = {0};
	struct uid_range range = {3, 5};
	size_t event_count;

	ten_open(&f);
	uint64_t modseq = fixture_mailbox(&f, ALICE, "INBOX").highest_modseq;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct writer_flags flags = flags_of(&range, rows[i].verb, rows[i].flags);
		flags_store(&f, &flags);
		ck_assert_uint_eq(flags.modseq, rows[i].changes ? ++modseq : 0);
		ck_assert_uint_eq(uid_set_total(&flags.changed), rows[i].changes ? 3 : 0);
		(void)writer_events(f.writer, &event_count);
		ck_assert_uint_eq(event_count, rows[i].changes);
		flags_clear(&flags);
		struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, 4);
		ck_assert_uint_eq(m.flags, rows[i].expected);
		ck_assert_uint_eq(m.modseq, modseq);
		ck_assert_uint_eq(fixture_load(&f, ALICE, STORE_INBOX, 6).flags, 0);
		struct store_mailbox inbox = fixture_mailbox(&f, ALICE, "INBOX");
		ck_assert_uint_eq(inbox.deleted, (rows[i].expected & STORE_DELETED) != 0 ? 3 : 0);
		ck_assert_uint_eq(inbox.unseen, (rows[i].expected & STORE_SEEN) != 0 ? 7 : 10);
		ck_assert_uint_eq(inbox.highest_modseq, modseq);
	}
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(unchangedsince_leaves_newer_messages_alone)
{
	struct fixture f = {0};
	struct uid_range range = {2, 3};

	ten_open(&f);
	uint64_t before = fixture_mailbox(&f, ALICE, "INBOX").highest_modseq;
	struct writer_flags flags = flags_of(&range, WRITER_FLAGS_ADD, STORE_SEEN);
	flags_store(&f, &flags);
	flags_clear(&flags);
	flags = flags_of(NULL, WRITER_FLAGS_ADD, STORE_FLAGGED);
	flags.conditional = true;
	flags.unchanged_since = before;
	flags_store(&f, &flags);
	ck_assert_uint_eq(flags.failed.count, 1);
	ck_assert_uint_eq(flags.failed.ranges[0].first, 2);
	ck_assert_uint_eq(flags.failed.ranges[0].last, 3);
	ck_assert_uint_eq(uid_set_total(&flags.changed), 8);
	flags_clear(&flags);
	fixture_close(&f);
}
END_TEST

START_TEST(keywords_are_numbered_without_case_and_limited)
{
	struct fixture f = {0};
	struct uid_range range = {1, 1};
	struct slice two[] = {SLICE("$Forwarded"), SLICE("$forwarded")}, bad[] = {SLICE("a b")};
	struct store_keyword_names names;
	struct arena arena;
	char text[16];

	ten_open(&f);
	arena_init(&arena, 1 << 16);
	struct writer_flags flags = flags_of(&range, WRITER_FLAGS_ADD, 0);
	flags.keywords = two;
	flags.keyword_count = 2;
	flags_store(&f, &flags);
	flags_clear(&flags);
	struct store_message marked = fixture_load(&f, ALICE, STORE_INBOX, 1);
	ck_assert(store_keywords_has(&marked.keywords, 0));
	ck_assert(!store_keywords_has(&marked.keywords, 1));
	flags.keywords = bad;
	flags.keyword_count = 1;
	fixture_begin(&f);
	ck_assert_fault(writer_flags_store(f.writer, &flags), FAULT_SYNTAX);
	for (int i = 1; i <= STORE_KEYWORDS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "k%d", i);
		struct slice name = slice_text(text);
		flags.keywords = &name;
		enum fault fault = writer_flags_store(f.writer, &flags);
		ck_assert_fault(fault, i < STORE_KEYWORDS_MAX ? FAULT_OK : FAULT_LIMIT);
		flags_clear(&flags);
	}
	fixture_commit(&f);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_keywords(f.reader, ALICE, &arena, &names));
	reader_end(f.reader);
	ck_assert_uint_eq(names.count, STORE_KEYWORDS_MAX);
	ck_assert_slice_eq(names.names[0], "$Forwarded");
	ck_assert_slice_eq(names.names[127], "k127");
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, 1);
	ck_assert(m.keywords.bits[0] == UINT64_MAX && m.keywords.bits[1] == UINT64_MAX);
	arena_clear(&arena);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_copy_shares_the_email_and_gets_new_uids_in_order)
{
	struct fixture f = {0};
	struct uid_range ranges[] = {{2, 3}, {9, 20}};

	ten_open(&f);
	struct store_mailbox sent = fixture_mailbox(&f, ALICE, "Sent");
	struct writer_copy copy = {.uids = {ALICE, STORE_INBOX, ranges, 2}, .to = sent.id};
	fixture_begin(&f);
	ck_assert_ok(writer_copy(f.writer, &copy));
	fixture_commit(&f);
	ck_assert_uint_eq(copy.uid_first, 1);
	ck_assert_uint_eq(copy.uidvalidity, sent.uidvalidity);
	ck_assert_uint_eq(uid_set_total(&copy.copied), 4);
	ck_assert(uid_set_has(&copy.copied, 10));
	uid_set_clear(&copy.copied);
	struct store_message a = fixture_load(&f, ALICE, STORE_INBOX, 9);
	struct store_message b = fixture_load(&f, ALICE, sent.id, 3);
	ck_assert_uint_eq(a.email_id, b.email_id);
	ck_assert_uint_eq(a.thread_id, b.thread_id);
	ck_assert_uint_gt(b.modseq, a.modseq);
	fixture_expect(&f, ALICE, sent.id, 3, SLICE("body"));
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_copy_into_its_own_mailbox_ends)
{
	struct fixture f = {0};

	ten_open(&f);
	struct writer_copy copy = {.uids = {ALICE, STORE_INBOX, NULL, 0}, .to = STORE_INBOX};
	fixture_begin(&f);
	ck_assert_ok(writer_copy(f.writer, &copy));
	fixture_commit(&f);
	ck_assert_uint_eq(copy.uid_first, 11);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 20);
	uid_set_clear(&copy.copied);
	fixture_begin(&f);
	ck_assert_fault(writer_move(f.writer, &copy), FAULT_DENIED);
	copy.to = 99;
	ck_assert_fault(writer_move(f.writer, &copy), FAULT_NOT_FOUND);
	fixture_commit(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_move_expunges_there_and_keeps_the_email_id)
{
	struct fixture f = {0};
	struct uid_range range = {4, 5};

	ten_open(&f);
	uint64_t email = fixture_load(&f, ALICE, STORE_INBOX, 4).email_id;
	struct store_mailbox trash = fixture_mailbox(&f, ALICE, "Trash");
	struct writer_copy move = {.uids = {ALICE, STORE_INBOX, &range, 1}, .to = trash.id};
	fixture_begin(&f);
	ck_assert_ok(writer_move(f.writer, &move));
	fixture_commit(&f);
	uid_set_clear(&move.copied);
	ck_assert_uint_eq(fixture_load(&f, ALICE, trash.id, 1).email_id, email);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 8);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "Trash").exists, 2);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(expunge_takes_only_deleted_ones_when_asked)
{
	struct fixture f = {0};
	struct uid_range marked = {3, 6}, asked = {5, 9};

	ten_open(&f);
	struct writer_flags flags = flags_of(&marked, WRITER_FLAGS_ADD, STORE_DELETED);
	flags_store(&f, &flags);
	flags_clear(&flags);
	struct writer_expunge e = {.uids = {ALICE, STORE_INBOX, &asked, 1}, .only_deleted = true};
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	fixture_commit(&f);
	ck_assert_uint_eq(e.expunged.count, 1);
	ck_assert_uint_eq(e.expunged.ranges[0].first, 5);
	ck_assert_uint_eq(e.expunged.ranges[0].last, 6);
	uid_set_clear(&e.expunged);
	e.uids.ranges = NULL;
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	ck_assert_uint_eq(uid_set_total(&e.expunged), 2);
	uid_set_clear(&e.expunged);
	ck_assert_ok(writer_expunge(f.writer, &e));
	ck_assert_uint_eq(e.modseq, 0);
	fixture_commit(&f);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("next")), 11);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

struct seen_changes {
	struct store_change changes[64];
	size_t count;
};

static enum fault
change_note(void *arg, const struct store_change *change)
{
	struct seen_changes *s = arg;

	ck_assert_uint_lt(s->count, 64);
	s->changes[s->count++] = *change;
	return FAULT_OK;
}

static enum fault
changes_since(struct fixture *f, uint64_t since, struct seen_changes *seen)
{
	struct reader_changes query = {ALICE, STORE_INBOX, since, change_note, seen};

	seen->count = 0;
	ck_assert_ok(reader_begin(f->reader));
	enum fault fault = reader_changes(f->reader, &query);
	reader_end(f->reader);
	return fault;
}

START_TEST(the_change_log_tells_what_came_changed_and_went)
{
	struct fixture f = {0};
	struct seen_changes seen;
	struct uid_range range = {2, 3};

	ten_open(&f);
	uint64_t since = fixture_mailbox(&f, ALICE, "INBOX").highest_modseq;
	ck_assert_ok(changes_since(&f, since, &seen));
	ck_assert_uint_eq(seen.count, 0);
	struct writer_flags flags = flags_of(&range, WRITER_FLAGS_ADD, STORE_DELETED);
	flags_store(&f, &flags);
	flags_clear(&flags);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("new"));
	struct writer_expunge e = {.uids = {ALICE, STORE_INBOX, NULL, 0}, .only_deleted = true};
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	fixture_commit(&f);
	uid_set_clear(&e.expunged);
	ck_assert_ok(changes_since(&f, since, &seen));
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_int_eq(seen.changes[0].kind, STORE_CHANGE_FLAGS);
	ck_assert_uint_eq(seen.changes[0].uid_last, 3);
	ck_assert_int_eq(seen.changes[1].kind, STORE_CHANGE_NEW);
	ck_assert_uint_eq(seen.changes[1].uid_first, 11);
	ck_assert_int_eq(seen.changes[2].kind, STORE_CHANGE_EXPUNGED);
	ck_assert_uint_eq(seen.changes[2].uid_first, 2);
	fixture_close(&f);
}
END_TEST

START_TEST(a_trimmed_change_log_says_so)
{
	struct fixture f = {.options.changes_max = 20};
	struct seen_changes seen;
	struct store_account account;

	fixture_open(&f);
	for (int i = 0; i < 60; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("x"));
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_account(f.reader, ALICE, &account));
	reader_end(f.reader);
	ck_assert_uint_le(account.changes, 22);
	ck_assert_uint_gt(account.oldest_modseq, 30);
	ck_assert_fault(changes_since(&f, account.oldest_modseq - 1, &seen), FAULT_EXPIRED);
	ck_assert_ok(changes_since(&f, account.oldest_modseq, &seen));
	ck_assert_uint_eq(seen.count, account.modseq - account.oldest_modseq);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(recent_messages_are_claimed_once)
{
	struct fixture f = {0};
	struct uid_range recent;

	ten_open(&f);
	fixture_begin(&f);
	ck_assert_ok(writer_recent_claim(f.writer, ALICE, STORE_INBOX, &recent));
	ck_assert_uint_eq(recent.first, 1);
	ck_assert_uint_eq(recent.last, 10);
	ck_assert_ok(writer_recent_claim(f.writer, ALICE, STORE_INBOX, &recent));
	ck_assert_uint_gt(recent.first, recent.last);
	fixture_commit(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("x"));
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").recent, 1);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

UNIT(writer_messages)
{
	unit_add(tc, flags_are_set_added_and_removed);
	unit_add(tc, unchangedsince_leaves_newer_messages_alone);
	unit_add(tc, keywords_are_numbered_without_case_and_limited);
	unit_add(tc, a_copy_shares_the_email_and_gets_new_uids_in_order);
	unit_add(tc, a_copy_into_its_own_mailbox_ends);
	unit_add(tc, a_move_expunges_there_and_keeps_the_email_id);
	unit_add(tc, expunge_takes_only_deleted_ones_when_asked);
	unit_add(tc, the_change_log_tells_what_came_changed_and_went);
	unit_add(tc, a_trimmed_change_log_says_so);
	unit_add(tc, recent_messages_are_claimed_once);
}
