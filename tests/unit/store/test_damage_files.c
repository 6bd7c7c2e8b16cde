/* SPDX-License-Identifier: ISC */
/*
 * Files of a store that rot, get short or disappear, while nobody looks: what opening, reading and
 * verify make of it, and that salvage mends it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/salvage.h"
#include "tests/unit/store/play.h"

enum { PAGE = 4096, HANG_SECONDS = 60, COMMITS = 12, PAGES_USED = 160 };

static const char *
path_of(const struct fixture *f, const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

static void
at_rest(struct fixture *f)
{
	writer_close(f->writer);
	f->writer = NULL;
}

static void
salvage(struct fixture *f, struct salvage_report *report)
{
	struct salvage_options options = {.clock = &f->clock};

	(void)unlink(path_of(f, "index/data.mdb"));
	ck_assert_ok(store_salvage(f->dir, &options, report));
	ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
	f->reader = writer_reader(f->writer);
	fixture_verify(f);
}

/* What verify says, as one text. */
static void
finding_collect(void *arg, const struct store_finding *finding)
{
	FILE *out = arg;

	fprintf(out, "%s\n", finding->text);
}

static char *
findings(struct fixture *f)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct verify_options options = {.bodies = true, .found = finding_collect, .arg = out};
	struct verify_progress progress;

	must(out != NULL);
	ck_assert_ok(store_verify(f->reader, &options, &progress));
	fclose(out);
	return text;
}

static void
expect_finding(struct fixture *f, const char *part)
{
	char *text = findings(f);

	if (strstr(text, part) == NULL)
		ck_abort_msg("not found: %s\nbut:\n%s", part, text);
	free(text);
}

/* Three messages, each in a segment of its own. */
static void
store_make(struct fixture *f)
{
	f->options.segment_size_max = 500;
	fixture_open(f);
	for (int i = 0; i < 3; i++)
		fixture_append(f, ALICE, STORE_INBOX, SLICE("one to a segment"));
}

static void
byte_flip(struct fixture *f, const char *name, uint64_t offset)
{
	char byte;
	int file = open(path_of(f, name), O_RDWR | O_CLOEXEC);

	must(file >= 0 && pread(file, &byte, 1, (off_t)offset) == 1);
	byte ^= 4;
	must(pwrite(file, &byte, 1, (off_t)offset) == 1);
	close(file);
}

