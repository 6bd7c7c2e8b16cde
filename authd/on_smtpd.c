/* SPDX-License-Identifier: ISC */
/* What smtpd asks about addresses: at RCPT whether one is ours, at MAIL whether a user may use it.
 */
#include "authd/authd.h"

void
on_recipient_check(
	struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_address *asked = message->payload;
	struct ipc_recipient_checked answer = {0};
	struct expansions found;
	struct arena arena;

	(void)daemon;
	a->look_ups++;
	arena_init(&arena, DIRECTORY_ARENA);
	answer.fault = (uint32_t)directory_expand(a->directory, asked->address, &arena, &found);
	arena_clear(&arena);
	ipc_answer_RECIPIENT_CHECKED(ipc_origin_of(link, message), &answer, -1);
}

void
on_sender_check(
	struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct authd *a = state;
	const struct ipc_sender_check *asked = message->payload;
	struct ipc_done answer = {.text = SLICE("")};
	struct arena arena;

	(void)daemon;
	a->look_ups++;
	/* The account's own record and the expansion, one after the other. */
	arena_init(&arena, 2 * (size_t)DIRECTORY_ARENA);
	answer.fault =
		(uint32_t)directory_may_send(a->directory, asked->account, asked->address, &arena);
	arena_clear(&arena);
	ipc_answer_SENDER_CHECKED(ipc_origin_of(link, message), &answer, -1);
}
