/* SPDX-License-Identifier: ISC */
/*
 * A small world around the pure POP3 core: a directory of users and their maildrops, whose every
 * effect is answered at once, always the same way.  The password is always "secret".
 *
 *	mrose   1 one (UID 4), 2 two (5), 3 without CRLF at its end (9), 4 gone (10),
 *	        5 cannot be read (11), 6 breaks in the middle (12), 7 empty (13), 8 bare LF (20)
 *	many    2000 messages of 10 octets, UIDs 1, 3, 5 ...
 *	empty   none; busy: another session has it; broken: the store is damaged
 *	keep    like mrose, but removing fails
 *	off     is disabled; slow: too many failures; down: authd is not there
 */
#ifndef TESTS_UNIT_POP3D_WORLD_H
#define TESTS_UNIT_POP3D_WORLD_H

#include "pop3d/pop3.h"

struct world {
	struct pop3 pop3;
	struct buffer out; /* all that the client was sent */
	struct buffer expunged; /* "4:5,9" */
	size_t piece; /* of a message, given to the core at once */
	bool tls_started;
};

struct world_options {
	bool tls, tls_offered, passwords;
	uint32_t failures;
	size_t piece;
};

void world_init(struct world *, const struct world_options *);
void world_clear(struct world *);
/* Feeds the bytes, in pieces of the given size; drops what a handshake throws away. */
void world_send(struct world *, struct slice bytes, size_t piece);
/* Performs effects and sends what is being sent, until the core waits for the client. */
void world_settle(struct world *);

#endif
