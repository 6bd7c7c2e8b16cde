/* SPDX-License-Identifier: ISC */
/*
 * Connections of relayd: addresses one after the other, TLS, time-outs, bytes of the body.  All
 * that SMTP means is decided in smtp_client.c.
 */
#include "relayd/connection.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "relayd/job.h"

enum { BODY_CHUNK = 64 * 1024, QUIT_MS = 5000 };

static void start_address(struct connection *);
static void step(struct connection *);

/* Lifetime */

static void
leave_host(struct connection *c)
{
	struct connection **at = &c->host->connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->host->connection_count--;
	c->host->relayd->connection_count--;
	if (!c->ready)
		c->host->making_count--;
	if (c->host->connection_count == 0)
		c->host->most = 0;
}

void
connection_free(struct connection *c)
{
	leave_host(c);
	if (c->stream != NULL)
		stream_abort(c->stream, FAULT_OK);
	smtp_client_clear(&c->client);
	free(c->hostname);
	free(c);
}

/* It is of no use any more; closed() will come, and then others may need its place. */
static void
end_connection(struct connection *c, bool in_order)
{
	c->ending = true;
	if (in_order)
		stream_finish(c->stream);
	else
		stream_abort(c->stream, FAULT_OK);
}

static bool
is_loopback(const struct connection *c)
{
	return peer_address_is_loopback(&c->host->addresses[c->address]);
}

static void
start_client(struct connection *c)
{
	struct host *h = c->host;

	/* The setting may change before EHLO is said. */
	free(c->hostname);
	c->hostname = slice_dup(slice_text(daemon_settings(h->relayd->daemon)->hostname));
	struct smtp_client_options options = {
		.hostname = slice_text(c->hostname),
		.tls = h->tls,
		.no_tls = h->no_tls_until_ms > clock_mono_ms(&clock_system),
		.allow_plain_auth = is_loopback(c),
		.user = secret_slice(&h->user),
		.password = secret_slice(&h->password),
	};

	smtp_client_clear(&c->client);
	smtp_client_init(&c->client, &options);
	line_reader_init(&c->reader, SMTP_REPLY_LINE_MAX);
	c->reader.bare_lf = true;
	c->timed_out = false;
	c->ending = false; /* that was the last address */
}

/* What is over */

static void
try_next_address(struct connection *c)
{
	struct smtp_result why = c->client.fault;
	struct host *h = c->host;
	struct relayd *r = h->relayd;

	if (c->address + 1 < h->address_count) {
		c->address++;
		start_address(c);
		return;
	}
	connection_free(c);
	host_failed(h, &why);
	hosts_run(r);
}

/* RFC 7435: opportunistic TLS that fails is no reason not to deliver. */
static bool
should_try_without_tls(const struct connection *c)
{
	return c->host->tls == ROUTE_TLS_MAY && c->client.fault.fault == FAULT_TLS &&
		!c->client.options.no_tls;
}

static void
end_unready(struct connection *c)
{
	if (should_try_without_tls(c)) {
		log_info("%s: TLS failed, trying without", c->host->name);
		c->host->no_tls_until_ms = clock_mono_ms(&clock_system) + HOST_NO_TLS_MS;
		start_address(c);
		return;
	}
	try_next_address(c);
}

static void
end_job(struct connection *c)
{
	struct job *job = c->job;

	c->job = NULL;
	if (job == NULL)
		return;
	job->connection = NULL;
	/* A connection that was kept may have been closed by the host meanwhile. */
	if (c->client.untouched && c->client.messages > 0 && job_begin_again(job))
		return;
	job_message_done(job, false);
}

static void
on_closed(void *owner, enum fault why)
{
	struct connection *c = owner;
	struct relayd *r = c->host->relayd;
	struct host *h = c->host;

	c->stream = NULL;
	if (why == FAULT_TLS || c->client.state == SMTP_AWAIT_TLS)
		smtp_client_lost(&c->client, FAULT_TLS, "the TLS handshake failed");
	else
		smtp_client_lost(&c->client, c->timed_out ? FAULT_TIMEOUT : FAULT_UNREACHABLE,
			c->timed_out ? "the host did not answer in time"
				     : "the connection failed or was lost");
	if (!c->ready) {
		end_unready(c);
		return;
	}
	h->in_use++;
	end_job(c);
	connection_free(c);
	host_run(h);
	h->in_use--;
	hosts_run(r);
}

