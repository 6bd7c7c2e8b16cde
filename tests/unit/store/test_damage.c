/* SPDX-License-Identifier: ISC */
/*
 * Records of the index that rotted, or were written by somebody else: readers get a fault for
 * that one record, verify finds it, and everything else goes on.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/store/index.h"
#include "tests/unit/store/fixture.h"

/* Opens the index itself, while the writer is closed. */
static struct kv *
index_open(struct fixture *f)
{
	struct kv_options options = {.tables = index_tables};
	char path[128];
	struct kv *kv;

	writer_close(f->writer);
	f->writer = NULL;
	(void)snprintf(path, sizeof(path), "%s/index", f->dir);
	ck_assert_ok(kv_open(path, &options, &kv));
	return kv;
}

static void
index_close(struct fixture *f, struct kv *kv, struct kv_txn *txn)
{
	ck_assert_ok(kv_commit(txn));
	kv_close(kv);
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
}

static uint64_t
findings(struct fixture *f)
{
	struct verify_options options = {.bodies = true};
	struct verify_progress progress = {0};

	ck_assert_ok(store_verify(f->reader, &options, &progress));
	return progress.findings;
}

START_TEST(a_damaged_message_record_hides_only_itself)
{
	struct fixture f = {0};
	struct index_key key = index_key_message(ALICE, STORE_INBOX, 2);
	struct store_message m;
	struct reader_walk walk;
	struct kv_txn txn;
	unsigned seen = 0;

	fixture_open(&f);
	for (int i = 0; i < 3; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("body"));
	struct kv *kv = index_open(&f);
	ck_assert_ok(kv_begin_write(kv, &txn));
	kv_put(&txn, INDEX_MESSAGES, index_key_slice(&key), SLICE("short"));
	index_close(&f, kv, &txn);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_fault(reader_message(f.reader, ALICE, STORE_INBOX, 2, &m), FAULT_DAMAGED);
	ck_assert_ok(reader_message(f.reader, ALICE, STORE_INBOX, 3, &m));
	reader_walk_open(f.reader, ALICE, STORE_INBOX, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &m); more; more = reader_walk_next(&walk, &m))
		seen++;
	ck_assert_fault(reader_walk_close(&walk), FAULT_DAMAGED);
	ck_assert_uint_eq(seen, 2);
	reader_end(f.reader);
	ck_assert_uint_gt(findings(&f), 0);
	fixture_expect(&f, ALICE, STORE_INBOX, 3, SLICE("body"));
	fixture_close(&f);
}
END_TEST

START_TEST(a_circle_of_parents_is_damage_not_a_loop)
{
	struct fixture f = {0};
	struct store_mailbox m;
	struct store_mailbox_list list;
	struct arena arena;
	struct kv_txn txn;

	fixture_open(&f);
	struct kv *kv = index_open(&f);
	ck_assert_ok(kv_begin_write(kv, &txn));
	ck_assert_ok(index_mailbox_load(&txn, ALICE, 2, &m));
	m.parent = 3;
	index_mailbox_save(&txn, &m);
	ck_assert_ok(index_mailbox_load(&txn, ALICE, 3, &m));
	m.parent = 2;
	index_mailbox_save(&txn, &m);
	index_close(&f, kv, &txn);
	arena_init(&arena, 1 << 20);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_fault(reader_mailbox(f.reader, ALICE, 2, &m), FAULT_DAMAGED);
	ck_assert_fault(reader_mailboxes(f.reader, ALICE, &arena, &list), FAULT_DAMAGED);
	ck_assert_ok(reader_mailbox(f.reader, ALICE, STORE_INBOX, &m));
	reader_end(f.reader);
	arena_clear(&arena);
	ck_assert_uint_gt(findings(&f), 0);
	fixture_close(&f);
}
END_TEST

START_TEST(a_newer_format_is_refused)
{
	struct fixture f = {0};
	struct kv_txn txn;
	struct store_reader *reader = NULL;

	fixture_open(&f);
	struct kv *kv = index_open(&f);
	ck_assert_ok(kv_begin_write(kv, &txn));
	index_meta_save(&txn, INDEX_META_FORMAT, STORE_FORMAT + 1);
	ck_assert_ok(kv_commit(&txn));
	kv_close(kv);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_UNSUPPORTED);
	ck_assert_fault(reader_open(f.dir, &reader), FAULT_UNSUPPORTED);
	fixture_close(&f);
}
END_TEST

