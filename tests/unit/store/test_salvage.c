/* SPDX-License-Identifier: ISC */
#include "common/store/salvage.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/store/fixture.h"

static void
index_lose(struct fixture *f)
{
	char path[128];

	writer_close(f->writer);
	f->writer = NULL;
	(void)snprintf(path, sizeof(path), "%s/index", f->dir);
	fixture_dir_remove(path);
}

START_TEST(a_lost_index_is_rebuilt_from_segments)
{
	struct fixture f = {.options.segment_size_max = 3000};
	struct fixture_message m;
	struct salvage_counts counts;

	fixture_open(&f);
	ck_assert_fault(store_salvage(f.dir, &f.clock, &counts), FAULT_EXISTS);
	for (int i = 0; i < 40; i++)
		fixture_append(&f, ALICE, 1 + (uint32_t)i % 3, SLICE("salvaged body"));
	fixture_begin(&f);
	struct writer_create create = {.account = ALICE, .name = SLICE("own")};
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	fixture_commit(&f);
	uint32_t uid = fixture_append(&f, ALICE, create.id, SLICE("in an own mailbox"));
	fixture_message(&f, &m, SLICE("to both"));
	m.request.target_count = 2;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	uint64_t email = fixture_load(&f, ALICE, STORE_INBOX, 3).email_id;
	index_lose(&f);
	ck_assert_ok(store_salvage(f.dir, &f.clock, &counts));
	ck_assert_uint_eq(counts.messages, 43);
	ck_assert_uint_eq(counts.bodies, 42);
	ck_assert_uint_eq(counts.lost, 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	fixture_verify(&f);
	ck_assert(fixture_load(&f, ALICE, STORE_INBOX, 3).email_id == email);
	fixture_expect(&f, ALICE, create.id, uid, SLICE("in an own mailbox"));
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "Salvaged 7").id, create.id);
	fixture_expect(&f, BOB, STORE_INBOX, 1, SLICE("to both"));
	/* It is a store like any other: UIDs and ids go on. */
	ck_assert_uint_eq(fixture_append(&f, ALICE, create.id, SLICE("new")), uid + 1);
	ck_assert_ok(writer_begin(f.writer));
	ck_assert_ok(writer_mailbox_create(
		f.writer, &(struct writer_create){.account = ALICE, .name = SLICE("next")}));
	fixture_commit(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "next").id, create.id + 1);
	fixture_verify(&f);
	fixture_message_clear(&m);
	fixture_close(&f);
}
END_TEST

START_TEST(damaged_records_are_passed_over)
{
	struct fixture f = {0};
	struct salvage_counts counts;
	char path[128];

	fixture_open(&f);
	for (int i = 0; i < 10; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("one of ten"));
	struct body_handle third = fixture_body(&f, ALICE, STORE_INBOX, 3);
	struct body_handle sixth = fixture_body(&f, ALICE, STORE_INBOX, 6);
	index_lose(&f);
	(void)snprintf(path, sizeof(path), "%s/segments/00000001.seg", f.dir);
	FILE *file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	/* A byte of a body, and the whole header of another record. */
	ck_assert_int_eq(fseek(file, (long)third.offset, SEEK_SET), 0);
	fputc('X', file);
	ck_assert_int_eq(fseek(file, (long)sixth.offset - 100, SEEK_SET), 0);
	fputs("garbage garbage garbage", file);
	fclose(file);
	ck_assert_ok(store_salvage(f.dir, &f.clock, &counts));
	ck_assert_uint_eq(counts.messages, 8);
	ck_assert_uint_eq(counts.lost, 1);
	ck_assert_uint_gt(counts.skipped, 100);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	fixture_verify(&f);
	fixture_expect(&f, ALICE, STORE_INBOX, 7, SLICE("one of ten"));
	fixture_close(&f);
}
END_TEST

/* The first segments of an old store are dead and gone: what is left is still somebody's mail. */
START_TEST(segments_without_an_index_are_never_cut_off)
{
	struct fixture f = {.options.segment_size_max = 1};
	struct store_writer *writer;
	char first[128], last[128];

	fixture_open(&f);
	for (int i = 0; i < 4; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("kept"));
	index_lose(&f);
	(void)snprintf(first, sizeof(first), "%s/segments/00000001.seg", f.dir);
	(void)snprintf(last, sizeof(last), "%s/segments/00000004.seg", f.dir);
	ck_assert_int_eq(unlink(first), 0);
	ck_assert_fault(writer_open(f.dir, &f.options, &writer), FAULT_DAMAGED);
	ck_assert_int_eq(access(last, F_OK), 0);
	body_packer_free(f.packer);
	fixture_dir_remove(f.dir);
}
END_TEST

UNIT(salvage)
{
	unit_add(tc, a_lost_index_is_rebuilt_from_segments);
	unit_add(tc, segments_without_an_index_are_never_cut_off);
	unit_add(tc, damaged_records_are_passed_over);
}
