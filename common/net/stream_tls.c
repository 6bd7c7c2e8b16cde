/* SPDX-License-Identifier: ISC */
/*
 * The TLS of a stream: asking for it, the handshake (which may wait for a signature of authd), and
 * what is known afterwards.
 */
#include <stdlib.h>

#include <event2/buffer.h>

#include "common/base/log.h"
#include "common/net/stream_private.h"

enum { RETRY_MS = 5 };

void
stream_tls_drop_request(struct stream *s)
{
	tls_server_unref(s->tls_server);
	tls_client_unref(s->tls_client);
	free(s->tls_host);
	s->tls_server = NULL;
	s->tls_client = NULL;
	s->tls_host = NULL;
}

static void
want_tls(struct stream *s)
{
	if (s->tls != NULL || s->phase != STREAM_OPEN) {
		stream_tls_drop_request(s);
		stream_die(s, FAULT_TLS);
		return;
	}
	stream_drop_input(s);
	stream_set_phase(s, STREAM_TLS_WAIT, STREAM_HANDSHAKE_MS);
	stream_want_turn(s);
}

void
stream_start_tls_server(struct stream *s, struct tls_server *server)
{
	if (s->phase >= STREAM_FINISHING)
		return;
	s->tls_server = tls_server_ref(server);
	want_tls(s);
}

void
stream_start_tls_client(struct stream *s, struct tls_client *client, const char *host)
{
	if (s->phase >= STREAM_FINISHING)
		return;
	s->tls_client = tls_client_ref(client);
	s->tls_host = slice_dup(slice_text(host));
	if (s->tls_host == NULL)
		stream_die(s, FAULT_NOMEM);
	else
		want_tls(s);
}

bool
stream_is_tls(const struct stream *s)
{
	return s->tls != NULL && s->phase != STREAM_HANDSHAKE;
}

const char *
stream_tls_version(const struct stream *s)
{
	return stream_is_tls(s) ? tls_session_version(s->tls) : NULL;
}

const char *
stream_tls_cipher(const struct stream *s)
{
	return stream_is_tls(s) ? tls_session_cipher(s->tls) : NULL;
}

bool
stream_tls_verified(const struct stream *s, const char **why)
{
	*why = "no TLS";
	return stream_is_tls(s) && tls_session_verified(s->tls, why);
}

static void
on_wake(void *arg)
{
	struct stream *s = arg;

	s->tls_woken = true;
	stream_want_turn(s);
}

void
stream_tls_begin(struct stream *s)
{
	struct tls_session_setup setup = {
		.fd = s->fd,
		.server = s->tls_server,
		.client = s->tls_client,
		.host = s->tls_host,
		.wake = on_wake,
		.arg = s,
	};

	s->tls = tls_session_new(&setup);
	if (s->tls == NULL) {
		stream_die(s, FAULT_TLS);
		return;
	}
	s->phase = STREAM_HANDSHAKE;
	s->handshake_wants = TLS_IO_OK;
	s->tls_woken = false;
}

static void
retry_soon(struct stream *s)
{
	struct timeval tv = {.tv_usec = RETRY_MS * 1000};

	event_add(&s->turn_event, &tv);
}

static void
end_handshake(struct stream *s)
{
	stream_set_phase(s, STREAM_OPEN, 0);
	s->active_at = stream_now_ms();
	/* What came behind the handshake may wait inside OpenSSL, where no event tells of it. */
	s->tls_more = true;
	if (s->calls->tls_started != NULL)
		s->calls->tls_started(s->owner);
}

bool
stream_tls_advance(struct stream *s)
{
	enum tls_io io;

	if (s->handshake_wants == TLS_IO_WANT_WAKE && !s->tls_woken)
		return false;
	do {
		s->tls_woken = false;
		io = tls_session_handshake(s->tls);
		s->handshake_wants = io;
	} while (io == TLS_IO_WANT_WAKE && s->tls_woken);
	if (io == TLS_IO_FAILED) {
		log_debug("TLS handshake: %s", tls_session_error(s->tls));
		stream_die(s, FAULT_TLS);
	} else if (io == TLS_IO_WANT_RETRY) {
		retry_soon(s);
	} else if (io == TLS_IO_OK) {
		end_handshake(s);
	}
	return io == TLS_IO_OK;
}
