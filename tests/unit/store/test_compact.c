/* SPDX-License-Identifier: ISC */
/*
 * Space comes back, and nothing is lost by it: bodies move, the log alone still tells everything,
 * readers find what they were about to read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/backup.h"
#include "common/store/reader_private.h"
#include "common/store/salvage.h"
#include "common/store/writer_private.h"
#include "tests/unit/store/churn.h"

START_TEST(a_half_empty_segment_is_emptied_and_goes_after_its_time)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	churn_append_all(&f, 1, 400);
	churn_expunge_some(&f, 1, 401, 2);
	churn_undelete_time_passes(&f);
	struct store_space before = churn_space(&f);
	struct compact_slice done = fixture_compact(&f, &churn_usual);
	ck_assert_uint_gt(done.moved, 100000);
	ck_assert_uint_gt(done.carried, 1000);
	ck_assert_uint_eq(done.freed, 0);
	ck_assert_uint_gt(done.waiting, 100000);
	ck_assert_uint_gt(churn_space(&f).emptied, 2);
	ck_assert(churn_has_segment(&f, 1));
	fixture_verify(&f);
	fixture_log_check(&f);
	churn_expect_all(&f, 1, 401);
	/* Not a moment before. */
	f.now_ms += COMPACT_GRACE_S * INT64_C(1000) - 2000;
	ck_assert_uint_eq(fixture_compact(&f, &churn_usual).freed, 0);
	f.now_ms += 2000;
	ck_assert_uint_gt(fixture_compact(&f, &churn_usual).freed, 100000);
	ck_assert(!churn_has_segment(&f, 1));
	fixture_verify(&f);
	fixture_log_check(&f);
	churn_expect_all(&f, 1, 401);
	struct store_space after = churn_space(&f);
	ck_assert_uint_lt(after.occupied, before.occupied);
	ck_assert_uint_eq(after.live, before.live);
	ck_assert_uint_eq(after.emptied, 0);
	fixture_reopen(&f);
	fixture_verify(&f);
	churn_expect_all(&f, 1, 401);
	fixture_close(&f);
}
END_TEST

START_TEST(the_time_of_an_emptied_segment_survives_a_restart)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	churn_append_all(&f, 1, 400);
	churn_expunge_some(&f, 1, 401, 2);
	churn_undelete_time_passes(&f);
	(void)fixture_compact(&f, &churn_usual);
	fixture_reopen(&f);
	ck_assert_uint_gt(churn_space(&f).emptied, 2);
	struct compact_slice again = fixture_compact(&f, &churn_usual);
	ck_assert_uint_eq(again.freed, 0);
	ck_assert_uint_eq(again.moved, 0);
	churn_grace_passes(&f);
	ck_assert_uint_gt(fixture_compact(&f, &churn_usual).freed, 100000);
	fixture_log_check(&f);
	fixture_close(&f);
}
END_TEST

START_TEST(what_was_looked_up_before_is_read_after_the_move)
{
	struct fixture f = {.options.segment_size_max = 300000};
	static char body[CHURN_BODY_MAX], got[CHURN_BODY_MAX];
	struct store_content content;

	fixture_open(&f);
	churn_append_all(&f, 1, 200);
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, churn_known[2].uid);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_content(f.reader, &m, &content));
	reader_end(f.reader);
	churn_expunge_some(&f, 1, 201, 2);
	churn_undelete_time_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	ck_assert(!churn_has_segment(&f, content.body.segment));
	size_t len = churn_body(2, body);
	struct body_span span = {got, len};
	ck_assert_ok(reader_read(f.reader, &content, content.prefix_len, span));
	ck_assert(memcmp(got, body, len) == 0);
	/* The same within a transaction. */
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(reader_read(f.reader, &content, content.prefix_len, span));
	reader_end(f.reader);
	fixture_close(&f);
}
END_TEST

/* Of another process, which has the file open. */
START_TEST(an_open_file_of_a_removed_segment_is_closed)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct segment_files *files;
	struct stat status;
	char path[128], link[64];
	uint8_t byte;
	unsigned deleted = 0;

	fixture_open(&f);
	churn_append_all(&f, 1, 200);
	(void)snprintf(path, sizeof(path), "%s/segments", f.dir);
	ck_assert_ok(segment_files_open(path, 4, &files));
	ck_assert_ok(segment_files_read(files, 1, 0, &byte, 1));
	churn_expunge_some(&f, 1, 201, 1);
	churn_undelete_time_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	ck_assert(!churn_has_segment(&f, 1));
	segment_files_sweep(files);
	ck_assert_fault(segment_files_read(files, 1, 0, &byte, 1), FAULT_NOT_FOUND);
	/* Nor has the writer's own process one. */
	for (int fd = 3; fd < 200; fd++) {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		if (n <= 0 || fstat(fd, &status) < 0)
			continue;
		path[n] = '\0';
		deleted += status.st_nlink == 0 && strstr(path, ".seg") != NULL;
	}
	ck_assert_uint_eq(deleted, 0);
	segment_files_close(files);
	fixture_close(&f);
}
END_TEST

