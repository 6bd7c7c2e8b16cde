/* SPDX-License-Identifier: ISC */
/*
 * The life of a stream: making, timers, the owner's calls, the end.  How bytes move is in
 * stream_io.c.  Linked by smtpd, imapd, pop3d and relayd; the peer is not trusted.
 */
#include "common/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <netinet/tcp.h>

#include "common/base/clock.h"
#include "common/net/stream_private.h"

int64_t
stream_now_ms(void)
{
	return clock_mono_ms(&clock_system);
}

void
stream_want_turn(struct stream *s)
{
	if (!s->in_loop)
		event_active(&s->turn_event, EV_TIMEOUT, 0);
}

void
stream_die(struct stream *s, enum fault why)
{
	if (s->phase == STREAM_CLOSING)
		return;
	s->phase = STREAM_CLOSING;
	s->why = why;
	stream_want_turn(s);
}

void
stream_set_phase(struct stream *s, enum stream_phase phase, int64_t limit_ms)
{
	s->phase = phase;
	s->phase_deadline_at = limit_ms > 0 ? stream_now_ms() + limit_ms : 0;
	stream_arm_timer(s);
}

static void
close_stream(struct stream *s)
{
	const struct stream_calls *calls = s->calls;
	void *owner = s->owner;
	enum fault why = s->why;

	event_del(&s->read_event);
	event_del(&s->write_event);
	event_del(&s->turn_event);
	event_del(&s->timer_event);
	tls_session_free(s->tls);
	stream_tls_drop_request(s);
	close(s->fd);
	evbuffer_free(s->output);
	stream_uncount_input(s);
	buffer_clear(&s->input);
	free(s);
	calls->closed(owner, why);
}

/* The frame around every event function: afterwards the stream is settled or closed. */
static void
leave_loop(struct stream *s)
{
	stream_io_settle(s);
	s->in_loop = false;
	if (s->phase == STREAM_CLOSING)
		close_stream(s);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->in_loop = true;
	stream_io_on_readable(s);
	leave_loop(s);
}

static void
finish_connect(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		stream_die(s, FAULT_IO);
		return;
	}
	s->phase = STREAM_OPEN;
	s->active_at = stream_now_ms();
	if (s->calls->connected != NULL)
		s->calls->connected(s->owner);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->in_loop = true;
	if (s->phase == STREAM_CONNECTING)
		finish_connect(s);
	else if (s->tls_read_wants_write)
		stream_io_on_readable(s);
	leave_loop(s);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->in_loop = true;
	if (s->tls_more)
		stream_io_on_readable(s);
	leave_loop(s);
}

static void
tell_timed_out(struct stream *s)
{
	if (s->calls->timed_out == NULL)
		stream_die(s, FAULT_TIMEOUT);
	else if (s->phase != STREAM_FINISHING && s->phase != STREAM_LINGERING)
		s->calls->timed_out(s->owner);
}

