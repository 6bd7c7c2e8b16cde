/* SPDX-License-Identifier: ISC */
#include "common/ipc/daemon.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* The test is maild and two smtpd workers; the daemon, an authd that does nothing, is a child. */
static struct event_base *base;
static struct ipc_link *to_daemon, *workers[2];
static pid_t pid;
static unsigned ready, up, lost;

static enum fault
no_sandbox(struct daemon *d, void *state)
{
	(void)d;
	(void)state;
	return FAULT_OK;
}

static void
run_daemon(int fd)
{
	static const struct daemon_spec spec = {.process = PROCESS_AUTHD, .sandbox = no_sandbox};
	char name[] = "authd";
	char *argv[] = {name, NULL};

	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(2);
	_exit(daemon_main(&spec, 1, argv));
}

static void
on_up(void *arg, struct ipc_link *link)
{
	(void)arg;
	(void)link;
	up++;
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	(void)arg;
	(void)link;
	ready += message->type == IPC_READY;
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct ipc_link **at = arg;

	(void)fault;
	lost++;
	if (*at == link)
		*at = NULL;
	ipc_link_free(link);
}

static struct ipc_link *
make_link(int fd, enum process self, struct ipc_link **at)
{
	struct ipc_link_events events = {on_up, on_message, on_lost, NULL, at};

	*at = ipc_link_new(base, fd, self, PROCESS_AUTHD, &events);
	ck_assert_ptr_nonnull(*at);
	return *at;
}

static void
loop_until(const unsigned *counter, unsigned value)
{
	for (unsigned i = 0; i < 1000 && *counter < value; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_ge(*counter, value);
}

static void
setup(void)
{
	struct ipc_empty empty = {0};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pair[0]);
		run_daemon(pair[1]);
	}
	close(pair[1]);
	base = event_base_new();
	make_link(pair[0], PROCESS_MAILD, &to_daemon);
	ck_assert_int_eq(ipc_send_CONFIGURED(to_daemon, 0, &empty, -1), FAULT_OK);
	loop_until(&ready, 1);
	up = 0;
}

static void
teardown(void)
{
	int status;

	ipc_link_free(to_daemon);
	ipc_link_free(workers[0]);
	ipc_link_free(workers[1]);
	/* A process without its maild ends by itself. */
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	event_base_free(base);
}

/* Hands the daemon a socket to a worker, which calls itself claimed. */
static void
introduce(uint32_t instance, uint32_t claimed)
{
	struct ipc_peer peer = {PROCESS_SMTPD, instance};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(ipc_send_PEER(to_daemon, 0, &peer, pair[0]), FAULT_OK);
	close(pair[0]);
	ipc_link_set_instance(claimed);
	make_link(pair[1], PROCESS_SMTPD, &workers[instance]);
}

START_TEST(workers_that_come_together_do_not_replace_each_other)
{
	/* The second first: as long as it has not said HELLO, it must not pass for the first. */
	introduce(1, 1);
	introduce(0, 0);
	loop_until(&up, 2);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(a_new_link_to_a_worker_replaces_the_old_one)
{
	introduce(1, 1);
	loop_until(&up, 1);
	introduce(1, 1);
	loop_until(&up, 2);
	loop_until(&lost, 1);
}
END_TEST

START_TEST(a_worker_that_calls_itself_another_loses_its_link)
{
	introduce(1, 0);
	loop_until(&lost, 1);
}
END_TEST

UNIT(daemon)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, workers_that_come_together_do_not_replace_each_other);
	unit_add(tc, a_new_link_to_a_worker_replaces_the_old_one);
	unit_add(tc, a_worker_that_calls_itself_another_loses_its_link);
}
