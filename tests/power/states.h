/* SPDX-License-Identifier: ISC */
/*
 * What the store must show after each step of a workload: all that readers see, as text.  State 0
 * is that of a store which is not there yet.
 */
#ifndef TESTS_POWER_STATES_H
#define TESTS_POWER_STATES_H

#include "tests/power/play.h"

struct state {
	uint32_t len; /* of the text */
	int64_t now_ms;
	struct play_delivery deliveries[PLAY_DELIVERIES];
	char *text; /* in a file: behind the rest */
};

struct states {
	struct state *at; /* by step; at[0] is empty */
	uint32_t count;
};

/* Reads the store; text is the caller's to free.  NULL with a fault of the host. */
char *state_text(struct store_reader *, size_t *len, enum fault *);
void states_load(struct states *, const char *path);
void state_save(int fd, const struct play *, const char *text, size_t len);
/* Prints where the texts part. */
void state_differ(const struct state *expected, const char *found);

/*
 * After a crash: the store in play->dir must open by itself, be clean, and be in the state of step
 * acked or of the next (of acked alone when exact is set); then it must go on working.  Prints what
 * is wrong.  Returns how many steps after acked it was (0 or 1), or -1.  Leaves the store open.
 */
int states_check(struct play *, const struct states *, uint32_t acked, bool exact);
/* Which of these states a text is, or -1; prints the difference. */
int states_find(const struct states *, uint32_t acked, bool exact, const char *text);

#endif
