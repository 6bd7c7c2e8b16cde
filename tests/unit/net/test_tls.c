/* SPDX-License-Identifier: ISC */
/* Real handshakes whose private key answers a loop turn later. */
#include "common/net/tls.h"

#include <stdlib.h>

#include <openssl/ssl.h>

#include "common/net/stream.h"
#include "tests/unit/net/peer.h"
#include "tests/unit/unit.h"

static struct event_base *base;
static struct fake_signer signer;
static struct tls_server *server;
static struct tls_client *client;
static struct peer a, b; /* server, client */

static void
setup(enum fake_key kind)
{
	struct tls_client_options options = {.verify = false};

	base = event_base_new();
	fake_signer_init(&signer, base);
	server = tls_server_new(&signer.signer);
	fake_signer_add(&signer, server, kind, "mail.example.org");
	client = tls_client_new(&options);
	ck_assert_ptr_nonnull(client);
	peer_open(base, &a, &b);
}

static void
teardown(void)
{
	peer_clear(&a);
	peer_clear(&b);
	tls_server_unref(server);
	tls_client_unref(client);
	fake_signer_clear(&signer);
	event_base_free(base);
}

static void
start(void)
{
	stream_start_tls_server(a.stream, server);
	stream_start_tls_client(b.stream, client, "mail.example.org");
}

static bool
b_has_hello(void *arg)
{
	(void)arg;
	return buffer_len(&b.got) >= 5;
}

static bool
a_has_megabytes(void *arg)
{
	(void)arg;
	return buffer_len(&a.got) >= 3 * 1024 * 1024;
}

static void
handshake_works(enum fake_key kind, int version)
{
	static char big[3 * 1024 * 1024];

	setup(kind);
	SSL_CTX_set_max_proto_version(tls_client_context(client), version);
	a.say_after_tls = "hello";
	start();
	run_until(base, b_has_hello, NULL);
	ck_assert_uint_eq(signer.asked, 1);
	ck_assert_slice_eq(buffer_slice(&b.got), "hello");
	ck_assert_str_eq(
		stream_tls_version(a.stream), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 7 + i / 4096);
	stream_write(b.stream, slice_make(big, sizeof big));
	run_until(base, a_has_megabytes, NULL);
	ck_assert(memcmp(buffer_slice(&a.got).data, big, sizeof big) == 0);
	stream_finish(a.stream);
	run_until(base, peer_is_closed, &a);
	run_until(base, peer_is_closed, &b);
	ck_assert(a.why == FAULT_OK && b.why == FAULT_OK);
	teardown();
}

START_TEST(rsa_by_tls12)
{
	handshake_works(FAKE_RSA, TLS1_2_VERSION);
}
END_TEST

START_TEST(rsa_by_tls13)
{
	handshake_works(FAKE_RSA, TLS1_3_VERSION);
}
END_TEST

START_TEST(ec_by_tls12)
{
	handshake_works(FAKE_EC, TLS1_2_VERSION);
}
END_TEST

START_TEST(ec_by_tls13)
{
	handshake_works(FAKE_EC, TLS1_3_VERSION);
}
END_TEST

START_TEST(signer_may_answer_at_once)
{
	setup(FAKE_EC);
	signer.at_once = true;
	start();
	run_until(base, peer_has_tls, &a);
	run_until(base, peer_has_tls, &b);
	teardown();
}
END_TEST

START_TEST(failed_signature_ends_the_connection_only)
{
	setup(FAKE_RSA);
	signer.fail = true;
	start();
	run_until(base, peer_is_closed, &a);
	run_until(base, peer_is_closed, &b);
	ck_assert_int_eq(a.why, FAULT_TLS);
	ck_assert_uint_eq(a.tls_starts, 0);
	teardown();
}
END_TEST

static bool
signer_holds_one(void *arg)
{
	(void)arg;
	return signer.held_count == 1;
}

START_TEST(aborting_while_a_signature_is_pending_is_safe)
{
	for (int by_server = 0; by_server < 2; by_server++) {
		setup(FAKE_RSA);
		signer.withhold = true;
		start();
		run_until(base, signer_holds_one, NULL);
		stream_abort(by_server ? a.stream : b.stream, FAULT_OK);
		run_until(base, peer_is_closed, by_server ? &a : &b);
		fake_signer_release(&signer);
		run_until(base, peer_is_closed, &a);
		run_until(base, peer_is_closed, &b);
		teardown();
	}
}
END_TEST

START_TEST(destroying_while_a_signature_is_pending_is_safe)
{
	setup(FAKE_EC);
	signer.withhold = true;
	start();
	run_until(base, signer_holds_one, NULL);
	peer_clear(&a);
	fake_signer_release(&signer);
	teardown();
}
END_TEST

/* RFC 3207 4.2: what was said in the clear before the handshake does not count. */
START_TEST(bytes_before_the_handshake_are_thrown_away)
{
	setup(FAKE_EC);
	a.take = 0;
	stream_write(b.stream, SLICE("RCPT TO:<injected>\r\n"));
	while (stream_input(a.stream).len == 0)
		event_base_loop(base, EVLOOP_ONCE);
	a.take = SIZE_MAX;
	stream_write(a.stream, SLICE("hello"));
	stream_start_tls_server(a.stream, server);
	ck_assert_uint_eq(stream_input(a.stream).len, 0);
	run_until(base, b_has_hello, NULL);
	stream_start_tls_client(b.stream, client, "mail.example.org");
	b.say_after_tls = "QUIT";
	run_until(base, peer_has_tls, &b);
	while (buffer_len(&a.got) < 4)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_slice_eq(buffer_slice(&a.got), "QUIT");
	teardown();
}
END_TEST