/* Time-outs */

static int64_t
limit_of(const struct connection *c)
{
	const struct relayd *r = c->host->relayd;

	/* RFC 5321 4.5.3.2 */
	switch (c->client.state) {
	case SMTP_AWAIT_DATA:
		return relayd_minutes(r, 2);
	case SMTP_AWAIT_BODY:
		return relayd_minutes(r, 3);
	case SMTP_AWAIT_DOT:
		return relayd_minutes(r, 10);
	case SMTP_READY:
		return CONNECTION_IDLE_MS;
	case SMTP_AWAIT_QUIT:
		return QUIT_MS;
	default:
		return relayd_minutes(r, 5);
	}
}

static void
on_timed_out(void *owner)
{
	struct connection *c = owner;

	if (connection_is_idle(c)) {
		connection_quit(c);
		return;
	}
	c->timed_out = true;
	stream_abort(c->stream, FAULT_TIMEOUT);
}

/* The body */

static void
send_body(struct connection *c)
{
	struct slice bytes = c->job->bytes;
	struct buffer out;

	while (!stream_is_full(c->stream) && c->sent < bytes.len) {
		struct slice piece = slice_first(slice_after(bytes, c->sent), BODY_CHUNK);

		buffer_init(&out, 4 * BODY_CHUNK);
		dots_add(&c->dots, piece, &out);
		c->sent += piece.len;
		if (c->sent == bytes.len)
			dots_finish(&c->dots, &out);
		stream_write(c->stream, buffer_slice(&out));
		if (buffer_fault(&out) != FAULT_OK) {
			/* Without its end the message is not accepted by anybody. */
			buffer_clear(&out);
			stream_abort(c->stream, FAULT_NOMEM);
			return;
		}
		buffer_clear(&out);
	}
	if (c->sent == bytes.len) {
		smtp_client_body_sent(&c->client);
		step(c);
	}
}

static void
on_drained(void *owner)
{
	struct connection *c = owner;

	if (c->client.want == SMTP_WANT_BODY && c->job != NULL && !c->ending)
		send_body(c);
}

/* Going on */

static void
start_tls(struct connection *c)
{
	struct relayd *r = c->host->relayd;
	bool strict = c->host->tls != ROUTE_TLS_MAY;

	r->counters.tls++;
	stream_start_tls_client(c->stream, strict ? r->tls_must : r->tls_may, c->host->name);
}

static void
become_ready(struct connection *c)
{
	struct host *h = c->host;
	struct job *job = c->job;

	if (!c->ready) {
		c->ready = true;
		h->making_count--;
		h->dead_until_ms = 0;
	}
	c->job = NULL;
	if (job != NULL) {
		job->connection = NULL;
		job_message_done(job, (c->client.extensions & SMTP_HAS_DSN) != 0);
	}
	if (c->client.messages >= CONNECTION_MESSAGES_MAX) {
		connection_quit(c);
		return;
	}
	host_run(h);
	/* All connections are in use, and this one has nothing to do: others may need its place. */
	if (connection_is_idle(c) &&
		h->relayd->connection_count >=
			(unsigned)daemon_settings(h->relayd->daemon)->relay_connections)
		hosts_run(h->relayd);
}

/* After every event: sends what the client has written and does what it wants. */
static void
step(struct connection *c)
{
	if (c->ending)
		return;
	stream_write(c->stream, buffer_slice(&c->client.out));
	buffer_consume(&c->client.out, buffer_len(&c->client.out));
	stream_set_idle(c->stream, limit_of(c));
	switch (c->client.want) {
	case SMTP_WANT_REPLY:
		return;
	case SMTP_WANT_TLS:
		start_tls(c);
		return;
	case SMTP_WANT_BODY:
		if (c->sent == 0)
			send_body(c);
		return;
	case SMTP_WANT_MESSAGE:
		become_ready(c);
		return;
	case SMTP_WANT_CLOSE:
		end_connection(c, true);
		return;
	}
}

static bool
read_one_line(struct connection *c)
{
	struct slice line;
	size_t used = 0;
	enum line_status status = line_read(&c->reader, stream_input(c->stream), &line, &used);

	if (status == LINE_READY)
		smtp_client_line(&c->client, line);
	else if (status == LINE_TOO_LONG)
		smtp_client_lost(&c->client, FAULT_REFUSED_NOW, "the host's reply is too long");
	stream_consume(c->stream, used);
	return status != LINE_MORE;
}

