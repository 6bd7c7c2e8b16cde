/* SPDX-License-Identifier: ISC */
/*
 * A small world around the pure SMTP core: a directory of users, a queue that takes messages into
 * memory, a clock that stands still.  Every effect is answered at once, always the same way.
 *
 *	bob, carol, Postmaster @hamburger.edu are there; off@ is disabled; nobody else is
 *	alice@hamburger.edu, password "secret", owns alice@ and sales@hamburger.edu
 *	recipients that fail when the message comes: full@ (quota), down@ (queued is not there)
 *	asked about slow@: authd is not there
 */
#ifndef TESTS_UNIT_SMTPD_WORLD_H
#define TESTS_UNIT_SMTPD_WORLD_H

#include "smtpd/smtp.h"

struct world {
	struct smtp smtp;
	struct buffer message; /* being taken in, then the last one accepted */
	struct buffer envelope; /* the last one as text */
	size_t room; /* of the sink */
	bool sink_open;
	unsigned opened, dropped, submitted;
	bool tls_started;
};

struct world_options {
	bool submission, tls, tls_offered, passwords, crowded;
	uint64_t message_size;
	uint32_t recipients;
	size_t room;
};

void world_init(struct world *, const struct world_options *);
void world_clear(struct world *);
/* Feeds the bytes, in pieces of the given size; drops what a handshake throws away. */
void world_send(struct world *, struct slice bytes, size_t piece);

#endif
