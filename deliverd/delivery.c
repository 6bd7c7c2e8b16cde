/* SPDX-License-Identifier: ISC */
/*
 * The course of one local delivery, in deliverd.  Nothing here is durable: until DELIVERED is sent,
 * queued or the client still has the message.
 */
#include "deliverd/delivery.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memfd.h"
#include "common/store/package.h"
#include "deliverd/plan.h"
#include "deliverd/prefix.h"

enum {
	ARENA_BUDGET = 8 * 1024 * 1024, /* texts of a thousand recipients and their targets */
	TARGETS_PER_APPEND = 200, /* so that the longest prefixes fit into a frame */
	SEALED_AT_ONCE = 16, /* copies of one message that are on their way to mailboxd */
	SEALED_BYTES = 32 * 1024 * 1024, /* of those of all messages; one of each always goes */
	STEP_TIMEOUT_MS = 120000,
};

/* A call to authd or mailboxd in flight. */
struct step {
	struct delivery *delivery;
	uint64_t call;
	uint32_t first; /* recipient, or first place in the order of targets */
	uint32_t count;
};

struct delivery {
	struct deliverd *deliverd;
	struct delivery *next, *previous;
	struct ipc_origin origin;
	uint64_t id;
	struct slice message; /* mapped */
	struct arena arena;
	struct plan plan;
	struct package package;
	struct step *steps;
	uint32_t step_count, steps_left;
	/* Targets that share the plain copy first; the others get one each, sealed, step by step.
	 */
	uint32_t *order;
	uint32_t plain_count;
	uint32_t next_sealed; /* step */
	uint32_t sealed_away; /* steps that mailboxd has */
};

void
delivery_id_make(uint64_t message, uint64_t account, uint8_t id[static IPC_DELIVERY_ID_LEN])
{
	put_u64(id, message);
	put_u64(id + 8, account);
}

static void
link_delivery(struct delivery *d)
{
	struct deliverd *deliverd = d->deliverd;

	d->next = deliverd->deliveries;
	if (d->next != NULL)
		d->next->previous = d;
	deliverd->deliveries = d;
	deliverd->delivery_count++;
	deliverd->bytes_held += d->message.len;
}

static void
unlink_delivery(struct delivery *d)
{
	struct deliverd *deliverd = d->deliverd;

	if (d->previous != NULL)
		d->previous->next = d->next;
	else
		deliverd->deliveries = d->next;
	if (d->next != NULL)
		d->next->previous = d->previous;
	deliverd->delivery_count--;
	deliverd->bytes_held -= d->message.len;
}

/* Bytes of one sealed copy. */
static uint64_t
copy_size(const struct delivery *d)
{
	return seal_stored_len(d->package.body.stored_len);
}

static void
delivery_free(struct delivery *d)
{
	struct deliverd *deliverd = d->deliverd;

	for (uint32_t i = 0; i < d->step_count; i++)
		ipc_cancel(d->steps[i].call);
	deliverd->sealed_bytes -= d->sealed_away * copy_size(d);
	unlink_delivery(d);
	package_clear(&d->package);
	memfd_unmap(&d->message);
	plan_clear(&d->plan);
	arena_clear(&d->arena);
	free(d);
	if (deliverd->stopping && deliverd->delivery_count == 0)
		daemon_stop(deliverd->daemon);
}

void
deliveries_free(struct deliverd *deliverd)
{
	deliverd->stopping = false;
	while (deliverd->deliveries != NULL)
		delivery_free(deliverd->deliveries);
}

/* The answer */

static void
fill_results(struct delivery *d, struct ipc_delivery_result *results)
{
	struct deliverd *deliverd = d->deliverd;

	for (uint32_t i = 0; i < d->plan.recipient_count; i++) {
		const struct plan_recipient *r = &d->plan.recipients[i];

		results[i].number = r->number;
		results[i].fault = r->fault;
		if (r->fault != FAULT_OK)
			results[i].text = slice_text(fault_text(r->fault));
		deliverd->stored += r->fault == FAULT_OK;
		deliverd->deferred += fault_is_temporary(r->fault);
		deliverd->failed += r->fault != FAULT_OK && !fault_is_temporary(r->fault);
	}
}

