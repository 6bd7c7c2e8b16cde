/* SPDX-License-Identifier: ISC */
/*
 * Calls that wait for an answer from another process.  Each ends exactly once: by the answer, by
 * the loss of its link, by its deadline or by ipc_cancel.
 */
#include "common/ipc/call.h"

#include <event2/event_struct.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/ipc/codec.h"

enum { BUCKETS = 4096 };

struct call {
	struct call *next; /* in the bucket */
	uint64_t id;
	uint64_t link;
	enum ipc_type answer;
	enum fault late_fault; /* what its timer ends it with */
	struct event timer;
	ipc_done_fn *done;
	void *arg;
};

static struct call *buckets[BUCKETS];
static uint64_t last_id;

static struct call **
call_slot(uint64_t id)
{
	struct call **slot = &buckets[id % BUCKETS];

	while (*slot != NULL && (*slot)->id != id)
		slot = &(*slot)->next;
	return slot;
}

static struct call *
call_unlink(struct call **slot)
{
	struct call *call = *slot;

	*slot = call->next;
	event_del(&call->timer);
	return call;
}

static void
call_end(struct call *call, const struct ipc_answer *answer)
{
	ipc_done_fn *done = call->done;
	void *arg = call->arg;

	free(call);
	done(arg, answer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;
	struct ipc_answer answer = {.fault = call->late_fault};

	(void)fd;
	(void)what;
	call_end(call_unlink(call_slot(call->id)), &answer);
}

bool
call_finish(uint64_t link, struct ipc_message *message, const void *payload)
{
	struct call **slot = call_slot(message->request);
	uint32_t fault;

	if (*slot == NULL || (*slot)->link != link || (*slot)->answer != message->type)
		return false;
	/* Every answer begins with its fault (messages.h). */
	memcpy(&fault, payload, sizeof fault);
	struct ipc_answer answer = {
		.fault = fault_is_known(fault) ? (enum fault)fault : FAULT_INTERNAL,
		.payload = payload,
		.message = message,
	};
	call_end(call_unlink(slot), &answer);
	return true;
}

void
call_fail_all(uint64_t link, enum fault fault)
{
	/* Each ends by its timer in this turn: a done function may start and cancel others. */
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct call *call = buckets[i]; call != NULL; call = call->next) {
			if (call->link != link)
				continue;
			call->link = 0;
			call->late_fault = fault;
			event_active(&call->timer, EV_TIMEOUT, 1);
		}
	}
}

uint64_t
ipc_call(struct event_base *base, struct ipc_link *link, enum ipc_type type, const void *payload,
	int fd, int64_t timeout_ms, ipc_done_fn *done, void *arg)
{
	struct call *call = calloc(1, sizeof *call);
	struct timeval deadline = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

	if (call == NULL) {
		/* Without memory for the call there is nowhere to keep the callback. */
		log_error("out of memory for a call");
		abort();
	}
	call->id = ++last_id;
	call->answer = ipc_row(type)->answer;
	call->late_fault = FAULT_TIMEOUT;
	call->done = done;
	call->arg = arg;
	call->next = buckets[call->id % BUCKETS];
	buckets[call->id % BUCKETS] = call;
	event_assign(&call->timer, base, -1, 0, on_timer, call);
	enum fault fault =
		link != NULL ? ipc_send(link, type, call->id, payload, fd) : FAULT_PEER_LOST;
	if (fault != FAULT_OK) {
		call->late_fault = fault;
		event_active(&call->timer, EV_TIMEOUT, 1);
		return call->id;
	}
	call->link = ipc_link_id(link);
	event_add(&call->timer, &deadline);
	return call->id;
}

void
ipc_cancel(uint64_t id)
{
	struct call **slot = call_slot(id);

	if (id != 0 && *slot != NULL)
		free(call_unlink(slot));
}
