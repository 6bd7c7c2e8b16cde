/* SPDX-License-Identifier: ISC */
#include "common/store/writer.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/store/fixture.h"

START_TEST(an_account_starts_with_special_mailboxes_subscribed)
{
	static const char *const names[] = {"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"};
	struct fixture f = {0};
	struct store_mailbox_list list;
	struct arena arena;

	fixture_open(&f);
	arena_init(&arena, 1 << 20);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_mailboxes(f.reader, ALICE, &arena, &list));
	ck_assert_uint_eq(list.count, 6);
	for (size_t i = 0; i < list.count; i++) {
		ck_assert_str_eq(list.mailboxes[i].name, names[i]);
		ck_assert(list.mailboxes[i].subscribed);
		ck_assert_uint_ge(list.mailboxes[i].highest_modseq, 1);
	}
	ck_assert_uint_eq(list.mailboxes[0].id, STORE_INBOX);
	struct store_mailbox sent;
	ck_assert_ok(reader_mailbox_by_use(f.reader, ALICE, STORE_USE_SENT, &sent));
	ck_assert_str_eq(sent.name, "Sent");
	ck_assert_str_eq(store_special_use_text(sent.special_use), "\\Sent");
	reader_end(f.reader);
	arena_clear(&arena);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(an_appended_message_is_read_back_with_its_prefix)
{
	struct fixture f = {0};
	struct store_message m;

	fixture_open(&f);
	ck_assert_uint_eq(
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("Subject: a\r\n\r\nx\r\n")), 1);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("")), 2);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("Subject: a\r\n\r\nx\r\n"));
	fixture_expect(&f, ALICE, STORE_INBOX, 2, SLICE(""));
	m = fixture_load(&f, ALICE, STORE_INBOX, 1);
	ck_assert_int_eq(m.received_at, 1700000000);
	ck_assert_int_eq(m.zone, -90);
	struct store_mailbox inbox = fixture_mailbox(&f, ALICE, "inbox");
	ck_assert_uint_eq(inbox.exists, 2);
	ck_assert_uint_eq(inbox.unseen, 2);
	ck_assert_uint_eq(inbox.recent, 2);
	ck_assert_uint_eq(inbox.uidnext, 3);
	ck_assert_uint_eq(inbox.highest_modseq, fixture_load(&f, ALICE, STORE_INBOX, 2).modseq);
	fixture_verify(&f);
	fixture_reopen(&f);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("Subject: a\r\n\r\nx\r\n"));
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_message_to_many_accounts_stores_its_body_once)
{
	struct fixture f = {0};
	struct fixture_message m;

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("shared"));
	m.request.target_count = 4;
	m.targets[2].account = 4711;
	m.targets[3].mailbox = 99;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	ck_assert_ok(m.targets[0].fault);
	ck_assert_ok(m.targets[1].fault);
	ck_assert_fault(m.targets[2].fault, FAULT_NOT_FOUND);
	ck_assert_fault(m.targets[3].fault, FAULT_NOT_FOUND);
	struct store_message a = fixture_load(&f, ALICE, STORE_INBOX, 1);
	struct store_message b = fixture_load(&f, BOB, STORE_INBOX, 1);
	ck_assert_uint_eq(a.body_id, b.body_id);
	ck_assert_uint_ne(a.email_id, b.email_id);
	fixture_expect(&f, BOB, STORE_INBOX, 1, SLICE("shared"));
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_delivery_id_is_delivered_once)
{
	struct fixture f = {0};
	struct fixture_message m;
	uint64_t email = 0;

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("once"));
	m.request.target_count = 2;
	memcpy(m.targets[0].delivery_id, "0123456789abcdef", 16);
	memcpy(m.targets[1].delivery_id, "0123456789abcdef", 16);
	for (int round = 0; round < 3; round++) {
		fixture_begin(&f);
		writer_append(f.writer, &m.request);
		if (round == 0)
			writer_append(f.writer, &m.request);
		fixture_commit(&f);
		ck_assert_ok(m.targets[0].fault);
		ck_assert_uint_eq(m.targets[0].uid, 1);
		ck_assert(m.targets[0].repeated);
		ck_assert(round == 0 || email == m.targets[0].email_id);
		email = m.targets[0].email_id;
		fixture_reopen(&f);
	}
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 1);
	ck_assert_uint_eq(fixture_mailbox(&f, BOB, "INBOX").exists, 1);
	/* After its time the id is forgotten. */
	bool more = true;
	f.now_ms += INT64_C(8) * 86400 * 1000;
	while (more)
		ck_assert_ok(writer_housekeep(f.writer, &more));
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	ck_assert_uint_eq(m.targets[0].uid, 2);
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(a_delivery_makes_the_account_and_falls_back_to_inbox)
{
	struct fixture f = {0};
	struct fixture_message m;

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("hello"));
	m.targets[0].account = 5;
	m.targets[0].mailbox = 77;
	m.targets[0].make_account = m.targets[0].or_inbox = true;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	ck_assert_ok(m.targets[0].fault);
	ck_assert_uint_eq(m.targets[0].mailbox_used, STORE_INBOX);
	fixture_expect(&f, 5, STORE_INBOX, 1, SLICE("hello"));
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(over_quota_is_refused_and_spoils_no_other)
{
	struct fixture f = {0};
	struct fixture_message m;

	fixture_open(&f);
	fixture_begin(&f);
	ck_assert_ok(writer_account_ensure(f.writer, ALICE, 100));
	fixture_commit(&f);
	fixture_message(&f, &m, SLICE("0123456789012345678901234567890123456789"));
	m.request.target_count = 4;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	ck_assert_ok(m.targets[0].fault);
	ck_assert_ok(m.targets[1].fault);
	ck_assert_fault(m.targets[2].fault, FAULT_OVER_QUOTA);
	ck_assert_ok(m.targets[3].fault);
	struct writer_copy copy = {
		.uids = {.account = ALICE, .mailbox = STORE_INBOX}, .to = STORE_INBOX + 1};
	fixture_begin(&f);
	ck_assert_fault(writer_copy(f.writer, &copy), FAULT_OVER_QUOTA);
	ck_assert_ok(writer_move(f.writer, &copy));
	fixture_commit(&f);
	ck_assert_uint_eq(uid_set_total(&copy.copied), 1);
	uid_set_clear(&copy.copied);
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(an_aborted_batch_leaves_nothing)
{
	struct fixture f = {0};
	struct fixture_message m;

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("aborted"));
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	ck_assert_ok(m.targets[0].fault);
	writer_abort(f.writer);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("kept")), 1);
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("kept"));
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(segments_roll_over_and_dead_ones_go)
{
	struct fixture f = {.options.segment_size_max = 3000};
	char body[1000];
	uint64_t state = 1;
	bool more = true;

	fixture_open(&f);
	for (int i = 0; i < 20; i++) {
		for (size_t j = 0; j < sizeof(body); j++)
			body[j] = (char)fixture_random(&state, 256);
		fixture_append(&f, ALICE, STORE_INBOX, slice_make(body, sizeof(body)));
	}
	ck_assert_uint_gt(fixture_body(&f, ALICE, STORE_INBOX, 20).segment, 4);
	struct writer_expunge e = {.uids = {.account = ALICE,
					   .mailbox = STORE_INBOX,
					   .ranges = &(struct uid_range){1, 15},
					   .range_count = 1}};
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	fixture_commit(&f);
	ck_assert_uint_eq(uid_set_total(&e.expunged), 15);
	uid_set_clear(&e.expunged);
	fixture_verify(&f);
	f.now_ms += INT64_C(15) * 86400 * 1000;
	for (int i = 0; i < 5 && more; i++)
		ck_assert_ok(writer_housekeep(f.writer, &more));
	ck_assert(!more);
	(void)fixture_compact(&f, &(struct compact_options){100, 0, 1 << 20, 0});
	char path[128];
	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/segments/00000001.seg", f.dir), 128);
	ck_assert_int_ne(access(path, F_OK), 0);
	fixture_verify(&f);
	fixture_expect(&f, ALICE, STORE_INBOX, 20, slice_make(body, sizeof(body)));
	fixture_reopen(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(an_expunged_message_can_be_undeleted_until_its_time)
{
	struct fixture f = {0};
	struct uid_range uid;
	bool more;

	fixture_open(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("come back"));
	uint64_t email = fixture_load(&f, ALICE, STORE_INBOX, 1).email_id;
	struct writer_expunge e = {.uids = {.account = ALICE, .mailbox = STORE_INBOX}};
	fixture_begin(&f);
	ck_assert_ok(writer_expunge(f.writer, &e));
	fixture_commit(&f);
	uid_set_clear(&e.expunged);
	ck_assert_ok(writer_housekeep(f.writer, &more));
	fixture_begin(&f);
	ck_assert_fault(writer_undelete(f.writer, BOB, email, &uid), FAULT_NOT_FOUND);
	ck_assert_ok(writer_undelete(f.writer, ALICE, email, &uid));
	ck_assert_fault(writer_undelete(f.writer, ALICE, email, &uid), FAULT_NOT_FOUND);
	fixture_commit(&f);
	ck_assert_uint_eq(uid.first, 2);
	fixture_expect(&f, ALICE, STORE_INBOX, 2, SLICE("come back"));
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(threads_are_tied_by_message_ids)
{
	struct fixture f = {0};
	struct fixture_message m;
	uint64_t hashes[3][2] = {{10, 20}, {30, 10}, {40, 50}}, threads[3];

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("thread"));
	fixture_begin(&f);
	for (int i = 0; i < 3; i++) {
		m.request.thread_hashes = hashes[i];
		m.request.thread_hash_count = 2;
		writer_append(f.writer, &m.request);
		threads[i] = m.targets[0].thread_id;
	}
	fixture_commit(&f);
	ck_assert_uint_eq(threads[0], threads[1]);
	ck_assert_uint_ne(threads[0], threads[2]);
	fixture_message_clear(&m);
	fixture_close(&f);
}
END_TEST

START_TEST(a_removed_account_is_gone_in_slices)
{
	struct fixture f = {0};
	struct fixture_message m;
	struct store_account account;
	enum fault fault = FAULT_BUSY;
	unsigned rounds = 0;

	fixture_open(&f);
	fixture_message(&f, &m, SLICE("gone"));
	fixture_begin(&f);
	for (int i = 0; i < 5000; i++)
		writer_append(f.writer, &m.request);
	fixture_commit(&f);
	for (; fault == FAULT_BUSY && rounds < 20; rounds++) {
		fixture_begin(&f);
		fault = writer_account_remove(f.writer, ALICE);
		fixture_commit(&f);
		fixture_verify(&f);
	}
	ck_assert_ok(fault);
	ck_assert_uint_gt(rounds, 1);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_fault(reader_account(f.reader, ALICE, &account), FAULT_NOT_FOUND);
	reader_end(f.reader);
	fixture_message_clear(&m);
	fixture_close(&f);
}
END_TEST

START_TEST(a_second_writer_is_refused)
{
	struct fixture f = {0};
	struct store_writer *second = NULL;

	fixture_open(&f);
	ck_assert_fault(writer_open(f.dir, &f.options, &second), FAULT_BUSY);
	fixture_close(&f);
}
END_TEST

START_TEST(segments_without_their_index_are_not_touched)
{
	struct fixture f = {0};
	char path[128];

	fixture_open(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("precious"));
	writer_close(f.writer);
	f.writer = NULL;
	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/index", f.dir), 128);
	fixture_dir_remove(path);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_DAMAGED);
	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/segments/00000001.seg", f.dir), 128);
	ck_assert_int_eq(access(path, F_OK), 0);
	fixture_close(&f);
}
END_TEST

UNIT(writer)
{
	unit_add(tc, an_account_starts_with_special_mailboxes_subscribed);
	unit_add(tc, an_appended_message_is_read_back_with_its_prefix);
	unit_add(tc, a_message_to_many_accounts_stores_its_body_once);
	unit_add(tc, a_delivery_id_is_delivered_once);
	unit_add(tc, a_delivery_makes_the_account_and_falls_back_to_inbox);
	unit_add(tc, over_quota_is_refused_and_spoils_no_other);
	unit_add(tc, an_aborted_batch_leaves_nothing);
	unit_add(tc, segments_roll_over_and_dead_ones_go);
	unit_add(tc, an_expunged_message_can_be_undeleted_until_its_time);
	unit_add(tc, threads_are_tied_by_message_ids);
	unit_add(tc, a_removed_account_is_gone_in_slices);
	unit_add(tc, a_second_writer_is_refused);
	unit_add(tc, segments_without_their_index_are_not_touched);
}
