/* SPDX-License-Identifier: ISC */
/*
 * What becomes of the recipients of one message, as a pure table: each recipient expands to
 * accounts and foreign addresses; an account gets the message once, however many recipients lead
 * to it; a recipient's result is the worst of what it leads to.
 *
 *	recipient 0 ──► account A ◄── recipient 1 (an alias) ──► account B
 *	                                                   └───► forward x@elsewhere
 */
#ifndef DELIVERD_PLAN_H
#define DELIVERD_PLAN_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/ipc/payloads.h"

enum {
	PLAN_TARGETS_MAX = 4000, /* accounts of one message; more is a temporary fault */
	PLAN_FORWARDS_BYTES = 96 * 1024, /* of one answer; more is a temporary fault */
	PLAN_FORWARDS_MAX = 1000,
};

struct plan_recipient {
	uint32_t number;
	struct slice address;
	enum fault fault; /* of the expansion or of a delivery; permanent and temporary ones */
	bool stored; /* at least one account took it */
};

/* One account that is to get the message. */
struct plan_target {
	uint64_t account;
	struct slice prefix;
	uint32_t recipient; /* index of the first one that led here */
	struct slice public_key; /* its copy is to be sealed to it; empty: is not */
};

/* Recipient index leads to target index. */
struct plan_pair {
	uint32_t recipient, target;
};

struct plan_forward {
	uint32_t recipient;
	struct slice address;
};

struct plan {
	struct arena *arena; /* owns texts */
	struct slice sender;
	struct plan_recipient *recipients;
	uint32_t recipient_count;
	struct plan_target *targets;
	size_t target_count, target_room;
	struct plan_pair *pairs;
	size_t pair_count, pair_room;
	struct plan_forward *forwards;
	size_t forward_count, forward_room;
	size_t forward_bytes;
};

/* Copies the recipients into the arena, which outlives the plan.  FAULT_BUDGET. */
MUST_USE enum fault plan_init(struct plan *, struct arena *, const struct ipc_deliver *);
/* Frees what is not in the arena; accepts a zeroed struct, twice. */
void plan_clear(struct plan *);
/* What authd said of the recipient at index. */
void plan_expand(struct plan *, uint32_t index, const struct ipc_expanded *);
/* Records a fault of one recipient; a temporary fault hides a permanent one. */
void plan_fail(struct plan *, uint32_t index, enum fault);
/* What the store said of the target at index: every recipient that leads there hears of it. */
void plan_stored(struct plan *, size_t target, enum fault);
/*
 * True when the forward counts: its recipient has no temporary fault (else the recipient is
 * expanded again at the next try, and the forward comes again), and no earlier one that counts
 * has the same address.
 */
bool plan_forward_counts(const struct plan *, size_t forward);

#endif
