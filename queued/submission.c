/* SPDX-License-Identifier: ISC */
/*
 * A message that smtpd hands in, in queued.  Local recipients are delivered first, with nothing
 * written; what is left is spooled, and only then the reply is given.
 *
 * A message with recipients elsewhere too is spooled first, as it must be written anyhow: so a full
 * disk refuses it before anybody has it, and the client's next try makes no duplicate.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/memfd.h"
#include "queued/submission.h"

enum {
	SUBMISSION_BUDGET = 4 * 1024 * 1024,
	NUMBER_MAX = INT32_MAX, /* of a recipient */
};

/* Lifetime */

static void
submission_link(struct submission *s)
{
	struct queued *q = s->queued;

	s->next = q->submissions;
	if (s->next != NULL)
		s->next->previous = s;
	q->submissions = s;
	q->submission_count++;
	q->bytes_held += s->held;
}

static void
submission_free(struct submission *s)
{
	struct queued *q = s->queued;

	if (s->previous != NULL)
		s->previous->next = s->next;
	else
		q->submissions = s->next;
	if (s->next != NULL)
		s->next->previous = s->previous;
	q->submission_count--;
	q->bytes_held -= s->held;
	ipc_cancel(s->call);
	memfd_unmap(&s->bytes);
	if (s->fd != -1)
		close(s->fd);
	arena_clear(&s->arena);
	free(s);
}

void
submissions_free(struct queued *q)
{
	while (q->submissions != NULL)
		submission_free(q->submissions);
}

static void
log_submission(const struct submission *s, enum fault fault)
{
	const struct ipc_submit *r = &s->request;
	const char *what = s->spooled ? "queued" : "delivered";
	char id[ID_TEXT_SIZE];

	log_info("%s: from=<%" SLICE_FMT "> client=%" SLICE_FMT " size=%llu recipients=%u %s",
		id_format(r->id, id), SLICE_ARG(r->sender), SLICE_ARG(r->client),
		(unsigned long long)s->size, (unsigned)r->recipient_count,
		fault == FAULT_OK ? what : fault_text(fault));
}

void
submission_answer(struct submission *s, enum fault fault, struct slice text)
{
	struct ipc_submitted answer = {.fault = fault, .text = text};
	struct queued *q = s->queued;

	if (fault != FAULT_OK)
		q->counters.refused++;
	log_submission(s, fault);
	ipc_answer_SUBMITTED(s->origin, &answer, -1);
	submission_free(s);
	queued_check_idle(q);
}

/* The copy of the request */

uint32_t
submission_find(const struct submission *s, uint32_t number)
{
	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		if (s->request.recipients[i].number == number)
			return i;
	return UINT32_MAX;
}

static enum fault
copy_recipients(struct submission *s, const struct ipc_submit *from)
{
	struct ipc_submit *to = &s->request;

	to->recipients = arena_array(&s->arena, from->recipient_count, sizeof *to->recipients);
	s->outcomes = arena_array(&s->arena, from->recipient_count, sizeof *s->outcomes);
	if (to->recipients == NULL || s->outcomes == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < from->recipient_count; i++) {
		struct ipc_recipient *r = &to->recipients[i];

		*r = from->recipients[i];
		/* Each names a record of the queue; forwards get the numbers behind. */
		if (r->number > NUMBER_MAX ||
			(i > 0 && r->number <= from->recipients[i - 1].number))
			return FAULT_PEER_PROTOCOL;
		if (!arena_copy(&s->arena, r->address, &r->address) ||
			!arena_copy(&s->arena, r->orcpt, &r->orcpt))
			return FAULT_BUDGET;
		s->outcomes[i].kind = OUTCOME_LATER;
	}
	return FAULT_OK;
}

static enum fault
copy_request(struct submission *s, const struct ipc_submit *from)
{
	struct ipc_submit *to = &s->request;

	*to = *from;
	if (from->recipient_count == 0)
		return FAULT_SYNTAX;
	if (!arena_copy(&s->arena, from->sender, &to->sender) ||
		!arena_copy(&s->arena, from->client, &to->client) ||
		!arena_copy(&s->arena, from->envid, &to->envid))
		return FAULT_BUDGET;
	s->message = (struct queue_message){
		.id = to->id,
		.arrived_ms = clock_wall_ms(&clock_system),
		.account = to->account,
		.body = to->body <= IPC_BODY_BINARY ? to->body : IPC_BODY_8BITMIME,
		.ret = to->ret <= IPC_RET_HDRS ? to->ret : IPC_RET_UNSET,
		.smtputf8 = to->smtputf8,
		.sender = to->sender,
		.client = to->client,
		.envid = to->envid,
	};
	return copy_recipients(s, from);
}

/* Direct delivery */

static void
take_result(struct submission *s, const struct ipc_delivery_result *result)
{
	uint32_t index = submission_find(s, result->number);
	struct outcome *o;

	if (index == UINT32_MAX || !fault_is_known(result->fault))
		return;
	o = &s->outcomes[index];
	o->attempt.fault = (enum fault)result->fault;
	if (!arena_copy(&s->arena, result->text, &o->attempt.text))
		o->attempt.text = SLICE("");
	if (o->attempt.fault == FAULT_OK)
		o->kind = OUTCOME_STORED;
	else if (!fault_is_temporary(o->attempt.fault))
		o->kind = OUTCOME_FAILED;
}