START_TEST(garbage_instead_of_a_handshake_ends_the_connection)
{
	setup(FAKE_EC);
	stream_start_tls_server(a.stream, server);
	stream_write(b.stream, SLICE("EHLO this is no TLS\r\n"));
	run_until(base, peer_is_closed, &a);
	ck_assert_int_eq(a.why, FAULT_TLS);
	teardown();
}
END_TEST

static int
remember_name(int ok, X509_STORE_CTX *store)
{
	char *name = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(X509_STORE_CTX_get_ex_data(
						 store, SSL_get_ex_data_X509_STORE_CTX_idx())),
		0);

	(void)ok;
	X509_NAME_get_text_by_NID(
		X509_get_subject_name(X509_STORE_CTX_get0_cert(store)), NID_commonName, name, 64);
	return 1;
}

/* Which certificate the server shows to a client that asks for host. */
static void
certificate_shown(const char *host, char name[static 64])
{
	peer_open(base, &a, &b);
	SSL_CTX_set_ex_data(tls_client_context(client), 0, name);
	SSL_CTX_set_verify(tls_client_context(client), SSL_VERIFY_PEER, remember_name);
	stream_start_tls_server(a.stream, server);
	stream_start_tls_client(b.stream, client, host);
	run_until(base, peer_has_tls, &b);
	run_until(base, peer_has_tls, &a);
	peer_clear(&a);
	peer_clear(&b);
}

START_TEST(server_name_chooses_the_certificate)
{
	char name[64];

	setup(FAKE_EC);
	peer_clear(&a);
	peer_clear(&b);
	fake_signer_add(&signer, server, FAKE_RSA, "imap.example.net");
	fake_signer_add(&signer, server, FAKE_RSA, "mail.example.org");
	certificate_shown("imap.example.net", name);
	ck_assert_str_eq(name, "imap.example.net");
	certificate_shown("mail.example.org", name);
	ck_assert_str_eq(name, "mail.example.org");
	certificate_shown("unknown.example", name);
	ck_assert_str_eq(name, "mail.example.org");
	certificate_shown("192.0.2.1", name);
	ck_assert_str_eq(name, "mail.example.org");
	/* A client without ECDSA gets the sibling with an RSA key. */
	SSL_CTX_set_max_proto_version(tls_client_context(client), TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(tls_client_context(client), "ECDHE-RSA-AES128-GCM-SHA256");
	certificate_shown("mail.example.org", name);
	ck_assert_str_eq(name, "mail.example.org");
	teardown();
}
END_TEST

START_TEST(client_that_verifies_refuses_an_unknown_certificate)
{
	struct tls_client_options options = {.verify = true};

	setup(FAKE_EC);
	tls_client_unref(client);
	client = tls_client_new(&options);
	start();
	run_until(base, peer_is_closed, &b);
	ck_assert_int_eq(b.why, FAULT_TLS);
	teardown();
}
END_TEST

START_TEST(client_that_does_not_verify_can_say_so)
{
	const char *why;

	setup(FAKE_EC);
	start();
	run_until(base, peer_has_tls, &b);
	ck_assert(!stream_tls_verified(b.stream, &why));
	ck_assert_str_ne(why, "no TLS");
	teardown();
}
END_TEST

START_TEST(broken_certificates_are_refused)
{
	setup(FAKE_EC);
	ck_assert_int_eq(tls_server_add(server, SLICE("no PEM"), 1), FAULT_SYNTAX);
	ck_assert_int_eq(tls_server_add(server, SLICE(""), 1), FAULT_SYNTAX);
	teardown();
}
END_TEST

static bool
all_have_tls(void *arg)
{
	struct peer *peers = arg;

	for (int i = 0; i < 400; i++)
		if (peers[i].tls_starts == 0)
			return false;
	return true;
}

START_TEST(more_handshakes_than_jobs_all_succeed)
{
	static struct peer peers[400];

	setup(FAKE_EC);
	signer.at_once = false;
	signer.withhold = false;
	for (int i = 0; i < 400; i += 2) {
		peer_open(base, &peers[i], &peers[i + 1]);
		stream_start_tls_server(peers[i].stream, server);
		stream_start_tls_client(peers[i + 1].stream, client, "mail.example.org");
	}
	run_until(base, all_have_tls, peers);
	for (int i = 0; i < 400; i++)
		peer_clear(&peers[i]);
	teardown();
}
END_TEST

UNIT(tls)
{
	unit_add(tc, rsa_by_tls12);
	unit_add(tc, rsa_by_tls13);
	unit_add(tc, ec_by_tls12);
	unit_add(tc, ec_by_tls13);
	unit_add(tc, signer_may_answer_at_once);
	unit_add(tc, failed_signature_ends_the_connection_only);
	unit_add(tc, aborting_while_a_signature_is_pending_is_safe);
	unit_add(tc, destroying_while_a_signature_is_pending_is_safe);
	unit_add(tc, bytes_before_the_handshake_are_thrown_away);
	unit_add(tc, garbage_instead_of_a_handshake_ends_the_connection);
	unit_add(tc, server_name_chooses_the_certificate);
	unit_add(tc, client_that_verifies_refuses_an_unknown_certificate);
	unit_add(tc, client_that_does_not_verify_can_say_so);
	unit_add(tc, broken_certificates_are_refused);
	unit_add(tc, more_handshakes_than_jobs_all_succeed);
}
