/* SPDX-License-Identifier: ISC */
/*
 * What came of a flight, in queued: results become one change (recipients removed or put off,
 * forwards added, notices spooled) in one commit.  Until it is written the flight stays, so that
 * nobody starts the same recipients again.
 */
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/memfd.h"
#include "queued/queued.h"
#include "queued/status.h"

#include <unistd.h>

enum { KINDS = NOTICE_RELAYED + 1 };

/* One flight's results on their way into a change. */
struct tally {
	struct flight *flight;
	struct change *change;
	struct queue_message message;
	struct notice_recipient *told[KINDS];
	size_t told_count[KINDS];
	int64_t now_ms;
	struct spool_txn txn;
};

/* Opening and closing */

static bool
alloc_told(struct tally *t)
{
	for (int k = 0; k < KINDS; k++) {
		t->told[k] =
			arena_array(&t->change->arena, FLIGHT_RECIPIENTS_MAX, sizeof *t->told[k]);
		if (t->told[k] == NULL)
			return false;
	}
	return true;
}

static void
on_written(void *arg, enum fault fault)
{
	struct flight *f = arg;
	struct queued *q = f->queued;
	char id[ID_TEXT_SIZE];

	if (fault != FAULT_OK)
		log_error("%s: results are lost, it will be tried again: %s", id_format(f->id, id),
			fault_text(fault));
	flight_end(f);
	dispatch_after(q, 0);
	queued_check_idle(q);
}

/* steps: the recipients, and room for more. */
static bool
tally_open(struct tally *t, struct flight *f, uint32_t more)
{
	struct queued *q = f->queued;

	*t = (struct tally){.flight = f, .now_ms = clock_wall_ms(&clock_system)};
	t->change = change_new(CHANGE_BUDGET);
	if (t->change == NULL || spool_begin(q->spool, false, &t->txn) != FAULT_OK)
		return false;
	t->change->id = f->id;
	t->change->must = true;
	t->change->done = on_written;
	t->change->arg = f;
	t->change->steps =
		arena_array(&t->change->arena, f->count + more, sizeof *t->change->steps);
	return t->change->steps != NULL && alloc_told(t) &&
		spool_get_message(&t->txn, f->id, &t->change->arena, &t->message);
}

/* Memory is out, or an administrator has removed the message: what is there is tried again. */
static void
tally_drop(struct tally *t)
{
	struct queued *q = t->flight->queued;

	spool_abort(&t->txn);
	change_free(t->change);
	flight_end(t->flight);
	dispatch_after(q, SCHEDULE_SOON_MS);
	queued_check_idle(q);
}

/* The bytes of the message for a notice; empty when they cannot be read. */
static struct slice
map_original(struct tally *t)
{
	struct slice bytes = {0};
	int fd;

	if (t->told_count[NOTICE_FAILED] + t->told_count[NOTICE_DELAYED] +
			t->told_count[NOTICE_DELIVERED] + t->told_count[NOTICE_RELAYED] ==
		0)
		return bytes;
	if (spool_open_message(t->flight->queued->spool, &t->message, &fd) != FAULT_OK)
		return bytes;
	if (memfd_map(fd, SIZE_MAX, &bytes) != FAULT_OK)
		bytes = (struct slice){0};
	close(fd);
	return bytes;
}

static enum fault
add_notices(struct tally *t)
{
	struct slice original = map_original(t);
	enum fault fault = FAULT_OK;

	for (int k = 0; k < KINDS && fault == FAULT_OK; k++) {
		struct notice_source source = {
			.message = &t->message,
			.kind = (enum notice_kind)k,
			.items = t->told[k],
			.count = t->told_count[k],
			.original = original,
		};
		if (source.count > 0)
			fault = notices_add(t->flight->queued, t->change, &source);
	}
	memfd_unmap(&original);
	return fault;
}

static void
tally_close(struct tally *t)
{
	enum fault fault = add_notices(t);

	if (fault != FAULT_OK) {
		log_error("cannot write a notice: %s", fault_text(fault));
		tally_drop(t);
		return;
	}
	spool_abort(&t->txn);
	batch_add(t->flight->queued->batch, t->change);
}

/* One recipient */

static void
count_verdict(struct queued *q, const struct queue_recipient *r, const struct verdict *v)
{
	if (v->kind == VERDICT_RETRY)
		q->counters.deferred++;
	else if (v->kind == VERDICT_FAILED)
		q->counters.failed++;
	else if (r->local)
		q->counters.delivered++;
	else
		q->counters.relayed++;
}