START_TEST(a_dead_segment_leaves_its_words_behind)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct writer_create create = {.account = BOB, .name = SLICE("Archive/2026")};

	fixture_open(&f);
	/* All this stands in segment 1 alone. */
	fixture_begin(&f);
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	ck_assert_ok(writer_subscribe(f.writer, BOB, SLICE("Archive/2026"), true));
	fixture_commit(&f);
	churn_append_all(&f, 1, 300);
	churn_expunge_some(&f, 1, 301, 1);
	churn_undelete_time_passes(&f);
	churn_append_all(&f, 301, 100);
	struct compact_slice done =
		fixture_compact(&f, &(struct compact_options){20, 0, 1 << 20, 0});
	ck_assert_uint_gt(done.freed, 200000);
	ck_assert_uint_eq(done.moved, 0);
	ck_assert(!churn_has_segment(&f, 1));
	fixture_log_check(&f);
	fixture_verify(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, BOB, "Archive/2026").id, create.id);
	fixture_close(&f);
}
END_TEST

/* Deletes are needed as long as an older segment says what they undo; not longer. */
START_TEST(what_was_deleted_does_not_come_back_from_an_older_segment)
{
	struct fixture f = {.options.segment_size_max = 200000};

	fixture_open(&f);
	churn_append_all(&f, 1, 60);
	uint32_t old = journal_point(f.writer->journal)->tail.segment;
	churn_append_all(&f, 61, 100);
	/* Of old mail, whose puts stay where they are. */
	churn_expunge_some(&f, 1, 40, 4);
	churn_append_all(&f, 161, 100);
	churn_expunge_some(&f, 61, 261, 1);
	churn_append_all(&f, 261, 20);
	churn_undelete_time_passes(&f);
	churn_append_all(&f, 281, 100);
	(void)fixture_compact(&f, &churn_usual);
	ck_assert(churn_has_segment(&f, 1));
	ck_assert(!churn_has_segment(&f, old + 1));
	fixture_log_check(&f);
	churn_expunge_some(&f, 2, 60, 4);
	churn_undelete_time_passes(&f);
	churn_append_all(&f, 381, 100);
	(void)fixture_compact(&f, &churn_all);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	fixture_log_check(&f);
	fixture_verify(&f);
	churn_expect_all(&f, 1, 481);
	fixture_close(&f);
}
END_TEST

/* One small body, thousands of copies: its segment is full of log, and all of that is needed. */
START_TEST(a_log_that_is_needed_is_not_carried_round)
{
	struct fixture f = {.options.segment_size_max = 100000};
	struct uid_range one = {1, 1};

	fixture_open(&f);
	churn_append(&f, 1, 1);
	for (unsigned batch = 0; batch < 20; batch++) {
		fixture_begin(&f);
		for (unsigned i = 0; i < 100; i++) {
			struct writer_copy copy = {
				.uids = {ALICE, STORE_INBOX, &one, 1}, .to = STORE_INBOX};
			ck_assert_ok(writer_copy(f.writer, &copy));
			uid_set_clear(&copy.copied);
		}
		fixture_commit(&f);
		churn_append(&f, 2 + batch, 1);
	}
	(void)fixture_compact(&f, &churn_usual);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_usual);
	uint32_t tail = journal_point(f.writer->journal)->tail.segment;
	for (unsigned i = 0; i < 10; i++) {
		f.now_ms += INT64_C(90000000);
		struct compact_slice done = fixture_compact(&f, &churn_usual);
		ck_assert_uint_eq(done.moved + done.carried, 0);
	}
	ck_assert_uint_eq(journal_point(f.writer->journal)->tail.segment, tail);
	fixture_log_check(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

static void
segment_overwrite(struct fixture *f, uint32_t segment, uint64_t offset)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f->dir, segment);
	FILE *file = fopen(path, "r+");
	must(file != NULL && fseek(file, (long)offset, SEEK_SET) == 0);
	must(fwrite("rotten", 1, 6, file) == 6 && fclose(file) == 0);
}

