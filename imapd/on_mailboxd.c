/* SPDX-License-Identifier: ISC */
/* What mailboxd sends by itself: hints that something has changed.  Linked by imapd. */
#include "imapd/imapd.h"

void
on_changed(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_changed *changed = message->payload;

	(void)daemon;
	(void)link;
	for (uint32_t i = 0; i < changed->change_count; i++)
		imapd_account_changed(
			state, changed->changes[i].account, changed->changes[i].mailbox);
}
