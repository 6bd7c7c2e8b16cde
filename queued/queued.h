/* SPDX-License-Identifier: ISC */
/*
 * The private state of queued.
 *
 *	SUBMIT ─► submission ─► deliverd (DELIVER) ─► SUBMITTED          nothing was written
 *	               └─► batch ─► spool ─► SUBMITTED
 *	                             └─► dispatch ─► flight ─► deliverd or relayd
 *	                             ▲                 │
 *	                             └─── batch ◄── results ─► notices
 */
#ifndef QUEUED_QUEUED_H
#define QUEUED_QUEUED_H

#include "common/ipc/daemon.h"
#include "common/store/checkpointer.h"
#include "queued/batch.h"
#include "queued/destination.h"
#include "queued/notice.h"
#include "queued/schedule.h"

struct submission;

enum { CHANGE_BUDGET = 8 * 1024 * 1024, FLIGHT_RECIPIENTS_MAX = 100 };

/* One request to deliverd or relayd for a message in the queue. */
struct flight {
	struct queued *queued;
	struct flight *next; /* of its destination */
	struct destination *destination;
	uint64_t id;
	uint64_t call;
	uint64_t size;
	uint32_t numbers[FLIGHT_RECIPIENTS_MAX];
	uint32_t count;
};

/* One round over the destinations that have due recipients. */
struct lap {
	bool open;
	bool from_middle; /* it did not begin with the first destination */
	bool started; /* something was sent */
	bool again; /* something came up meanwhile */
	int64_t next_ms; /* mono clock: the earliest end of a pause; INT64_MAX: none */
};

struct queued_counters {
	uint64_t submitted, direct, spooled, refused;
	uint64_t delivered, relayed, deferred, failed, notices;
};

struct queued {
	struct daemon *daemon;
	struct spool *spool;
	struct batch *batch;
	struct checkpointer *checkpointer;
	struct schedule_policy policy;
	struct destinations destinations;
	struct submission *submissions;
	unsigned submission_count;
	uint64_t bytes_held; /* of messages in flight, against settings.message_memory */
	uint32_t flight_count;
	struct event *dispatch; /* when to look for due recipients again */
	struct spool_entry turn; /* destinations take turns: the last one visited */
	bool turn_is_set;
	struct lap lap;
	struct queued_counters counters;
	bool stopping;
};

enum fault queued_sandbox(struct daemon *, void *state);

static inline bool
queued_has_memory(const struct queued *q, uint64_t bytes)
{
	/* One message always goes: the budget may be smaller than the largest message. */
	return q->bytes_held == 0 ||
		q->bytes_held + bytes <= (uint64_t)daemon_settings(q->daemon)->message_memory;
}

/* submission.c */
void on_submit(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);
void submissions_free(struct queued *);

/* dispatch.c */
MUST_USE bool dispatch_open(struct queued *);
/* Looks for due recipients after delay_ms. */
void dispatch_after(struct queued *, int64_t delay_ms);
/* Removes the flight from its destination and frees it. */
void flight_end(struct flight *);
void flights_free(struct queued *);

/* results.c */
void on_delivered(void *flight, const struct ipc_answer *);
void on_relayed(void *flight, const struct ipc_answer *);
/* The flight did not start: all its recipients have this fault. */
void results_of_fault(struct flight *, enum fault);

/* notices.c */
struct notice_source {
	const struct queue_message *message;
	enum notice_kind kind;
	const struct notice_recipient *items;
	size_t count;
	struct slice original;
};
/* Adds the notice to the change as a message of its own, from <> to the sender. */
MUST_USE enum fault notices_add(struct queued *, struct change *, const struct notice_source *);
/* The domain of an address in lower case, as A-labels, in the arena; "" when it has none. */
struct slice destination_of(struct arena *, struct slice address);

/* control.c */
void control_queued(struct daemon *, void *state, const struct daemon_control *);

/* main.c: ends the process when it stops and nothing is in flight any more. */
void queued_check_idle(struct queued *);

#endif
