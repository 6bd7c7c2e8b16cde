/* SPDX-License-Identifier: ISC */
/*
 * Mail that comes and goes: messages are numbered, and their number repeats their body.  All are in
 * ALICE's INBOX.
 */
#ifndef TESTS_UNIT_STORE_CHURN_H
#define TESTS_UNIT_STORE_CHURN_H

#include "common/store/space.h"
#include "tests/unit/store/fixture.h"

enum { CHURN_MAX = 40000, CHURN_BODY_MAX = 20000 };

/* What the test knows of message number i. */
struct churn_message {
	uint32_t uid; /* 0: none */
	bool expunged;
};
extern struct churn_message churn_known[CHURN_MAX];

/* Whatever gains a block; and as mailboxd does by itself. */
extern const struct compact_options churn_all, churn_usual;

/* Some kilobytes as a rule, as mail is; returns the length. */
size_t churn_body(uint32_t number, char body[static CHURN_BODY_MAX]);
/* In one batch; and in as many as it takes. */
void churn_append(struct fixture *, uint32_t first, uint32_t count);
void churn_append_all(struct fixture *, uint32_t first, uint32_t count);
/* Within a batch. */
void churn_expunge(struct fixture *, uint32_t number);
/* Every n-th of the messages from first on, in a batch. */
void churn_expunge_some(struct fixture *, uint32_t first, uint32_t end, uint32_t n);
/* And housekeeping does what is due then. */
void churn_undelete_time_passes(struct fixture *);
void churn_grace_passes(struct fixture *);
/* All that are known to be there can be read. */
void churn_expect_all(struct fixture *, uint32_t first, uint32_t end);
struct store_space churn_space(struct fixture *);
bool churn_has_segment(struct fixture *, uint32_t segment);

#endif
