/* SPDX-License-Identifier: ISC */
/* What is left of a submission goes into the queue, in queued: recipients that wait, forwards, and
 * notices of those that failed, in one commit; then the reply is given. */
#include "common/base/clock.h"
#include "common/base/memfd.h"
#include "queued/submission.h"

enum { MESSAGE_SLACK = 65536 }; /* trace fields on top of settings.message_size */

static enum fault
map_bytes(struct submission *s)
{
	const struct settings *settings = daemon_settings(s->queued->daemon);

	return memfd_map(s->fd, (size_t)settings->message_size + MESSAGE_SLACK, &s->bytes);
}

static void
on_spooled(void *arg, enum fault fault)
{
	struct submission *s = arg;
	struct queued *q = s->queued;

	if (fault == FAULT_OK)
		q->counters.spooled++;
	submission_answer(s, fault, SLICE(""));
	if (fault == FAULT_OK)
		dispatch_after(q, 0);
}

static void
fill_recipient(const struct submission *s, struct change *change, uint32_t index,
	struct queue_recipient *r)
{
	const struct ipc_recipient *from = &s->request.recipients[index];

	*r = (struct queue_recipient){
		.id = s->message.id,
		.number = from->number,
		.state = RECIPIENT_DUE,
		.local = from->local,
		.notify = from->notify & 15,
		.next_ms = s->message.arrived_ms,
		.address = from->address,
		.orcpt = from->orcpt,
	};
	if (!r->local)
		r->destination = destination_of(&change->arena, r->address);
}

/* A recipient that deliverd could not serve now waits like any other after its first attempt. */
static void
record_attempt(struct submission *s, const struct attempt *a, struct queue_recipient *r)
{
	struct schedule_case c = {&s->message, r, a};
	struct schedule_moment moment = {
		clock_wall_ms(&clock_system), entropy_u64(&entropy_system)};
	struct verdict v = schedule_judge(&s->queued->policy, &c, moment);

	if (v.kind == VERDICT_RETRY)
		schedule_record(r, a, &v);
	s->queued->counters.deferred++;
}

static uint32_t
highest_number(const struct submission *s)
{
	uint32_t highest = 0;

	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		if (s->request.recipients[i].number > highest)
			highest = s->request.recipients[i].number;
	return highest;
}

static uint32_t
add_forwards(struct submission *s, struct change *change, struct parcel *p, uint32_t count)
{
	uint32_t number = highest_number(s) + 1;

	for (uint32_t i = 0; i < s->forward_count; i++) {
		struct queue_recipient *r = &p->recipients[count];
		uint32_t index = submission_find(s, s->forwards[i].number);

		if (index == UINT32_MAX)
			continue;
		fill_recipient(s, change, index, r);
		r->number = number++;
		r->local = false;
		r->address = s->forwards[i].address;
		r->destination = destination_of(&change->arena, r->address);
		count++;
	}
	return count;
}

static enum fault
add_parcel(struct submission *s, struct change *change)
{
	uint32_t count = 0;
	struct parcel *p = change_add_parcel(change, s->request.recipient_count + s->forward_count);

	if (p == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < s->request.recipient_count; i++) {
		if (s->outcomes[i].kind != OUTCOME_LATER)
			continue;
		fill_recipient(s, change, i, &p->recipients[count]);
		if (s->attempted)
			record_attempt(s, &s->outcomes[i].attempt, &p->recipients[count]);
		count++;
	}
	p->recipient_count = add_forwards(s, change, p, count);
	p->message = s->message;
	p->bytes = s->bytes;
	if (p->recipient_count == 0)
		change->parcels = p->next;
	return FAULT_OK;
}

/* Failures and successes that the sender is to hear of, of the kind. */
static enum fault
add_notice(struct submission *s, struct change *change, enum notice_kind kind)
{
	uint32_t total = s->request.recipient_count, count = 0;
	struct notice_recipient *items = arena_array(&change->arena, total, sizeof *items);
	struct queue_recipient *rs = arena_array(&change->arena, total, sizeof *rs);
	enum outcome_kind wanted = kind == NOTICE_FAILED ? OUTCOME_FAILED : OUTCOME_STORED;

	if (items == NULL || rs == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < total; i++) {
		struct schedule_case c = {&s->message, &rs[count], &s->outcomes[i].attempt};
		struct schedule_moment moment = {s->message.arrived_ms, 0};

		if (s->outcomes[i].kind != wanted || s->outcomes[i].forwarded)
			continue;
		fill_recipient(s, change, i, &rs[count]);
		if (!schedule_judge(&s->queued->policy, &c, moment).tell)
			continue;
		items[count] = (struct notice_recipient){&rs[count], c.attempt, false};
		count++;
	}
	if (count == 0)
		return FAULT_OK;
	return notices_add(s->queued, change,
		&(struct notice_source){&s->message, kind, items, count, s->bytes});
}

static enum fault
fill_change(struct submission *s, struct change *change)
{
	enum fault fault = map_bytes(s);

	if (fault == FAULT_OK)
		fault = add_parcel(s, change);
	if (fault == FAULT_OK && s->attempted)
		fault = add_notice(s, change, NOTICE_FAILED);
	if (fault == FAULT_OK && s->attempted)
		fault = add_notice(s, change, NOTICE_DELIVERED);
	return fault;
}

/* The ordinary case: nothing to write, nobody to tell. */
static bool
is_complete(const struct submission *s)
{
	for (uint32_t i = 0; i < s->request.recipient_count; i++)
		if (s->outcomes[i].kind != OUTCOME_STORED || s->request.recipients[i].notify != 0)
			return false;
	return s->forward_count == 0;
}

void
submission_spool(struct submission *s)
{
	struct change *change;
	enum fault fault;

	if (is_complete(s)) {
		s->queued->counters.direct++;
		submission_answer(s, FAULT_OK, SLICE(""));
		return;
	}
	change = change_new(CHANGE_BUDGET);
	fault = change != NULL ? fill_change(s, change) : FAULT_NOMEM;
	if (fault != FAULT_OK) {
		change_free(change);
		submission_answer(s, fault, SLICE(""));
		return;
	}
	if (change->parcels == NULL) {
		change_free(change);
		s->queued->counters.direct++;
		submission_answer(s, FAULT_OK, SLICE(""));
		return;
	}
	s->spooled = true;
	change->done = on_spooled;
	change->arg = s;
	batch_add(s->queued->batch, change);
}
