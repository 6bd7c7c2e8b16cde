/* SPDX-License-Identifier: ISC */
/*
 * queued itself, in its sandbox, as a process: the test plays maild, smtpd, deliverd and relayd
 * over socketpairs, and damages the queue before it starts.
 */
#include <event2/event.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memfd.h"
#include "common/ipc/link.h"
#include "queued/batch.h"
#include "queued/spool_tables.h"
#include "tests/unit/unit.h"

enum { DEADLINE_MS = 20000, MAILD_FD = 3, RELAYS_MAX = 16, MANY = 4000 };

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)

struct suite {
	char dir[64];
	struct event_base *base;
	pid_t pid;
	struct ipc_link *maild, *smtpd, *deliverd, *relayd;
	bool ready;
	bool relay_fails; /* relayd answers no request */
	uint64_t relayed[RELAYS_MAX];
	unsigned relay_count;
	unsigned answers, refused; /* to submissions */
	enum fault last;
};

static void
answer_relay(struct suite *s, struct ipc_link *link, const struct ipc_message *message)
{
	const struct ipc_relay *request = message->payload;
	struct ipc_relay_result results[16] = {0};
	struct ipc_relayed answer = {.results = results, .result_count = request->recipient_count};

	must(s->relay_count < RELAYS_MAX && request->recipient_count <= 16);
	s->relayed[s->relay_count++] = request->id;
	for (uint32_t i = 0; i < request->recipient_count; i++)
		results[i].number = request->recipients[i].number;
	if (!s->relay_fails)
		ipc_answer_RELAYED(ipc_origin_of(link, message), &answer, -1);
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct suite *s = arg;

	if (message->type == IPC_READY)
		s->ready = true;
	if (message->type == IPC_RELAY)
		answer_relay(s, link, message);
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	(void)arg, (void)link, (void)fault;
}

static void
program_run(struct suite *s, int maild)
{
	char path[PATH_MAX], program[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	must(n > 0);
	path[n] = '\0';
	/* BUILD/tests/unit-queued -> BUILD/bin/queued */
	for (int up = 0; up < 2; up++)
		*strrchr(path, '/') = '\0';
	(void)snprintf(program, sizeof program, "%s/bin/queued", path);
	must(access(program, X_OK) == 0);
	s->pid = fork();
	must(s->pid >= 0);
	if (s->pid != 0)
		return;
	if (dup2(maild, MAILD_FD) != MAILD_FD)
		_exit(1);
	/* The leak checker needs ptrace, which the sandbox denies. */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "-i", "0", (char *)NULL);
	_exit(1);
}

static struct ipc_link *
peer_make(struct suite *s, enum process process)
{
	struct ipc_link_events events = {NULL, on_message, on_lost, NULL, s};
	struct ipc_peer peer = {(uint32_t)process, 0};
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	struct ipc_link *link = ipc_link_new(s->base, ends[0], process, PROCESS_QUEUED, &events);
	must(ipc_send_PEER(s->maild, 0, &peer, ends[1]) == FAULT_OK);
	close(ends[1]);
	return link;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_abort_msg("queued does not answer");
}

/* Runs the loop until *count is at least so many. */
static void
run_until(struct suite *s, const unsigned *count, unsigned least)
{
	struct event *deadline = event_new(s->base, -1, 0, on_deadline, s);
	struct timeval most = {.tv_sec = DEADLINE_MS / 1000};

	event_add(deadline, &most);
	while (count != NULL ? *count < least : !s->ready)
		must(event_base_loop(s->base, EVLOOP_ONCE) == 0);
	event_free(deadline);
}

static void
setting_send(struct suite *s, const char *name, const char *value)
{
	struct ipc_setting setting = {slice_text(name), slice_text(value)};

	must(ipc_send_SETTING(s->maild, 0, &setting, -1) == FAULT_OK);
}

static void
program_start(struct suite *s)
{
	struct ipc_link_events events = {NULL, on_message, on_lost, NULL, s};
	struct ipc_empty end = {0};
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	program_run(s, ends[1]);
	close(ends[1]);
	s->ready = false;
	s->maild = ipc_link_new(s->base, ends[0], PROCESS_MAILD, PROCESS_QUEUED, &events);
	setting_send(s, "data-directory", s->dir);
	setting_send(s, "log-level", "warning");
	setting_send(s, "message-memory", "1M");
	setting_send(s, "message-size", "100K");
	s->smtpd = peer_make(s, PROCESS_SMTPD);
	s->deliverd = peer_make(s, PROCESS_DELIVERD);
	s->relayd = peer_make(s, PROCESS_RELAYD);
	must(ipc_send_CONFIGURED(s->maild, 0, &end, -1) == FAULT_OK);
	run_until(s, NULL, 0);
}

