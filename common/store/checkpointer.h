/* SPDX-License-Identifier: ISC */
/*
 * Takes the checkpoints of a journal beside the event loop: the sync, which may wait long for the
 * disk, runs in a thread of its own, commits go on meanwhile.  The journal was opened with
 * checkpoints_apart.
 */
#ifndef STORE_CHECKPOINTER_H
#define STORE_CHECKPOINTER_H

#include <event2/event.h>

#include "common/store/journal.h"

struct checkpointer;

MUST_USE enum fault checkpointer_new(struct event_base *, struct journal *, struct checkpointer **);
/* Waits for a sync that is under way.  Before the journal is closed; accepts NULL. */
void checkpointer_free(struct checkpointer *);
/* After every commit, outside a transaction: begins a checkpoint when one is due. */
void checkpointer_committed(struct checkpointer *);
/* Somebody waits for the next one: begins it, if there is anything to be covered. */
void checkpointer_hurry(struct checkpointer *);

#endif
