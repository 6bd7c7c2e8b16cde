/* SPDX-License-Identifier: ISC */
/* A message that smtpd hands in, while it is neither stored nor in the queue. */
#ifndef QUEUED_SUBMISSION_H
#define QUEUED_SUBMISSION_H

#include "queued/queued.h"

enum outcome_kind {
	OUTCOME_STORED,
	OUTCOME_LATER, /* remote, or a temporary fault */
	OUTCOME_FAILED,
};

struct outcome {
	enum outcome_kind kind;
	bool forwarded;
	struct attempt attempt;
};

struct submission {
	struct queued *queued;
	struct submission *next, *previous;
	struct ipc_origin origin;
	struct arena arena;
	struct ipc_submit request; /* a copy in the arena */
	struct queue_message message;
	int fd;
	struct slice bytes; /* mapped while it is spooled */
	uint64_t size;
	uint64_t held; /* of the budget of memory: size and envelope */
	uint64_t call;
	struct outcome *outcomes; /* one per recipient */
	struct ipc_forward *forwards;
	uint32_t forward_count;
	bool attempted; /* deliverd was asked */
	bool spooled; /* something of it is in the queue */
};

/* Index of the recipient with that number, or UINT32_MAX. */
uint32_t submission_find(const struct submission *, uint32_t number);
/* Answers and frees it. */
void submission_answer(struct submission *, enum fault, struct slice text);
/* submission_spool.c: everything that is left into the queue, and then the answer. */
void submission_spool(struct submission *);

#endif
