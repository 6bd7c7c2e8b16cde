/* SPDX-License-Identifier: ISC */
/*
 * One TLS connection over a non-blocking socket, without an event loop: stream.c calls again when
 * the socket, or the signature, is ready.
 */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include "common/net/tls.h"

struct tls_session;

enum tls_io {
	TLS_IO_OK,
	TLS_IO_WANT_READ,
	TLS_IO_WANT_WRITE,
	TLS_IO_WANT_WAKE, /* a signature: wake() tells */
	TLS_IO_WANT_RETRY, /* too many handshakes at once: soon again */
	TLS_IO_END, /* the peer has ended in order */
	TLS_IO_FAILED
};

struct tls_session_setup {
	int fd;
	struct tls_server *server; /* as the server, or */
	struct tls_client *client; /* as the client of host */
	const char *host;
	void (*wake)(void *arg);
	void *arg;
};

/* Keeps references of its own.  NULL: no memory, or a server without certificates. */
struct tls_session *tls_session_new(const struct tls_session_setup *);
void tls_session_free(struct tls_session *);
MUST_USE enum tls_io tls_session_handshake(struct tls_session *);
/* *done: bytes read or written, with TLS_IO_OK. */
MUST_USE enum tls_io tls_session_read(struct tls_session *, void *room, size_t len, size_t *done);
MUST_USE enum tls_io tls_session_write(struct tls_session *, struct slice, size_t *done);
/* Says good-bye as far as the socket takes it. */
void tls_session_shutdown(struct tls_session *);
const char *tls_session_version(const struct tls_session *);
const char *tls_session_cipher(const struct tls_session *);
bool tls_session_verified(const struct tls_session *, const char **why);
/* Why the last call failed; static text. */
const char *tls_session_error(const struct tls_session *);

#endif