static uint32_t
fill_forwards(struct delivery *d, struct ipc_forward *forwards)
{
	uint32_t count = 0;

	for (size_t i = 0; i < d->plan.forward_count; i++) {
		const struct plan_forward *f = &d->plan.forwards[i];

		if (!plan_forward_counts(&d->plan, i))
			continue;
		forwards[count].number = d->plan.recipients[f->recipient].number;
		forwards[count].address = f->address;
		count++;
	}
	d->deliverd->forwarded += count;
	return count;
}

static void
finish_with(struct delivery *d, enum fault fault)
{
	struct ipc_delivered answer = {.fault = fault};

	ipc_answer_DELIVERED(d->origin, &answer, -1);
	delivery_free(d);
}

static void
finish(struct delivery *d)
{
	struct ipc_delivered answer = {.fault = FAULT_OK, .result_count = d->plan.recipient_count};

	answer.results = arena_array(&d->arena, answer.result_count + 1, sizeof *answer.results);
	answer.forwards =
		arena_array(&d->arena, d->plan.forward_count + 1, sizeof *answer.forwards);
	if (answer.results == NULL || answer.forwards == NULL) {
		finish_with(d, FAULT_BUDGET);
		return;
	}
	fill_results(d, answer.results);
	answer.forward_count = fill_forwards(d, answer.forwards);
	ipc_answer_DELIVERED(d->origin, &answer, -1);
	delivery_free(d);
}

/* Appending */

static void
take_append_results(struct step *s, const struct ipc_answer *answer)
{
	const struct ipc_appended *a = answer->payload;
	struct delivery *d = s->delivery;

	for (uint32_t i = 0; i < s->count; i++) {
		/* A fault of the request as a whole is none of the recipients. */
		enum fault fault = fault_of_host(answer->fault);

		/* mailboxd is believed, but a short list must not become a lost message. */
		if (fault == FAULT_OK)
			fault = a != NULL && i < a->result_count &&
					fault_is_known(a->results[i].fault)
				? (enum fault)a->results[i].fault
				: FAULT_PEER_PROTOCOL;
		plan_stored(&d->plan, d->order[s->first + i], fault);
	}
}

static void send_sealed(struct delivery *);

static void
on_appended(void *arg, const struct ipc_answer *answer)
{
	struct step *s = arg;
	struct delivery *d = s->delivery;

	s->call = 0;
	take_append_results(s, answer);
	d->steps_left--;
	if (s->first >= d->plain_count) {
		d->sealed_away--;
		d->deliverd->sealed_bytes -= copy_size(d);
	}
	send_sealed(d);
	if (d->steps_left == 0)
		finish(d);
}

static bool
fill_targets(struct delivery *d, const struct step *s, struct ipc_append_target *targets)
{
	int64_t now_s = clock_wall_ms(&clock_system) / 1000;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct plan_target *from = &d->plan.targets[d->order[s->first + i]];
		uint8_t *id = arena_alloc(&d->arena, IPC_DELIVERY_ID_LEN);

		if (id == NULL)
			return false;
		delivery_id_make(d->id, from->account, id);
		targets[i] = (struct ipc_append_target){
			.account = from->account,
			.mailbox = STORE_INBOX,
			.internal_s = now_s,
			.prefix = from->prefix,
			.delivery_id = slice_make(id, IPC_DELIVERY_ID_LEN),
		};
	}
	return true;
}

