/* SPDX-License-Identifier: ISC */
/*
 * Private keys that live in another process (authd).  A key here is the certificate's public key
 * with sign operations that ask the daemon's signer and wait, without blocking the event loop:
 * the handshake runs in an OpenSSL ASYNC_JOB, which is paused until the answer is here.
 */
#ifndef NET_TLS_KEY_H
#define NET_TLS_KEY_H

#include <openssl/types.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	TLS_SIGN_INPUT_MAX = 1024, /* RSA of 8192 bits */
	TLS_SIGNATURE_MAX = 1024
};

enum tls_sign_kind {
	TLS_SIGN_RSA_PKCS1, /* private-encrypt the DigestInfo with PKCS #1 v1.5 padding */
	TLS_SIGN_RSA_RAW, /* private-encrypt a block that is padded already (PSS) */
	TLS_SIGN_ECDSA /* sign the digest; the signature is DER */
};

/* One signature asked for.  Owned by this module; the signer holds it until tls_sign_finish. */
struct tls_sign {
	uint64_t key_id;
	enum tls_sign_kind kind;
	uint8_t input[TLS_SIGN_INPUT_MAX];
	size_t input_len;
	/* private */
	unsigned owners; /* the handshake and the signer */
	bool finished;
	enum fault fault;
	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t signature_len;
	void (*wake)(void *arg);
	void *arg;
};

/*
 * The daemon's part.  sign() passes the request to authd and must lead to exactly one
 * tls_sign_finish(), at once or later, whatever happens (a lost link is FAULT_PEER_LOST).
 */
struct tls_signer {
	void (*sign)(void *arg, struct tls_sign *);
	void *arg;
};

/*
 * Ends a request; the pointer is dead after it.  The connection may be gone by now: that is
 * handled here.  signature is ignored unless fault is FAULT_OK.
 */
void tls_sign_finish(struct tls_sign *, enum fault, struct slice signature);

/* A private key for the certificate's public key; NULL when it is neither RSA nor EC. */
EVP_PKEY *tls_key_new(X509 *certificate, uint64_t key_id, const struct tls_signer *);

/* For tls_session.c: which handshake runs now, so that a key knows whom to wake. */
struct tls_sign_slot {
	struct tls_sign *pending; /* NULL when no signature is awaited */
	const struct tls_signer *signer; /* not NULL: pending is still to be handed to it */
	void (*wake)(void *arg); /* the answer is here: run the handshake again */
	void *arg;
};
void tls_key_enter(struct tls_sign_slot *);
/* Outside of the job, on the ordinary stack: hands a new request to the signer. */
void tls_key_leave(struct tls_sign_slot *);
/* Gives up the pending request, if any: its handshake must be run once more, and fails. */
void tls_sign_cancel(struct tls_sign_slot *);

#endif
