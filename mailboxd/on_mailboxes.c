/* SPDX-License-Identifier: ISC */
/* Requests about accounts and mailboxes.  Names come from clients; the store checks them. */
#include "mailboxd/mailboxd.h"

void
on_account_ensure(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_account_ensure *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);

	if (answer == NULL)
		return;
	struct ipc_done *done = answer->payload;
	done->fault = (uint32_t)writer_account_ensure(
		m->writer, request->account, (uint64_t)daemon_settings(d)->account_quota);
	batch_leave(m, 0);
}

void
on_mailbox_create(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_mailbox_create *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);
	struct writer_create create = {.account = request->account,
		.name = request->name,
		.special_use = (enum store_special_use)request->special_use};

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_mailbox_done *done = answer->payload;
	done->fault = request->special_use < STORE_USE_COUNT
		? (uint32_t)writer_mailbox_create(m->writer, &create)
		: FAULT_PEER_PROTOCOL;
	done->mailbox = create.id;
	batch_leave(m, 0);
}

void
on_mailbox_delete(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_mailbox_name *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_mailbox_done *done = answer->payload;
	done->fault = (uint32_t)writer_mailbox_delete(m->writer, request->account, request->name);
	batch_leave(m, 0);
}

void
on_mailbox_rename(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_mailbox_rename *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_mailbox_done *done = answer->payload;
	done->fault = (uint32_t)writer_mailbox_rename(
		m->writer, request->account, request->from, request->to);
	batch_leave(m, 0);
}

void
on_mailbox_subscribe(
	struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_mailbox_subscribe *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_mailbox_done *done = answer->payload;
	done->fault = (uint32_t)writer_subscribe(
		m->writer, request->account, request->name, request->subscribed);
	batch_leave(m, 0);
}
