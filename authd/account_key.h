/* SPDX-License-Identifier: ISC */
/*
 * The key pair of an account whose mail is encrypted at rest, as pure functions.  The public key
 * lies open in the directory, the private one there twice, encrypted ("wrapped"): by a key that
 * follows from the password, and by one that follows from a recovery key which is shown once.
 *
 *	password ─► SCRAM's ClientKey ─► BLAKE2b ─┐
 *	                                         ├─► XChaCha20-Poly1305 ─► private key (X25519)
 *	recovery key (160 random bits) ► BLAKE2b ─┘
 *
 * The ClientKey, and not something of its own, because it is what a login by PLAIN and one by SCRAM
 * both bring along; the directory has only its hash.  man/authd.8 says what a thief can try.
 */
#ifndef AUTHD_ACCOUNT_KEY_H
#define AUTHD_ACCOUNT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	ACCOUNT_KEY_LEN = 32, /* of either half */
	ACCOUNT_KEY_WRAPPED_LEN = 24 + ACCOUNT_KEY_LEN + 16, /* nonce, key, tag */
	CLIENT_KEY_LEN = 32, /* of SCRAM-SHA-256 */
	RECOVERY_KEY_LEN = 20,
	RECOVERY_TEXT_SIZE = 48, /* eight groups of five characters, with its NUL */
};

/* What stands in the directory. */
struct account_key_record {
	bool exists; /* else all is zero */
	bool seals; /* new mail is encrypted; the key stays for old mail when it is not any more */
	uint8_t public_key[ACCOUNT_KEY_LEN];
	uint8_t by_password[ACCOUNT_KEY_WRAPPED_LEN];
	uint8_t by_recovery[ACCOUNT_KEY_WRAPPED_LEN];
};

/* An opened one.  Wiped by its user. */
struct account_key {
	uint8_t private_key[ACCOUNT_KEY_LEN];
	uint8_t public_key[ACCOUNT_KEY_LEN];
};

void account_key_make(const struct entropy *, struct account_key *);
void account_key_clear(struct account_key *);
/* Completes one whose private half is known; false when it is not that of the record. */
bool account_key_fits(const struct account_key_record *, struct account_key *);

/* Whose key is wrapped; the id is bound in, so that no record serves another account. */
struct account_key_owner {
	uint64_t account;
	const struct entropy *entropy; /* for wrapping */
};

void account_key_wrap_password(const struct account_key_owner *, const struct account_key *,
	const uint8_t client_key[static CLIENT_KEY_LEN], struct account_key_record *);
void account_key_wrap_recovery(const struct account_key_owner *, const struct account_key *,
	const uint8_t recovery[static RECOVERY_KEY_LEN], struct account_key_record *);
/* False: another password or recovery key, or the record is damaged. */
bool account_key_open_password(const struct account_key_record *, uint64_t account,
	const uint8_t client_key[static CLIENT_KEY_LEN], struct account_key *);
bool account_key_open_recovery(const struct account_key_record *, uint64_t account,
	const uint8_t recovery[static RECOVERY_KEY_LEN], struct account_key *);

/* The recovery key for people: base32 without letters that look alike, with a checksum. */
void recovery_key_format(
	const uint8_t key[static RECOVERY_KEY_LEN], char text[static RECOVERY_TEXT_SIZE]);
/* Takes any case, and hyphens and spaces anywhere.  False: mistyped, or no recovery key. */
bool recovery_key_parse(struct slice text, uint8_t key[static RECOVERY_KEY_LEN]);

#endif
