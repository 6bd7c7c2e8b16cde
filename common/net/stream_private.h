/* SPDX-License-Identifier: ISC */
/*
 * What stream.c (life, timers, the public calls) and stream_io.c (moving bytes, TLS) share.  Nobody
 * else includes this.
 */
#ifndef NET_STREAM_PRIVATE_H
#define NET_STREAM_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/base/buffer.h"
#include "common/net/stream.h"
#include "common/net/tls_session.h"

struct evbuffer;

enum stream_phase {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_TLS_WAIT, /* TLS wanted; the output before it is not sent yet */
	STREAM_HANDSHAKE,
	STREAM_FINISHING, /* sends the rest, hears nothing */
	STREAM_LINGERING, /* our side is shut; waits for the peer's end */
	STREAM_CLOSING /* dead: closed() in the next turn */
};

struct stream {
	struct event_base *base;
	const struct stream_calls *calls;
	void *owner;
	int fd;
	enum stream_phase phase;
	enum fault why;

	bool in_loop; /* inside one of our event functions: it will see to what is left */
	bool paused;
	bool full; /* output was over the high mark and not yet under the low one */
	bool eof; /* the peer sends no more */
	bool ended_told;
	bool offered; /* input() was called for the bytes that are there */
	bool tls_read_wants_write, tls_write_wants_read;
	bool tls_more; /* reading stopped although TLS may hold decoded bytes */
	bool tls_woken; /* the signature is here */
	enum tls_io handshake_wants;

	struct event read_event, write_event, turn_event, timer_event;
	struct buffer input;
	struct slice fresh; /* just read, in the room that all streams share; input is empty then */
	size_t counted; /* bytes of input that count in the sum over all streams */
	struct evbuffer *output;

	struct tls_session *tls;
	struct tls_server *tls_server; /* in STREAM_TLS_WAIT */
	struct tls_client *tls_client;
	char *tls_host;

	int64_t idle_ms, active_at;
	int64_t deadline_at; /* the owner's; 0 is none, here and below */
	int64_t phase_deadline_at; /* handshake, flush, linger */
	int64_t timer_at; /* what the timer event is set to */
};

int64_t stream_now_ms(void);
/* The end, in the next turn. */
void stream_die(struct stream *, enum fault why);
void stream_set_phase(struct stream *, enum stream_phase, int64_t limit_ms);
/* Makes the timer event fit the deadlines. */
void stream_arm_timer(struct stream *);
/* Asks for a turn unless one of our functions is running. */
void stream_want_turn(struct stream *);

/* stream_io.c */
size_t stream_input_len(const struct stream *);
void stream_drop_input(struct stream *);
/* The stream goes: what it held counts no more. */
void stream_uncount_input(struct stream *);
void stream_io_on_readable(struct stream *);
/* Gives input to the owner, sends output, moves the phase on, sets the events right. */
void stream_io_settle(struct stream *);

/* stream_tls.c */
void stream_tls_begin(struct stream *);
/* Runs the handshake as far as it goes; true when it is done. */
bool stream_tls_advance(struct stream *);
void stream_tls_drop_request(struct stream *);

#endif
