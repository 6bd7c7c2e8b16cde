/* SPDX-License-Identifier: ISC */
/* Certificates of the server and trust of the client, shared by many connections. */
#include "common/net/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Forward secrecy and authenticated encryption only; a sender of mail that cannot do that has
 * plain text, as opportunistic TLS allows. */
static const char server_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* One set of names: a certificate, perhaps a second one of the other key type. */
struct identity {
	SSL_CTX *context;
	X509 *leaf;
	int key_types[2];
	size_t key_type_count;
};

struct tls_server {
	unsigned refs;
	const struct tls_signer *signer;
	struct identity identities[TLS_IDENTITIES_MAX];
	size_t identity_count;
};

struct tls_client {
	unsigned refs;
	SSL_CTX *context;
};

static void
set_common(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Idle connections hold no record buffers; our output queue may move between tries. */
	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *server = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < server->identity_count; i++) {
		const struct identity *identity = &server->identities[i];

		if (X509_check_host(identity->leaf, name, strlen(name), 0, NULL) == 1) {
			SSL_set_SSL_CTX(ssl, identity->context);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *
server_context_new(struct tls_server *server)
{
	static const unsigned char session_context[] = "pabal";
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL)
		return NULL;
	set_common(context);
	SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	/* Tickets keep resumed sessions at the client: no cache to grow here. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(context, server);
	if (SSL_CTX_set_cipher_list(context, server_ciphers) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

struct tls_server *
tls_server_new(const struct tls_signer *signer)
{
	struct tls_server *server = calloc(1, sizeof *server);

	if (server == NULL)
		return NULL;
	server->refs = 1;
	server->signer = signer;
	return server;
}

/* The first DNS name of the certificate; false when it has none. */
static bool
first_name(X509 *leaf, char name[static 256])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

		if (one->type != GEN_DNS || ASN1_STRING_length(one->d.dNSName) > 255)
			continue;
		size_t len = (size_t)ASN1_STRING_length(one->d.dNSName);
		memcpy(name, ASN1_STRING_get0_data(one->d.dNSName), len);
		name[len] = '\0';
		found = true;
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* The identity of the same name that lacks a key of this type, or NULL. */
static struct identity *
find_sibling(struct tls_server *server, X509 *leaf, int key_type)
{
	char name[256];

	if (!first_name(leaf, name))
		return NULL;
	for (size_t i = 0; i < server->identity_count; i++) {
		struct identity *identity = &server->identities[i];

		if (identity->key_type_count == 1 && identity->key_types[0] != key_type &&
			X509_check_host(identity->leaf, name, 0, 0, NULL) == 1)
			return identity;
	}
	return NULL;
}

static struct identity *
identity_for(struct tls_server *server, X509 *leaf, int key_type)
{
	struct identity *identity = find_sibling(server, leaf, key_type);

	if (identity == NULL) {
		if (server->identity_count == TLS_IDENTITIES_MAX)
			return NULL;
		identity = &server->identities[server->identity_count];
		identity->context = server_context_new(server);
		if (identity->context == NULL)
			return NULL;
		X509_up_ref(leaf);
		identity->leaf = leaf;
		server->identity_count++;
	}
	identity->key_types[identity->key_type_count++] = key_type;
	return identity;
}

static enum fault
add_chain(SSL_CTX *context, BIO *pem)
{
	X509 *issuer;

	while ((issuer = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL) {
		if (SSL_CTX_add0_chain_cert(context, issuer) != 1) {
			X509_free(issuer);
			return FAULT_TLS;
		}
	}
	ERR_clear_error(); /* the end of the PEM is an error to OpenSSL */
	return FAULT_OK;
}

static enum fault
use_identity(struct tls_server *server, X509 *leaf, BIO *pem, uint64_t key_id)
{
	EVP_PKEY *key = tls_key_new(leaf, key_id, server->signer);
	enum fault fault = FAULT_TLS;

	if (key == NULL)
		return FAULT_UNSUPPORTED;
	struct identity *identity = identity_for(server, leaf, EVP_PKEY_get_base_id(key));
	if (identity == NULL)
		fault = FAULT_TOO_MANY;
	else if (SSL_CTX_use_certificate(identity->context, leaf) == 1 &&
		SSL_CTX_use_PrivateKey(identity->context, key) == 1)
		fault = add_chain(identity->context, pem);
	EVP_PKEY_free(key);
	return fault;
}

enum fault
tls_server_add(struct tls_server *server, struct slice chain_pem, uint64_t key_id)
{
	if (chain_pem.len > TLS_CHAIN_MAX)
		return FAULT_TOO_LONG;
	BIO *pem = BIO_new_mem_buf(chain_pem.data, (int)chain_pem.len);
	if (pem == NULL)
		return FAULT_NOMEM;
	X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	enum fault fault = FAULT_SYNTAX;
	if (leaf != NULL)
		fault = use_identity(server, leaf, pem, key_id);
	X509_free(leaf);
	BIO_free(pem);
	ERR_clear_error();
	return fault;
}

bool
tls_server_is_empty(const struct tls_server *server)
{
	return server->identity_count == 0;
}

struct tls_server *
tls_server_ref(struct tls_server *server)
{
	server->refs++;
	return server;
}

void
tls_server_unref(struct tls_server *server)
{
	if (server == NULL || --server->refs > 0)
		return;
	for (size_t i = 0; i < server->identity_count; i++) {
		SSL_CTX_free(server->identities[i].context);
		X509_free(server->identities[i].leaf);
	}
	free(server);
}

SSL_CTX *
tls_server_context(const struct tls_server *server)
{
	return server->identity_count > 0 ? server->identities[0].context : NULL;
}

static bool
add_trust(SSL_CTX *context, struct slice trust_pem)
{
	if (trust_pem.len == 0)
		return SSL_CTX_set_default_verify_paths(context) == 1;
	if (trust_pem.len > INT32_MAX)
		return false;
	BIO *pem = BIO_new_mem_buf(trust_pem.data, (int)trust_pem.len);
	if (pem == NULL)
		return false;
	X509 *ca;
	while ((ca = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca);
		X509_free(ca);
	}
	BIO_free(pem);
	ERR_clear_error();
	return true;
}

struct tls_client *
tls_client_new(const struct tls_client_options *options)
{
	struct tls_client *client = calloc(1, sizeof *client);

	if (client == NULL)
		return NULL;
	client->refs = 1;
	client->context = SSL_CTX_new(TLS_client_method());
	if (client->context == NULL || !add_trust(client->context, options->trust_pem)) {
		tls_client_unref(client);
		return NULL;
	}
	set_common(client->context);
	SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(
		client->context, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return client;
}

struct tls_client *
tls_client_ref(struct tls_client *client)
{
	client->refs++;
	return client;
}

void
tls_client_unref(struct tls_client *client)
{
	if (client == NULL || --client->refs > 0)
		return;
	SSL_CTX_free(client->context);
	free(client);
}

SSL_CTX *
tls_client_context(const struct tls_client *client)
{
	return client->context;
}