static void
log_result(const struct queue_recipient *r, const struct attempt *a, const struct verdict *v)
{
	static const char *const words[] = {"done", "deferred", "failed"};
	char id[ID_TEXT_SIZE];
	struct slice status = a->status.len > 0 ? a->status : status_of_fault(a->fault);

	log_info("%s: to=<%" SLICE_FMT "> %s host=%" SLICE_FMT " status=%" SLICE_FMT
		 " (%u %" SLICE_FMT ")",
		id_format(r->id, id), SLICE_ARG(r->address), words[v->kind], SLICE_ARG(a->host),
		SLICE_ARG(status), (unsigned)a->code, SLICE_ARG(a->text));
}

static void
tell(struct tally *t, const struct queue_recipient *r, const struct attempt *a,
	const struct verdict *v)
{
	enum notice_kind kind = NOTICE_DELAYED;
	struct notice_recipient *item;

	if (v->kind == VERDICT_FAILED)
		kind = NOTICE_FAILED;
	else if (v->kind == VERDICT_DONE)
		kind = r->local ? NOTICE_DELIVERED : NOTICE_RELAYED;
	item = &t->told[kind][t->told_count[kind]++];
	*item = (struct notice_recipient){r, a, v->expired};
}

/* NOT_LOCAL: a notice to a sender elsewhere, or a domain that has left us.  It is due at once. */
static void
make_remote(struct tally *t, struct queue_recipient *r)
{
	r->local = false;
	r->destination = destination_of(&t->change->arena, r->address);
	r->state = RECIPIENT_DUE;
	r->next_ms = t->now_ms;
}

/* Copies what borrows from the answer; false over the budget. */
static bool
keep_attempt(struct tally *t, struct attempt *a)
{
	struct arena *arena = &t->change->arena;

	a->text = slice_first(a->text, RECORD_TEXT_MAX);
	return arena_copy(arena, a->status, &a->status) && arena_copy(arena, a->text, &a->text) &&
		arena_copy(arena, a->host, &a->host);
}

static void
settle(struct tally *t, struct queue_recipient *r, const struct attempt *a)
{
	struct queued *q = t->flight->queued;
	struct change_step *step = &t->change->steps[t->change->step_count++];
	struct schedule_case c = {&t->message, r, a};
	struct schedule_moment moment = {t->now_ms, entropy_u64(&entropy_system)};
	struct verdict v = schedule_judge(&q->policy, &c, moment);

	step->kind = CHANGE_REMOVE;
	step->recipient = *r;
	if (r->local && a->fault == FAULT_NOT_LOCAL &&
		destination_of(&t->change->arena, r->address).len > 0) {
		step->kind = CHANGE_UPDATE;
		make_remote(t, &step->recipient);
		return;
	}
	count_verdict(q, r, &v);
	log_result(r, a, &v);
	if (v.tell)
		tell(t, r, a, &v);
	if (v.kind == VERDICT_RETRY) {
		step->kind = CHANGE_UPDATE;
		schedule_record(&step->recipient, a, &v);
	} else if (v.kind == VERDICT_FAILED && t->message.sender.len == 0) {
		log_warning("a notice could not be delivered and is dropped");
	}
}

/* False over the budget. */
static bool
settle_number(struct tally *t, uint32_t number, const struct attempt *result)
{
	struct queue_recipient key = {.id = t->flight->id, .number = number};
	struct queue_recipient *r = arena_alloc(&t->change->arena, sizeof *r);
	struct attempt *a = arena_alloc(&t->change->arena, sizeof *a);

	if (r == NULL || a == NULL)
		return false;
	*a = *result;
	if (!keep_attempt(t, a))
		return false;
	/* Gone: removed by an administrator while it was in delivery. */
	if (spool_get_recipient(&t->txn, &key, &t->change->arena, r))
		settle(t, r, a);
	return t->txn.kv.fault == FAULT_OK;
}

/* deliverd */

/* Success of a recipient that became forwards is theirs to report. */
static bool
is_forwarded(const struct ipc_delivered *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->forward_count; i++)
		if (d->forwards[i].number == number)
			return true;
	return false;
}

static struct attempt
delivery_attempt(const struct ipc_delivered *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->result_count; i++) {
		const struct ipc_delivery_result *r = &d->results[i];

		if (r->number == number && fault_is_known(r->fault))
			return (struct attempt){.fault = (enum fault)r->fault,
				.text = r->text,
				.dsn = is_forwarded(d, number)};
	}
	return (struct attempt){.fault = FAULT_PEER_PROTOCOL};
}

