/* SPDX-License-Identifier: ISC */
/* What deliverd asks: who gets the mail of a recipient. */
#include "authd/authd.h"

static enum fault
copy_targets(const struct expansions *found, struct arena *arena, struct ipc_expanded *answer)
{
	answer->targets = arena_array(arena, found->count, sizeof *answer->targets);
	if (answer->targets == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < found->count; i++) {
		const struct expansion *e = &found->list[i];
		answer->targets[i] = (struct ipc_expansion){
			.kind = e->kind == EXPANSION_ACCOUNT ? IPC_TARGET_ACCOUNT
							     : IPC_TARGET_FORWARD,
			.account = e->account,
			.address = e->address,
			.detail = e->detail,
			.public_key = e->public_key,
		};
	}
	answer->target_count = (uint32_t)found->count;
	return FAULT_OK;
}

void
on_expand(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_address *asked = message->payload;
	struct ipc_expanded answer = {0};
	struct expansions found;
	struct arena arena;

	(void)daemon;
	a->look_ups++;
	arena_init(&arena, DIRECTORY_ARENA);
	enum fault fault = directory_expand(a->directory, asked->address, &arena, &found);
	if (fault == FAULT_OK)
		fault = copy_targets(&found, &arena, &answer);
	answer.fault = (uint32_t)fault;
	ipc_answer_EXPANDED(ipc_origin_of(link, message), &answer, -1);
	arena_clear(&arena);
}