static void
check_deadlines(struct stream *s, int64_t now)
{
	if (s->phase_deadline_at != 0 && now >= s->phase_deadline_at) {
		s->phase_deadline_at = 0;
		/* A peer that never ends its side after our end is no fault. */
		stream_die(s, s->phase == STREAM_LINGERING ? FAULT_OK : FAULT_TIMEOUT);
	} else if (s->deadline_at != 0 && now >= s->deadline_at) {
		s->deadline_at = 0;
		tell_timed_out(s);
	} else if (s->idle_ms != 0 && now >= s->active_at + s->idle_ms) {
		s->active_at = now;
		/* A session that waits for another process is not idle, unless its client does
		 * not take what it has asked for. */
		if (!s->paused || evbuffer_get_length(s->output) > 0)
			tell_timed_out(s);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->in_loop = true;
	s->timer_at = 0;
	if (s->phase != STREAM_CLOSING)
		check_deadlines(s, stream_now_ms());
	if (s->phase != STREAM_CLOSING)
		stream_arm_timer(s);
	leave_loop(s);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a == 0 ? b : a;
	return a < b ? a : b;
}

/* Activity does not touch the timer: it fires at the oldest time and is then set anew. */
void
stream_arm_timer(struct stream *s)
{
	int64_t idle_at = s->idle_ms != 0 ? s->active_at + s->idle_ms : 0;
	int64_t at = earlier(earlier(s->deadline_at, s->phase_deadline_at), idle_at);

	if (at == 0 || (s->timer_at != 0 && s->timer_at <= at))
		return;
	int64_t wait = at - stream_now_ms();
	if (wait < 1)
		wait = 1;
	struct timeval tv = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
	s->timer_at = at;
	evtimer_add(&s->timer_event, &tv);
}

static void
ignore_broken_pipes(void)
{
	static bool done;

	/* OpenSSL writes without MSG_NOSIGNAL. */
	if (!done)
		signal(SIGPIPE, SIG_IGN);
	done = true;
}

static struct stream *
stream_alloc(const struct stream_setup *setup, int fd)
{
	struct stream *s = calloc(1, sizeof *s);

	if (s == NULL || (s->output = evbuffer_new()) == NULL) {
		free(s);
		return NULL;
	}
	ignore_broken_pipes();
	s->base = setup->base;
	s->calls = setup->calls;
	s->owner = setup->owner;
	s->fd = fd;
	s->phase = STREAM_OPEN;
	s->active_at = stream_now_ms();
	/* Never full while reading: reading stops at STREAM_INPUT_MAX, one read may go over it. */
	buffer_init(&s->input, 2 * (size_t)STREAM_INPUT_MAX);
	event_assign(&s->read_event, s->base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->write_event, s->base, fd, EV_WRITE, on_writable, s);
	event_assign(&s->turn_event, s->base, -1, 0, on_turn, s);
	evtimer_assign(&s->timer_event, s->base, on_timer, s);
	return s;
}

struct stream *
stream_new(const struct stream_setup *setup, int fd)
{
	int one = 1;
	struct stream *s = NULL;

	/* Replies are sent whole; waiting for more (Nagle) only costs a round trip. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (evutil_make_socket_nonblocking(fd) == 0)
		s = stream_alloc(setup, fd);
	if (s == NULL)
		close(fd);
	else
		event_add(&s->read_event, NULL);
	return s;
}

struct stream *
stream_connect(const struct stream_setup *setup, const struct sockaddr *to, socklen_t to_len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stream *s;
	int one = 1;

	if (fd < 0)
		return NULL;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if ((s = stream_alloc(setup, fd)) == NULL) {
		close(fd);
		return NULL;
	}
	s->phase = STREAM_CONNECTING;
	if (connect(fd, to, to_len) != 0 && errno != EINPROGRESS)
		stream_die(s, FAULT_IO);
	else
		event_add(&s->write_event, NULL);
	return s;
}

struct slice
stream_input(const struct stream *s)
{
	return s->fresh.len > 0 ? s->fresh : buffer_slice(&s->input);
}

void
stream_consume(struct stream *s, size_t len)
{
	/* STARTTLS and the end have dropped it all, perhaps while its line was being handled. */
	if (s->phase != STREAM_OPEN && stream_input_len(s) == 0)
		return;
	assert(len <= stream_input_len(s));
	if (s->fresh.len > 0)
		s->fresh = slice_after(s->fresh, len);
	else
		buffer_consume(&s->input, len);
	stream_want_turn(s);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	s->offered = false;
	s->active_at = stream_now_ms();
	stream_want_turn(s);
}

static bool
takes_output(const struct stream *s)
{
	return s->phase < STREAM_FINISHING;
}

static void
after_write(struct stream *s, int result)
{
	if (result != 0)
		stream_die(s, FAULT_NOMEM);
	if (evbuffer_get_length(s->output) > STREAM_OUTPUT_HIGH)
		s->full = true;
	stream_want_turn(s);
}

void
stream_write(struct stream *s, struct slice bytes)
{
	if (takes_output(s) && bytes.len > 0)
		after_write(s, evbuffer_add(s->output, bytes.data, bytes.len));
}

struct borrowed {
	void (*release)(void *arg);
	void *arg;
};

static void
release_borrowed(const void *data, size_t len, void *arg)
{
	struct borrowed *b = arg;

	(void)data;
	(void)len;
	b->release(b->arg);
	free(b);
}

void
stream_write_borrowed(struct stream *s, struct slice bytes, void (*release)(void *arg), void *arg)
{
	struct borrowed *b = NULL;
	int result = -1;

	if (takes_output(s) && bytes.len > 0 && (b = malloc(sizeof *b)) != NULL) {
		*b = (struct borrowed){release, arg};
		result = evbuffer_add_reference(
			s->output, bytes.data, bytes.len, release_borrowed, b);
	}
	if (result != 0) {
		free(b);
		release(arg);
		if (!takes_output(s) || bytes.len == 0)
			return;
	}
	after_write(s, result);
}

size_t
stream_pending(const struct stream *s)
{
	return evbuffer_get_length(s->output);
}

bool
stream_is_full(const struct stream *s)
{
	return s->full;
}

void
stream_finish(struct stream *s)
{
	if (s->phase >= STREAM_FINISHING)
		return;
	if (s->phase == STREAM_CONNECTING || s->phase == STREAM_HANDSHAKE) {
		stream_die(s, FAULT_OK);
		return;
	}
	stream_set_phase(s, STREAM_FINISHING, STREAM_FLUSH_MS);
	/* The memory stays until the turn ends: the owner may still look at its line. */
	stream_drop_input(s);
	stream_want_turn(s);
}

void
stream_abort(struct stream *s, enum fault why)
{
	stream_die(s, why);
}

void
stream_destroy(struct stream *s, enum fault why)
{
	assert(!s->in_loop);
	if (s->phase != STREAM_CLOSING)
		s->why = why;
	close_stream(s);
}

void
stream_set_idle(struct stream *s, int64_t ms)
{
	s->idle_ms = ms;
	s->active_at = stream_now_ms();
	stream_arm_timer(s);
}

void
stream_set_deadline(struct stream *s, int64_t ms)
{
	s->deadline_at = ms > 0 ? stream_now_ms() + ms : 0;
	stream_arm_timer(s);
}

void
stream_acknowledge_now(struct stream *s)
{
	int on = 1;

	/* Not every stream is TCP, and it only saves time. */
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}
