/* SPDX-License-Identifier: ISC */
#include "common/ipc/front.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/*
 * A child is smtpd with a protocol of one line: every input is a login.  The test
 * is maild, authd and the clients.
 */
struct session {
	struct connection *connection;
	struct front_login login;
};

static void
on_answer(void *arg, const struct front_answer *answer)
{
	struct session *s = arg;
	char text[200];

	snprintf(text, sizeof text, "%s %llu %" SLICE_FMT "\n", fault_name(answer->fault),
		(unsigned long long)answer->account, SLICE_ARG(answer->address));
	stream_write(s->connection->stream, slice_text(text));
	stream_resume(s->connection->stream);
}

static void *
opened(struct connection *connection, void *arg)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->connection = connection;
	s->login = (struct front_login){
		.front = arg, .connection = connection, .done = on_answer, .arg = s};
	stream_write(connection->stream, SLICE("hello\n"));
	return s;
}

static void
on_input(void *session)
{
	struct session *s = session;
	struct slice input = stream_input(s->connection->stream);

	front_login_password(&s->login, SLICE("alice"), input);
	stream_consume(s->connection->stream, input.len);
	stream_pause(s->connection->stream);
}

static void
on_timed_out(void *session)
{
	connection_finish(((struct session *)session)->connection);
}

static void
on_closed(void *session, enum fault why)
{
	struct session *s = session;

	(void)why;
	front_login_cancel(&s->login);
	free(s);
}

static struct front the_front;

static enum fault
no_sandbox(struct daemon *d, void *state)
{
	(void)d;
	(void)state;
	return FAULT_OK;
}

static enum fault
open_front(struct daemon *d, void *state)
{
	static const struct session_calls calls = {.opened = opened,
		.input = on_input,
		.timed_out = on_timed_out,
		.closed = on_closed};

	return front_open(state, d, &calls, 0);
}

static void
reconfigure(struct daemon *d, void *state)
{
	(void)d;
	front_reconfigure(state, 0);
}

static void
close_front(struct daemon *d, void *state)
{
	(void)d;
	front_close(state);
}

static void
run_daemon(int fd)
{
	static const struct daemon_handlers handlers[] = {FRONT_HANDLERS, {IPC_NONE, NULL}};
	static const struct daemon_spec spec = {.process = PROCESS_SMTPD,
		.state = &the_front,
		.handlers = handlers,
		.sandbox = no_sandbox,
		.open = open_front,
		.reconfigure = reconfigure,
		.close = close_front};
	char name[] = "smtpd";
	char *argv[] = {name, NULL};

	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(2);
	_exit(daemon_main(&spec, 1, argv));
}

static struct event_base *base;
static struct ipc_link *to_daemon, *authd;
static pid_t pid;
static unsigned ready, up, asked, lost;
static struct ipc_origin question;
static bool answer_at_once;

static void
answer(void)
{
	struct ipc_auth_result result = {
		.fault = FAULT_OK, .account = 42, .address = SLICE("alice@example.org")};

	ipc_answer_AUTH_RESULT(question, &result, -1);
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
	ready += message->type == IPC_READY;
	if (message->type != IPC_AUTH_PLAIN)
		return;
	question = ipc_origin_of(link, message);
	asked++;
	if (answer_at_once)
		answer();
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct ipc_link **at = arg;

	(void)fault;
	lost++;
	*at = NULL;
	ipc_link_free(link);
}

