/* SPDX-License-Identifier: ISC */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/unit/net/peer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "tests/unit/unit.h"

static void
on_connected(void *arg)
{
	struct peer *p = arg;

	p->connects++;
}

static void
on_input(void *arg)
{
	struct peer *p = arg;
	struct slice in = stream_input(p->stream);

	p->inputs++;
	in = slice_first(in, p->take);
	if (p->close_before_consuming)
		stream_finish(p->stream);
	buffer_add_slice(&p->got, in);
	if (p->echo)
		stream_write(p->stream, in);
	stream_consume(p->stream, in.len);
}

static void
on_drained(void *arg)
{
	struct peer *p = arg;

	p->drains++;
}

static void
on_tls_started(void *arg)
{
	struct peer *p = arg;

	p->tls_starts++;
	if (p->say_after_tls != NULL)
		stream_write(p->stream, slice_text(p->say_after_tls));
}

static void
on_timed_out(void *arg)
{
	struct peer *p = arg;

	p->timeouts++;
}

static void
on_ended(void *arg)
{
	struct peer *p = arg;

	p->ends++;
	stream_finish(p->stream);
}

static void
on_closed(void *arg, enum fault why)
{
	struct peer *p = arg;

	p->closes++;
	p->why = why;
	p->stream = NULL;
}

const struct stream_calls peer_calls = {
	.connected = on_connected,
	.input = on_input,
	.drained = on_drained,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.ended = on_ended,
	.closed = on_closed,
};

void
peer_attach(struct event_base *base, struct peer *p, int fd)
{
	struct stream_setup setup = {base, &peer_calls, p};

	*p = (struct peer){.take = SIZE_MAX};
	buffer_init(&p->got, 64 * 1024 * 1024);
	p->stream = stream_new(&setup, fd);
	ck_assert_ptr_nonnull(p->stream);
}

void
peer_open(struct event_base *base, struct peer *a, struct peer *b)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	peer_attach(base, a, fds[0]);
	if (b != NULL)
		peer_attach(base, b, fds[1]);
}

void
peer_clear(struct peer *p)
{
	if (p->stream != NULL)
		stream_destroy(p->stream, FAULT_OK);
	buffer_clear(&p->got);
}

bool
peer_is_closed(void *arg)
{
	struct peer *p = arg;

	return p->stream == NULL;
}

bool
peer_has_tls(void *arg)
{
	struct peer *p = arg;

	return p->tls_starts > 0;
}

static void
on_too_late(evutil_socket_t fd, short what, void *arg)
{
	bool *late = arg;

	(void)fd;
	(void)what;
	*late = true;
}

void
run_until(struct event_base *base, bool (*holds)(void *arg), void *arg)
{
	bool late = false;
	struct timeval limit = {.tv_sec = 10};
	struct event *timer = evtimer_new(base, on_too_late, &late);

	evtimer_add(timer, &limit);
	while (!late && !holds(arg))
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	ck_assert_msg(!late, "the awaited did not happen");
}

/* What authd does with a SIGN message. */
static size_t
really_sign(EVP_PKEY *key, const struct tls_sign *sign, uint8_t out[static TLS_SIGNATURE_MAX])
{
	if (sign->kind == TLS_SIGN_ECDSA) {
		unsigned len = 0;

		ck_assert_int_eq(ECDSA_sign(0, sign->input, (int)sign->input_len, out, &len,
					 (EC_KEY *)EVP_PKEY_get0_EC_KEY(key)),
			1);
		return len;
	}
	int padding = sign->kind == TLS_SIGN_RSA_PKCS1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING;
	int len = RSA_private_encrypt(
		(int)sign->input_len, sign->input, out, (RSA *)EVP_PKEY_get0_RSA(key), padding);
	ck_assert_int_gt(len, 0);
	return (size_t)len;
}

static void
answer(struct fake_signer *f, struct tls_sign *sign)
{
	uint8_t signature[TLS_SIGNATURE_MAX];

	if (f->fail) {
		tls_sign_finish(sign, FAULT_PEER_LOST, SLICE(""));
		return;
	}
	size_t len = really_sign(f->keys[sign->key_id], sign, signature);
	tls_sign_finish(sign, FAULT_OK, slice_make(signature, len));
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	struct fake_signer *f = arg;

	(void)fd;
	(void)what;
	if (!f->withhold)
		fake_signer_release(f);
}

void
fake_signer_release(struct fake_signer *f)
{
	while (f->held_count > 0)
		answer(f, f->held[--f->held_count]);
}

static void
on_sign(void *arg, struct tls_sign *sign)
{
	struct fake_signer *f = arg;
	struct timeval now = {0};

	f->asked++;
	if (f->at_once) {
		answer(f, sign);
		return;
	}
	f->held[f->held_count++] = sign;
	event_base_once(f->base, -1, EV_TIMEOUT, on_later, f, &now);
}

void
fake_signer_init(struct fake_signer *f, struct event_base *base)
{
	*f = (struct fake_signer){.base = base, .signer = {on_sign, f}};
}

void
fake_signer_clear(struct fake_signer *f)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(f->keys[i]);
}

static X509 *
self_sign(EVP_PKEY *key, const char *name)
{
	X509 *x = X509_new();
	char san[300];

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	snprintf(san, sizeof san, "DNS:%s", name);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

void
fake_signer_add(
	struct fake_signer *f, struct tls_server *server, enum fake_key kind, const char *name)
{
	unsigned id = 0;
	char *pem;

	while (f->keys[id] != NULL)
		id++;
	f->keys[id] = kind == FAKE_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *x = self_sign(f->keys[id], name);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, x);
	long len = BIO_get_mem_data(bio, &pem);
	ck_assert_int_eq(tls_server_add(server, slice_make(pem, (size_t)len), id), FAULT_OK);
	BIO_free(bio);
	X509_free(x);
}
