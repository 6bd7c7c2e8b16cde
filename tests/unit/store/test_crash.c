/* SPDX-License-Identifier: ISC */
/*
 * What the store has acknowledged survives: a writer is killed at any moment, the disk fills up.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "tests/unit/store/fixture.h"

enum { KILLS = 100, NUMBERS_MAX = 20000 };

/* What the writer says after a commit (and 'x' before it begins to expunge). */
struct said {
	char what; /* 'a' appended, 's' marked seen, 'x' will expunge, 'e' expunged */
	uint32_t number; /* of the message */
	uint32_t uid;
};

/* What the parent knows of message number i. */
struct known {
	uint32_t uid; /* 0: not acknowledged */
	bool seen;
	bool maybe_expunged;
	bool expunged;
};

static size_t
body_of(uint32_t number, char *body, size_t size)
{
	uint64_t state = number;
	size_t len = number % 7 == 0 ? size : 20 + number % 300;

	for (size_t i = 0; i < len; i++)
		body[i] = (char)fixture_random(&state, 256);
	return len;
}

static void
message_of(struct fixture *f, uint32_t number, struct fixture_message *m)
{
	static char body[30000];

	fixture_message(f, m, slice_make(body, body_of(number, body, sizeof(body))));
	put_u32(m->targets[0].delivery_id, number);
	m->targets[0].delivery_id[15] = 1;
}

static void
say(int to, const struct said *said)
{
	if (write(to, said, sizeof(*said)) != sizeof(*said))
		_exit(1);
}

/* Appends, marks and expunges until it is killed. */
static void
write_until_killed(struct fixture *f, uint32_t number, uint64_t state, int to)
{
	for (;;) {
		struct said said[8];
		uint32_t count = 1 + fixture_random(&state, 8);
		fixture_begin(f);
		for (uint32_t i = 0; i < count; i++) {
			struct fixture_message m;
			message_of(f, number + i, &m);
			writer_append(f->writer, &m.request);
			said[i] = (struct said){'a', number + i, m.targets[0].uid};
			fixture_message_clear(&m);
		}
		fixture_commit(f);
		for (uint32_t i = 0; i < count; i++)
			say(to, &said[i]);
		struct uid_range range = {said[0].uid, said[0].uid};
		struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &range, 1},
			.verb = WRITER_FLAGS_ADD,
			.flags = STORE_SEEN};
		fixture_begin(f);
		ck_assert_ok(writer_flags_store(f->writer, &flags));
		fixture_commit(f);
		say(to, &(struct said){'s', said[0].number, said[0].uid});
		range.first = range.last = said[count - 1].uid;
		struct writer_expunge expunge = {.uids = {ALICE, STORE_INBOX, &range, 1}};
		say(to, &(struct said){'x', said[count - 1].number, range.first});
		fixture_begin(f);
		ck_assert_ok(writer_expunge(f->writer, &expunge));
		fixture_commit(f);
		say(to, &(struct said){'e', said[count - 1].number, range.first});
		number += count;
	}
}

static void
note(struct known *known, const struct said *said)
{
	struct known *k = &known[said->number];

	if (said->what == 'a')
		k->uid = said->uid;
	else if (said->what == 's')
		k->seen = true;
	else if (said->what == 'x')
		k->maybe_expunged = true;
	else
		k->expunged = true;
}

/* Runs a writer, kills it after so many words, and hears out what it had said. */
static uint32_t
run_and_kill(struct fixture *f, struct known *known, uint32_t number, uint64_t *state)
{
	uint32_t words = 1 + fixture_random(state, 40), highest = number;
	uint64_t child_state = *state;
	struct said said;
	int ends[2];

	must(pipe(ends) == 0);
	pid_t child = fork();
	must(child >= 0);
	if (child == 0) {
		close(ends[0]);
		ck_assert_ok(writer_open(f->dir, &f->options, &f->writer));
		write_until_killed(f, number, child_state, ends[1]);
	}
	close(ends[1]);
	for (uint32_t i = 0; read(ends[0], &said, sizeof(said)) == sizeof(said); i++) {
		note(known, &said);
		if (said.number >= highest)
			highest = said.number + 1;
		if (i == words)
			kill(child, SIGKILL);
	}
	close(ends[0]);
	must(waitpid(child, NULL, 0) == child);
	/* Up to eight more may have been committed without a word. */
	return highest + 8;
}

/* Delivering all again must change nothing for what had been acknowledged. */
static void
check_number(struct fixture *f, struct known *k, uint32_t number)
{
	struct fixture_message m;
	struct store_message stored;

	message_of(f, number, &m);
	fixture_begin(f);
	writer_append(f->writer, &m.request);
	fixture_commit(f);
	ck_assert_ok(m.targets[0].fault);
	fixture_message_clear(&m);
	if (k->uid != 0) {
		must(m.targets[0].repeated);
		must(m.targets[0].uid == k->uid);
	}
	k->uid = m.targets[0].uid;
	ck_assert_ok(reader_begin(f->reader));
	enum fault fault = reader_message(f->reader, ALICE, STORE_INBOX, k->uid, &stored);
	reader_end(f->reader);
	if (fault != FAULT_OK && !k->maybe_expunged)
		ck_abort_msg("message %u, UID %u: %s", number, k->uid, fault_name(fault));
	must(fault == FAULT_NOT_FOUND || !k->expunged);
	if (fault == FAULT_NOT_FOUND) {
		k->expunged = true;
		return;
	}
	must(!k->seen || (stored.flags & STORE_SEEN) != 0);
	char body[30000];
	fixture_expect(f, ALICE, STORE_INBOX, k->uid,
		slice_make(body, body_of(number, body, sizeof(body))));
}

