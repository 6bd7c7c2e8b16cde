/* SPDX-License-Identifier: ISC */
/* The queue as JSON, for mailctl. */
#ifndef QUEUED_SHOW_H
#define QUEUED_SHOW_H

#include "queued/queued.h"

/*
 * Appends one message with its recipients as a JSON object; at most SHOW_RECIPIENTS_MAX of them.
 */
enum { SHOW_RECIPIENTS_MAX = 1000 };
void show_message(
	struct queued *, struct spool_txn *, const struct queue_message *, struct buffer *);
/* Appends text as a JSON string, with broken UTF-8 and controls made harmless. */
void show_text(struct slice text, struct buffer *);

#endif
