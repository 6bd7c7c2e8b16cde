/* SPDX-License-Identifier: ISC */
/*
 * deliverd itself, in its sandbox, as a process: the test plays maild, queued, authd and a mailboxd
 * that takes its time, and sees what is held in memory for encrypted accounts.
 */
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/ipc/link.h"
#include "common/store/seal.h"
#include "common/store/body.h"
#include "tests/unit/unit.h"

enum {
	DEADLINE_MS = 60000,
	MAILD_FD = 3,
	MESSAGES = 5,
	ACCOUNTS = 16,
	MESSAGE_LEN = 1024 * 1024,
	COPIES = MESSAGES * ACCOUNTS,
	SHARED_BYTES = 32 * 1024 * 1024, /* of all copies; one of each message comes on top */
};

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)

static struct event_base *base;
static pid_t pid;
static struct ipc_link *maild, *queued, *authd, *mailboxd;
static uint8_t public_keys[ACCOUNTS][IPC_ACCOUNT_KEY_LEN];
static bool ready;
static unsigned delivered;

/* What mailboxd has and has not answered. */
static struct waiting {
	struct ipc_origin origin;
	uint64_t len;
} waiting[COPIES];
static unsigned waiting_count, appended, expanded;
static uint64_t bytes, bytes_most;

static void
answer_expand(struct ipc_link *link, struct ipc_message *message)
{
	struct ipc_expansion targets[ACCOUNTS];
	struct ipc_expanded answer = {FAULT_OK, targets, ACCOUNTS};

	for (uint64_t i = 0; i < ACCOUNTS; i++)
		targets[i] = (struct ipc_expansion){IPC_TARGET_ACCOUNT, i + 1,
			SLICE("someone@example.org"), SLICE(""),
			slice_make(public_keys[i], IPC_ACCOUNT_KEY_LEN)};
	ipc_answer_EXPANDED(ipc_origin_of(link, message), &answer, -1);
	expanded++;
}

static void
take_append(struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_append *append = message->payload;
	struct stat status;

	must(append->target_count == 1 && (append->codec & BODY_SEALED) != 0);
	must(fstat(message->fd, &status) == 0);
	must((uint64_t)status.st_size == append->structure_len + append->stored_len);
	must(append->plain_len == MESSAGE_LEN && waiting_count < COPIES);
	waiting[waiting_count++] =
		(struct waiting){ipc_origin_of(link, message), append->stored_len};
	bytes += append->stored_len;
	if (bytes > bytes_most)
		bytes_most = bytes;
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	(void)arg;
	if (message->type == IPC_READY)
		ready = true;
	else if (message->type == IPC_EXPAND)
		answer_expand(link, message);
	else if (message->type == IPC_APPEND)
		take_append(link, message);
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault why)
{
	(void)arg, (void)link, (void)why;
}

static const struct ipc_link_events events = {NULL, on_message, on_lost, NULL, NULL};

static void
program_run(int maild_end)
{
	char path[PATH_MAX], program[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	must(n > 0);
	path[n] = '\0';
	/* BUILD/tests/unit-deliverd -> BUILD/bin/deliverd */
	for (int up = 0; up < 2; up++)
		*strrchr(path, '/') = '\0';
	snprintf(program, sizeof program, "%s/bin/deliverd", path);
	must(access(program, X_OK) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid != 0)
		return;
	if (dup2(maild_end, MAILD_FD) != MAILD_FD)
		_exit(1);
	/* The leak checker needs ptrace, which the sandbox denies. */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "-i", "0", (char *)NULL);
	_exit(1);
}