static void
loop_until(const unsigned *counter, unsigned value)
{
	for (unsigned i = 0; i < 1000 && *counter < value; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_ge(*counter, value);
}

static struct ipc_link *
make_link(int fd, enum process self, struct ipc_link **at)
{
	struct ipc_link_events events = {on_up, on_message, on_lost, NULL, at};

	*at = ipc_link_new(base, fd, self, PROCESS_SMTPD, &events);
	return *at;
}

/* A listening socket for the daemon; its address. */
static struct sockaddr_in
hand_listener(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct ipc_listener listener = {IPC_SERVICE_SMTP, SLICE("127.0.0.1")};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	ck_assert_int_eq(ipc_send_LISTENER(to_daemon, 0, &listener, fd), FAULT_OK);
	close(fd);
	return address;
}

static void
finish_round(void)
{
	struct ipc_empty empty = {0};

	ck_assert_int_eq(ipc_send_CONFIGURED(to_daemon, 0, &empty, -1), FAULT_OK);
}

static void
start_authd(void)
{
	struct ipc_peer peer = {PROCESS_AUTHD, 0};
	unsigned before = up;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(ipc_send_PEER(to_daemon, 0, &peer, pair[0]), FAULT_OK);
	close(pair[0]);
	make_link(pair[1], PROCESS_AUTHD, &authd);
	loop_until(&up, before + 1);
}

static struct sockaddr_in place;

static void
setup(void)
{
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
	place = hand_listener();
	finish_round();
	loop_until(&ready, 1);
	start_authd();
	answer_at_once = true;
}

static void
teardown(void)
{
	int status;

	ipc_link_free(to_daemon);
	ipc_link_free(authd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	event_base_free(base);
}

static int
connect_client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&place, sizeof place), 0);
	return fd;
}

/* The next line that the daemon says; its own process goes on meanwhile. */
static const char *
read_line(int fd)
{
	static char line[300];
	size_t len = 0;

	do
		ck_assert_int_eq(read(fd, line + len, 1), 1);
	while (line[len++] != '\n' && len + 1 < sizeof line);
	line[len] = '\0';
	return line;
}

START_TEST(a_login_is_a_question_to_authd)
{
	int client = connect_client();

	ck_assert_str_eq(read_line(client), "hello\n");
	ck_assert_int_eq(write(client, "secret", 6), 6);
	loop_until(&asked, 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(read_line(client), "OK 42 alice@example.org\n");
	close(client);
}
END_TEST

START_TEST(a_dead_authd_is_a_temporary_fault_and_the_next_is_asked_again)
{
	int client = connect_client();

	read_line(client);
	answer_at_once = false;
	ck_assert_int_eq(write(client, "secret", 6), 6);
	loop_until(&asked, 1);
	ipc_link_free(authd);
	ck_assert_str_eq(read_line(client), "PEER_LOST 0 \n");
	ck_assert_int_eq(write(client, "secret", 6), 6);
	ck_assert_str_eq(read_line(client), "PEER_LOST 0 \n");
	answer_at_once = true;
	start_authd();
	ck_assert_int_eq(write(client, "secret", 6), 6);
	loop_until(&asked, 2);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(read_line(client), "OK 42 alice@example.org\n");
	close(client);
}
END_TEST

START_TEST(an_answer_for_a_session_that_is_gone_harms_nobody)
{
	const struct linger reset = {1, 0};
	int client = connect_client();

	read_line(client);
	answer_at_once = false;
	ck_assert_int_eq(write(client, "secret", 6), 6);
	loop_until(&asked, 1);
	ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	close(client);
	answer_at_once = true;
	answer();
	client = connect_client();
	read_line(client);
	ck_assert_int_eq(write(client, "secret", 6), 6);
	loop_until(&asked, 2);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(read_line(client), "OK 42 alice@example.org\n");
	close(client);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(a_reload_moves_the_door_and_keeps_the_guests)
{
	int old = connect_client(), client;
	struct sockaddr_in before = place;

	read_line(old);
	place = hand_listener();
	finish_round();
	ck_assert_int_ne(before.sin_port, place.sin_port);
	event_base_loop(base, EVLOOP_NONBLOCK);
	client = connect_client();
	ck_assert_str_eq(read_line(client), "hello\n");
	ck_assert_int_eq(write(old, "secret", 6), 6);
	loop_until(&asked, 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_str_eq(read_line(old), "OK 42 alice@example.org\n");
	/* Greeted at the new door: the old one is shut. */
	place = before;
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(connect(late, (struct sockaddr *)&before, sizeof before), 0);
	close(late);
	close(old);
	close(client);
}
END_TEST

UNIT(front)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, a_login_is_a_question_to_authd);
	unit_add(tc, a_dead_authd_is_a_temporary_fault_and_the_next_is_asked_again);
	unit_add(tc, an_answer_for_a_session_that_is_gone_harms_nobody);
	unit_add(tc, a_reload_moves_the_door_and_keeps_the_guests);
}