static void
links_free(struct suite *s)
{
	ipc_link_free(s->smtpd);
	ipc_link_free(s->deliverd);
	ipc_link_free(s->relayd);
	ipc_link_free(s->maild);
}

static void
program_kill(struct suite *s)
{
	must(kill(s->pid, SIGKILL) == 0);
	must(waitpid(s->pid, NULL, 0) == s->pid);
	links_free(s);
}

static void
suite_init(struct suite *s)
{
	char queue[80];

	*s = (struct suite){0};
	must(sodium_init() >= 0);
	(void)snprintf(s->dir, sizeof s->dir, "/tmp/pabal-queued-XXXXXX");
	must(mkdtemp(s->dir) != NULL);
	(void)snprintf(queue, sizeof queue, "%s/queue", s->dir);
	must(mkdir(queue, 0700) == 0);
	s->base = event_base_new();
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static void
suite_clear(struct suite *s)
{
	event_base_free(s->base);
	(void)nftw(s->dir, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Asks it to stop; it must end by itself with status 0. */
static void
program_stop(struct suite *s)
{
	struct ipc_empty end = {0};
	int status;

	must(ipc_send_SHUTDOWN(s->maild, 0, &end, -1) == FAULT_OK);
	ipc_link_flush(s->maild, 1000);
	must(waitpid(s->pid, &status, 0) == s->pid);
	ck_assert_int_eq(status, 0);
	links_free(s);
}

static struct spool *
spool_of(const struct suite *s)
{
	struct spool *spool;
	char path[80];

	(void)snprintf(path, sizeof path, "%s/queue", s->dir);
	must(spool_open(path, &(struct spool_options){.segment_size = 65536}, &spool) == FAULT_OK);
	return spool;
}

static void
nothing(void *arg)
{
	(void)arg;
}

/* A message with one recipient at far.test. */
static void
spool_fill(struct suite *s, struct spool *spool, uint64_t id, enum recipient_state state)
{
	struct batch *b = batch_new(s->base, spool, nothing, NULL);
	struct change *c = change_new(65536);
	struct parcel *p = change_add_parcel(c, 1);

	/* In the past for the schedule, and not yet too old for it. */
	int64_t now_ms = clock_wall_ms(&clock_system) - 1000;
	p->message = (struct queue_message){.id = id, .arrived_ms = now_ms, .sender = SLICE("s@x")};
	p->bytes = SLICE("Subject: x\r\n\r\nhello\r\n");
	p->recipients[0] = (struct queue_recipient){.state = state,
		.next_ms = now_ms + (int64_t)id,
		.address = SLICE("r@far.test"),
		.destination = SLICE("far.test")};
	batch_add(b, c);
	batch_commit(b);
	batch_free(b);
}

static void
record_damage(struct spool *spool, enum spool_table table, uint64_t id)
{
	struct spool_txn txn;
	uint8_t key[12] = {0};

	put_u64(key, id);
	must(spool_begin(spool, true, &txn) == FAULT_OK);
	kv_put(&txn.kv, table, slice_make(key, table == SPOOL_MESSAGES ? 8 : 12), SLICE("\1rot"));
	must(spool_commit(&txn) == FAULT_OK);
}

START_TEST(damaged_records_keep_nobody_back)
{
	struct suite s;
	struct spool *spool;
	struct spool_entry e = {0};
	struct spool_txn txn;

	suite_init(&s);
	spool = spool_of(&s);
	for (uint64_t id = 1; id <= 8; id++)
		spool_fill(&s, spool, id, id == 7 ? RECIPIENT_WAITING : RECIPIENT_DUE);
	for (uint64_t id = 1; id <= 3; id++)
		record_damage(spool, SPOOL_MESSAGES, id);
	for (uint64_t id = 4; id <= 7; id++)
		record_damage(spool, SPOOL_RECIPIENTS, id);
	spool_close(spool);
	program_start(&s);
	run_until(&s, &s.relay_count, 1);
	ck_assert_uint_eq(s.relayed[0], 8);
	program_stop(&s);
	spool = spool_of(&s);
	must(spool_begin(spool, false, &txn) == FAULT_OK);
	/* The one whose time had come does not come up again and again. */
	ck_assert(!spool_next_waiting(&txn, &e));
	spool_abort(&txn);
	spool_close(spool);
	suite_clear(&s);
}
END_TEST

static void
on_submitted(void *arg, const struct ipc_answer *answer)
{
	struct suite *s = arg;

	s->answers++;
	s->last = answer->fault;
	s->refused += answer->fault == FAULT_BUDGET;
}

static int
letter_make(bool sealed, size_t size)
{
	static const char line[] = "Subject: x\r\n\r\nhello\r\n";
	enum fault fault;
	int fd = memfd_open("letter", &fault);

	must(fd >= 0);
	for (size_t at = 0; at < size; at += sizeof line - 1)
		must(memfd_append(fd, slice_text(line)) == FAULT_OK);
	if (sealed)
		must(memfd_seal(fd) == FAULT_OK);
	return fd;
}

static void
submit_later(struct suite *s, struct ipc_submit *submit, int fd)
{
	(void)ipc_call(s->base, s->smtpd, IPC_SUBMIT, submit, fd, DEADLINE_MS, on_submitted, s);
}

static enum fault
submit(struct suite *s, struct ipc_submit *request, int fd)
{
	submit_later(s, request, fd);
	run_until(s, &s->answers, s->answers + 1);
	close(fd);
	return s->last;
}

START_TEST(submissions_that_lie_get_a_fault_and_harm_nobody)
{
	static const uint32_t numbers[][2] = {
		{0, 0}, {5, 5}, {1, 0}, {0, UINT32_MAX}, {UINT32_MAX, 0}};
	struct ipc_recipient to[2] = {
		{.address = SLICE("a@far.test")}, {.address = SLICE("b@far.test")}};
	struct ipc_submit request = {
		.id = 1, .sender = SLICE("s@x"), .recipients = to, .recipient_count = 2};
	struct suite s;

	suite_init(&s);
	program_start(&s);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		request.id = i + 1;
		to[0].number = numbers[i][0];
		to[1].number = numbers[i][1];
		ck_assert_int_eq(submit(&s, &request, letter_make(true, 100)), FAULT_PEER_PROTOCOL);
	}
	to[0].number = 0;
	to[1].number = 1;
	ck_assert_int_eq(submit(&s, &request, letter_make(false, 100)), FAULT_PEER_PROTOCOL);
	ck_assert_int_ne(submit(&s, &request, letter_make(true, 500000)), FAULT_OK);
	ck_assert_int_ne(submit(&s, &request, letter_make(true, 2000000)), FAULT_OK);
	request.recipient_count = 0;
	ck_assert_int_ne(submit(&s, &request, letter_make(true, 100)), FAULT_OK);
	request.recipient_count = 2;
	request.id = 77;
	ck_assert_int_eq(submit(&s, &request, letter_make(true, 100)), FAULT_OK);
	run_until(&s, &s.relay_count, 1);
	ck_assert_uint_eq(s.relayed[0], 77);
	program_stop(&s);
	suite_clear(&s);
}
END_TEST

START_TEST(messages_without_a_byte_are_counted_too)
{
	struct ipc_recipient to = {.local = true, .address = SLICE("a@near.test")};
	struct ipc_submit request = {
		.sender = SLICE("s@x"), .recipients = &to, .recipient_count = 1};
	struct suite s;
	int fd = letter_make(true, 0);

	suite_init(&s);
	program_start(&s);
	/* deliverd answers none of them. */
	for (request.id = 1; request.id <= MANY; request.id++)
		submit_later(&s, &request, fd);
	run_until(&s, &s.refused, 1);
	close(fd);
	program_kill(&s);
	suite_clear(&s);
}
END_TEST

START_TEST(message_in_delivery_at_a_kill_is_sent_again_and_a_done_one_is_not)
{
	struct ipc_recipient to = {.address = SLICE("a@far.test")};
	struct ipc_submit request = {
		.id = 5, .sender = SLICE("s@x"), .recipients = &to, .recipient_count = 1};
	struct suite s;

	suite_init(&s);
	program_start(&s);
	s.relay_fails = true;
	ck_assert_int_eq(submit(&s, &request, letter_make(true, 100)), FAULT_OK);
	run_until(&s, &s.relay_count, 1);
	program_kill(&s);
	s.relay_fails = false;
	program_start(&s);
	run_until(&s, &s.relay_count, 2);
	ck_assert_uint_eq(s.relayed[1], 5);
	program_stop(&s);
	program_start(&s);
	request.id = 6;
	ck_assert_int_eq(submit(&s, &request, letter_make(true, 100)), FAULT_OK);
	run_until(&s, &s.relay_count, 3);
	ck_assert_uint_eq(s.relayed[2], 6);
	program_stop(&s);
	suite_clear(&s);
}
END_TEST

UNIT(queued)
{
	unit_add(tc, damaged_records_keep_nobody_back);
	unit_add(tc, submissions_that_lie_get_a_fault_and_harm_nobody);
	unit_add(tc, messages_without_a_byte_are_counted_too);
	unit_add(tc, message_in_delivery_at_a_kill_is_sent_again_and_a_done_one_is_not);
}
