/* SPDX-License-Identifier: ISC */
/* Deliveries into a store, as mailboxd does them for deliverd: many in one commit. */
#ifndef STORE_BENCH_SENDER_H
#define STORE_BENCH_SENDER_H

#include <event2/event.h>

#include "common/store/checkpointer.h"
#include "tests/tools/store_bench/bench.h"
#include "tests/tools/store_bench/pool.h"

struct sent {
	uint64_t account;
	uint32_t uid;
	uint32_t stored; /* bytes of the body */
};

struct sender {
	struct store_writer *writer;
	const struct bench *bench;
	struct pool pool;
	struct event_base
		*base; /* for the checkpointer; NULL: checkpoints are taken within commits */
	struct checkpointer *checkpointer;
	uint64_t state; /* of the generator */
	uint64_t number; /* of the next message */
	double mail_bytes; /* as the clients see them: prefix and body */
};

/* Opens or makes the store in b->dir. */
void sender_open(struct sender *, const struct bench *);
void sender_close(struct sender *);
/*
 * The requests of `count` clients, round robin over the accounts, in one commit.  sent: what came
 * of them, or NULL.
 */
void sender_commit(struct sender *, uint64_t count, struct sent *sent);
/* count messages, b->writers a commit. */
void sender_fill(struct sender *, uint64_t count, struct sent *sent);
/* Any other batch: begin, what it does, commit; again when the index had to grow. */
void sender_batch(struct sender *, void (*work)(struct store_writer *, void *arg), void *arg);
/* Housekeeping until there is nothing to do, some minutes of the clock long. */
void sender_housekeep(struct sender *);

#endif