START_TEST(a_segment_with_damaged_mail_stays_and_the_others_go)
{
	struct fixture f = {.options.segment_size_max = 300000};

	fixture_open(&f);
	churn_append_all(&f, 1, 400);
	churn_expunge_some(&f, 1, 401, 2);
	churn_undelete_time_passes(&f);
	struct body_handle body = fixture_body(&f, ALICE, STORE_INBOX, churn_known[4].uid);
	struct body_handle other = fixture_body(&f, ALICE, STORE_INBOX, churn_known[10].uid);
	ck_assert_uint_eq(body.segment, other.segment);
	struct index_body record;
	struct store_message m = fixture_load(&f, ALICE, STORE_INBOX, churn_known[4].uid);
	ck_assert_ok(reader_begin(f.reader));
	ck_assert_ok(index_body_load(&f.reader->txn, m.body_id, &record));
	reader_end(f.reader);
	/* The header of one, within the bytes of the other. */
	segment_overwrite(&f, body.segment, record.place.offset + 50);
	segment_overwrite(&f, other.segment, other.offset + 100);
	(void)fixture_compact(&f, &churn_usual);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_usual);
	ck_assert(churn_has_segment(&f, body.segment));
	ck_assert(!churn_has_segment(&f, body.segment + 1));
	/* What cannot be told from its header stays; what rotted only inside has moved as it is. */
	ck_assert_uint_eq(
		fixture_body(&f, ALICE, STORE_INBOX, churn_known[4].uid).segment, body.segment);
	ck_assert_uint_ne(
		fixture_body(&f, ALICE, STORE_INBOX, churn_known[10].uid).segment, body.segment);
	churn_known[4].expunged = churn_known[10].expunged = true;
	churn_expect_all(&f, 1, 401);
	struct verify_options options = {.bodies = true};
	struct verify_progress progress;
	ck_assert_ok(store_verify(f.reader, &options, &progress));
	/* The header is missed by its body, and in the log. */
	ck_assert_uint_eq(progress.findings, 3);
	fixture_close(&f);
}
END_TEST

START_TEST(verify_passes_over_bodies_that_move_under_it)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct verify_options options = {.bodies = true};
	struct compact_options small = {100, 4096, 20000, 0};
	bool done = false;

	fixture_open(&f);
	churn_append_all(&f, 1, 300);
	churn_expunge_some(&f, 1, 301, 2);
	churn_undelete_time_passes(&f);
	struct store_verify *v = verify_new(f.reader, &options);
	while (!done) {
		struct compact_slice slice;
		ck_assert_ok(verify_step(v, &done));
		for (unsigned i = 0; i < 3; i++)
			ck_assert_ok(writer_compact(f.writer, &small, &slice));
		churn_grace_passes(&f);
	}
	ck_assert_uint_eq(verify_progress(v)->findings, 0);
	verify_free(v);
	fixture_close(&f);
}
END_TEST

