/* SPDX-License-Identifier: ISC */
/*
 * The sameness of smtpd, imapd and pop3d: connections with their limits, time-outs, TLS and
 * shutdown.  Knows no protocol.
 */
#include "common/net/service.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/limits.h"
#include "common/net/listener.h"
#include "common/net/tls.h"

/* A port as the listener's argument. */
struct open_port {
	struct service *service;
	struct service_port port;
	struct listener *listener;
};

struct service {
	struct service_setup setup;
	struct open_port ports[SERVICE_PORTS_MAX];
	size_t port_count;
	struct tls_server *tls;
	struct limits *limits;
	struct connection *connections; /* newest first */
	unsigned count;
	uint64_t next_id;
	struct service_counters counters;
	bool shutting_down, done_wanted;
	void (*done)(void *arg);
	void *done_arg;
	struct event shutdown_event; /* the deadline; later: nobody is left */
};

static void on_input(void *);
static void on_drained(void *);
static void on_tls_started(void *);
static void on_timed_out(void *);
static void on_ended(void *);
static void on_closed(void *, enum fault);

static const struct stream_calls stream_calls = {
	.input = on_input,
	.drained = on_drained,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.ended = on_ended,
	.closed = on_closed,
};

static const struct session_calls *
calls_of(const struct connection *c)
{
	return c->service->setup.calls;
}

static bool
is_limited(const struct connection *c)
{
	return !peer_address_is_loopback(&c->peer);
}

static void
link_connection(struct service *service, struct connection *c)
{
	c->service = service;
	c->id = service->next_id++;
	c->next = service->connections;
	if (c->next != NULL)
		c->next->previous = c;
	service->connections = c;
	service->count++;
}

static void
unlink_connection(struct connection *c)
{
	struct service *service = c->service;

	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		service->connections = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	service->count--;
	if (is_limited(c))
		limits_release(service->limits, &c->peer);
}

static void
tell_done(struct service *service)
{
	/* From the loop, not from inside the last session's end. */
	if (service->done_wanted && service->count == 0)
		event_active(&service->shutdown_event, EV_TIMEOUT, 0);
}

/* The greeting, and with it the session; an opened() that refuses ends the connection. */
static void
open_session(struct connection *c)
{
	const struct service_setup *setup = &c->service->setup;

	c->session = setup->calls->opened(c, setup->arg);
	if (c->session == NULL) {
		stream_finish(c->stream);
		return;
	}
	if (c->service->shutting_down && setup->calls->shutdown != NULL)
		setup->calls->shutdown(c->session);
}

static void
on_input(void *arg)
{
	struct connection *c = arg;

	if (c->session != NULL)
		calls_of(c)->input(c->session);
}

static void
on_drained(void *arg)
{
	struct connection *c = arg;

	if (c->session != NULL && calls_of(c)->drained != NULL)
		calls_of(c)->drained(c->session);
}

static void
on_tls_started(void *arg)
{
	struct connection *c = arg;

	if (c->session == NULL)
		open_session(c);
	else if (calls_of(c)->tls_started != NULL)
		calls_of(c)->tls_started(c->session);
}

static void
on_timed_out(void *arg)
{
	struct connection *c = arg;

	c->service->counters.timed_out++;
	if (c->session != NULL)
		calls_of(c)->timed_out(c->session);
	else
		stream_abort(c->stream, FAULT_TIMEOUT);
}

static void
on_ended(void *arg)
{
	struct connection *c = arg;

	if (c->session != NULL && calls_of(c)->ended != NULL)
		calls_of(c)->ended(c->session);
	else
		stream_finish(c->stream);
}

static void
on_closed(void *arg, enum fault why)
{
	struct connection *c = arg;
	struct service *service = c->service;

	if (why == FAULT_TLS)
		service->counters.tls_failed++;
	c->stream = NULL;
	if (c->session != NULL)
		calls_of(c)->closed(c->session, why);
	unlink_connection(c);
	free(c);
	tell_done(service);
}

