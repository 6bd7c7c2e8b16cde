/* SPDX-License-Identifier: ISC */
/*
 * One TLS connection.  The server's handshake runs in an ASYNC_JOB so that it can wait for a
 * signature of authd; afterwards that mode is off, since it costs a stack switch per call.
 */
#include "common/net/tls_session.h"

#include <stdlib.h>

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/net/address.h"

/* Each job has a stack of 32 KiB that OpenSSL keeps for reuse. */
enum { JOBS_MAX = 128 };

struct tls_session {
	SSL *ssl;
	struct tls_server *server;
	struct tls_client *client;
	struct tls_sign_slot slot;
	bool handshaking;
	const char *error;
};

static bool
prepare_jobs(void)
{
	static bool prepared;

	if (!prepared)
		prepared = ASYNC_init_thread(JOBS_MAX, 0) == 1;
	return prepared;
}

static bool
set_host(SSL *ssl, const char *host)
{
	struct peer_address literal;

	if (host == NULL)
		return true;
	/* RFC 6066 3: an address literal is no server name. */
	if (!peer_address_parse(slice_text(host), &literal) &&
		SSL_set_tlsext_host_name(ssl, host) != 1)
		return false;
	return SSL_set1_host(ssl, host) == 1;
}

static bool
open_ssl(struct tls_session *s, const struct tls_session_setup *setup)
{
	SSL_CTX *context =
		s->server != NULL ? tls_server_context(s->server) : tls_client_context(s->client);

	s->ssl = context != NULL ? SSL_new(context) : NULL;
	if (s->ssl == NULL || SSL_set_fd(s->ssl, setup->fd) != 1)
		return false;
	if (s->server == NULL) {
		SSL_set_connect_state(s->ssl);
		return set_host(s->ssl, setup->host);
	}
	SSL_set_accept_state(s->ssl);
	SSL_set_mode(s->ssl, SSL_MODE_ASYNC);
	return prepare_jobs();
}

struct tls_session *
tls_session_new(const struct tls_session_setup *setup)
{
	struct tls_session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->handshaking = true;
	s->slot.wake = setup->wake;
	s->slot.arg = setup->arg;
	if (setup->server != NULL)
		s->server = tls_server_ref(setup->server);
	else
		s->client = tls_client_ref(setup->client);
	if (!open_ssl(s, setup)) {
		s->handshaking = false;
		tls_session_free(s);
		ERR_clear_error();
		return NULL;
	}
	return s;
}

void
tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	if (s->slot.pending != NULL) {
		/* The paused job must end before its SSL: once more, and it fails. */
		tls_sign_cancel(&s->slot);
		SSL_set_quiet_shutdown(s->ssl, 1);
		enum tls_io io = tls_session_handshake(s);
		(void)io;
	}
	SSL_free(s->ssl);
	tls_server_unref(s->server);
	tls_client_unref(s->client);
	free(s);
}

static enum tls_io
outcome(struct tls_session *s, int result)
{
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_NONE:
		return TLS_IO_OK;
	case SSL_ERROR_WANT_READ:
		return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_IO_WANT_WRITE;
	case SSL_ERROR_WANT_ASYNC:
		return TLS_IO_WANT_WAKE;
	case SSL_ERROR_WANT_ASYNC_JOB:
		return TLS_IO_WANT_RETRY;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_IO_END;
	default:
		s->error = ERR_reason_error_string(ERR_peek_last_error());
		ERR_clear_error();
		return TLS_IO_FAILED;
	}
}

enum tls_io
tls_session_handshake(struct tls_session *s)
{
	ERR_clear_error();
	tls_key_enter(&s->slot);
	enum tls_io io = outcome(s, SSL_do_handshake(s->ssl));
	tls_key_leave(&s->slot);
	if (io == TLS_IO_OK) {
		SSL_clear_mode(s->ssl, SSL_MODE_ASYNC);
		s->handshaking = false;
	}
	return io == TLS_IO_END ? TLS_IO_FAILED : io;
}

enum tls_io
tls_session_read(struct tls_session *s, void *room, size_t len, size_t *done)
{
	ERR_clear_error();
	return outcome(s, SSL_read_ex(s->ssl, room, len, done));
}

enum tls_io
tls_session_write(struct tls_session *s, struct slice bytes, size_t *done)
{
	ERR_clear_error();
	return outcome(s, SSL_write_ex(s->ssl, bytes.data, bytes.len, done));
}

void
tls_session_shutdown(struct tls_session *s)
{
	if (s->handshaking)
		return;
	ERR_clear_error();
	SSL_shutdown(s->ssl);
	ERR_clear_error();
}

const char *
tls_session_version(const struct tls_session *s)
{
	return SSL_get_version(s->ssl);
}

const char *
tls_session_cipher(const struct tls_session *s)
{
	return SSL_get_cipher_name(s->ssl);
}

bool
tls_session_verified(const struct tls_session *s, const char **why)
{
	long result = SSL_get_verify_result(s->ssl);

	*why = X509_verify_cert_error_string(result);
	return result == X509_V_OK;
}

const char *
tls_session_error(const struct tls_session *s)
{
	return s->error != NULL ? s->error : "connection lost";
}
