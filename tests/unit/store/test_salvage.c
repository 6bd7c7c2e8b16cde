/* SPDX-License-Identifier: ISC */
/* A salvage of whole segments gives the store back; of damaged ones, all that is not damaged. */
#include "common/store/salvage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/play.h"

static void
index_lose(struct fixture *f)
{
	char path[128];

	writer_close(f->writer);
	f->writer = NULL;
	(void)snprintf(path, sizeof(path), "%s/index", f->dir);
	fixture_dir_remove(path);
}

static void
finding_print(void *arg, const struct salvage_finding *f)
{
	(void)arg;
	printf("salvage: segment %u at %llu (%llu) account %llu mailbox %u uid %u: %s\n",
		f->segment, (unsigned long long)f->offset, (unsigned long long)f->length,
		(unsigned long long)f->account, f->mailbox, f->uid, f->text);
}

static struct salvage_report
salvage(struct fixture *f)
{
	struct salvage_options options = {.clock = &f->clock, .found = finding_print};
	struct salvage_report report;

	ck_assert_ok(store_salvage(f->dir, &options, &report));
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
	fixture_verify(f);
	return report;
}

static int
segment_open(struct fixture *f, uint32_t segment)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f->dir, segment);
	int file = open(path, O_RDWR | O_CLOEXEC);
	must(file >= 0);
	return file;
}

