/* SPDX-License-Identifier: ISC */
/*
 * A buffered byte stream over one non-blocking socket, plain or TLS, on libevent's loop.  Every
 * network-facing process uses it; it trusts the peer in nothing.
 *
 * The rules that make it easy to use:
 * - No callback is ever called from inside a stream_x() function: all come from the event loop.
 * - Writing never blocks and never fails where it is called; a fault ends in closed().
 * - Reading from the socket goes on while output is undelivered or the stream is paused, until
 *   STREAM_INPUT_MAX bytes wait (less when many streams do that: STREAM_AHEAD_MAX), so that a peer
 *   which sends much before it reads is no deadlock.
 * - input() is not called while more than STREAM_OUTPUT_HIGH bytes of output wait, nor while
 *   paused; it is called again by itself when that is over and unconsumed input is left.
 * - closed() is the last callback and comes exactly once; the stream is freed by then.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

struct event_base;
struct stream;
struct tls_server;
struct tls_client;

enum {
	STREAM_INPUT_MAX = 1024 * 1024, /* bytes read ahead of the session */
	STREAM_AHEAD_MAX = 64 * 1024 * 1024, /* the same for all streams that wait, together */
	STREAM_OUTPUT_HIGH = 256 * 1024, /* over it the session is given no more input */
	STREAM_OUTPUT_LOW = 64 * 1024, /* at or below it drained() is called */
	STREAM_FLUSH_MS = 30 * 1000, /* longest wait for the last output after stream_finish */
	STREAM_LINGER_MS = 2 * 1000, /* longest wait for the peer's end after the last byte */
	STREAM_HANDSHAKE_MS = 30 * 1000 /* longest TLS handshake */
};

/* All may be NULL but closed. */
struct stream_calls {
	/* A stream made by stream_connect is connected. */
	void (*connected)(void *owner);
	/* There are bytes in stream_input(); consume what can be used. */
	void (*input)(void *owner);
	/* Output was over STREAM_OUTPUT_HIGH and has fallen to STREAM_OUTPUT_LOW. */
	void (*drained)(void *owner);
	/* The handshake that stream_start_tls_x asked for is done. */
	void (*tls_started)(void *owner);
	/* The idle time or the deadline has passed.  NULL: the stream is aborted. */
	void (*timed_out)(void *owner);
	/* The peer sends no more, and was heard to the end.  NULL: stream_finish(). */
	void (*ended)(void *owner);
	/* The stream is gone, do not touch it; FAULT_OK when it ended in order (by either side). */
	void (*closed)(void *owner, enum fault why);
};

struct stream_setup {
	struct event_base *base;
	const struct stream_calls *calls; /* outlives the stream */
	void *owner;
};

/* Takes over fd (any stream socket), also when it fails: then NULL. */
struct stream *stream_new(const struct stream_setup *, int fd);
/* Connects; connected() or closed() tells.  NULL when no socket can be had. */
struct stream *stream_connect(
	const struct stream_setup *, const struct sockaddr *to, socklen_t to_len);

/* The unconsumed input, one run of bytes; valid until the callback returns. */
struct slice stream_input(const struct stream *);
/* Does nothing when finishing or starting TLS has dropped the input meanwhile. */
void stream_consume(struct stream *, size_t len);
/* Pause: input(), ended() and the idle time stop.  Resume: input() comes again for what waits. */
void stream_pause(struct stream *);
void stream_resume(struct stream *);

/* Copies the bytes into the output queue.  Nothing happens once finished or aborted. */
void stream_write(struct stream *, struct slice bytes);
/* Borrows the bytes until release(arg) is called, which happens exactly once, also on closing. */
void stream_write_borrowed(
	struct stream *, struct slice bytes, void (*release)(void *arg), void *arg);
/*
 * For when the peer has sent half of something and no reply will carry the acknowledgement: a peer
 * with Nagle's algorithm keeps the other half back until it comes, and the kernel would wait 40 ms.
 */
void stream_acknowledge_now(struct stream *);
/* Output bytes not yet handed to the kernel. */
size_t stream_pending(const struct stream *);
/* True when the session should stop producing output; drained() tells when to go on. */
bool stream_is_full(const struct stream *);

/* No more input() calls; sends what waits, closes in order, then closed(). */
void stream_finish(struct stream *);
/* Drops everything; closed(why) comes on the next loop turn. */
void stream_abort(struct stream *, enum fault why);
/* At once, closed() included; never from a callback of the same stream. */
void stream_destroy(struct stream *, enum fault why);

/*
 * timed_out() after ms without a byte in either direction; 0: never.  It is called again each
 * time that ms pass once more.
 */
void stream_set_idle(struct stream *, int64_t ms);
/* timed_out() once, ms from now, whatever the peer does; 0: none. */
void stream_set_deadline(struct stream *, int64_t ms);

/*
 * Starts TLS as the server.  Output waiting now goes out in the clear first (the reply to
 * STARTTLS); input waiting now is thrown away (RFC 3207 4.2: nothing said before counts).
 */
void stream_start_tls_server(struct stream *, struct tls_server *);
/* Starts TLS as the client; host is for SNI and for verification. */
void stream_start_tls_client(struct stream *, struct tls_client *, const char *host);
bool stream_is_tls(const struct stream *);
/* For example "TLSv1.3", "TLS_AES_256_GCM_SHA384"; NULL without TLS.  Static. */
const char *stream_tls_version(const struct stream *);
const char *stream_tls_cipher(const struct stream *);
/* True when the server's certificate was verified for the host; text says why it was not. */
bool stream_tls_verified(const struct stream *, const char **why);
/* The descriptor, for socket options and getsockname only. */
int stream_fd(const struct stream *);

#endif
