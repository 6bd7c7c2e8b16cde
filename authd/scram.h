/* SPDX-License-Identifier: ISC */
/*
 * The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) as pure functions: messages in, messages
 * out.  No channel binding: "n" and "y" are taken, "p" is refused.
 */
#ifndef AUTHD_SCRAM_H
#define AUTHD_SCRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	SCRAM_SALT_LEN = 16,
	SCRAM_KEY_LEN = 32,
	SCRAM_ITERATIONS = 10000, /* of new verifiers; RFC 7677 4 asks for 4096 at least */
	SCRAM_MESSAGE_MAX = 2048, /* bytes of one client message */
	SCRAM_NONCE_MAX = 256, /* bytes of the client's nonce */
	SCRAM_NAME_MAX = 320, /* bytes of a user name, decoded */
	SCRAM_SERVER_NONCE_LEN = 24, /* bytes that the server adds */
};

/* What is stored instead of a password (RFC 5802 3). */
struct scram_verifier {
	uint8_t salt[SCRAM_SALT_LEN];
	uint32_t iterations;
	uint8_t stored_key[SCRAM_KEY_LEN];
	uint8_t server_key[SCRAM_KEY_LEN];
};

/* client-first-message; all borrowed. */
struct scram_first {
	struct slice gs2_header; /* with its last comma */
	struct slice authzid; /* still escaped; empty: none */
	struct slice user; /* still escaped */
	struct slice nonce;
	struct slice bare; /* client-first-message-bare */
};

/* client-final-message; all borrowed. */
struct scram_final {
	struct slice binding; /* base64 */
	struct slice nonce;
	struct slice proof; /* base64 */
	struct slice without_proof;
};

/* Everything that a proof is checked against. */
struct scram_exchange {
	struct scram_verifier verifier;
	struct slice gs2_header;
	struct slice first_bare;
	struct slice server_first;
	struct slice nonce; /* the client's and then the server's */
};

/* Fills stored_key and server_key from a prepared password and the salt and iterations that stand
 * in the verifier.  Takes milliseconds: call it off the event loop. */
MUST_USE enum fault scram_verifier_derive(struct scram_verifier *, struct slice password);
/*
 * The same, and the ClientKey (RFC 5802 3), which is a secret: its hash is the stored_key.  Wiped
 * by the caller.
 */
MUST_USE enum fault scram_verifier_derive_key(
	struct scram_verifier *, struct slice password, uint8_t client_key[static SCRAM_KEY_LEN]);

/* Is this the ClientKey whose hash the verifier has? */
bool scram_key_fits(const struct scram_verifier *, const uint8_t client_key[static SCRAM_KEY_LEN]);

/* FAULT_SYNTAX; FAULT_UNSUPPORTED: channel binding or a mandatory extension is demanded. */
MUST_USE enum fault scram_parse_first(struct slice message, struct scram_first *);
MUST_USE enum fault scram_parse_final(struct slice message, struct scram_final *);
/* Appends a saslname with =2C and =3D decoded; FAULT_SYNTAX, FAULT_TOO_LONG. */
MUST_USE enum fault scram_unescape_name(struct slice name, struct buffer *out);

/* Appends server-first-message. */
void scram_format_server_first(const struct scram_verifier *, struct slice nonce, struct buffer *);
/*
 * Appends server-final-message: "v=..." with FAULT_OK, "e=..." with FAULT_AUTH_FAILED or
 * FAULT_SYNTAX.  With FAULT_OK it also gives the ClientKey, which the proof reveals to whoever
 * knows the stored key; wiped by the caller.
 */
MUST_USE enum fault scram_check(const struct scram_exchange *, const struct scram_final *,
	struct buffer *server_final, uint8_t client_key[static SCRAM_KEY_LEN]);
/* The "e=..." that tells a client of a fault of parsing or looking up. */
void scram_format_error(enum fault, struct buffer *);

#endif
