/* SPDX-License-Identifier: ISC */
/*
 * Group commit: what gathers in one turn of the event loop becomes one sync of the segment and one
 * commit of the index, and then all are answered.
 */
#ifndef QUEUED_BATCH_H
#define QUEUED_BATCH_H

#include <event2/event.h>

#include "queued/spool.h"

/* A message that enters the queue. */
struct parcel {
	struct parcel *next;
	struct queue_message message; /* place, size, checksum and counters are filled in */
	struct queue_recipient *recipients;
	uint32_t recipient_count;
	struct slice bytes; /* live until done() */
	struct buffer owned; /* what bytes borrow from, for a notice; freed with the change */
};

enum change_kind {
	CHANGE_ADD, /* a further recipient of a message that is there (a forward) */
	CHANGE_UPDATE, /* the result of an attempt; a recipient held meanwhile stays held */
	CHANGE_REMOVE, /* done or failed */
};

struct change_step {
	enum change_kind kind;
	struct queue_recipient recipient; /* of REMOVE the id and the number only */
};

/* All of it happens, or nothing. */
struct change {
	struct change *next;
	struct arena arena; /* owns every text and list below */
	struct parcel *parcels;
	uint64_t id; /* message of the steps */
	struct change_step *steps;
	uint32_t step_count;
	/* The result of a delivery, which has happened: tried until it can be written down. */
	bool must;
	void (*done)(void *arg, enum fault); /* the change is freed afterwards */
	void *arg;
	enum fault fault; /* private */
};

/* NULL when memory is out. */
struct change *change_new(size_t budget);
void change_free(struct change *);
/* A parcel of the change with room for count recipients; NULL over the budget. */
struct parcel *change_add_parcel(struct change *, uint32_t count);

struct batch;

/* committed(arg) is called after every commit: there may be something to send. */
struct batch *batch_new(
	struct event_base *, struct spool *, void (*committed)(void *arg), void *arg);
/* Drops what waits, without done(). */
void batch_free(struct batch *);
/* Takes the change over; it is committed at the end of this turn of the loop, a mere result some
 * milliseconds later. */
void batch_add(struct batch *, struct change *);
/* Changes that wait for a commit. */
unsigned batch_waiting(const struct batch *);
/* Commits now what waits, for tests and for the end. */
void batch_commit(struct batch *);

#endif
