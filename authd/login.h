/* SPDX-License-Identifier: ISC */
/*
 * Logging in: who it is, whether the guard lets the guess through, whether the password is right.
 * By PLAIN here, by SCRAM in scram_login.h.  Accounts log in by their full address.
 *
 *	subject ─► guard ─► memory ─► the same guess under way? ─► Argon2 ─► memory, guard, answer
 *
 * The guard comes before the memory: else somebody whose door is closed could go on guessing
 * against what the owner has just typed.
 */
#ifndef AUTHD_LOGIN_H
#define AUTHD_LOGIN_H

#include <event2/event.h>

#include "authd/directory.h"
#include "authd/guard.h"
#include "authd/login_memory.h"
#include "authd/password.h"

enum {
	LOGIN_WAITERS_MAX = 8192, /* logins under way, late answers included */
	LOGIN_NOTES_MAX = 256, /* networks that wait to be written */
	LOGIN_NOTE_MS = 1000, /* for at most so long */
	LOGIN_NOTE_AGAIN_MS = 24 * 3600 * 1000, /* written again when older */
};
/* A network not seen for so long is strange again. */
#define LOGIN_NETWORK_MS (INT64_C(90) * 24 * 3600 * 1000)

struct logins;

/* All are the caller's and outlive the logins. */
struct login_parts {
	struct event_base *base;
	const struct clock *clock;
	struct directory *directory;
	struct guard *guard;
	struct login_memory *memory;
	struct password_pool *pool;
};

struct login_counters {
	uint64_t right, wrong, slowed, remembered, hashed;
};

MUST_USE enum fault logins_new(const struct login_parts *, struct logins **);
/*
 * After password_pool_free.  Writes the networks that wait; late answers are given at once.
 * Accepts NULL.
 */
void logins_free(struct logins *);
const struct login_parts *logins_parts(const struct logins *);
struct login_counters *logins_counters(struct logins *);

/* Whom a login is about; slices live in the arena. */
struct login_subject {
	struct slice name; /* login name in normal form, or as given when it has none */
	struct guard_who who;
	bool exists;
	struct account account; /* when it exists */
};

/* FAULT_OK also for somebody unknown; else a temporary fault. */
MUST_USE enum fault login_find_subject(struct logins *, struct slice remote, struct slice user,
	struct arena *, struct login_subject *);
/* The login was right: remembers the network. */
void login_note(struct logins *, uint64_t account, const struct guard_who *);

struct login_request {
	struct slice remote; /* the client's IP address as text */
	struct slice user;
	struct slice password;
};

struct login_result {
	enum fault fault; /* OK, AUTH_FAILED, AUTH_SLOWED, ACCOUNT_DISABLED, BUSY, ... */
	uint64_t account;
	struct slice address;
	struct slice public_key; /* new mail is to be encrypted to it; empty: it is not */
	struct slice private_key; /* of an account that has a key pair; gone after the call */
};
typedef void login_done(void *arg, const struct login_result *);

/* A right login, and what it has brought along to open the account's key pair. */
struct login_claim {
	uint64_t account;
	const uint8_t *client_key; /* SCRAM's; NULL: none */
	const uint8_t *private_key; /* opened before; NULL: none */
	const uint8_t *stored_key; /* what the proof was checked against; NULL: nothing */
};
/* The answer to it; owns what the result points to. */
struct login_opened {
	struct login_result result;
	struct arena arena;
	struct account_key key;
	uint8_t public_key[ACCOUNT_KEY_LEN];
};
/*
 * Looks at the account as it is now: AUTH_FAILED (it is gone, or has another password),
 * ACCOUNT_DISABLED, BUSY (its key pair is newer than the claim).  To be cleared in any case.
 */
void login_open(struct logins *, const struct login_claim *, struct login_opened *);
void login_opened_clear(struct login_opened *);

/* Calls done once: from inside, or later from the event loop. */
void login_plain(struct logins *, const struct login_request *, login_done *, void *arg);
/* Calls done with a failure, late if the guard says so. */
void login_fail(struct logins *, const struct guard_who *, login_done *, void *arg);

#endif
