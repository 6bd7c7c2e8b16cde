/* SPDX-License-Identifier: ISC */
/*
 * What TLS connections share: the server's certificates (several, chosen by SNI; private keys in
 * authd) and the client's trust.  TLS 1.2 and 1.3 only, no renegotiation, no compression.
 * Both are counted: a connection holds its own reference, so certificates can be replaced live.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/types.h>

#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/net/tls_key.h"

enum { TLS_CHAIN_MAX = 64 * 1024, TLS_IDENTITIES_MAX = 256 };

struct tls_server;
struct tls_client;

/* No certificate yet: handshakes fail until one is added.  signer outlives it.  NULL: no memory. */
struct tls_server *tls_server_new(const struct tls_signer *);
/*
 * Adds a certificate (PEM: leaf first, then its chain).  key_id names the private key to the
 * signer.  The first one added answers clients without SNI or with an unknown name; two of the
 * same names (RSA and ECDSA) are both offered.
 */
MUST_USE enum fault tls_server_add(struct tls_server *, struct slice chain_pem, uint64_t key_id);
bool tls_server_is_empty(const struct tls_server *);
struct tls_server *tls_server_ref(struct tls_server *);
void tls_server_unref(struct tls_server *);

struct tls_client_options {
	bool verify; /* a certificate that does not verify fails the handshake */
	struct slice trust_pem; /* CA certificates; empty: the system's store */
};

struct tls_client *tls_client_new(const struct tls_client_options *);
struct tls_client *tls_client_ref(struct tls_client *);
void tls_client_unref(struct tls_client *);

/* For tls_session.c. */
SSL_CTX *tls_server_context(const struct tls_server *);
SSL_CTX *tls_client_context(const struct tls_client *);

#endif
