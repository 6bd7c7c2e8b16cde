/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails under the writer: each call in turn, in each way.  Whatever was acknowledged is
 * there, now and after a power cut; what was refused never happened; when the disk is well again
 * work goes on without a restart, but for the faults that pabal-store(5) names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/store/disk.h"
#include "tests/unit/store/fixture.h"

enum { MESSAGES_MAX = 4000, SMALL_SEGMENT = 12000 };

/* What the test knows of message number i. */
struct known {
	uint32_t uid; /* 0: not there */
	bool is_seen;
};

/* A store, and what must be in it. */
struct world {
	struct fixture f;
	uint8_t boot[16];
	struct known known[MESSAGES_MAX];
	uint32_t next;
	uint32_t alive;
	uint32_t unsure; /* of this one the last request was not acknowledged */
};

static size_t
body_of(uint32_t number, char body[static 4000])
{
	uint64_t state = number;
	size_t len = number % 3 == 0 ? 4000 : 50 + number % 200;

	for (size_t i = 0; i < len; i++)
		body[i] = (char)fixture_random(&state, 256);
	return len;
}

/* In memory: what is tested is not this machine's disk. */
static void
world_open(struct world *w)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	*w = (struct world){.next = 1, .boot = "monday"};
	w->f.options.segment_size_max = SMALL_SEGMENT;
	w->f.options.boot_id = w->boot;
	fixture_open(&w->f);
}

static enum fault
try_append(struct world *w)
{
	char body[4000];
	struct fixture_message m;
	uint32_t number = w->next++;

	must(number < MESSAGES_MAX);
	fixture_message(&w->f, &m, slice_make(body, body_of(number, body)));
	enum fault fault = writer_begin(w->f.writer);
	if (fault == FAULT_OK) {
		writer_append(w->f.writer, &m.request);
		fault = writer_commit(w->f.writer);
	}
	if (fault == FAULT_OK)
		fault = m.targets[0].fault;
	fixture_message_clear(&m);
	if (fault == FAULT_OK) {
		w->known[number].uid = m.targets[0].uid;
		w->alive++;
	}
	return fault;
}

/* Marks the message, or expunges it. */
static enum fault
try_change(struct world *w, uint32_t number, bool expunge)
{
	struct known *k = &w->known[number];
	struct uid_range one = {k->uid, k->uid};
	struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &one, 1},
		.verb = WRITER_FLAGS_ADD,
		.flags = STORE_SEEN};
	struct writer_expunge gone = {.uids = {ALICE, STORE_INBOX, &one, 1}};
	enum fault fault = writer_begin(w->f.writer);

	if (fault != FAULT_OK)
		return fault;
	fault = expunge ? writer_expunge(w->f.writer, &gone)
			: writer_flags_store(w->f.writer, &flags);
	uid_set_clear(&flags.changed);
	uid_set_clear(&gone.expunged);
	if (fault != FAULT_OK)
		writer_abort(w->f.writer);
	else
		fault = writer_commit(w->f.writer);
	if (fault != FAULT_OK)
		w->unsure = number;
	if (fault == FAULT_OK && expunge) {
		k->uid = 0;
		w->alive--;
	} else if (fault == FAULT_OK) {
		k->is_seen = true;
	}
	return fault;
}

/* Everything that is acknowledged is there, and nothing else. */
static void
world_check(struct world *w)
{
	char body[4000];

	ck_assert_uint_eq(fixture_mailbox(&w->f, ALICE, "INBOX").exists, w->alive);
	for (uint32_t i = 1; i < w->next; i++) {
		if (w->known[i].uid == 0)
			continue;
		fixture_expect(&w->f, ALICE, STORE_INBOX, w->known[i].uid,
			slice_make(body, body_of(i, body)));
		struct store_message m = fixture_load(&w->f, ALICE, STORE_INBOX, w->known[i].uid);
		must(((m.flags & STORE_SEEN) != 0) == w->known[i].is_seen);
	}
	fixture_verify(&w->f);
}

/* As after a power cut: the index is put back, and the log done again. */
static void
world_restart(struct world *w)
{
	w->boot[6]++;
	fixture_reopen(&w->f);
}

/* After a fault that ends the writer a request that was refused may have happened. */
static void
world_learn(struct world *w)
{
	uint32_t exists = fixture_mailbox(&w->f, ALICE, "INBOX").exists;
	struct known *k = &w->known[w->unsure];
	struct store_message m;

	if (k->uid != 0) {
		ck_assert_ok(reader_begin(w->f.reader));
		enum fault fault = reader_message(w->f.reader, ALICE, STORE_INBOX, k->uid, &m);
		reader_end(w->f.reader);
		w->alive -= fault == FAULT_NOT_FOUND;
		k->is_seen = fault == FAULT_OK && (m.flags & STORE_SEEN) != 0;
		k->uid = fault == FAULT_OK ? k->uid : 0;
	}
	/* A message that nobody knows of: it is taken away, as its sender brings it again. */
	must(exists <= w->alive + 1);
	if (exists == w->alive + 1) {
		struct uid_range all = {1, UINT32_MAX}, *last = &all;
		struct store_mailbox box = fixture_mailbox(&w->f, ALICE, "INBOX");
		all = (struct uid_range){box.uidnext - 1, box.uidnext - 1};
		struct writer_expunge gone = {.uids = {ALICE, STORE_INBOX, last, 1}};
		fixture_begin(&w->f);
		ck_assert_ok(writer_expunge(w->f.writer, &gone));
		fixture_commit(&w->f);
		uid_set_clear(&gone.expunged);
	}
}

