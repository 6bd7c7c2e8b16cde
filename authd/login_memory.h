/* SPDX-License-Identifier: ISC */
/*
 * The short memory of password checks: a client that reconnects costs no Argon2, and the same
 * wrong password again is no new guess.  It holds keyed hashes only; the key is drawn at start and
 * never leaves the process.  The hash covers the stored verifier too, so that a changed password
 * forgets everything by itself.
 */
#ifndef AUTHD_LOGIN_MEMORY_H
#define AUTHD_LOGIN_MEMORY_H

#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	LOGIN_TAG_LEN = 32,
	LOGIN_MEMORY_ENTRIES = 16384, /* the ones that expire first go when it is full */
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
/* Forgets wrong passwords too: for `mailctl auth unblock`. */
void login_memory_clear(struct login_memory *);

#endif
