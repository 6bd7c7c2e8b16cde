/* SPDX-License-Identifier: ISC */
/*
 * What the queue remembers of a message and of each of its recipients, and the bytes in which it
 * does.  Slices in a decoded record borrow from the bytes.
 */
#ifndef QUEUED_RECORD_H
#define QUEUED_RECORD_H

#include "common/base/buffer.h"
#include "common/base/fault.h"
#include "common/store/segment.h"

enum {
	RECORD_TEXT_MAX = 2048, /* of any text in a record */
	RECORD_DESTINATION_MAX = 255,
};

/* The states that are on disk; "in delivery" is known in memory only, done and failed recipients
 * are no longer there.  The table of states is in queued(8). */
enum recipient_state {
	RECIPIENT_WAITING, /* until next_ms */
	RECIPIENT_DUE, /* as soon as its destination has room */
	RECIPIENT_HELD, /* until somebody releases it */
	RECIPIENT_STATE_COUNT
};

struct queue_message {
	uint64_t id;
	int64_t arrived_ms; /* wall clock */
	uint64_t account; /* who logged in, 0 for nobody */
	uint32_t body; /* enum ipc_body */
	uint32_t ret; /* enum ipc_ret */
	bool smtputf8;
	uint32_t next_number; /* for recipients that forwards add */
	uint32_t left; /* recipients in the queue */
	struct segment_place place; /* its bytes */
	uint64_t size;
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	struct slice sender; /* empty: <> */
	struct slice client;
	struct slice envid;
};

struct queue_recipient {
	uint64_t id; /* of the message */
	uint32_t number;
	enum recipient_state state;
	bool local; /* deliverd is to be tried first */
	bool delay_told; /* the sender had a delay notice */
	uint32_t notify; /* enum ipc_notify */
	uint32_t attempts;
	int64_t next_ms; /* wall clock: due since, or waiting until */
	uint32_t fault; /* of the last attempt */
	uint32_t code; /* SMTP reply code of it, or 0 */
	struct slice address;
	struct slice orcpt;
	struct slice destination; /* domain in lower case; empty: local delivery */
	struct slice status; /* RFC 3463 */
	struct slice text; /* the reply */
	struct slice host; /* that gave it */
};

/* Append; the fault is the buffer's. */
void queue_message_encode(const struct queue_message *, struct buffer *);
void queue_recipient_encode(const struct queue_recipient *, struct buffer *);
/* The id (and number) come from the key.  FAULT_DAMAGED, FAULT_UNSUPPORTED for a newer format. */
MUST_USE enum fault queue_message_decode(struct slice, struct queue_message *);
MUST_USE enum fault queue_recipient_decode(struct slice, struct queue_recipient *);

#endif
