/* SPDX-License-Identifier: ISC */
#include "common/net/service.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/peer.h"
#include "tests/unit/unit.h"

enum { PLAIN = 3, AT_ONCE = 4, CLIENTS_MAX = 8 };

static struct event_base *base;
static struct service *service;
static struct fake_signer signer;
static struct tls_server *server;
static struct tls_client *client_tls;
static struct sockaddr_in at[2]; /* plain, TLS at once */
static struct peer clients[CLIENTS_MAX];
static unsigned opened, closed, timed_out, shut_down, all_gone;
static bool finish_at_shutdown;

static void *
on_opened(struct connection *c, void *arg)
{
	unsigned *count = arg;

	++*count;
	stream_write(c->stream, SLICE("hello"));
	return c;
}

static void
on_input(void *session)
{
	struct connection *c = session;

	stream_write(c->stream, stream_input(c->stream));
	stream_consume(c->stream, stream_input(c->stream).len);
}

static void
on_timed_out(void *session)
{
	timed_out++;
	connection_finish(session);
}

static void
on_shutdown(void *session)
{
	shut_down++;
	if (finish_at_shutdown)
		connection_finish(session);
}

static void
on_closed(void *session, enum fault why)
{
	(void)session;
	(void)why;
	closed++;
}

static const char *
refusal(const struct service_port *port, void *arg)
{
	(void)arg;
	return port->kind == PLAIN ? "go away\r\n" : "";
}

static const struct session_calls calls = {
	.opened = on_opened,
	.input = on_input,
	.timed_out = on_timed_out,
	.shutdown = on_shutdown,
	.closed = on_closed,
	.refusal = refusal,
};

static int
listen_on_loopback(struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &len), 0);
	return fd;
}

static void
setup(struct service_limits limits)
{
	struct tls_client_options options = {.verify = false};

	base = event_base_new();
	struct service_setup s = {base, &calls, &opened, limits};
	service = service_new(&s);
	for (int i = 0; i < 2; i++) {
		struct service_port port = {
			listen_on_loopback(&at[i]), i == 0 ? PLAIN : AT_ONCE, i == 1};
		ck_assert_int_eq(service_listen(service, &port), FAULT_OK);
	}
	fake_signer_init(&signer, base);
	server = tls_server_new(&signer.signer);
	fake_signer_add(&signer, server, FAKE_EC, "localhost");
	client_tls = tls_client_new(&options);
	service_set_tls(service, server);
	tls_server_unref(server);
	opened = closed = timed_out = shut_down = all_gone = 0;
	finish_at_shutdown = true;
}

static void
dial(int port, struct peer *p)
{
	struct stream_setup s = {base, &peer_calls, p};

	*p = (struct peer){.take = SIZE_MAX};
	buffer_init(&p->got, 65536);
	p->stream = stream_connect(&s, (struct sockaddr *)&at[port], sizeof at[port]);
	ck_assert_ptr_nonnull(p->stream);
}

static void
teardown(unsigned used)
{
	for (unsigned i = 0; i < used; i++)
		peer_clear(&clients[i]);
	service_free(service);
	tls_client_unref(client_tls);
	fake_signer_clear(&signer);
	event_base_free(base);
	ck_assert_uint_eq(opened, closed);
}

static const struct service_limits generous = {.connections = 10, .per_address = 1};

static bool
is_greeted(void *arg)
{
	struct peer *p = arg;

	return buffer_len(&p->got) >= 5;
}

static bool
nobody_is_left(void *arg)
{
	(void)arg;
	return service_count(service) == 0;
}

static bool
is_connected(void *arg)
{
	struct peer *p = arg;

	return p->connects > 0;
}