static bool
take_forwards(struct submission *s, const struct ipc_delivered *d)
{
	s->forwards = arena_array(&s->arena, d->forward_count, sizeof *s->forwards);
	if (s->forwards == NULL && d->forward_count > 0)
		return false;
	for (uint32_t i = 0; i < d->forward_count; i++) {
		uint32_t index = submission_find(s, d->forwards[i].number);

		s->forwards[i].number = d->forwards[i].number;
		if (!arena_copy(&s->arena, d->forwards[i].address, &s->forwards[i].address))
			return false;
		if (index != UINT32_MAX)
			s->outcomes[index].forwarded = true;
	}
	s->forward_count = d->forward_count;
	return true;
}

/*
 * Faults that the client is told instead of the sender later: nobody has the message, and the
 * fault is certain (a process that was lost may have stored it).
 */
static bool
is_refusable(enum fault fault)
{
	return fault == FAULT_OVER_QUOTA || (fault != FAULT_OK && !fault_is_temporary(fault));
}

static bool
all_refused(const struct submission *s, enum fault *fault, uint32_t *index)
{
	*fault = FAULT_OK;
	*index = 0;
	if (s->forward_count > 0)
		return false;
	for (uint32_t i = 0; i < s->request.recipient_count; i++) {
		enum fault f = s->outcomes[i].attempt.fault;

		if (!is_refusable(f))
			return false;
		/* One that may get it later makes the whole worth another try. */
		if (*fault == FAULT_OK || (fault_is_temporary(f) && !fault_is_temporary(*fault))) {
			*fault = f;
			*index = i;
		}
	}
	return true;
}

static void
refuse(struct submission *s, enum fault fault, uint32_t index)
{
	struct buffer text;

	buffer_init(&text, 1024);
	buffer_add_byte(&text, '<');
	buffer_add_slice(&text, s->request.recipients[index].address);
	buffer_add_text(&text, ">: ");
	buffer_add_text(&text, fault_text(fault));
	submission_answer(s, fault, buffer_slice(&text));
	buffer_clear(&text);
}

static void
fail_all(struct submission *s, enum fault fault)
{
	/* The deadline says nothing of the store: it is tried again soon. */
	if (fault == FAULT_TIMEOUT || !fault_is_temporary(fault))
		fault = FAULT_BUSY;
	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		s->outcomes[i].attempt.fault = fault;
}

static bool
take_delivered(struct submission *s, const struct ipc_delivered *d)
{
	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		s->outcomes[i].attempt.fault = FAULT_PEER_PROTOCOL;
	for (uint32_t i = 0; i < d->result_count; i++)
		take_result(s, &d->results[i]);
	return take_forwards(s, d);
}

static void
on_direct(void *arg, const struct ipc_answer *answer)
{
	struct submission *s = arg;
	enum fault fault;
	uint32_t index;

	s->call = 0;
	s->attempted = true;
	if (answer->fault != FAULT_OK) {
		fail_all(s, answer->fault);
	} else if (!take_delivered(s, answer->payload)) {
		submission_answer(s, FAULT_BUDGET, SLICE(""));
		return;
	}
	if (all_refused(s, &fault, &index))
		refuse(s, fault, index);
	else
		submission_spool(s);
}

static bool
all_local(const struct submission *s)
{
	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		if (!s->request.recipients[i].local)
			return false;
	return true;
}

static void
deliver_directly(struct submission *s)
{
	struct daemon *daemon = s->queued->daemon;
	struct ipc_recipient *to = arena_array(&s->arena, s->request.recipient_count, sizeof *to);
	struct ipc_deliver request = {.id = s->request.id,
		.sender = s->request.sender,
		.recipients = to,
		.recipient_count = s->request.recipient_count};

	if (to == NULL) {
		submission_answer(s, FAULT_BUDGET, SLICE(""));
		return;
	}
	for (uint32_t i = 0; i < request.recipient_count; i++) {
		to[i] = s->request.recipients[i];
		to[i].orcpt = SLICE("");
	}
	s->call = ipc_call(daemon_base(daemon), daemon_peer(daemon, PROCESS_DELIVERD), IPC_DELIVER,
		&request, s->fd, daemon_settings(daemon)->local_deadline, on_direct, s);
}

static enum fault
check_memory(struct submission *s)
{
	off_t size = lseek(s->fd, 0, SEEK_END);

	if (size < 0)
		return FAULT_PEER_PROTOCOL;
	if (s->queued->stopping)
		return FAULT_BUSY;
	/* The envelope counts too: many messages without a byte would else cost nothing. */
	s->held = (uint64_t)size + sizeof *s + s->arena.used;
	if (!queued_has_memory(s->queued, s->held)) {
		s->held = 0;
		return FAULT_BUDGET;
	}
	s->size = (uint64_t)size;
	return FAULT_OK;
}

static void
refuse_at_once(struct queued *q, struct ipc_origin origin, enum fault fault)
{
	struct ipc_submitted answer = {.fault = fault};

	q->counters.refused++;
	ipc_answer_SUBMITTED(origin, &answer, -1);
}

void
on_submit(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct queued *q = state;
	struct submission *s = calloc(1, sizeof *s);
	enum fault fault;

	(void)daemon;
	q->counters.submitted++;
	if (s == NULL) {
		refuse_at_once(q, ipc_origin_of(link, message), FAULT_NOMEM);
		return;
	}
	s->queued = q;
	s->origin = ipc_origin_of(link, message);
	s->fd = ipc_message_take_fd(message);
	arena_init(&s->arena, SUBMISSION_BUDGET);
	fault = copy_request(s, message->payload);
	if (fault == FAULT_OK)
		fault = check_memory(s);
	submission_link(s);
	if (fault != FAULT_OK)
		submission_answer(s, fault, SLICE(""));
	else if (all_local(s))
		deliver_directly(s);
	else
		submission_spool(s);
}