static void
spoil(struct fixture *f, uint32_t segment, uint64_t offset, size_t len)
{
	char bytes[4096];
	int file = segment_open(f, segment);

	must(len <= sizeof(bytes));
	must(pread(file, bytes, len, (off_t)offset) == (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= 0x55;
	must(pwrite(file, bytes, len, (off_t)offset) == (ssize_t)len);
	close(file);
}

START_TEST(a_lost_index_comes_back_as_it_was)
{
	struct fixture f = {.options.segment_size_max = 3000};
	struct salvage_options options = {.clock = &f.clock};
	struct salvage_report report;
	struct fixture_message m;

	fixture_open(&f);
	for (int i = 0; i < 40; i++)
		fixture_append(&f, ALICE, 1 + (uint32_t)i % 3, SLICE("salvaged body"));
	fixture_begin(&f);
	struct writer_create create = {.account = ALICE, .name = SLICE("own/Ärger")};
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	ck_assert_ok(writer_subscribe(f.writer, ALICE, create.name, true));
	ck_assert_ok(writer_account_ensure(f.writer, ALICE, 123456));
	fixture_commit(&f);
	uint32_t uid = fixture_append(&f, ALICE, create.id, SLICE("in an own mailbox"));
	fixture_message(&f, &m, SLICE("to both"));
	m.request.target_count = 2;
	fixture_begin(&f);
	writer_append(f.writer, &m.request);
	fixture_commit(&f);
	char *before = play_dump(&f);
	writer_close(f.writer);
	f.writer = NULL;
	ck_assert_fault(store_salvage(f.dir, &options, &report), FAULT_EXISTS);
	index_lose(&f);
	report = salvage(&f);
	char *after = play_dump(&f);
	play_compare(0, before, after);
	ck_assert_uint_eq(report.messages, 43);
	ck_assert_uint_eq(report.bodies, 42);
	ck_assert_uint_eq(report.lost + report.damaged + report.skipped + report.filed, 0);
	/* It is a store like any other: UIDs and ids go on, and it can be salvaged again. */
	ck_assert_uint_eq(fixture_append(&f, ALICE, create.id, SLICE("new")), uid + 1);
	free(before);
	before = play_dump(&f);
	index_lose(&f);
	salvage(&f);
	free(after);
	after = play_dump(&f);
	play_compare(0, before, after);
	free(before);
	free(after);
	fixture_message_clear(&m);
	fixture_close(&f);
}
END_TEST

START_TEST(damaged_mail_is_told_and_nothing_else_is_lost)
{
	struct fixture f = {0};

	fixture_open(&f);
	for (int i = 0; i < 10; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("one of ten"));
	struct body_handle third = fixture_body(&f, ALICE, STORE_INBOX, 3);
	struct body_handle sixth = fixture_body(&f, ALICE, STORE_INBOX, 6);
	uint32_t uidvalidity = fixture_mailbox(&f, ALICE, "INBOX").uidvalidity;
	index_lose(&f);
	/* A byte of a body, and the header of another record. */
	spoil(&f, third.segment, third.offset, 1);
	spoil(&f, sixth.segment, sixth.offset - 100, 20);
	struct salvage_report report = salvage(&f);
	ck_assert_uint_eq(report.messages, 8);
	ck_assert_uint_eq(report.lost, 2);
	ck_assert_uint_gt(report.skipped, 100);
	ck_assert_uint_eq(report.renewed, 0);
	fixture_expect(&f, ALICE, STORE_INBOX, 7, SLICE("one of ten"));
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").uidvalidity, uidvalidity);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("new")), 11);
	fixture_close(&f);
}
END_TEST

/* Where the changes of the last commit lie: the tail's record before the end. */
static struct segment_tail
log_end(struct fixture *f)
{
	struct stat status;
	int file;

	writer_close(f->writer);
	file = segment_open(f, 1);
	must(fstat(file, &status) == 0);
	close(file);
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
	return (struct segment_tail){1, (uint64_t)status.st_size};
}

START_TEST(mail_whose_commit_is_lost_is_filed_by_its_own_record)
{
	struct fixture f = {0};

	fixture_open(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("first"));
	fixture_append(&f, ALICE, 3, SLICE("second"));
	struct segment_tail end = log_end(&f);
	fixture_append(&f, BOB, STORE_INBOX, SLICE("third"));
	uint32_t uidvalidity = fixture_mailbox(&f, ALICE, "Sent").uidvalidity;
	index_lose(&f);
	/* The changes of the second: the body of the record that ends there. */
	spoil(&f, 1, end.length - 40, 4);
	struct salvage_report report = salvage(&f);
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_eq(report.filed, 1);
	ck_assert_uint_eq(report.lost, 0);
	fixture_expect(&f, ALICE, 3, 1, SLICE("second"));
	fixture_expect(&f, BOB, STORE_INBOX, 1, SLICE("third"));
	/* What the damage can have hidden was short: the next UIDs are skipped. */
	struct store_mailbox sent = fixture_mailbox(&f, ALICE, "Sent");
	ck_assert_uint_eq(sent.uidvalidity, uidvalidity);
	ck_assert_uint_gt(sent.uidnext, 2);
	fixture_close(&f);
}
END_TEST

START_TEST(a_missing_segment_gives_new_uidvalidities_where_it_must)
{
	struct fixture f = {.options.segment_size_max = 500};
	char path[128];

	fixture_open(&f);
	for (int i = 0; i < 6; i++)
		fixture_append(&f, i < 3 ? ALICE : BOB, STORE_INBOX, SLICE("one to a segment"));
	uint32_t alice = fixture_mailbox(&f, ALICE, "INBOX").uidvalidity;
	uint32_t sent = fixture_mailbox(&f, BOB, "Sent").uidvalidity;
	uint32_t bob = fixture_mailbox(&f, BOB, "INBOX").uidvalidity;
	index_lose(&f);
	(void)snprintf(path, sizeof(path), "%s/segments/00000004.seg", f.dir);
	must(unlink(path) == 0);
	struct salvage_report report = salvage(&f);
	ck_assert_uint_eq(report.messages, 5);
	ck_assert_uint_eq(report.damaged, 1);
	/* All but BOB's INBOX, of which later commits tell. */
	ck_assert_uint_eq(report.renewed, 11);
	ck_assert_uint_ne(fixture_mailbox(&f, ALICE, "INBOX").uidvalidity, alice);
	ck_assert_uint_ne(fixture_mailbox(&f, BOB, "Sent").uidvalidity, sent);
	ck_assert_uint_eq(fixture_mailbox(&f, BOB, "INBOX").uidvalidity, bob);
	/* A second salvage finds the same gap, and that all has been told since. */
	alice = fixture_mailbox(&f, ALICE, "INBOX").uidvalidity;
	index_lose(&f);
	salvage(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").uidvalidity, alice);
	fixture_close(&f);
}
END_TEST

START_TEST(a_log_that_lost_its_end_is_noticed)
{
	struct fixture f = {0};

	fixture_open(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("first"));
	struct segment_tail end = log_end(&f);
	fixture_append(&f, ALICE, STORE_INBOX, SLICE("second"));
	uint32_t uidvalidity = fixture_mailbox(&f, ALICE, "INBOX").uidvalidity;
	index_lose(&f);
	int file = segment_open(&f, 1);
	must(ftruncate(file, (off_t)end.length) == 0);
	close(file);
	struct salvage_report report = salvage(&f);
	ck_assert_uint_eq(report.messages, 1);
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_ne(fixture_mailbox(&f, ALICE, "INBOX").uidvalidity, uidvalidity);
	fixture_close(&f);
}
END_TEST

static int64_t
now_ms(void *arg)
{
	return ((struct fixture *)arg)->now_ms;
}

static void
unpack(const char *archive, const char *dir)
{
	int status = -1;
	pid_t child = fork();

	must(child >= 0);
	if (child == 0) {
		execlp("tar", "tar", "-xzf", archive, "-C", dir, (char *)NULL);
		_exit(127);
	}
	must(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(an_upgraded_store_comes_back_once_its_log_is_whole)
{
	struct fixture f = {.now_ms = INT64_C(1791300000000)};

	fixture_dir(f.dir);
	f.clock = (struct clock){now_ms, now_ms, &f};
	f.options.clock = &f.clock;
	unpack("tests/stores/format-1.tar.gz", f.dir);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	(void)fixture_compact(&f,
		&(struct compact_options){.bytes_max = COMPACT_SLICE,
			.percent = COMPACT_PERCENT,
			.tail_garbage = COMPACT_TAIL_GARBAGE});
	char *before = play_dump(&f);
	index_lose(&f);
	struct salvage_report report = salvage(&f);
	char *after = play_dump(&f);
	play_compare(0, before, after);
	ck_assert_uint_eq(report.damaged + report.lost + report.filed, 0);
	free(before);
	free(after);
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
	unit_add(tc, a_lost_index_comes_back_as_it_was);
	unit_add(tc, segments_without_an_index_are_never_cut_off);
	unit_add(tc, damaged_mail_is_told_and_nothing_else_is_lost);
	unit_add(tc, mail_whose_commit_is_lost_is_filed_by_its_own_record);
	unit_add(tc, a_missing_segment_gives_new_uidvalidities_where_it_must);
	unit_add(tc, an_upgraded_store_comes_back_once_its_log_is_whole);
	unit_add(tc, a_log_that_lost_its_end_is_noticed);
}
