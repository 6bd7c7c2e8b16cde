/* SPDX-License-Identifier: ISC */
/*
 * Moving the bytes of a stream: socket or TLS on one side, input buffer and output queue on the
 * other.  Everything that happens to a stream ends in stream_io_settle, which does what can be
 * done now and sets the events for the rest.
 */
#include <errno.h>
#include <sys/socket.h>

#include <event2/buffer.h>

#include "common/net/stream_private.h"

enum {
	READ_SIZE = 64 * 1024,
	READS_PER_TURN = 8, /* then the other streams have their turn */
	ROUNDS_PER_TURN = 16,
	TLS_RECORD = 16 * 1024
};

/*
 * Shared by all streams: there are no threads, and an idle stream holds no buffer.  What was read
 * is offered to the session right here; only what it leaves is copied into the stream's own input.
 */
static char read_room[READ_SIZE];

size_t
stream_input_len(const struct stream *s)
{
	return s->fresh.len > 0 ? s->fresh.len : buffer_len(&s->input);
}

/* Bytes of input that wait in all streams. */
static size_t total_ahead;

void
stream_uncount_input(struct stream *s)
{
	total_ahead -= s->counted;
	s->counted = 0;
}

static void
count_input(struct stream *s)
{
	stream_uncount_input(s);
	s->counted = buffer_len(&s->input);
	total_ahead += s->counted;
}

/* A session that takes its input goes on whatever the others hold. */
static bool
may_read(const struct stream *s)
{
	if (s->eof || stream_input_len(s) >= STREAM_INPUT_MAX)
		return false;
	return (!s->paused && !s->full) || total_ahead < STREAM_AHEAD_MAX;
}

void
stream_drop_input(struct stream *s)
{
	s->fresh = SLICE("");
	buffer_reset(&s->input);
}

static void
keep_fresh(struct stream *s)
{
	buffer_add_slice(&s->input, s->fresh);
	s->fresh = SLICE("");
	if (buffer_fault(&s->input) != FAULT_OK)
		stream_die(s, buffer_fault(&s->input));
}

/* What one read gave: more may follow, nothing now, or the end. */
enum reading { READ_SOME, READ_NOTHING, READ_END };

static enum reading
read_plain(struct stream *s, size_t *got)
{
	ssize_t n;

	do
		n = recv(s->fd, read_room, sizeof read_room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		*got = (size_t)n;
		return READ_SOME;
	}
	if (n == 0)
		return READ_END;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		stream_die(s, FAULT_IO);
	return READ_NOTHING;
}

static enum reading
read_tls(struct stream *s, size_t *got)
{
	switch (tls_session_read(s->tls, read_room, sizeof read_room, got)) {
	case TLS_IO_OK:
		return READ_SOME;
	case TLS_IO_WANT_WRITE:
		s->tls_read_wants_write = true;
		return READ_NOTHING;
	case TLS_IO_END:
		return READ_END;
	case TLS_IO_WANT_READ:
		return READ_NOTHING;
	default:
		stream_die(s, FAULT_IO);
		return READ_NOTHING;
	}
}

static void
read_input(struct stream *s)
{
	s->tls_read_wants_write = false;
	s->tls_more = s->tls != NULL;
	keep_fresh(s);
	for (int i = 0; i < READS_PER_TURN && buffer_len(&s->input) < STREAM_INPUT_MAX; i++) {
		size_t got = 0;
		enum reading r = s->tls != NULL ? read_tls(s, &got) : read_plain(s, &got);

		if (r != READ_SOME) {
			s->tls_more = false;
			s->eof = s->eof || r == READ_END;
			return;
		}
		s->active_at = stream_now_ms();
		s->offered = false;
		s->fresh = slice_make(read_room, got);
		if (buffer_len(&s->input) == 0)
			return;
		keep_fresh(s);
		/* A short read has emptied the socket. */
		if (s->tls == NULL && got < sizeof read_room)
			return;
	}
}

/* After the end of our side, nothing that the peer still sends matters but its end. */
static void
discard_input(struct stream *s)
{
	for (int i = 0; i < READS_PER_TURN; i++) {
		size_t got;
		enum reading r = read_plain(s, &got);

		if (r == READ_END)
			s->eof = true;
		if (r != READ_SOME)
			break;
	}
	/* A reset after everything was sent is as good an end as any. */
	if (s->phase == STREAM_CLOSING && evbuffer_get_length(s->output) == 0)
		s->why = FAULT_OK;
}

void
stream_io_on_readable(struct stream *s)
{
	if (s->phase == STREAM_OPEN)
		read_input(s);
	else if (s->phase == STREAM_FINISHING || s->phase == STREAM_LINGERING)
		discard_input(s);
	s->tls_write_wants_read = false;
}

static bool
write_plain(struct stream *s)
{
	int n = evbuffer_write(s->output, s->fd);

	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		stream_die(s, FAULT_IO);
	return n > 0;
}

