/* SPDX-License-Identifier: ISC */
/*
 * One message on its way from the wire to the sink: size and hop limits, the trace field in front,
 * and on submission the repairs of RFC 6409 8.  The header section is held until it is complete;
 * the rest passes through.  The first fault is kept, drops the message, and is told at its end.
 */
#ifndef SMTPD_MESSAGE_H
#define SMTPD_MESSAGE_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "smtpd/data.h"

enum {
	MESSAGE_HEADER_MAX = 64 * 1024, /* held at most */
	MESSAGE_HOPS_MAX = 100, /* RFC 5321 6.3 */
	MESSAGE_FROMS_MAX = 16
};

/* Where the message goes: a memfd in the daemon, memory in tests.  Never blocks. */
struct smtp_sink {
	enum fault (*open)(void *arg); /* a new message; FAULT_BUDGET: no room now */
	enum fault (*write)(void *arg, struct slice bytes);
	void (*drop)(void *arg); /* forget it; also when nothing is open */
};

struct message_setup {
	const struct smtp_sink *sink;
	void *sink_arg;
	uint64_t size_max;
	struct slice trace; /* the Received field; lives as long as the message */
	const struct clock *clock;
	uint64_t id; /* for a missing Message-ID */
	const char *hostname;
	bool submission; /* repair, and list the From addresses */
	struct slice sender; /* reverse-path, for a missing From */
	struct arena *arena;
};

struct message {
	struct message_setup setup;
	struct data data;
	struct buffer header; /* what is held */
	bool header_done;
	enum fault fault;
	uint64_t size; /* of what the client sent */
	struct slice froms[MESSAGE_FROMS_MAX]; /* submission: addresses of From, in the arena */
	unsigned from_count;
	bool from_broken;
};

/* FAULT_BUDGET and such of the sink: nothing has begun. */
MUST_USE enum fault message_begin(struct message *, const struct message_setup *);
/* Bytes of DATA; the number of those used.  True in *ended when the end was among them. */
size_t message_decode(struct message *, struct slice bytes, bool *ended);
/* Bytes of a chunk. */
void message_pass(struct message *, struct slice bytes);
/* Drops the message; the first fault is kept and told at its end. */
void message_fail(struct message *, enum fault);
/* After the last byte: the fault of the message, if any; then it is dropped already. */
MUST_USE enum fault message_finish(struct message *);
/* Frees and drops; accepts a zeroed struct, twice. */
void message_clear(struct message *);
/* Frees, but leaves the sink alone: it was handed on. */
void message_release(struct message *);

#endif