static void
pair(int ends[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

static struct ipc_link *
peer_make(enum process process)
{
	struct ipc_peer peer = {(uint32_t)process, 0};
	int ends[2];

	pair(ends);
	struct ipc_link *link = ipc_link_new(base, ends[0], process, PROCESS_DELIVERD, &events);
	must(ipc_send_PEER(maild, 0, &peer, ends[1]) == FAULT_OK);
	close(ends[1]);
	return link;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	ck_abort_msg("deliverd does not go on");
}

static void
turn(void)
{
	static struct event *deadline;
	struct timeval most = {.tv_sec = DEADLINE_MS / 1000};

	if (deadline == NULL)
		deadline = event_new(base, -1, 0, on_deadline, NULL);
	event_add(deadline, &most);
	must(event_base_loop(base, EVLOOP_ONCE) == 0);
}

static void
begin(void)
{
	struct ipc_setting setting = {SLICE("hostname"), SLICE("mail.example.org")};
	struct ipc_empty end = {0};
	uint8_t private_key[IPC_ACCOUNT_KEY_LEN];
	int ends[2];

	must(sodium_init() >= 0);
	for (size_t i = 0; i < ACCOUNTS; i++)
		must(crypto_box_keypair(public_keys[i], private_key) == 0);
	base = event_base_new();
	pair(ends);
	program_run(ends[1]);
	close(ends[1]);
	maild = ipc_link_new(base, ends[0], PROCESS_MAILD, PROCESS_DELIVERD, &events);
	must(ipc_send_SETTING(maild, 0, &setting, -1) == FAULT_OK);
	queued = peer_make(PROCESS_QUEUED);
	authd = peer_make(PROCESS_AUTHD);
	mailboxd = peer_make(PROCESS_MAILBOXD);
	must(ipc_send_CONFIGURED(maild, 0, &end, -1) == FAULT_OK);
	while (!ready)
		turn();
}

static void
end(void)
{
	struct ipc_link *links[] = {queued, authd, mailboxd, maild};

	must(kill(pid, SIGKILL) == 0);
	must(waitpid(pid, NULL, 0) == pid);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		ipc_link_free(links[i]);
}

static void
on_status(void *arg, const struct ipc_answer *answer)
{
	ck_assert_int_eq(answer->fault, FAULT_OK);
	*(bool *)arg = true;
}

/* deliverd has done what it was asked before, and has sent what came of it: links take turns, so
 * that one round says nothing of the others yet. */
static void
settle(void)
{
	struct ipc_control_word word = {SLICE("status")};
	struct ipc_control status = {PROCESS_DELIVERD, &word, 1};

	for (int round = 0; round < 3; round++) {
		bool answered = false;
		(void)ipc_call(
			base, maild, IPC_CONTROL, &status, -1, DEADLINE_MS, on_status, &answered);
		while (!answered)
			turn();
	}
}

static void
on_delivered(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_delivered *result = answer->payload;

	(void)arg;
	ck_assert_int_eq(answer->fault, FAULT_OK);
	ck_assert_uint_eq(result->result_count, 1);
	ck_assert_uint_eq(result->results[0].fault, FAULT_OK);
	delivered++;
}

/* Noise, so that packing makes it no smaller. */
static void
send_message(uint64_t id)
{
	static char message[MESSAGE_LEN];
	struct ipc_recipient recipient = {
		.local = true, .address = SLICE("everybody@example.org"), .orcpt = SLICE("")};
	struct ipc_deliver deliver = {id, SLICE("sender@example.net"), &recipient, 1};
	enum fault fault;
	int fd = memfd_open("message", &fault);

	must(fd >= 0);
	randombytes_buf(message, sizeof message);
	memcpy(message, "Subject: noise\r\n\r\n", 18);
	must(memfd_append(fd, slice_make(message, sizeof message)) == FAULT_OK);
	must(memfd_seal(fd) == FAULT_OK);
	(void)ipc_call(base, queued, IPC_DELIVER, &deliver, fd, DEADLINE_MS, on_delivered, NULL);
	close(fd);
}

/* The copy that came first is stored. */
static void
answer_append(void)
{
	struct ipc_append_result result = {.fault = FAULT_OK, .uid = 1, .uidvalidity = 1};
	struct ipc_appended answer = {FAULT_OK, &result, 1};

	ipc_answer_APPENDED(waiting[0].origin, &answer, -1);
	bytes -= waiting[0].len;
	memmove(waiting, waiting + 1, --waiting_count * sizeof waiting[0]);
	appended++;
}

START_TEST(sealed_copies_of_all_messages_share_one_budget)
{
	const uint64_t copy = seal_stored_len(MESSAGE_LEN);

	for (uint64_t i = 1; i <= MESSAGES; i++)
		send_message(i);
	while (expanded < MESSAGES)
		turn();
	settle();
	/* As many as may be; then each answer lets others follow. */
	ck_assert_uint_gt(bytes_most, SHARED_BYTES - copy);
	while (delivered < MESSAGES) {
		if (waiting_count > 0)
			answer_append();
		turn();
	}
	ck_assert_uint_eq(appended, COPIES);
	ck_assert_uint_le(bytes_most, SHARED_BYTES + MESSAGES * copy);
}
END_TEST

UNIT(sealing)
{
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 2 * DEADLINE_MS / 1000);
	unit_add(tc, sealed_copies_of_all_messages_share_one_budget);
}