START_TEST(a_deleted_segment_is_missed)
{
	struct fixture f = {0};
	struct salvage_report report;

	store_make(&f);
	at_rest(&f);
	must(unlink(path_of(&f, "segments/00000003.seg")) == 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	expect_finding(&f, "segment 3 is missing");
	fixture_expect(&f, ALICE, STORE_INBOX, 1, SLICE("one to a segment"));
	at_rest(&f);
	salvage(&f, &report);
	ck_assert_uint_eq(report.messages, 2);
	fixture_close(&f);
}
END_TEST

START_TEST(a_short_segment_is_missed)
{
	struct fixture f = {0};
	struct salvage_report report;

	store_make(&f);
	at_rest(&f);
	must(truncate(path_of(&f, "segments/00000003.seg"), 352) == 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	expect_finding(&f, "segment 4 at 352: commit 5 follows 3: the log has a gap");
	at_rest(&f);
	salvage(&f, &report);
	ck_assert_uint_eq(report.messages, 3);
	ck_assert_uint_eq(report.filed, 1);
	fixture_close(&f);
}
END_TEST

/* The store's own last segment: nothing is opened that is shorter than what was committed. */
START_TEST(a_last_segment_that_is_short_is_refused)
{
	struct fixture f = {0};
	struct salvage_report report;

	store_make(&f);
	at_rest(&f);
	must(truncate(path_of(&f, "segments/00000004.seg"), 400) == 0);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_DAMAGED);
	salvage(&f, &report);
	ck_assert_uint_eq(report.messages, 3);
	fixture_close(&f);
}
END_TEST

/* Nobody reads changes while there is an index: only verify finds this in time. */
START_TEST(rot_in_the_changes_is_found)
{
	struct fixture f = {0};
	struct stat status;

	store_make(&f);
	must(stat(path_of(&f, "segments/00000002.seg"), &status) == 0);
	byte_flip(&f, "segments/00000002.seg", (uint64_t)status.st_size - 20);
	expect_finding(&f, "the changes of commit 3 are damaged");
	fixture_close(&f);
}
END_TEST

START_TEST(files_that_do_not_belong_are_told)
{
	struct fixture f = {0};

	store_make(&f);
	int file = open(path_of(&f, "segments/stray"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(file >= 0);
	close(file);
	expect_finding(&f, "unknown file segments/stray");
	fixture_close(&f);
}
END_TEST

/* The only block that has the key of all header checksums: there is a copy. */
START_TEST(a_store_of_one_segment_outlives_its_first_block)
{
	struct fixture f = {0};
	struct salvage_report report;

	fixture_open(&f);
	for (int i = 0; i < 30; i++)
		fixture_append(&f, ALICE, STORE_INBOX, SLICE("all in one segment"));
	at_rest(&f);
	for (uint64_t at = 0; at < 300; at++)
		byte_flip(&f, "segments/00000001.seg", at);
	salvage(&f, &report);
	ck_assert_uint_eq(report.messages, 30);
	fixture_close(&f);
}
END_TEST

START_TEST(an_interrupted_salvage_is_no_store)
{
	struct fixture f = {0};
	struct store_reader *reader = NULL;
	struct salvage_report report;
	int file;

	store_make(&f);
	char *before = play_dump(&f);
	at_rest(&f);
	must(unlink(path_of(&f, "index/data.mdb")) == 0);
	/* It died at once, or some time later, with an index of some sort. */
	file = open(path_of(&f, "salvage"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(file >= 0);
	close(file);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_DAMAGED);
	file = open(path_of(&f, "index/data.mdb"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(file >= 0 && write(file, "half", 4) == 4);
	close(file);
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_DAMAGED);
	struct salvage_options options = {.clock = &f.clock};
	ck_assert_ok(store_salvage(f.dir, &options, &report));
	must(access(path_of(&f, "salvage"), F_OK) != 0);
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	char *after = play_dump(&f);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	ck_assert_ok(reader_open(f.dir, &reader) == FAULT_OK ? FAULT_OK : FAULT_BUSY);
	reader_close(reader);
	fixture_close(&f);
}
END_TEST

static void
child_die(void *arg, uint64_t bytes)
{
	uint64_t *left = arg;

	(void)bytes;
	if ((*left)-- == 0)
		(void)kill(getpid(), SIGKILL);
}

/* Killed within its finding of the log, and run again: the same comes out. */
START_TEST(a_killed_salvage_is_run_again)
{
	struct fixture f = {0};
	struct salvage_report report;
	int status;

	store_make(&f);
	char *before = play_dump(&f);
	at_rest(&f);
	must(unlink(path_of(&f, "index/data.mdb")) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		uint64_t left = 0;
		struct salvage_options options = {
			.clock = &f.clock, .progress = child_die, .arg = &left};
		(void)!store_salvage(f.dir, &options, &report);
		_exit(1);
	}
	must(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	ck_assert_fault(writer_open(f.dir, &f.options, &f.writer), FAULT_DAMAGED);
	struct salvage_options options = {.clock = &f.clock};
	ck_assert_ok(store_salvage(f.dir, &options, &report));
	ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
	f.reader = writer_reader(f.writer);
	fixture_verify(&f);
	char *after = play_dump(&f);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	fixture_close(&f);
}
END_TEST

/* Opens it, and reads all of it. */
static enum fault
store_use(struct fixture *f)
{
	struct verify_options options = {.bodies = true};
	struct verify_progress progress = {0};
	enum fault fault = writer_open(f->dir, &f->options, &f->writer);
	if (fault != FAULT_OK)
		return fault;
	f->reader = writer_reader(f->writer);
	(void)!store_verify(f->reader, &options, &progress);
	writer_close(f->writer);
	return progress.findings > 0 ? FAULT_DAMAGED : FAULT_OK;
}

enum outcome { OUTCOME_FINE, OUTCOME_FOUND, OUTCOME_DIED, OUTCOME_COUNT };

static enum outcome
page_try(struct fixture *f)
{
	static const struct rlimit no_core = {0, 0};
	int status;
	pid_t child = fork();

	must(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);
		(void)dup2(null, 2);
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
		(void)alarm(HANG_SECONDS);
		_exit(store_use(f) == FAULT_OK ? OUTCOME_FINE : OUTCOME_FOUND);
	}
	must(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status)) {
		must(WTERMSIG(status) != SIGALRM);
		return OUTCOME_DIED;
	}
	/* A sanitizer ends the process in its own way. */
	return WEXITSTATUS(status) < OUTCOME_DIED ? (enum outcome)WEXITSTATUS(status)
						  : OUTCOME_DIED;
}

static void
file_copy(const char *from, const char *to)
{
	static char bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	must(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		must(write(out, bytes, (size_t)n) == n);
	close(in);
	close(out);
}

static void
page_spoil(struct fixture *f, uint64_t page, bool zero, uint64_t *state)
{
	uint8_t bytes[PAGE] = {0};
	int file = open(path_of(f, "index/data.mdb"), O_RDWR | O_CLOEXEC);

	for (size_t i = 0; !zero && i < PAGE; i++)
		bytes[i] = (uint8_t)fixture_random(state, 256);
	must(file >= 0 && pwrite(file, bytes, PAGE, (off_t)(page * PAGE)) == PAGE);
	close(file);
}

/*
 * LMDB has no checksums: a torn page is found, or stays unseen because it is a free one, or ends
 * the process.  Whatever it was, no process hangs, the segments are not touched, and a salvage
 * gives back everything.
 */
START_TEST(a_torn_page_of_the_index_never_hangs_and_salvage_mends_it)
{
	struct play p = {.state = 5};
	unsigned outcomes[OUTCOME_COUNT] = {0};
	struct salvage_report report;
	struct stat status;
	char kept[128], data[128];

	fixture_open(&p.f);
	for (unsigned i = 0; i < COMMITS; i++)
		play_round(&p);
	char *before = play_dump(&p.f);
	at_rest(&p.f);
	(void)snprintf(kept, sizeof(kept), "%s/kept.mdb", p.f.dir);
	(void)snprintf(data, sizeof(data), "%s/index/data.mdb", p.f.dir);
	file_copy(data, kept);
	must(stat(kept, &status) == 0);
	/* The others are blocks taken ahead. */
	uint64_t pages = (uint64_t)status.st_size / PAGE;
	if (pages > PAGES_USED)
		pages = PAGES_USED;
	for (uint64_t page = 0; page < pages; page++)
		for (int zero = 0; zero < 2; zero++) {
			page_spoil(&p.f, page, zero != 0, &p.state);
			outcomes[page_try(&p.f)]++;
			file_copy(kept, data);
			(void)unlink(path_of(&p.f, "checkpoint"));
		}
	printf("torn pages: %u unseen, %u found, %u ended the process\n", outcomes[0], outcomes[1],
		outcomes[2]);
	must(outcomes[OUTCOME_FOUND] > 0);
	salvage(&p.f, &report);
	char *after = play_dump(&p.f);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	fixture_close(&p.f);
}
END_TEST

UNIT(damage_files)
{
	tcase_set_timeout(tc, 1200);
	unit_add(tc, a_deleted_segment_is_missed);
	unit_add(tc, a_short_segment_is_missed);
	unit_add(tc, a_last_segment_that_is_short_is_refused);
	unit_add(tc, rot_in_the_changes_is_found);
	unit_add(tc, files_that_do_not_belong_are_told);
	unit_add(tc, a_store_of_one_segment_outlives_its_first_block);
	unit_add(tc, an_interrupted_salvage_is_no_store);
	unit_add(tc, a_killed_salvage_is_run_again);
	unit_add(tc, a_torn_page_of_the_index_never_hangs_and_salvage_mends_it);
}
