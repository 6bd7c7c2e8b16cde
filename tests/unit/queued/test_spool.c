/* SPDX-License-Identifier: ISC */
#include "queued/spool.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memfd.h"
#include "queued/batch.h"
#include "tests/unit/unit.h"

/* In place of the C library's: the next sync fails; as on Linux, the one after that does not. */
static bool next_sync_fails;

int fdatasync(int fd);

int
fdatasync(int fd)
{
	if (next_sync_fails) {
		next_sync_fails = false;
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static char dir[64];
static struct spool *spool;

static void
open_spool(void)
{
	ck_assert_int_eq(
		spool_open(dir, &(struct spool_options){.segment_size = 65536}, &spool), FAULT_OK);
}

static void
reopen_spool(void)
{
	spool_close(spool);
	open_spool();
}

static void
setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/pabal-spool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	open_spool();
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
teardown(void)
{
	spool_close(spool);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char body[] = "Subject: x\r\n\r\nhello\r\n";

/* A message with count recipients due for destination d<number % 2>. */
static struct change *
make_change(uint64_t id, uint32_t count)
{
	struct change *c = change_new(1024 * 1024);
	struct parcel *p = change_add_parcel(c, count);

	p->message = (struct queue_message){
		.id = id, .arrived_ms = 1000, .sender = SLICE("s@x"), .client = SLICE("c")};
	p->bytes = slice_text(body);
	for (uint32_t i = 0; i < count; i++)
		p->recipients[i] = (struct queue_recipient){.number = i,
			.state = RECIPIENT_DUE,
			.next_ms = 1000,
			.address = SLICE("r@y"),
			.destination = i % 2 == 0 ? SLICE("a.example") : SLICE("b.example")};
	return c;
}

static void
nothing(void *arg)
{
	(void)arg;
}

static void
remember(void *arg, enum fault fault)
{
	*(enum fault *)arg = fault;
}

static enum fault
commit(struct change *c)
{
	struct event_base *base = event_base_new();
	struct batch *b = batch_new(base, spool, nothing, NULL);
	enum fault result = FAULT_INTERNAL;

	if (c->done == NULL) {
		c->done = remember;
		c->arg = &result;
	}
	batch_add(b, c);
	batch_commit(b);
	batch_free(b);
	event_base_free(base);
	return result;
}

static uint64_t
count_recipients(void)
{
	struct spool_txn txn;
	uint64_t count;

	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	count = spool_count_recipients(&txn);
	spool_abort(&txn);
	return count;
}

static void
remove_recipient(uint64_t id, uint32_t number)
{
	struct change *c = change_new(65536);

	c->id = id;
	c->steps = arena_array(&c->arena, 1, sizeof *c->steps);
	c->step_count = 1;
	c->steps[0].kind = CHANGE_REMOVE;
	c->steps[0].recipient.id = id;
	c->steps[0].recipient.number = number;
	ck_assert_int_eq(commit(c), FAULT_OK);
}

START_TEST(message_is_there_after_reopening)
{
	struct spool_txn txn;
	struct queue_message m;
	struct slice bytes;
	int fd;

	ck_assert_int_eq(commit(make_change(42, 3)), FAULT_OK);
	reopen_spool();
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(spool_get_message(&txn, 42, NULL, &m));
	ck_assert_uint_eq(m.left, 3);
	ck_assert_uint_eq(m.next_number, 3);
	ck_assert_slice_eq(m.sender, "s@x");
	ck_assert_int_eq(spool_open_message(spool, &m, &fd), FAULT_OK);
	ck_assert_int_eq(memfd_map(fd, 4096, &bytes), FAULT_OK);
	ck_assert_slice_eq(bytes, body);
	memfd_unmap(&bytes);
	close(fd);
	spool_abort(&txn);
}
END_TEST

START_TEST(last_recipient_takes_the_message_with_it)
{
	struct spool_txn txn;
	struct queue_message m;

	ck_assert_int_eq(commit(make_change(42, 2)), FAULT_OK);
	remove_recipient(42, 0);
	ck_assert_uint_eq(count_recipients(), 1);
	remove_recipient(42, 0);
	remove_recipient(42, 1);
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(!spool_get_message(&txn, 42, NULL, &m));
	ck_assert_uint_eq(spool_count_messages(&txn), 0);
	spool_abort(&txn);
}
END_TEST

START_TEST(due_order_is_by_destination_then_time)
{
	struct spool_entry e = {0};
	struct spool_txn txn;

	ck_assert_int_eq(commit(make_change(9, 4)), FAULT_OK);
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(spool_next_destination(&txn, true, &e));
	ck_assert_str_eq(e.destination, "a.example");
	ck_assert(spool_next_destination(&txn, false, &e));
	ck_assert_str_eq(e.destination, "b.example");
	ck_assert(!spool_next_destination(&txn, false, &e));
	e.next_ms = 0;
	e.id = e.number = 0;
	ck_assert(spool_next_due(&txn, &e));
	ck_assert_uint_eq(e.id, 9);
	ck_assert_uint_eq(e.number, 1);
	e.number++;
	ck_assert(spool_next_due(&txn, &e));
	ck_assert_uint_eq(e.number, 3);
	e.number++;
	ck_assert(!spool_next_due(&txn, &e));
	spool_abort(&txn);
}
END_TEST

START_TEST(update_moves_between_the_orders)
{
	struct change *c = change_new(65536);
	struct spool_entry e = {0};
	struct spool_txn txn;

	ck_assert_int_eq(commit(make_change(9, 1)), FAULT_OK);
	c->id = 9;
	c->steps = arena_array(&c->arena, 1, sizeof *c->steps);
	c->step_count = 1;
	c->steps[0].kind = CHANGE_UPDATE;
	c->steps[0].recipient = (struct queue_recipient){.id = 9,
		.state = RECIPIENT_WAITING,
		.next_ms = 5000,
		.address = SLICE("r@y"),
		.destination = SLICE("a.example")};
	ck_assert_int_eq(commit(c), FAULT_OK);
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(!spool_next_destination(&txn, true, &e));
	ck_assert(spool_next_waiting(&txn, &e));
	ck_assert_int_eq(e.next_ms, 5000);
	ck_assert_uint_eq(e.id, 9);
	spool_abort(&txn);
}
END_TEST

START_TEST(addition_outlives_the_recipient_that_it_replaces)
{
	struct change *c = change_new(65536);
	struct spool_txn txn;
	struct queue_recipient r = {.id = 9};
	struct queue_message m;

	ck_assert_int_eq(commit(make_change(9, 1)), FAULT_OK);
	c->id = 9;
	c->steps = arena_array(&c->arena, 2, sizeof *c->steps);
	c->step_count = 2;
	c->steps[0].kind = CHANGE_REMOVE;
	c->steps[0].recipient.id = 9;
	c->steps[1].kind = CHANGE_ADD;
	c->steps[1].recipient = (struct queue_recipient){
		.state = RECIPIENT_DUE, .address = SLICE("f@z"), .destination = SLICE("z")};
	ck_assert_int_eq(commit(c), FAULT_OK);
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(spool_get_message(&txn, 9, NULL, &m));
	ck_assert_uint_eq(m.left, 1);
	ck_assert(spool_next_recipient(&txn, &r));
	ck_assert_uint_eq(r.number, 1);
	ck_assert_slice_eq(r.address, "f@z");
	spool_abort(&txn);
}
END_TEST

START_TEST(taken_id_spoils_only_its_own_change)
{
	struct event_base *base = event_base_new();
	struct batch *b = batch_new(base, spool, nothing, NULL);
	enum fault first = FAULT_IO, second = FAULT_IO;
	struct change *again = make_change(1, 1), *other = make_change(2, 1);

	ck_assert_int_eq(commit(make_change(1, 1)), FAULT_OK);
	again->done = other->done = remember;
	again->arg = &first;
	other->arg = &second;
	batch_add(b, again);
	batch_add(b, other);
	batch_commit(b);
	ck_assert_int_ne(first, FAULT_OK);
	ck_assert(fault_is_temporary(first));
	ck_assert_int_eq(second, FAULT_OK);
	ck_assert_uint_eq(count_recipients(), 2);
	batch_free(b);
	event_base_free(base);
}
END_TEST

START_TEST(space_comes_back_when_all_is_delivered)
{
	char path[128];
	struct stat status;

	for (uint64_t id = 1; id <= 2000; id++)
		ck_assert_int_eq(commit(make_change(id, 1)), FAULT_OK);
	for (uint64_t id = 1; id <= 2000; id++)
		remove_recipient(id, 0);
	ck_assert_int_eq(commit(make_change(5000, 1)), FAULT_OK);
	snprintf(path, sizeof path, "%s/segments/00000001.seg", dir);
	ck_assert_int_ne(stat(path, &status), 0);
	reopen_spool();
	ck_assert_uint_eq(count_recipients(), 1);
}
END_TEST

/* More than a segment holds: what is appended after it goes to the next one. */
static struct change *
make_large_change(uint64_t id)
{
	static char large[70000];
	struct change *c = make_change(id, 1);

	memset(large, 'x', sizeof large);
	c->parcels->bytes = slice_make(large, sizeof large);
	return c;
}

static struct change *
make_removal(uint64_t id)
{
	struct change *c = change_new(65536);

	c->id = id;
	c->steps = arena_array(&c->arena, 1, sizeof *c->steps);
	c->step_count = 1;
	c->steps[0] = (struct change_step){.kind = CHANGE_REMOVE, .recipient.id = id};
	return c;
}

static void
commit_together(struct change **changes, size_t count, enum fault *faults)
{
	struct event_base *base = event_base_new();
	struct batch *b = batch_new(base, spool, nothing, NULL);

	for (size_t i = 0; i < count; i++) {
		faults[i] = FAULT_TIMEOUT;
		changes[i]->done = remember;
		changes[i]->arg = &faults[i];
		batch_add(b, changes[i]);
	}
	batch_commit(b);
	batch_free(b);
	event_base_free(base);
}

static void
expect_body(uint64_t id)
{
	struct spool_txn txn;
	struct queue_message m;
	int fd;

	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(spool_get_message(&txn, id, NULL, &m));
	ck_assert_int_eq(spool_open_message(spool, &m, &fd), FAULT_OK);
	close(fd);
	spool_abort(&txn);
}

START_TEST(segment_that_gets_a_message_as_it_loses_its_last_one_stays)
{
	struct change *changes[] = {make_removal(1), make_large_change(2), make_change(3, 1)};
	enum fault faults[3];

	ck_assert_int_eq(commit(make_change(1, 1)), FAULT_OK);
	commit_together(changes, 3, faults);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(faults[i], FAULT_OK);
	reopen_spool();
	expect_body(2);
	expect_body(3);
}
END_TEST

START_TEST(failed_sync_at_the_end_of_a_segment_spoils_the_batch)
{
	struct change *changes[] = {make_large_change(2), make_change(3, 1), make_change(4, 1)};
	enum fault faults[3];

	ck_assert_int_eq(commit(make_change(1, 1)), FAULT_OK);
	next_sync_fails = true;
	commit_together(changes, 3, faults);
	ck_assert(!next_sync_fails);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_ne(faults[i], FAULT_OK);
		ck_assert(fault_is_temporary(faults[i]));
	}
	ck_assert_uint_eq(count_recipients(), 1);
	ck_assert_int_eq(commit(make_change(3, 1)), FAULT_OK);
	reopen_spool();
	expect_body(1);
	expect_body(3);
}
END_TEST

static void
remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	ck_assert_int_eq(remove(path), 0);
}

START_TEST(segments_without_an_index_are_not_thrown_away)
{
	struct stat status;
	char path[128];

	ck_assert_int_eq(commit(make_change(1, 1)), FAULT_OK);
	spool_close(spool);
	spool = NULL;
	remove_file("index/data.mdb");
	remove_file("index/lock.mdb");
	ck_assert_int_eq(spool_open(dir, &(struct spool_options){.segment_size = 65536}, &spool),
		FAULT_DAMAGED);
	spool = NULL;
	snprintf(path, sizeof path, "%s/segments/00000001.seg", dir);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_gt(status.st_size, 0);
}
END_TEST

START_TEST(segment_that_a_crash_left_behind_goes_at_the_next_start)
{
	struct change *changes[] = {make_large_change(1), make_change(2, 1)};
	enum fault faults[2];
	struct stat status;
	char path[128];
	FILE *left;

	commit_together(changes, 2, faults);
	remove_recipient(1, 0);
	snprintf(path, sizeof path, "%s/segments/00000001.seg", dir);
	/* A recovery from the last checkpoint could still need it. */
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(journal_checkpoint(spool_journal(spool)), FAULT_OK);
	ck_assert_int_eq(commit(make_change(3, 1)), FAULT_OK);
	ck_assert_int_ne(stat(path, &status), 0);
	left = fopen(path, "w");
	ck_assert_ptr_nonnull(left);
	fclose(left);
	reopen_spool();
	ck_assert_int_ne(stat(path, &status), 0);
	expect_body(2);
}
END_TEST

START_TEST(addition_needs_no_room_in_its_own_change)
{
	struct change *c = change_new(1024);
	struct spool_txn txn;
	struct queue_message m;

	ck_assert_int_eq(commit(make_change(9, 1)), FAULT_OK);
	c->id = 9;
	c->steps = arena_array(&c->arena, 1, sizeof *c->steps);
	c->step_count = 1;
	c->steps[0].kind = CHANGE_ADD;
	c->steps[0].recipient = (struct queue_recipient){
		.state = RECIPIENT_DUE, .address = SLICE("f@z"), .destination = SLICE("z")};
	while (arena_alloc(&c->arena, 1) != NULL)
		continue;
	ck_assert_int_eq(commit(c), FAULT_OK);
	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	ck_assert(spool_get_message(&txn, 9, NULL, &m));
	ck_assert_uint_eq(m.left, 2);
	ck_assert_uint_eq(m.next_number, 2);
	ck_assert_slice_eq(m.sender, "s@x");
	spool_abort(&txn);
}
END_TEST

/* Shared with the child that is killed. */
struct acknowledged {
	uint64_t added; /* ids 1..added are in the queue */
	uint64_t removed; /* ids 1..removed are out of it again */
};

static void
fill_until_killed(struct acknowledged *seen)
{
	for (uint64_t id = 1;; id++) {
		if (commit(make_change(id, 2)) != FAULT_OK)
			_exit(1);
		seen->added = id;
		if (id % 3 != 0)
			continue;
		remove_recipient(id / 3, 0);
		remove_recipient(id / 3, 1);
		seen->removed = id / 3;
	}
}

static void
check_after_kill(const struct acknowledged *seen)
{
	struct spool_txn txn;
	uint64_t in_doubt = 1;

	ck_assert_int_eq(spool_begin(spool, false, &txn), FAULT_OK);
	for (uint64_t id = seen->removed + 1 + in_doubt; id <= seen->added; id++) {
		struct queue_message m;
		int fd;

		ck_assert_msg(spool_get_message(&txn, id, NULL, &m), "lost %llu of %llu",
			(unsigned long long)id, (unsigned long long)seen->added);
		ck_assert_int_eq(spool_open_message(spool, &m, &fd), FAULT_OK);
		close(fd);
	}
	for (uint64_t id = 1; id <= seen->removed; id++) {
		struct queue_message m;

		ck_assert(!spool_get_message(&txn, id, NULL, &m));
	}
	spool_abort(&txn);
}

START_TEST(killed_at_any_moment_keeps_what_it_acknowledged)
{
	struct acknowledged *seen =
		mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(seen, MAP_FAILED);
	for (int round = 0; round < 12; round++) {
		useconds_t pause = (useconds_t)(entropy_u64(&entropy_system) % 60000);
		pid_t child;
		int status;

		teardown();
		setup();
		spool_close(spool);
		spool = NULL;
		*seen = (struct acknowledged){0};
		child = fork();
		if (child == 0) {
			open_spool();
			fill_until_killed(seen);
		}
		usleep(pause);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		ck_assert(WIFSIGNALED(status));
		open_spool();
		check_after_kill(seen);
	}
	munmap(seen, sizeof *seen);
}
END_TEST

UNIT(spool)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, message_is_there_after_reopening);
	unit_add(tc, last_recipient_takes_the_message_with_it);
	unit_add(tc, due_order_is_by_destination_then_time);
	unit_add(tc, update_moves_between_the_orders);
	unit_add(tc, addition_outlives_the_recipient_that_it_replaces);
	unit_add(tc, taken_id_spoils_only_its_own_change);
	unit_add(tc, space_comes_back_when_all_is_delivered);
	unit_add(tc, segment_that_gets_a_message_as_it_loses_its_last_one_stays);
	unit_add(tc, failed_sync_at_the_end_of_a_segment_spoils_the_batch);
	unit_add(tc, segments_without_an_index_are_not_thrown_away);
	unit_add(tc, segment_that_a_crash_left_behind_goes_at_the_next_start);
	unit_add(tc, addition_needs_no_room_in_its_own_change);
	unit_add(tc, killed_at_any_moment_keeps_what_it_acknowledged);
}