START_TEST(a_flipped_byte_in_a_segment_is_found)
{
	struct fixture f = {0};
	char path[128];

	fixture_open(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("something of some length"));
	struct body_handle body = fixture_body(&f, ALICE, STORE_INBOX, 1);
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, 1);
	uint64_t first = body.offset - m.structure_len - m.prefix_len - SEGMENT_HEADER_SIZE;
	(void)snprintf(path, sizeof(path), "%s/segments/00000001.seg", f.dir);
	ck_assert_uint_eq(findings(&f), 0);
	for (uint64_t at = first; at < body.offset + body.stored_len; at++) {
		FILE *file = fopen(path, "r+");
		ck_assert_ptr_nonnull(file);
		for (int round = 0; round < 2; round++) {
			must(fseek(file, (long)at, SEEK_SET) == 0);
			int byte = fgetc(file);
			must(fseek(file, (long)at, SEEK_SET) == 0);
			fputc(byte ^ 0x40, file);
			fflush(file);
			if ((findings(&f) != 0) != (round == 0))
				ck_abort_msg("byte %llu, round %d", (unsigned long long)at, round);
		}
		fclose(file);
	}
	fixture_close(&f);
}
END_TEST

static enum fault
name_ignore(void *arg, struct slice name)
{
	(void)arg, (void)name;
	return FAULT_OK;
}

static enum fault
change_ignore(void *arg, const struct store_change *change)
{
	(void)arg, (void)change;
	return FAULT_OK;
}

static enum fault
expunged_ignore(void *arg, int64_t at, const struct store_message *m)
{
	(void)arg, (void)at, (void)m;
	return FAULT_OK;
}

/* Everything a reader can ask; faults are fine, dying is not. */
static void
read_everything(struct fixture *f)
{
	struct store_reader *r = f->reader;
	struct store_mailbox_list list;
	struct store_keyword_names names;
	struct store_mailbox mailbox;
	struct store_message m;
	struct store_content content;
	struct uid_set uids = {0};
	struct slice structure;
	struct arena arena;
	struct reader_changes changes = {ALICE, 0, 0, change_ignore, NULL};
	struct reader_walk walk;
	char bytes[64];

	arena_init(&arena, 1 << 20);
	if (reader_begin(r) != FAULT_OK)
		return;
	(void)!reader_mailboxes(r, ALICE, &arena, &list);
	(void)!reader_keywords(r, ALICE, &arena, &names);
	(void)!reader_mailbox_by_name(r, ALICE, SLICE("a/b"), &mailbox);
	(void)!reader_mailbox_by_use(r, ALICE, STORE_USE_SENT, &mailbox);
	(void)!reader_subscriptions(r, ALICE, name_ignore, NULL);
	(void)!reader_changes(r, &changes);
	(void)!reader_expunged(r, ALICE, expunged_ignore, NULL);
	(void)!reader_uids(r, ALICE, STORE_INBOX, 0, &uids);
	uid_set_clear(&uids);
	reader_walk_open(r, ALICE, STORE_INBOX, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &m); more; more = reader_walk_next(&walk, &m)) {
		(void)!reader_structure(r, &m, &structure);
		if (reader_content(r, &m, &content) == FAULT_OK)
			(void)!reader_read(
				r, &content, 0, (struct body_span){bytes, sizeof(bytes)});
	}
	(void)reader_walk_close(&walk);
	reader_end(r);
	arena_clear(&arena);
}

/* Spoils one record somewhere: a flipped byte, a cut or a longer one. */
static void
record_spoil(struct kv_txn *txn, uint64_t *state)
{
	struct kv_cursor c;
	char value[4096];
	unsigned table = fixture_random(state, INDEX_TABLE_COUNT);

	if (table == INDEX_META)
		return;
	kv_cursor_open(txn, table, &c);
	bool found = kv_first(&c);
	for (uint32_t skip = fixture_random(state, 12); found && skip > 0; skip--)
		found = kv_next(&c) || kv_first(&c);
	if (found && c.value.len > 0 && c.value.len < sizeof(value) - 1) {
		size_t len = c.value.len;
		memcpy(value, c.value.data, len);
		value[len] = 'x';
		value[fixture_random(state, (uint32_t)len)] ^=
			(char)(1 + fixture_random(state, 255));
		if (fixture_random(state, 3) == 0)
			len = fixture_random(state, (uint32_t)len + 2);
		kv_cursor_put(&c, slice_make(value, len));
	}
	kv_cursor_close(&c);
}