static enum fault
send_append(struct step *s, const struct package *p)
{
	struct delivery *d = s->delivery;
	struct ipc_append append = {
		.structure_len = p->structure_len,
		.stored_len = p->body.stored_len,
		.plain_len = p->body.plain_len,
		.codec = p->body.codec,
		.checksum = slice_make(p->body.checksum, sizeof p->body.checksum),
		.references = slice_make(p->references, p->references_len),
		.target_count = s->count,
	};
	struct daemon *daemon = d->deliverd->daemon;

	append.targets = arena_array(&d->arena, s->count, sizeof *append.targets);
	if (append.targets == NULL || !fill_targets(d, s, append.targets))
		return FAULT_BUDGET;
	s->call = ipc_call(daemon_base(daemon), daemon_peer(daemon, PROCESS_MAILBOXD), IPC_APPEND,
		&append, p->fd, STEP_TIMEOUT_MS, on_appended, s);
	return FAULT_OK;
}

/* One account's own copy. */
static enum fault
seal_and_send(struct step *s)
{
	struct delivery *d = s->delivery;
	const struct plan_target *target = &d->plan.targets[d->order[s->first]];
	const struct seal_content *content;
	struct package sealed;
	enum fault fault = seal_ring_content(d->deliverd->ring, target->public_key, &content);

	if (fault == FAULT_OK)
		fault = package_seal(&d->package, content, &entropy_system, &sealed);
	if (fault != FAULT_OK)
		return fault;
	fault = send_append(s, &sealed);
	/* The call has its own descriptor. */
	package_clear(&sealed);
	return fault;
}

static bool
may_send_sealed(const struct delivery *d)
{
	uint64_t bytes = d->deliverd->sealed_bytes + copy_size(d);

	return d->next_sealed < d->step_count &&
		(d->sealed_away == 0 || (d->sealed_away < SEALED_AT_ONCE && bytes <= SEALED_BYTES));
}

/* As many sealed copies as memory allows; the others follow when these are stored. */
static void
send_sealed(struct delivery *d)
{
	while (may_send_sealed(d)) {
		struct step *s = &d->steps[d->next_sealed++];
		enum fault fault = seal_and_send(s);

		if (fault == FAULT_OK) {
			d->sealed_away++;
			d->deliverd->sealed_bytes += copy_size(d);
		} else {
			plan_stored(&d->plan, d->order[s->first], fault_of_host(fault));
			d->steps_left--;
		}
	}
}

/* Fills the order of targets: those that share a copy come first. */
static bool
order_make(struct delivery *d)
{
	uint32_t total = (uint32_t)d->plan.target_count, at = 0;

	d->order = arena_array(&d->arena, total, sizeof *d->order);
	if (d->order == NULL)
		return false;
	for (uint32_t i = 0; i < total; i++)
		if (d->plan.targets[i].public_key.len == 0)
			d->order[at++] = i;
	d->plain_count = at;
	for (uint32_t i = 0; i < total; i++)
		if (d->plan.targets[i].public_key.len > 0)
			d->order[at++] = i;
	return true;
}

static bool
append_steps_make(struct delivery *d)
{
	uint32_t total = (uint32_t)d->plan.target_count;

	d->step_count = 0;
	d->steps = arena_array(&d->arena, total, sizeof *d->steps);
	if (d->steps == NULL || !order_make(d))
		return false;
	for (uint32_t first = 0; first < d->plain_count; first += TARGETS_PER_APPEND) {
		uint32_t left = d->plain_count - first;

		d->steps[d->step_count++] = (struct step){.delivery = d,
			.first = first,
			.count = left < TARGETS_PER_APPEND ? left : TARGETS_PER_APPEND};
	}
	d->next_sealed = d->step_count;
	for (uint32_t first = d->plain_count; first < total; first++)
		d->steps[d->step_count++] =
			(struct step){.delivery = d, .first = first, .count = 1};
	d->steps_left = d->step_count;
	return true;
}

