/* SPDX-License-Identifier: ISC */
/*
 * Logins by SCRAM-SHA-256: the exchanges between SCRAM_START and SCRAM_FINISH, bounded in number
 * and time.  An unknown user gets a salt that never changes, and fails only at the end.
 */
#ifndef AUTHD_SCRAM_LOGIN_H
#define AUTHD_SCRAM_LOGIN_H

#include "authd/login.h"

enum {
	SCRAM_EXCHANGES_MAX =
		4096, /* under way; when full, the oldest of the client's network goes */
	SCRAM_EXCHANGE_MS = 60 * 1000,
};

struct scram_logins;

MUST_USE enum fault scram_logins_new(
	struct logins *, const struct entropy *, struct scram_logins **);
void scram_logins_free(struct scram_logins *); /* accepts NULL */

struct scram_start {
	uint64_t owner; /* who may finish it: the link that it came by */
	struct slice remote;
	struct slice message; /* client-first-message */
};

/*
 * Appends server-first-message, or "e=..." with a fault (AUTH_SLOWED, SYNTAX, UNSUPPORTED, BUSY,
 * ...).  exchange names it for scram_login_finish.
 */
MUST_USE enum fault scram_login_start(
	struct scram_logins *, const struct scram_start *, uint64_t *exchange, struct buffer *out);

struct scram_finish {
	uint64_t owner;
	uint64_t exchange;
	struct slice message; /* client-final-message */
};

/* message: server-final-message or "e=...", gone after the call. */
typedef void scram_done(void *arg, const struct login_result *, struct slice message);
/* Calls done once, from inside or later.  The exchange is over, whatever comes of it. */
void scram_login_finish(
	struct scram_logins *, const struct scram_finish *, scram_done *done, void *arg);

#endif