START_TEST(random_damage_of_the_index_kills_nobody)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	uint64_t state = seed;
	struct fixture f = {0};
	struct uid_range one = {1, 3};
	struct slice keyword = SLICE("k");
	bool more;

	printf("damaged index: SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	fixture_open(&f);
	for (int i = 0; i < 8; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("body of a message to be spoilt"));
	fixture_begin(&f);
	struct writer_create create = {.account = ALICE, .name = SLICE("a/b")};
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	struct writer_flags flags = {
		.uids = {ALICE, STORE_INBOX, &one, 1}, .keywords = &keyword, .keyword_count = 1};
	ck_assert_ok(writer_flags_store(f.writer, &flags));
	uid_set_clear(&flags.changed);
	fixture_commit(&f);
	for (int round = 0; round < 300; round++) {
		struct kv *kv = index_open(&f);
		struct kv_txn txn;
		ck_assert_ok(kv_begin_write(kv, &txn));
		record_spoil(&txn, &state);
		index_close(&f, kv, &txn);
		read_everything(&f);
		(void)findings(&f);
		/* The writer too meets broken records; a batch may fail, not the process. */
		if (round % 10 != 0 || writer_begin(f.writer) != FAULT_OK)
			continue;
		struct writer_copy copy = {.uids = {ALICE, STORE_INBOX, &one, 1}, .to = 2};
		struct writer_expunge expunge = {.uids = {ALICE, STORE_INBOX, &one, 1}};
		(void)!writer_flags_store(f.writer, &flags);
		(void)!writer_copy(f.writer, &copy);
		(void)!writer_expunge(f.writer, &expunge);
		(void)!writer_mailbox_rename(f.writer, ALICE, SLICE("a/b"), SLICE("b/a"));
		(void)!writer_commit(f.writer);
		uid_set_clear(&flags.changed);
		uid_set_clear(&flags.failed);
		uid_set_clear(&copy.copied);
		uid_set_clear(&expunge.expunged);
		(void)!writer_housekeep(f.writer, &more);
	}
	fixture_close(&f);
}
END_TEST

START_TEST(an_account_with_damaged_records_can_be_removed)
{
	struct fixture f = {0};
	struct index_key keys[] = {index_key_message(ALICE, STORE_INBOX, 2),
		index_key_message(ALICE, 4711, 1), index_key_message(ALICE, STORE_INBOX, 9)};
	enum fault fault = FAULT_BUSY;
	struct kv_txn txn;

	fixture_open(&f);
	for (int i = 0; i < 3; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("body"));
	fixture_append(&f, BOB, STORE_INBOX, SLICE("body"));
	struct kv *kv = index_open(&f);
	ck_assert_ok(kv_begin_write(kv, &txn));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		kv_put(&txn, INDEX_MESSAGES, index_key_slice(&keys[i]), SLICE("rot"));
	index_close(&f, kv, &txn);
	for (int i = 0; i < 20 && fault == FAULT_BUSY; i++) {
		fixture_begin(&f);
		fault = writer_account_remove(f.writer, ALICE);
		fixture_commit(&f);
	}
	ck_assert_ok(fault);
	fixture_expect(&f, BOB, STORE_INBOX, 1, SLICE("body"));
	fixture_close(&f);
}
END_TEST

UNIT(damage)
{
	unit_add(tc, a_damaged_message_record_hides_only_itself);
	unit_add(tc, an_account_with_damaged_records_can_be_removed);
	unit_add(tc, a_circle_of_parents_is_damage_not_a_loop);
	unit_add(tc, a_newer_format_is_refused);
	unit_add(tc, a_flipped_byte_in_a_segment_is_found);
	unit_add(tc, random_damage_of_the_index_kills_nobody);
}