START_TEST(a_killed_writer_loses_nothing_that_it_acknowledged)
{
	static struct known known[NUMBERS_MAX];
	struct fixture f = {.options.segment_size_max = 300000};
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	uint64_t state = seed;
	uint32_t number = 1, alive = 0;

	printf("killed writer: SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	fixture_open(&f);
	for (int i = 0; i < KILLS; i++) {
		uint32_t first = number;
		writer_close(f.writer);
		f.writer = NULL;
		number = run_and_kill(&f, known, number, &state);
		ck_assert_uint_lt(number, NUMBERS_MAX);
		ck_assert_ok(writer_open(f.dir, &f.options, &f.writer));
		f.reader = writer_reader(f.writer);
		if (i % 10 == 0)
			fixture_verify(&f);
		for (uint32_t n = first; n < number; n++)
			check_number(&f, &known[n], n);
		(void)fixture_random(&state, 2);
	}
	for (uint32_t n = 1; n < number; n++) {
		check_number(&f, &known[n], n);
		alive += !known[n].expunged;
	}
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, alive);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

/* The reserves for changes are 4 MiB of the index, and a little of the segment. */
enum { FULL = 8 * 1024 * 1024 };

static void
file_limit(rlim_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
}

START_TEST(a_full_segment_disk_is_a_temporary_fault_of_that_message)
{
	struct fixture f = {0};
	struct fixture_message m;
	struct uid_range one = {1, 1};
	unsigned stored = 0;

	fixture_open(&f);
	file_limit(FULL);
	for (uint32_t number = 7; number < 7000; number += 7) {
		message_of(&f, number, &m);
		fixture_begin(&f);
		writer_append(f.writer, &m.request);
		fixture_commit(&f);
		fixture_message_clear(&m);
		if (m.targets[0].fault != FAULT_OK)
			break;
		stored++;
	}
	ck_assert_fault(m.targets[0].fault, FAULT_NO_SPACE);
	ck_assert_uint_gt(stored, 10);
	struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &one, 1},
		.verb = WRITER_FLAGS_ADD,
		.flags = STORE_SEEN};
	fixture_begin(&f);
	ck_assert_ok(writer_flags_store(f.writer, &flags));
	fixture_commit(&f);
	uid_set_clear(&flags.changed);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, stored);
	fixture_verify(&f);
	file_limit(RLIM_INFINITY);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("room again")), stored + 1);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

/* A change that is none for the reader: it only costs pages. */
static enum fault
flags_toggle(struct fixture *f, bool on)
{
	struct uid_range all = {1, UINT32_MAX};
	struct writer_flags flags = {.uids = {ALICE, STORE_INBOX, &all, 1},
		.verb = on ? WRITER_FLAGS_ADD : WRITER_FLAGS_REMOVE,
		.flags = STORE_FLAGGED};

	ck_assert_ok(writer_begin(f->writer));
	enum fault fault = writer_flags_store(f->writer, &flags);
	uid_set_clear(&flags.changed);
	if (fault != FAULT_OK) {
		writer_abort(f->writer);
		return fault;
	}
	return writer_commit(f->writer);
}

START_TEST(a_full_disk_takes_changes_for_a_while_and_nothing_half)
{
	struct fixture f = {0};
	struct fixture_message m;
	enum fault fault = FAULT_OK;
	uint32_t stored = 0, changed = 0;

	fixture_open(&f);
	file_limit(FULL);
	fixture_message(&f, &m, SLICE("tiny"));
	for (int batch = 0; batch < 1000 && m.targets[0].fault == FAULT_OK; batch++) {
		fixture_begin(&f);
		for (int i = 0; i < 50; i++) {
			writer_append(f.writer, &m.request);
			stored += m.targets[0].fault == FAULT_OK;
		}
		fixture_commit(&f);
	}
	ck_assert_fault(m.targets[0].fault, FAULT_NO_SPACE);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, stored);
	for (; fault == FAULT_OK && changed < 10000; changed++)
		fault = flags_toggle(&f, changed % 2 == 0);
	ck_assert_uint_gt(changed, 3);
	ck_assert(fault_is_temporary(fault));
	fixture_verify(&f);
	ck_assert_uint_eq(fixture_mailbox(&f, ALICE, "INBOX").exists, stored);
	file_limit(RLIM_INFINITY);
	ck_assert_uint_eq(fixture_append(&f, ALICE, STORE_INBOX, SLICE("room again")), stored + 1);
	fixture_message_clear(&m);
	fixture_verify(&f);
	fixture_reopen(&f);
	fixture_verify(&f);
	fixture_close(&f);
}
END_TEST

UNIT(crash)
{
	/* Hundreds of syncs, on whatever disk there is. */
	tcase_set_timeout(tc, 600);
	unit_add(tc, a_killed_writer_loses_nothing_that_it_acknowledged);
	unit_add(tc, a_full_segment_disk_is_a_temporary_fault_of_that_message);
	unit_add(tc, a_full_disk_takes_changes_for_a_while_and_nothing_half);
}