/* A forward takes over what its recipient's sender wanted to be told (RFC 3461 5.2.7.3). */
static bool
add_forward(struct tally *t, const struct ipc_forward *forward)
{
	struct queue_recipient key = {.id = t->flight->id, .number = forward->number};
	struct change_step *step = &t->change->steps[t->change->step_count];
	struct queue_recipient *r = &step->recipient;
	struct arena *arena = &t->change->arena;

	if (!spool_get_recipient(&t->txn, &key, arena, r))
		return t->txn.kv.fault == FAULT_OK;
	r->local = false;
	r->delay_told = false;
	r->attempts = 0;
	r->state = RECIPIENT_DUE;
	r->next_ms = t->now_ms;
	if (!arena_copy(arena, forward->address, &r->address))
		return false;
	r->destination = destination_of(arena, r->address);
	step->kind = CHANGE_ADD;
	t->change->step_count++;
	return true;
}

static bool
settle_delivered(struct tally *t, const struct ipc_delivered *d)
{
	bool good = true;

	for (uint32_t i = 0; i < d->forward_count && good; i++)
		good = add_forward(t, &d->forwards[i]);
	for (uint32_t i = 0; i < t->flight->count && good; i++) {
		struct attempt a = delivery_attempt(d, t->flight->numbers[i]);

		good = settle_number(t, t->flight->numbers[i], &a);
	}
	return good;
}

/* relayd */

static struct attempt
relay_attempt(const struct ipc_relayed *relayed, uint32_t number)
{
	struct attempt a = {.fault = FAULT_PEER_PROTOCOL};

	for (uint32_t i = 0; i < relayed->result_count; i++) {
		const struct ipc_relay_result *r = &relayed->results[i];

		if (r->number != number || !fault_is_known(r->fault))
			continue;
		a.fault = (enum fault)r->fault;
		a.code = r->code;
		a.status = status_is_valid(r->status) ? r->status : SLICE("");
		a.text = r->text;
		a.host = relayed->host;
		a.dsn = relayed->dsn;
	}
	return a;
}

static bool
settle_relayed(struct tally *t, const struct ipc_relayed *relayed)
{
	bool good = true;

	for (uint32_t i = 0; i < t->flight->count && good; i++) {
		struct attempt a = relay_attempt(relayed, t->flight->numbers[i]);

		good = settle_number(t, t->flight->numbers[i], &a);
	}
	return good;
}

/* True unless every recipient met a destination that could not be talked to. */
static bool
was_reached(const struct ipc_relayed *relayed)
{
	for (uint32_t i = 0; i < relayed->result_count; i++) {
		const struct ipc_relay_result *r = &relayed->results[i];

		if (r->fault == FAULT_OK || !fault_is_temporary((enum fault)r->fault) ||
			(r->code != 0 && r->code != 421))
			return true;
	}
	return false;
}

void
results_of_fault(struct flight *f, enum fault fault)
{
	struct attempt a = {.fault = fault};
	struct tally t;
	bool good = tally_open(&t, f, 0);

	destination_dropped(f->destination);
	for (uint32_t i = 0; i < f->count && good; i++)
		good = settle_number(&t, f->numbers[i], &a);
	if (good)
		tally_close(&t);
	else
		tally_drop(&t);
}

void
on_delivered(void *arg, const struct ipc_answer *answer)
{
	struct flight *f = arg;
	const struct ipc_delivered *d = answer->payload;
	struct tally t;

	if (answer->fault != FAULT_OK) {
		/* A permanent fault of the request is none of the recipients. */
		results_of_fault(
			f, fault_is_temporary(answer->fault) ? answer->fault : FAULT_INTERNAL);
		return;
	}
	destination_ended(f->destination, true, 0, 0);
	if (tally_open(&t, f, d->forward_count) && settle_delivered(&t, d))
		tally_close(&t);
	else
		tally_drop(&t);
}

void
on_relayed(void *arg, const struct ipc_answer *answer)
{
	struct flight *f = arg;
	const struct ipc_relayed *relayed = answer->payload;
	struct tally t;

	if (answer->fault != FAULT_OK) {
		results_of_fault(
			f, fault_is_temporary(answer->fault) ? answer->fault : FAULT_INTERNAL);
		return;
	}
	destination_ended(f->destination, was_reached(relayed), clock_mono_ms(&clock_system),
		f->queued->policy.first);
	if (tally_open(&t, f, 0) && settle_relayed(&t, relayed))
		tally_close(&t);
	else
		tally_drop(&t);
}