/* OpenSSL wants one run of bytes, and after a partial write the same bytes or more again. */
static bool
write_tls(struct stream *s)
{
	size_t len = evbuffer_get_length(s->output);
	struct evbuffer_iovec first;
	size_t done = 0;

	if (len > TLS_RECORD)
		len = TLS_RECORD;
	if (evbuffer_peek(s->output, 1, NULL, &first, 1) < 1)
		return false;
	if (first.iov_len < len) {
		first.iov_base = evbuffer_pullup(s->output, (ev_ssize_t)len);
		if (first.iov_base == NULL) {
			stream_die(s, FAULT_NOMEM);
			return false;
		}
	}
	enum tls_io io = tls_session_write(s->tls, slice_make(first.iov_base, len), &done);
	if (io == TLS_IO_OK)
		evbuffer_drain(s->output, done);
	else if (io == TLS_IO_WANT_READ)
		s->tls_write_wants_read = true;
	else if (io != TLS_IO_WANT_WRITE)
		stream_die(s, FAULT_IO);
	return io == TLS_IO_OK;
}

/* True when something went out. */
static bool
flush(struct stream *s)
{
	bool moved = false;

	if (s->phase == STREAM_CONNECTING || s->phase == STREAM_HANDSHAKE)
		return false;
	while (s->phase != STREAM_CLOSING && evbuffer_get_length(s->output) > 0 &&
		(s->tls != NULL ? write_tls(s) : write_plain(s)))
		moved = true;
	if (moved)
		s->active_at = stream_now_ms();
	return moved;
}

static bool
advance_end(struct stream *s)
{
	if (s->phase == STREAM_FINISHING && evbuffer_get_length(s->output) == 0) {
		if (s->tls != NULL)
			tls_session_shutdown(s->tls);
		(void)shutdown(s->fd, SHUT_WR);
		/* Closing with unread input would reset the connection, and the peer could lose
		 * our last reply. */
		stream_set_phase(s, STREAM_LINGERING, STREAM_LINGER_MS);
	}
	if (s->phase == STREAM_LINGERING && s->eof)
		stream_die(s, FAULT_OK);
	return false;
}

static bool
offer_input(struct stream *s)
{
	if (s->paused || s->full)
		return false;
	if (!s->offered && stream_input_len(s) > 0) {
		s->offered = true;
		if (s->calls->input != NULL)
			s->calls->input(s->owner);
		return true;
	}
	if (s->eof && !s->ended_told && !s->tls_more) {
		s->ended_told = true;
		if (s->calls->ended != NULL)
			s->calls->ended(s->owner);
		else
			stream_finish(s);
		return true;
	}
	return false;
}

static bool
tell_drained(struct stream *s)
{
	if (!s->full || evbuffer_get_length(s->output) > STREAM_OUTPUT_LOW)
		return false;
	s->full = false;
	s->offered = false;
	if (s->calls->drained != NULL)
		s->calls->drained(s->owner);
	return true;
}

/* One round of what can be done; true when that may have made more possible. */
static bool
settle_once(struct stream *s)
{
	bool moved = flush(s);

	if (s->phase == STREAM_TLS_WAIT && evbuffer_get_length(s->output) == 0)
		stream_tls_begin(s);
	if (s->phase == STREAM_HANDSHAKE)
		return stream_tls_advance(s) || moved;
	if (s->phase == STREAM_FINISHING || s->phase == STREAM_LINGERING)
		return advance_end(s);
	if (s->phase == STREAM_OPEN) {
		if (s->tls_more && may_read(s))
			read_input(s);
		moved = tell_drained(s) || moved;
	}
	if (s->phase == STREAM_OPEN)
		moved = offer_input(s) || moved;
	return moved;
}

static bool
wants_read(const struct stream *s)
{
	switch (s->phase) {
	case STREAM_OPEN:
		return may_read(s);
	case STREAM_HANDSHAKE:
		return s->handshake_wants == TLS_IO_WANT_READ;
	case STREAM_FINISHING:
	case STREAM_LINGERING:
		return !s->eof;
	default:
		return false;
	}
}

static bool
wants_write(const struct stream *s)
{
	if (s->phase == STREAM_CONNECTING)
		return true;
	if (s->phase == STREAM_HANDSHAKE)
		return s->handshake_wants == TLS_IO_WANT_WRITE;
	return s->tls_read_wants_write ||
		(evbuffer_get_length(s->output) > 0 && !s->tls_write_wants_read);
}

static void
set_event(struct event *event, short what, bool wanted)
{
	bool is_set = event_pending(event, what, NULL) != 0;

	if (wanted && !is_set)
		event_add(event, NULL);
	else if (!wanted && is_set)
		event_del(event);
}

void
stream_io_settle(struct stream *s)
{
	/* libevent looks at no descriptor while an event makes itself active: a stream that always
	 * has more would be the only one. */
	const struct timeval next_turn = {0};
	bool moved = true;

	for (int i = 0; i < ROUNDS_PER_TURN && moved && s->phase != STREAM_CLOSING; i++)
		moved = settle_once(s);
	if (s->fresh.len > 0)
		keep_fresh(s);
	if (s->phase == STREAM_CLOSING)
		return;
	if (buffer_len(&s->input) == 0 && s->input.size > 0)
		buffer_clear(&s->input);
	count_input(s);
	if (moved || (s->tls_more && may_read(s)))
		event_add(&s->turn_event, &next_turn);
	set_event(&s->read_event, EV_READ, wants_read(s));
	set_event(&s->write_event, EV_WRITE, wants_write(s));
}
