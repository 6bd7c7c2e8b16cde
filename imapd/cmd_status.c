/* SPDX-License-Identifier: ISC */
/* STATUS (RFC 3501 6.3.10).  Linked by imapd. */
#include "imapd/mailbox.h"

bool
parse_status(struct imap_command *command, struct cursor *c)
{
	return take_sp(c) && take_astring(c, &command->arena, &command->arguments.status.mailbox) &&
		take_sp(c) && take_status_items(c, &command->arguments.status.items);
}

void
cmd_status(struct imap_session *s)
{
	struct store_mailbox mailbox;
	enum fault fault = mailbox_find(s, s->command.arguments.status.mailbox, &mailbox);

	if (fault == FAULT_OK)
		status_format(&mailbox, s->command.arguments.status.items, &s->out);
	session_finish_fault(s, fault);
}