static void
start_appending(struct delivery *d)
{
	enum fault fault;

	if (d->plan.target_count == 0) {
		finish(d);
		return;
	}
	fault = package_make(d->deliverd->packer, d->message, &d->package);
	if (fault == FAULT_OK && !append_steps_make(d))
		fault = FAULT_BUDGET;
	for (uint32_t i = 0; fault == FAULT_OK && i < d->next_sealed; i++)
		fault = send_append(&d->steps[i], &d->package);
	if (fault != FAULT_OK) {
		finish_with(d, fault);
		return;
	}
	send_sealed(d);
	if (d->steps_left == 0)
		finish(d);
}

/* Expanding */

static void
on_expanded(void *arg, const struct ipc_answer *answer)
{
	struct step *s = arg;
	struct delivery *d = s->delivery;

	s->call = 0;
	if (answer->fault == FAULT_OK)
		plan_expand(&d->plan, s->first, answer->payload);
	else
		plan_fail(&d->plan, s->first, answer->fault);
	if (--d->steps_left == 0)
		start_appending(d);
}

/* Looping recipients are failed here, the others are counted. */
static bool
expand_steps_make(struct delivery *d)
{
	struct plan *plan = &d->plan;
	struct delivered_to *seen = malloc(sizeof *seen);

	d->steps = arena_array(&d->arena, plan->recipient_count, sizeof *d->steps);
	if (seen != NULL && d->steps != NULL) {
		delivered_to_collect(seen, d->message);
		for (uint32_t i = 0; i < plan->recipient_count; i++) {
			if (delivered_to_has(seen, plan->recipients[i].address))
				plan_fail(plan, i, FAULT_MAIL_LOOP);
			else
				d->steps[d->step_count++] =
					(struct step){.delivery = d, .first = i};
		}
	}
	free(seen);
	d->steps_left = d->step_count;
	return seen != NULL && d->steps != NULL;
}

static void
start_expanding(struct delivery *d)
{
	if (d->step_count == 0) {
		finish(d);
		return;
	}
	for (uint32_t i = 0; i < d->step_count; i++) {
		struct step *s = &d->steps[i];
		struct ipc_address request = {.address = d->plan.recipients[s->first].address};

		s->call = daemon_call(d->deliverd->daemon, PROCESS_AUTHD, IPC_EXPAND, &request, -1,
			on_expanded, s);
	}
}

static enum fault
take_message(struct delivery *d, int fd)
{
	const struct settings *settings = daemon_settings(d->deliverd->daemon);
	/* What is in the queue was taken by the limit of then. */
	enum fault fault = memfd_map(fd, SIZE_MAX, &d->message);

	close(fd);
	if (fault != FAULT_OK)
		return fault;
	/* One message always goes: the budget may be smaller than the largest message. */
	if (d->deliverd->delivery_count > 0 &&
		d->deliverd->bytes_held + d->message.len > (uint64_t)settings->message_memory)
		return FAULT_BUDGET;
	return FAULT_OK;
}

enum fault
delivery_start(struct deliverd *deliverd, struct ipc_origin origin,
	const struct ipc_deliver *request, int fd)
{
	struct delivery *d = calloc(1, sizeof *d);
	enum fault fault;

	if (d == NULL) {
		close(fd);
		return FAULT_NOMEM;
	}
	d->deliverd = deliverd;
	d->origin = origin;
	d->id = request->id;
	d->package.fd = -1;
	arena_init(&d->arena, ARENA_BUDGET);
	fault = take_message(d, fd);
	if (fault == FAULT_OK)
		fault = plan_init(&d->plan, &d->arena, request);
	link_delivery(d);
	if (fault == FAULT_OK && !expand_steps_make(d))
		fault = FAULT_BUDGET;
	if (fault != FAULT_OK) {
		delivery_free(d);
		return fault;
	}
	deliverd->messages++;
	deliverd->recipients += request->recipient_count;
	start_expanding(d);
	return FAULT_OK;
}
