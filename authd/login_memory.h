/* SPDX-License-Identifier: ISC */
/*
 * The short memory of password checks: a client that reconnects costs no Argon2, and the same
 * wrong password again is no new guess.  It holds keyed hashes only; the key is drawn at start and
 * never leaves the process.  The hash covers the stored verifier too, so that a changed password
 * forgets everything by itself.
 *
 * For accounts whose mail is encrypted it also holds the private key that the login has opened: in
 * locked memory, few of them, wiped when the entry is forgotten.
 */
#ifndef AUTHD_LOGIN_MEMORY_H
#define AUTHD_LOGIN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	LOGIN_TAG_LEN = 32,
	LOGIN_MEMORY_ENTRIES = 16384, /* the ones that expire first go when it is full */
	LOGIN_MEMORY_KEYS =
		1024, /* entries that have a key; the oldest is forgotten for a new one */
	LOGIN_KEY_LEN = 32,
};

struct login_memory;

struct login_tag {
	uint8_t bytes[LOGIN_TAG_LEN];
};

/* What is checked: name in normal form, verifier as stored ("" for an unknown name). */
struct login_try {
	struct slice name;
	struct slice verifier;
	struct slice password; /* prepared */
};

enum login_outcome { LOGIN_UNKNOWN, LOGIN_RIGHT, LOGIN_WRONG };

/* lifetime_ms 0: remembers nothing. */
MUST_USE enum fault login_memory_new(
	const struct clock *, const struct entropy *, int64_t lifetime_ms, struct login_memory **);
void login_memory_free(struct login_memory *); /* wipes; accepts NULL */
void login_memory_set_lifetime(struct login_memory *, int64_t lifetime_ms);
void login_memory_tag(const struct login_memory *, const struct login_try *, struct login_tag *);
enum login_outcome login_memory_find(struct login_memory *, const struct login_tag *);
/* A right login is remembered from its check on; finding it does not prolong it. */
void login_memory_add(struct login_memory *, const struct login_tag *, enum login_outcome);
/*
 * A right login with the private key that it opened.  Without memory that can be kept from the
 * swap's reach and from core dumps the login is not remembered.
 */
void login_memory_add_key(struct login_memory *, const struct login_tag *, uint64_t account,
	const uint8_t key[static LOGIN_KEY_LEN]);
/* The key of an entry that login_memory_find has called right; false when it has none. */
bool login_memory_key(
	struct login_memory *, const struct login_tag *, uint8_t key[static LOGIN_KEY_LEN]);
/* Forgets the logins of this account that have a key. */
void login_memory_forget_keys(struct login_memory *, uint64_t account);
/* Wipes the keys of entries that have expired; to be called now and then. */
void login_memory_sweep(struct login_memory *);
/* Forgets wrong passwords too: for `mailctl auth unblock`. */
void login_memory_clear(struct login_memory *);

#endif
