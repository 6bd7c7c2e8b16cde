/* SPDX-License-Identifier: ISC */
/*
 * Password hashing off the event loop: a few threads that do nothing but Argon2id (libsodium) and
 * PBKDF2, a bounded queue before them, answers back on the event loop.  The only threads of the
 * suite.
 */
#ifndef AUTHD_PASSWORD_H
#define AUTHD_PASSWORD_H

#include <event2/event.h>
#include <sodium.h>

#include "authd/scram.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/secret.h"

enum {
	PASSWORD_HASH_SIZE = crypto_pwhash_STRBYTES, /* with its NUL */
	PASSWORD_LEN_MIN = 8, /* characters of a new password */
	PASSWORD_QUEUE_MAX = 512, /* jobs that wait */
};

struct password_cost {
	uint64_t memory_bytes; /* at least 8192 */
	uint64_t passes; /* at least 1 */
};

struct password_options {
	struct password_cost cost; /* of new hashes */
	unsigned threads; /* 1..64 */
	const struct entropy *entropy; /* for salts; used on the event loop */
};

struct password_pool;

/* What a job made.  Gone after done() returns. */
struct password_answer {
	enum fault fault; /* verify: OK or AUTH_FAILED; also NOMEM, BUSY (the pool ends) */
	const char *hash; /* of a made one: PASSWORD_HASH_SIZE bytes, NUL-terminated */
	struct scram_verifier scram; /* of a made one */
	bool has_client_key;
	uint8_t client_key[SCRAM_KEY_LEN]; /* of SCRAM; wiped with the job */
};

typedef void password_done(void *arg, const struct password_answer *);

MUST_USE enum fault password_pool_new(
	struct event_base *, const struct password_options *, struct password_pool **);
/*
 * Waits for the jobs that run now (some tens of milliseconds each); done of all that are left is
 * called from here with FAULT_BUSY.  Accepts NULL.
 */
void password_pool_free(struct password_pool *);
void password_pool_set_cost(struct password_pool *, const struct password_cost *);
unsigned password_pool_waiting(const struct password_pool *);

/* What a password is checked against. */
struct password_check {
	struct slice hash; /* empty: an unknown user; costs the same and fails */
	/* Wanted with a right password: the ClientKey that belongs to this verifier.  NULL: none.
	 */
	const struct scram_verifier *scram;
};

/*
 * Checks a prepared password.  FAULT_BUSY: the queue is full, and done is not called.  Else done is
 * called once, from the event loop.
 */
MUST_USE enum fault password_verify(struct password_pool *, const struct password_check *,
	const struct secret *password, password_done *, void *arg);
/* Makes the hash, the SCRAM verifier and its ClientKey of a prepared password. */
MUST_USE enum fault password_make(
	struct password_pool *, const struct secret *password, password_done *, void *arg);

/* What a new password must be, in FAULT_LIMIT's or FAULT_SYNTAX's words; prepares it. */
MUST_USE enum fault password_prepare_new(
	struct slice password, struct secret *prepared, const char **why);

#endif