/* One line in the clear, as far as the empty socket buffer takes it, and good-bye. */
static void
refuse(struct open_port *port, int fd)
{
	const struct session_calls *calls = port->service->setup.calls;
	const char *line = "";

	port->service->counters.refused++;
	if (!port->port.tls_at_once && calls->refusal != NULL)
		line = calls->refusal(&port->port, port->service->setup.arg);
	if (line[0] != '\0' && send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("refusal not sent");
	close(fd);
}

static void
set_timers(struct connection *c)
{
	const struct service_limits *limits = &c->service->setup.limits;

	stream_set_idle(c->stream, limits->idle_ms);
	stream_set_deadline(c->stream, c->logged_in ? 0 : limits->login_ms);
}

static void
start_connection(struct connection *c, int fd)
{
	struct stream_setup setup = {c->service->setup.base, &stream_calls, c};

	c->stream = stream_new(&setup, fd);
	if (c->stream == NULL) {
		unlink_connection(c);
		free(c);
		return;
	}
	set_timers(c);
	if (c->port->tls_at_once)
		connection_start_tls(c);
	else
		open_session(c);
}

static bool
may_connect(struct service *service, const struct peer_address *from)
{
	const struct service_limits *limits = &service->setup.limits;

	if (service->shutting_down || service->count >= limits->connections)
		return false;
	return peer_address_is_loopback(from) ||
		limits_take(service->limits, from, limits->per_address);
}

static void
on_accepted(void *arg, int fd, const struct peer_address *from)
{
	struct open_port *port = arg;

	if (!may_connect(port->service, from)) {
		refuse(port, fd);
		return;
	}
	struct connection *c = calloc(1, sizeof *c);
	if (c == NULL) {
		if (!peer_address_is_loopback(from))
			limits_release(port->service->limits, from);
		close(fd);
		return;
	}
	port->service->counters.accepted++;
	c->peer = *from;
	c->port_copy = port->port;
	c->port = &c->port_copy;
	c->opened_at = clock_wall_ms(&clock_system);
	if (peer_address_of_self(&c->self, fd) != FAULT_OK)
		c->self = (struct peer_address){.family = PEER_LOCAL};
	link_connection(port->service, c);
	start_connection(c, fd);
}

static void
on_shutdown_event(evutil_socket_t fd, short what, void *arg)
{
	struct service *service = arg;

	(void)fd;
	(void)what;
	if (service->count > 0) {
		for (struct connection *c = service->connections; c != NULL; c = c->next)
			stream_abort(c->stream, FAULT_TIMEOUT);
		return;
	}
	if (service->done_wanted) {
		service->done_wanted = false;
		event_del(&service->shutdown_event);
		service->done(service->done_arg);
	}
}

struct service *
service_new(const struct service_setup *setup)
{
	struct service *service = calloc(1, sizeof *service);

	if (service == NULL)
		return NULL;
	service->setup = *setup;
	service->next_id = 1;
	service->limits = limits_new();
	if (service->limits == NULL) {
		free(service);
		return NULL;
	}
	evtimer_assign(&service->shutdown_event, setup->base, on_shutdown_event, service);
	return service;
}

enum fault
service_listen(struct service *service, const struct service_port *port)
{
	if (service->port_count == SERVICE_PORTS_MAX) {
		close(port->fd);
		return FAULT_TOO_MANY;
	}
	struct open_port *open = &service->ports[service->port_count];
	struct listener_setup setup = {service->setup.base, port->fd, on_accepted, open};
	*open = (struct open_port){.service = service, .port = *port};
	open->listener = listener_new(&setup);
	if (open->listener == NULL)
		return FAULT_NOMEM;
	service->port_count++;
	return FAULT_OK;
}

void
service_close_ports(struct service *service)
{
	for (size_t i = 0; i < service->port_count; i++)
		listener_free(service->ports[i].listener);
	service->port_count = 0;
}

void
service_set_tls(struct service *service, struct tls_server *tls)
{
	if (tls != NULL)
		tls_server_ref(tls);
	tls_server_unref(service->tls);
	service->tls = tls;
}

bool
service_has_tls(const struct service *service)
{
	return service->tls != NULL && !tls_server_is_empty(service->tls);
}

void
service_set_limits(struct service *service, const struct service_limits *limits)
{
	service->setup.limits = *limits;
}

void
service_shutdown(struct service *service, int64_t deadline_ms, void (*done)(void *arg), void *arg)
{
	struct timeval tv = {.tv_sec = deadline_ms / 1000, .tv_usec = deadline_ms % 1000 * 1000};

	service_close_ports(service);
	service->shutting_down = true;
	service->done_wanted = true;
	service->done = done;
	service->done_arg = arg;
	evtimer_add(&service->shutdown_event, &tv);
	for (struct connection *c = service->connections; c != NULL; c = c->next) {
		if (c->session == NULL)
			stream_abort(c->stream, FAULT_OK);
		else if (calls_of(c)->shutdown != NULL)
			calls_of(c)->shutdown(c->session);
		else
			stream_finish(c->stream);
	}
	tell_done(service);
}

void
service_free(struct service *service)
{
	if (service == NULL)
		return;
	service->done_wanted = false;
	service_close_ports(service);
	while (service->connections != NULL)
		stream_destroy(service->connections->stream, FAULT_PEER_LOST);
	event_del(&service->shutdown_event);
	tls_server_unref(service->tls);
	limits_free(service->limits);
	free(service);
}

unsigned
service_count(const struct service *service)
{
	return service->count;
}

const struct service_counters *
service_get_counters(const struct service *service)
{
	return &service->counters;
}

struct connection *
service_first(struct service *service)
{
	return service->connections;
}

struct connection *
connection_next(const struct connection *c)
{
	return c->next;
}

struct connection *
service_find(struct service *service, uint64_t id)
{
	struct connection *c = service->connections;

	while (c != NULL && c->id != id)
		c = c->next;
	return c;
}

void
connection_logged_in(struct connection *c, struct slice who)
{
	size_t len = who.len;
	who = slice_first(who, sizeof c->who - 1);
	/* Not in the middle of a character: whoever lists it as JSON wants UTF-8. */
	while (who.len > 0 && who.len < len && (who.data[who.len] & 0xc0) == 0x80)
		who.len--;
	if (who.len > 0)
		memcpy(c->who, who.data, who.len);
	c->who[who.len] = '\0';
	c->logged_in = true;
	stream_set_deadline(c->stream, 0);
}

void
connection_start_tls(struct connection *c)
{
	if (service_has_tls(c->service))
		stream_start_tls_server(c->stream, c->service->tls);
	else
		stream_abort(c->stream, FAULT_TLS);
}

void
connection_finish(struct connection *c)
{
	stream_finish(c->stream);
}

void
connection_abort(struct connection *c, enum fault why)
{
	stream_abort(c->stream, why);
}
