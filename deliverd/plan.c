/* SPDX-License-Identifier: ISC */
/* Who gets a message, in deliverd.  Pure: no I/O; a plan of a thousand recipients is tested. */
#include "deliverd/plan.h"

#include <stdlib.h>

#include "deliverd/prefix.h"

/* Room for one more item; false when memory is out. */
static bool
reserve(void *items, size_t count, size_t *room, size_t size)
{
	void **at = items;
	size_t wanted = *room == 0 ? 16 : *room * 2;
	void *grown;

	if (count < *room)
		return true;
	grown = realloc(*at, wanted * size);
	if (grown == NULL)
		return false;
	*at = grown;
	*room = wanted;
	return true;
}

enum fault
plan_init(struct plan *plan, struct arena *arena, const struct ipc_deliver *request)
{
	*plan = (struct plan){.arena = arena, .recipient_count = request->recipient_count};
	plan->recipients = arena_array(arena, request->recipient_count, sizeof *plan->recipients);
	if (plan->recipients == NULL && request->recipient_count > 0)
		return FAULT_BUDGET;
	if (!arena_copy(arena, request->sender, &plan->sender))
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < request->recipient_count; i++) {
		plan->recipients[i].number = request->recipients[i].number;
		if (!arena_copy(
			    arena, request->recipients[i].address, &plan->recipients[i].address))
			return FAULT_BUDGET;
	}
	return FAULT_OK;
}

void
plan_clear(struct plan *plan)
{
	free(plan->targets);
	free(plan->pairs);
	free(plan->forwards);
	*plan = (struct plan){0};
}

void
plan_fail(struct plan *plan, uint32_t index, enum fault fault)
{
	struct plan_recipient *r = &plan->recipients[index];

	/* Temporary wins: the next try will find the permanent fault again, and no mail is lost. */
	if (r->fault == FAULT_OK || (fault_is_temporary(fault) && !fault_is_temporary(r->fault)))
		r->fault = fault;
}

static bool
find_target(const struct plan *plan, uint64_t account, size_t *index)
{
	for (size_t i = 0; i < plan->target_count; i++) {
		if (plan->targets[i].account == account) {
			*index = i;
			return true;
		}
	}
	return false;
}

static enum fault
add_target(struct plan *plan, uint32_t recipient, const struct ipc_expansion *account)
{
	struct plan_target t = {.account = account->account, .recipient = recipient};
	enum fault fault;

	if (plan->target_count == PLAN_TARGETS_MAX ||
		!arena_copy(plan->arena, account->public_key, &t.public_key))
		return FAULT_BUDGET;
	if (!reserve(&plan->targets, plan->target_count, &plan->target_room, sizeof t))
		return FAULT_NOMEM;
	fault = prefix_make(
		plan->arena, plan->sender, plan->recipients[recipient].address, &t.prefix);
	if (fault == FAULT_OK)
		plan->targets[plan->target_count++] = t;
	return fault;
}

static enum fault
lead_to_account(struct plan *plan, uint32_t recipient, const struct ipc_expansion *account)
{
	size_t target;

	/* Mail that is to be encrypted must not be stored in clear because of a key that is none.
	 */
	if (account->public_key.len != 0 && account->public_key.len != IPC_ACCOUNT_KEY_LEN)
		return FAULT_PEER_PROTOCOL;
	if (!find_target(plan, account->account, &target)) {
		enum fault fault = add_target(plan, recipient, account);
		if (fault != FAULT_OK)
			return fault;
		target = plan->target_count - 1;
	}
	if (!reserve(&plan->pairs, plan->pair_count, &plan->pair_room, sizeof *plan->pairs))
		return FAULT_NOMEM;
	plan->pairs[plan->pair_count++] = (struct plan_pair){recipient, (uint32_t)target};
	return FAULT_OK;
}

static enum fault
lead_to_forward(struct plan *plan, uint32_t recipient, struct slice address)
{
	struct plan_forward f = {.recipient = recipient};

	if (plan->forward_count == PLAN_FORWARDS_MAX ||
		plan->forward_bytes + address.len > PLAN_FORWARDS_BYTES)
		return FAULT_BUDGET;
	if (!reserve(&plan->forwards, plan->forward_count, &plan->forward_room, sizeof f))
		return FAULT_NOMEM;
	if (!arena_copy(plan->arena, address, &f.address))
		return FAULT_BUDGET;
	plan->forwards[plan->forward_count++] = f;
	plan->forward_bytes += address.len;
	return FAULT_OK;
}

static enum fault
lead_to(struct plan *plan, uint32_t recipient, const struct ipc_expansion *target)
{
	if (target->kind == IPC_TARGET_ACCOUNT)
		return lead_to_account(plan, recipient, target);
	if (target->kind == IPC_TARGET_FORWARD)
		return lead_to_forward(plan, recipient, target->address);
	return FAULT_PEER_PROTOCOL;
}

void
plan_expand(struct plan *plan, uint32_t index, const struct ipc_expanded *expanded)
{
	if (expanded->target_count == 0)
		plan_fail(plan, index, FAULT_NO_SUCH_USER);
	for (uint32_t i = 0; i < expanded->target_count; i++) {
		enum fault fault = lead_to(plan, index, &expanded->targets[i]);
		if (fault != FAULT_OK)
			plan_fail(plan, index, fault);
	}
}

void
plan_stored(struct plan *plan, size_t target, enum fault fault)
{
	for (size_t i = 0; i < plan->pair_count; i++) {
		if (plan->pairs[i].target != target)
			continue;
		if (fault == FAULT_OK)
			plan->recipients[plan->pairs[i].recipient].stored = true;
		else
			plan_fail(plan, plan->pairs[i].recipient, fault);
	}
}

static bool
is_settled(const struct plan *plan, const struct plan_forward *forward)
{
	enum fault fault = plan->recipients[forward->recipient].fault;

	return fault == FAULT_OK || !fault_is_temporary(fault);
}

bool
plan_forward_counts(const struct plan *plan, size_t forward)
{
	const struct plan_forward *f = &plan->forwards[forward];

	if (!is_settled(plan, f))
		return false;
	for (size_t i = 0; i < forward; i++)
		if (is_settled(plan, &plan->forwards[i]) &&
			slice_equal(plan->forwards[i].address, f->address))
			return false;
	return true;
}