static void
on_input(void *owner)
{
	struct connection *c = owner;

	if (!c->ready)
		stream_set_deadline(c->stream, 0);
	while (!c->ending && read_one_line(c)) {
		enum smtp_client_want want = c->client.want;

		step(c);
		if (want == SMTP_WANT_TLS)
			return;
	}
}

static void
on_connected(void *owner)
{
	struct connection *c = owner;

	c->host->relayd->counters.connections++;
	stream_set_deadline(c->stream, 0);
	stream_set_idle(c->stream, relayd_minutes(c->host->relayd, 5));
	if (c->host->tls == ROUTE_TLS_AT_ONCE)
		start_tls(c);
}

static void
on_tls_started(void *owner)
{
	struct connection *c = owner;

	if (c->host->tls == ROUTE_TLS_AT_ONCE)
		return;
	smtp_client_tls_started(&c->client);
	step(c);
}

/* Addresses */

static const struct stream_calls calls = {
	.connected = on_connected,
	.input = on_input,
	.drained = on_drained,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.closed = on_closed,
};

/* A socket that is connecting from settings.relay_source, or -1. */
static int
connect_from(const char *source, const struct peer_address *to)
{
	struct sockaddr_storage from_address, to_address;
	socklen_t to_len = peer_address_to(to, &to_address), from_len;
	struct peer_address from;
	int fd;

	if (!peer_address_parse(slice_text(source), &from) || from.family != to->family)
		return -1;
	from_len = peer_address_to(&from, &from_address);
	fd = socket(to_address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&from_address, from_len) == 0)
		/* Its end, good or bad, shows when the stream reads. */
		(void)!connect(fd, (struct sockaddr *)&to_address, to_len);
	return fd;
}

static struct stream *
open_stream(struct connection *c)
{
	const struct settings *settings = daemon_settings(c->host->relayd->daemon);
	struct stream_setup setup = {daemon_base(c->host->relayd->daemon), &calls, c};
	const struct peer_address *to = &c->host->addresses[c->address];
	struct sockaddr_storage address;
	socklen_t len = peer_address_to(to, &address);
	int fd;

	if (settings->relay_source[0] == '\0')
		return stream_connect(&setup, (struct sockaddr *)&address, len);
	fd = connect_from(settings->relay_source, to);
	return fd >= 0 ? stream_new(&setup, fd) : NULL;
}

static void
start_address(struct connection *c)
{
	start_client(c);
	c->stream = open_stream(c);
	if (c->stream == NULL) {
		smtp_client_lost(&c->client, FAULT_UNREACHABLE, "no connection can be made");
		try_next_address(c);
		return;
	}
	stream_set_deadline(c->stream, relayd_minutes(c->host->relayd, 5) / 10);
	/* Bound to an address of our own, the stream does not tell when it is connected. */
	if (c->host->tls == ROUTE_TLS_AT_ONCE &&
		daemon_settings(c->host->relayd->daemon)->relay_source[0] != '\0')
		start_tls(c);
}

bool
connection_open(struct host *h)
{
	struct connection *c = calloc(1, sizeof *c);

	if (c == NULL)
		return false;
	c->host = h;
	c->next = h->connections;
	h->connections = c;
	h->connection_count++;
	h->making_count++;
	h->relayd->connection_count++;
	start_address(c);
	return true;
}

/* Use */

bool
connection_is_idle(const struct connection *c)
{
	return c->ready && !c->ending && c->job == NULL && c->client.state == SMTP_READY;
}

void
connection_send(struct connection *c, struct job *job)
{
	c->job = job;
	job->connection = c;
	job->host = c->host;
	c->dots = (struct dots){0};
	c->sent = 0;
	if (c->client.messages > 0)
		c->host->relayd->counters.reused++;
	smtp_client_send(&c->client, &job->message);
	if (c->client.message != NULL) {
		step(c);
		return;
	}
	/* The host cannot take it, and was not even asked. */
	c->job = NULL;
	job->connection = NULL;
	job_message_done(job, false);
}

void
connection_quit(struct connection *c)
{
	smtp_client_quit(&c->client);
	step(c);
}

void
connection_drop_job(struct connection *c)
{
	c->job = NULL;
	c->client.message = NULL;
	end_connection(c, false);
}
