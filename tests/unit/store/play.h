/* SPDX-License-Identifier: ISC */
/*
 * A store in random use, for tests that compare two states of it: two accounts, mail to one or
 * both, flags and keywords, copies, moves, expunges and what brings them back, mailboxes that are
 * made, renamed, deleted and subscribed, housekeeping, compaction, restarts.
 */
#ifndef TESTS_UNIT_STORE_PLAY_H
#define TESTS_UNIT_STORE_PLAY_H

#include "tests/unit/store/fixture.h"

struct play {
	struct fixture f;
	uint64_t state; /* of the random numbers: set it to the seed */
	uint32_t number; /* of the next message */
};

/* Some operations in one commit, and what happens between two. */
void play_round(struct play *);
/* The whole store as text, without what a salvage does not bring back; to be freed. */
char *play_dump(struct fixture *);
/* Fails with the first line that is not the same. */
void play_compare(uint64_t seed, const char *before, const char *after);

/* What a client may remember. */
struct play_message {
	uint64_t account;
	uint32_t mailbox;
	uint32_t uid;
	uint64_t email_id;
	uint64_t content; /* hash of the body */
	bool expunged;
	struct body_handle body;
};
struct play_mailbox {
	uint64_t account;
	uint32_t id;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t highest_modseq;
};
struct play_state {
	struct play_message *messages;
	size_t message_count;
	struct play_mailbox *mailboxes;
	size_t mailbox_count;
};
void play_look(struct fixture *, struct play_state *);
void play_state_clear(struct play_state *);

#endif