/* Segments are gone, others were written by moves: nothing of that shows in a salvage. */
START_TEST(a_salvage_finds_all_that_moved_and_nothing_that_is_gone)
{
	struct fixture f = {.options.segment_size_max = 200000};
	struct writer_create create = {.account = ALICE, .name = SLICE("Work/Old")};
	struct writer_copy copy = {.uids = {.account = ALICE, .mailbox = STORE_INBOX}};
	struct salvage_options options = {.clock = NULL};
	struct salvage_report report;
	char path[128];

	fixture_open(&f);
	options.clock = &f.clock;
	fixture_begin(&f);
	ck_assert_ok(writer_mailbox_create(f.writer, &create));
	fixture_commit(&f);
	churn_append_all(&f, 1, 300);
	copy.to = create.id;
	fixture_begin(&f);
	ck_assert_ok(writer_copy(f.writer, &copy));
	fixture_commit(&f);
	uid_set_clear(&copy.copied);
	churn_append_all(&f, 301, 200);
	churn_expunge_some(&f, 301, 501, 1);
	churn_expunge_some(&f, 1, 301, 2);
	churn_undelete_time_passes(&f);
	for (unsigned i = 0; i < 2; i++) {
		(void)fixture_compact(&f, &churn_all);
		churn_grace_passes(&f);
	}
	(void)fixture_compact(&f, &churn_all);
	ck_assert(!churn_has_segment(&f, 1));
	uint32_t validity = fixture_mailbox(&f, ALICE, "Work/Old").uidvalidity;
	writer_close(f.writer);
	(void)snprintf(path, sizeof(path), "%s/index", f.dir);
	fixture_dir_remove(path);
	ck_assert_ok(store_salvage(f.dir, &options, &report));
	ck_assert_uint_eq(report.lost + report.damaged + report.filed + report.renewed, 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	fixture_verify(&f);
	churn_expect_all(&f, 1, 501);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, 150);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "Work/Old").exists, 300);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "Work/Old").uidvalidity, validity);
	/* And it goes on so. */
	(void)fixture_compact(&f, &churn_all);
	churn_grace_passes(&f);
	(void)fixture_compact(&f, &churn_all);
	fixture_log_check(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

/* The copying process asks for leave at each step. */
struct steps {
	int asks, leave;
};

static void
step_ask(void *arg, uint64_t bytes)
{
	struct steps *s = arg;
	char byte = 0;

	(void)bytes;
	if (write(s->asks, &byte, 1) != 1 || read(s->leave, &byte, 1) != 1)
		_exit(1);
}

static pid_t
backup_begin(struct fixture *f, const char *to, struct steps *ours)
{
	int asks[2], leave[2];

	must(pipe(asks) == 0 && pipe(leave) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		struct steps steps = {asks[1], leave[0]};
		struct backup_options options = {
			.may_update = true, .progress = step_ask, .arg = &steps};
		uint64_t bytes;
		close(asks[0]);
		close(leave[1]);
		_exit(store_backup(f->dir, to, &options, &bytes) == FAULT_OK ? 0 : 1);
	}
	close(asks[1]);
	close(leave[0]);
	*ours = (struct steps){asks[0], leave[1]};
	return child;
}

/* The copy can be read where it lies. */
static void
backup_check(struct fixture *f, const char *copy, uint32_t end)
{
	struct fixture of_copy = {.clock = f->clock};

	(void)snprintf(of_copy.dir, sizeof(of_copy.dir), "%s", copy);
	ck_assert_ok(reader_open(copy, &of_copy.reader));
	fixture_verify(&of_copy);
	churn_expect_all(&of_copy, 1, end);
	reader_close(of_copy.reader);
}

START_TEST(a_backup_while_segments_are_emptied_and_go_is_whole)
{
	struct fixture f = {.options.segment_size_max = 300000};
	struct compact_options small = {100, 4096, 60000, 0};
	struct compact_slice slice;
	struct steps steps;
	uint64_t freed = 0;
	char to[64], byte;
	int status;

	fixture_open(&f);
	fixture_dir(to);
	churn_append_all(&f, 1, 500);
	for (unsigned round = 2; round < 6; round++) {
		churn_expunge_some(&f, round, 501, round);
		churn_undelete_time_passes(&f);
		pid_t child = backup_begin(&f, to, &steps);
		while (read(steps.asks, &byte, 1) == 1) {
			/* Without mercy: the time of the emptied ones is over at once. */
			for (unsigned i = 0; i < 4; i++)
				ck_assert_ok(writer_compact(f.writer, &small, &slice));
			churn_grace_passes(&f);
			freed += slice.freed;
			must(write(steps.leave, &byte, 1) == 1);
		}
		must(waitpid(child, &status, 0) == child);
		close(steps.asks);
		close(steps.leave);
		ck_assert_int_eq(status, 0);
		backup_check(&f, to, 501);
	}
	ck_assert_uint_gt(freed, 100000);
	fixture_dir_remove(to);
	fixture_close(&f);
}
END_TEST

UNIT(compact)
{
	tcase_set_timeout(tc, 600);
	unit_add(tc, a_half_empty_segment_is_emptied_and_goes_after_its_time);
	unit_add(tc, the_time_of_an_emptied_segment_survives_a_restart);
	unit_add(tc, what_was_looked_up_before_is_read_after_the_move);
	unit_add(tc, an_open_file_of_a_removed_segment_is_closed);
	unit_add(tc, a_dead_segment_leaves_its_words_behind);
	unit_add(tc, what_was_deleted_does_not_come_back_from_an_older_segment);
	unit_add(tc, a_log_that_is_needed_is_not_carried_round);
	unit_add(tc, a_segment_with_damaged_mail_stays_and_the_others_go);
	unit_add(tc, verify_passes_over_bodies_that_move_under_it);
	unit_add(tc, a_salvage_finds_all_that_moved_and_nothing_that_is_gone);
	unit_add(tc, a_backup_while_segments_are_emptied_and_go_is_whole);
}