static uint32_t
first_alive(const struct world *w)
{
	uint32_t i = 1;

	while (w->known[i].uid == 0)
		i++;
	return i;
}

/* All that a writer does, a checkpoint and new segments included.  Says how much was refused. */
static unsigned
work(struct world *w)
{
	unsigned refused = 0;

	w->unsure = 0;
	for (int i = 0; i < 4; i++)
		refused += try_append(w) != FAULT_OK;
	refused += try_change(w, first_alive(w) + 1, false) != FAULT_OK;
	/* The next commit is followed by a checkpoint. */
	w->f.now_ms += 6000;
	refused += try_append(w) != FAULT_OK;
	refused += try_change(w, first_alive(w), true) != FAULT_OK;
	refused += try_append(w) != FAULT_OK;
	return refused;
}

/* Whether a fault of this kind may end the writer: see pabal-store(5). */
static void
each_call_fails(struct disk_plan plan, bool may_end)
{
	struct world *w = malloc(sizeof(*w));
	unsigned ended = 0, failed = 1;

	world_open(w);
	(void)work(w);
	world_check(w);
	for (plan.skip = 0; failed > 0; plan.skip++) {
		disk_plan(&plan);
		(void)work(w);
		failed = disk_heal();
		bool is_broken = writer_is_broken(w->f.writer);
		if (!is_broken) {
			is_broken = writer_begin(w->f.writer) != FAULT_OK;
			writer_abort(w->f.writer);
		}
		must(may_end || !is_broken);
		must(!is_broken || writer_is_broken(w->f.writer));
		ended += is_broken;
		if (is_broken) {
			fixture_reopen(&w->f);
			world_learn(w);
		}
		/* Without a restart. */
		ck_assert_uint_eq(work(w), 0);
		world_check(w);
		if (plan.skip % 4 == 0) {
			world_restart(w);
			world_check(w);
		}
	}
	printf("%u calls, %u ended the writer\n", plan.skip - 1, ended);
	ck_assert_uint_gt(plan.skip, 1);
	must(ended > 0 || !may_end);
	fixture_close(&w->f);
	free(w);
}

START_TEST(a_disk_without_space_at_each_call_that_takes_some)
{
	each_call_fails((struct disk_plan){.calls = DISK_WRITE | DISK_ALLOCATE | DISK_MAKE,
				.error = ENOSPC},
		true);
}
END_TEST

START_TEST(a_full_disk_from_each_call_on)
{
	each_call_fails((struct disk_plan){.calls = DISK_WRITE | DISK_ALLOCATE | DISK_MAKE,
				.name = ".seg",
				.error = ENOSPC,
				.lasts = true},
		false);
}
END_TEST

START_TEST(each_write_to_a_segment_fails)
{
	each_call_fails(
		(struct disk_plan){.calls = DISK_WRITE, .name = ".seg", .error = EIO}, false);
}
END_TEST

START_TEST(each_write_is_done_by_half)
{
	each_call_fails((struct disk_plan){.calls = DISK_WRITE}, true);
}
END_TEST

START_TEST(each_sync_of_a_segment_fails)
{
	each_call_fails(
		(struct disk_plan){.calls = DISK_SYNC, .name = ".seg", .error = EIO}, false);
}
END_TEST

START_TEST(each_sync_of_the_directory_fails)
{
	each_call_fails(
		(struct disk_plan){.calls = DISK_SYNC, .name = "segments", .error = EIO}, false);
}
END_TEST

START_TEST(each_sync_of_the_index_fails)
{
	each_call_fails(
		(struct disk_plan){.calls = DISK_SYNC, .name = "data.mdb", .error = EIO}, true);
}
END_TEST

START_TEST(each_call_to_the_checkpoint_file_fails)
{
	each_call_fails(
		(struct disk_plan){
			.calls = DISK_SYNC | DISK_WRITE, .name = "checkpoint", .error = EIO},
		false);
}
END_TEST

START_TEST(each_write_of_the_index_s_meta_pages_fails)
{
	each_call_fails(
		(struct disk_plan){
			.calls = DISK_WRITE, .name = "data.mdb", .error = EIO, .is_small = true},
		true);
}
END_TEST

START_TEST(each_cut_of_a_segment_fails)
{
	each_call_fails((struct disk_plan){.calls = DISK_CUT, .error = EIO}, false);
}
END_TEST

START_TEST(each_open_of_a_file_finds_no_descriptor)
{
	each_call_fails((struct disk_plan){.calls = DISK_OPEN, .error = EMFILE}, false);
}
END_TEST

UNIT(faults)
{
	tcase_set_timeout(tc, 300);
	unit_add(tc, a_disk_without_space_at_each_call_that_takes_some);
	unit_add(tc, a_full_disk_from_each_call_on);
	unit_add(tc, each_write_to_a_segment_fails);
	unit_add(tc, each_write_is_done_by_half);
	unit_add(tc, each_sync_of_a_segment_fails);
	unit_add(tc, each_sync_of_the_directory_fails);
	unit_add(tc, each_sync_of_the_index_fails);
	unit_add(tc, each_call_to_the_checkpoint_file_fails);
	unit_add(tc, each_write_of_the_index_s_meta_pages_fails);
	unit_add(tc, each_cut_of_a_segment_fails);
	unit_add(tc, each_open_of_a_file_finds_no_descriptor);
}