START_TEST(sessions_open_talk_and_close)
{
	setup(generous);
	dial(0, &clients[0]);
	run_until(base, is_greeted, &clients[0]);
	struct connection *c = service_first(service);
	ck_assert(c->port->kind == PLAIN && c->peer.family == PEER_IPV4);
	ck_assert(peer_address_is_loopback(&c->peer));
	ck_assert_ptr_eq(service_find(service, c->id), c);
	connection_logged_in(c, SLICE("alice@example.org"));
	ck_assert_str_eq(c->who, "alice@example.org");
	stream_finish(clients[0].stream);
	run_until(base, nobody_is_left, NULL);
	teardown(1);
}
END_TEST

START_TEST(tls_at_once_greets_inside)
{
	setup(generous);
	dial(1, &clients[0]);
	run_until(base, is_connected, &clients[0]);
	stream_start_tls_client(clients[0].stream, client_tls, "localhost");
	run_until(base, is_greeted, &clients[0]);
	ck_assert(stream_is_tls(clients[0].stream));
	ck_assert(stream_is_tls(service_first(service)->stream));
	teardown(1);
}
END_TEST

START_TEST(over_the_limit_is_refused_politely)
{
	struct service_limits limits = generous;

	limits.connections = 1;
	setup(limits);
	dial(0, &clients[0]);
	run_until(base, is_greeted, &clients[0]);
	dial(0, &clients[1]);
	run_until(base, peer_is_closed, &clients[1]);
	ck_assert_slice_eq(buffer_slice(&clients[1].got), "go away\r\n");
	ck_assert_uint_eq(service_get_counters(service)->refused, 1);
	teardown(2);
}
END_TEST

START_TEST(login_time_ends_the_session_unless_logged_in)
{
	struct service_limits limits = generous;

	limits.login_ms = 30;
	setup(limits);
	dial(0, &clients[0]);
	run_until(base, is_greeted, &clients[0]);
	connection_logged_in(service_first(service), SLICE("a"));
	dial(0, &clients[1]);
	run_until(base, is_greeted, &clients[1]);
	run_until(base, peer_is_closed, &clients[1]);
	ck_assert_uint_eq(timed_out, 1);
	ck_assert_ptr_nonnull(clients[0].stream);
	teardown(2);
}
END_TEST

static void
on_all_gone(void *arg)
{
	(void)arg;
	all_gone++;
}

static bool
all_are_gone(void *arg)
{
	(void)arg;
	return all_gone > 0;
}

START_TEST(shutdown_tells_sessions_and_ends)
{
	setup(generous);
	dial(0, &clients[0]);
	run_until(base, is_greeted, &clients[0]);
	dial(1, &clients[1]); /* never shakes hands */
	run_until(base, is_connected, &clients[1]);
	service_shutdown(service, 60000, on_all_gone, NULL);
	run_until(base, all_are_gone, NULL);
	ck_assert_uint_eq(shut_down, 1);
	teardown(2);
}
END_TEST

START_TEST(shutdown_deadline_ends_stubborn_sessions)
{
	setup(generous);
	finish_at_shutdown = false;
	dial(0, &clients[0]);
	run_until(base, is_greeted, &clients[0]);
	service_shutdown(service, 20, on_all_gone, NULL);
	run_until(base, all_are_gone, NULL);
	ck_assert_uint_eq(closed, 1);
	teardown(1);
}
END_TEST

START_TEST(free_closes_what_is_left)
{
	setup(generous);
	dial(0, &clients[0]);
	dial(0, &clients[1]);
	run_until(base, is_greeted, &clients[0]);
	run_until(base, is_greeted, &clients[1]);
	teardown(2);
	ck_assert_uint_eq(closed, 2);
}
END_TEST

UNIT(service)
{
	unit_add(tc, sessions_open_talk_and_close);
	unit_add(tc, tls_at_once_greets_inside);
	unit_add(tc, over_the_limit_is_refused_politely);
	unit_add(tc, login_time_ends_the_session_unless_logged_in);
	unit_add(tc, shutdown_tells_sessions_and_ends);
	unit_add(tc, shutdown_deadline_ends_stubborn_sessions);
	unit_add(tc, free_closes_what_is_left);
}
