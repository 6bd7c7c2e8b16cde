/* SPDX-License-Identifier: ISC */
/*
 * Destinations that have something in delivery or are being spared, with what each bears: a window
 * of requests at once that grows with success and shrinks with failure, and a pause after a
 * failure of the destination as a whole.  Pure; times are passed in.
 *
 * Memory is bounded: only destinations with requests in flight or with a bad record are kept, at
 * most DESTINATIONS_MAX; beyond, the idle ones are forgotten.
 */
#ifndef QUEUED_DESTINATION_H
#define QUEUED_DESTINATION_H

#include "queued/spool.h"

enum {
	DESTINATIONS_MAX = 10000,
	DESTINATION_BUCKETS = 4096,
	WINDOW_FIRST = 4,
	WINDOW_LOCAL = 32, /* of the local destination, always */
	PAUSE_MAX_MS = 300000,
};

/* One request to deliverd or relayd. */
struct flight;

struct destination {
	char name[RECORD_DESTINATION_MAX + 1]; /* "" is local delivery */
	uint32_t in_flight;
	uint32_t window;
	uint32_t window_max;
	uint32_t successes; /* since the window grew last */
	uint32_t failures; /* of the destination as a whole, in a row */
	int64_t paused_until_ms; /* mono clock */
	struct flight *flights;
	struct spool_entry scan; /* where the search for the next message goes on */
	bool scanning; /* scan is set */
	struct destination *next;
};

struct destinations {
	struct destination *buckets[DESTINATION_BUCKETS];
	unsigned char key[16]; /* names come from strangers: a keyed hash */
	uint32_t count;
	uint32_t window_max;
};

void destinations_init(struct destinations *, uint32_t window_max);
void destinations_clear(struct destinations *);
/* NULL when memory is out or the table is full of busy destinations. */
struct destination *destination_get(struct destinations *, const char *name);
struct destination *destination_find(struct destinations *, const char *name);
/* Ends all pauses: somebody asks for a retry now. */
void destinations_resume(struct destinations *);

/* True when another request may be started now. */
bool destination_has_room(const struct destination *, int64_t now_ms);
void destination_started(struct destination *);
/* A request has ended without saying anything of the destination (relayd was lost). */
void destination_dropped(struct destination *);
/*
 * A request has ended; reached: the destination answered, whatever it said.  Not reached: the
 * window halves, and with nothing in flight any more there is a pause of pause_ms, doubled each
 * time.
 */
void destination_ended(struct destination *, bool reached, int64_t now_ms, int64_t pause_ms);

#endif
