/* SPDX-License-Identifier: ISC */
/*
 * One certificate with its private key: made from PEM bytes or self-signed, and used to sign.  The
 * key never leaves this process; the chain that goes out is written anew from the certificates, so
 * that a key in the same file stays here.
 */
#ifndef AUTHD_CERTIFICATE_H
#define AUTHD_CERTIFICATE_H

#include <openssl/types.h>

#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/ipc/payloads.h"

enum {
	CERTIFICATE_FILE_MAX = 256 * 1024, /* bytes of a PEM file */
	CERTIFICATE_CHAIN_MAX = 64 * 1024, /* bytes of the chain that goes out */
	CERTIFICATE_RSA_BITS_MAX = 8192,
	CERTIFICATE_SELF_SIGNED_DAYS = 398,
};

struct certificate {
	EVP_PKEY *key;
	struct buffer chain; /* PEM, leaf first */
	int64_t expires_at; /* of the leaf, wall clock in seconds */
};

/*
 * FAULT_CONFIG with *why, for people: no PEM, key and certificate do not match, the key is neither
 * RSA nor EC or is encrypted.
 */
MUST_USE enum fault certificate_parse(
	struct certificate *, struct slice chain, struct slice key, const char **why);
/* A P-256 key and a certificate for the host name, or for localhost when it is empty. */
MUST_USE enum fault certificate_self_sign(struct certificate *, const char *hostname);
/* Accepts a zeroed struct. */
void certificate_clear(struct certificate *);

/*
 * Appends a signature.  RSA: the private operation over data with the given padding; raw data must
 * have the length of the modulus.  ECDSA: data is a digest of 20 to 64 bytes; the signature is
 * DER.  FAULT_DENIED: another padding, another kind of key, a wrong length.
 */
MUST_USE enum fault certificate_sign(
	const struct certificate *, const struct ipc_sign *, struct buffer *signature);

#endif
