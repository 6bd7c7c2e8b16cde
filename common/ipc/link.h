/* SPDX-License-Identifier: ISC */
/*
 * One end of a socketpair to another process: frames out and in, descriptors by SCM_RIGHTS, calls
 * with an answer.  A frame is a 16-byte header (length, type, flags, request id; big-endian) and
 * a payload of typed fields.  On receipt, in this order: length, known type, direction allowed on
 * this link, descriptor expected, decode, meaning.  A peer that breaks a rule loses the link
 * (on_lost with FAULT_PEER_PROTOCOL) and we live on.
 */
#ifndef IPC_LINK_H
#define IPC_LINK_H

#include <event2/event.h>

#include "common/base/fault.h"
#include "common/ipc/messages.h"
#include "common/ipc/payloads.h"

enum {
	IPC_HEADER_LEN = 16,
	IPC_QUEUE_FULL = 4 * 1024 * 1024, /* bytes waiting to be written: the link is full */
	IPC_QUEUE_MAX = 16 * 1024 * 1024, /* more than this is refused (FAULT_BUSY) */
	IPC_CALL_TIMEOUT_MS = 30000, /* default deadline of a call */
};

struct ipc_link;

/* A received message.  payload points to the struct of its type and is gone after the handler. */
struct ipc_message {
	enum ipc_type type;
	uint64_t request;
	const void *payload;
	int fd; /* -1, or owned by the link, which closes it: take it with ipc_message_take_fd */
};

/* Makes the descriptor the caller's. */
int ipc_message_take_fd(struct ipc_message *);

/* Names where a request came from, for an answer in a later turn.  Safe after the link is gone. */
struct ipc_origin {
	uint64_t link; /* 0: nowhere */
	uint64_t request;
};

struct ipc_link_events {
	/* The other side's HELLO is there.  May be NULL. */
	void (*up)(void *arg, struct ipc_link *);
	/* Any message that is not the answer of a call. */
	void (*message)(void *arg, struct ipc_link *, struct ipc_message *);
	/* The link is dead: FAULT_PEER_LOST (closed) or FAULT_PEER_PROTOCOL.  All pending calls
	 * have ended already.  The link is freed by its owner, in here or later. */
	void (*lost)(void *arg, struct ipc_link *, enum fault);
	/* The queue has become short again after ipc_link_is_full was true.  May be NULL. */
	void (*drained)(void *arg, struct ipc_link *);
	void *arg;
};

/*
 * self and other fix the directions that are allowed.  fd is a connected AF_UNIX stream socket and
 * becomes the link's.  Sends HELLO; the first frame that arrives must be a HELLO with the same
 * table hash.  NULL when memory is out (fd is closed then).
 */
struct ipc_link *ipc_link_new(struct event_base *, int fd, enum process self, enum process other,
	const struct ipc_link_events *);
/* Closes; pending calls end with FAULT_PEER_LOST; no event is raised.  Accepts NULL. */
void ipc_link_free(struct ipc_link *);
uint64_t ipc_link_id(const struct ipc_link *);
struct ipc_link *ipc_link_find(uint64_t id);
enum process ipc_link_process(const struct ipc_link *); /* the other side */
/* Which instance of it: from its HELLO, unless ipc_link_expect has said so before. */
uint32_t ipc_link_instance(const struct ipc_link *);
/* A HELLO of another instance breaks the rules. */
void ipc_link_expect(struct ipc_link *, uint32_t instance);
void ipc_link_set_instance(uint32_t self); /* sent in every HELLO of this process */
bool ipc_link_is_full(const struct ipc_link *);
/* Writes what is queued now, blocking at most timeout_ms; for the last words before exit. */
void ipc_link_flush(struct ipc_link *, int timeout_ms);

/*
 * Queues a frame.  fd, when not -1, is duplicated; the caller keeps its own.  The payload is
 * encoded at once.  FAULT_TOO_LONG: a field is over its limit; FAULT_BUSY: the queue is full;
 * FAULT_DENIED: the table does not allow it on this link.
 */
MUST_USE enum fault ipc_send(
	struct ipc_link *, enum ipc_type, uint64_t request, const void *payload, int fd);

/* The answer of a call.  payload is NULL unless fault is FAULT_OK or came in the answer. */
struct ipc_answer {
	enum fault fault; /* of the link, or the answer's own first field */
	const void *payload;
	struct ipc_message *message; /* for ipc_message_take_fd; NULL with payload */
};

typedef void ipc_done_fn(void *arg, const struct ipc_answer *);

/*
 * Sends a request and calls done exactly once, never from inside this call: with the answer, or
 * with FAULT_PEER_LOST, FAULT_TIMEOUT, FAULT_BUSY, ...  Returns the call's id (never 0) for
 * ipc_cancel.  link may be NULL: then done gets FAULT_PEER_LOST in the next turn.
 */
uint64_t ipc_call(struct event_base *, struct ipc_link *, enum ipc_type, const void *payload,
	int fd, int64_t timeout_ms, ipc_done_fn *done, void *arg);
/* done will not be called any more; a late answer is dropped.  0 and unknown ids are fine. */
void ipc_cancel(uint64_t call);

/* Answers a request, now or later; does nothing when its link is gone. */
void ipc_answer(struct ipc_origin, enum ipc_type, const void *payload, int fd);

static inline bool
ipc_origin_equal(struct ipc_origin a, struct ipc_origin b)
{
	return a.link == b.link && a.request == b.request;
}

static inline struct ipc_origin
ipc_origin_of(const struct ipc_link *link, const struct ipc_message *message)
{
	return (struct ipc_origin){ipc_link_id(link), message->request};
}

/* Typed fronts, one per message: ipc_send_submit(link, request, &payload, fd) ... */
#define IPC_TYPED(type, name, from, to, fd_rule, reply)                                            \
	MUST_USE static inline enum fault ipc_send_##type(                                         \
		struct ipc_link *link, uint64_t request, const struct ipc_##name *payload, int fd) \
	{                                                                                          \
		return ipc_send(link, IPC_##type, request, payload, fd);                           \
	}                                                                                          \
	static inline void ipc_answer_##type(                                                      \
		struct ipc_origin origin, const struct ipc_##name *payload, int fd)                \
	{                                                                                          \
		ipc_answer(origin, IPC_##type, payload, fd);                                       \
	}
IPC_MESSAGES(IPC_TYPED)
#undef IPC_TYPED

#endif
