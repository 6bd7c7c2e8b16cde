/* SPDX-License-Identifier: ISC */
/*
 * When to try again, when to give up, whom to tell: the rules of the queue as pure functions of
 * the record, the result of an attempt, the clock and a random number.
 */
#ifndef QUEUED_SCHEDULE_H
#define QUEUED_SCHEDULE_H

#include "common/ipc/settings.h"
#include "queued/record.h"

enum {
	SCHEDULE_SOON_MS = 2000, /* one of our own processes was away: it is back in no time */
	SCHEDULE_SOON_TRIES = 10, /* then it is treated as any other fault */
};

/* Times in ms. */
struct schedule_policy {
	int64_t first, last, lifetime, delay_notice;
};

struct schedule_policy schedule_policy_of(const struct settings *);

/*
 * The pause after the attempt number attempts (0: the first one): first, doubled each time up to
 * last, with a jitter of a quarter to either side, so that what failed together is not tried
 * together.
 */
int64_t schedule_pause(const struct schedule_policy *, uint32_t attempts, uint64_t random);

/* What one attempt brought. */
struct attempt {
	enum fault fault;
	uint32_t code;
	struct slice status; /* may be empty */
	struct slice text;
	struct slice host; /* that gave the reply; may be empty */
	bool dsn; /* the host took over to report success */
};

enum verdict_kind { VERDICT_DONE, VERDICT_RETRY, VERDICT_FAILED };

struct verdict {
	enum verdict_kind kind;
	bool expired; /* FAILED because the lifetime is over */
	bool tell; /* the sender is to get a notice of this (RFC 3461 4.1) */
	int64_t next_ms; /* of RETRY */
};

struct schedule_moment {
	int64_t now_ms; /* wall clock */
	uint64_t random;
};

struct schedule_case {
	const struct queue_message *message;
	const struct queue_recipient *recipient; /* as it was before the attempt */
	const struct attempt *attempt;
};

struct verdict schedule_judge(
	const struct schedule_policy *, const struct schedule_case *, struct schedule_moment);

/* Writes the result of the attempt into the record, for VERDICT_RETRY. */
void schedule_record(struct queue_recipient *, const struct attempt *, const struct verdict *);

#endif
