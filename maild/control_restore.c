/* SPDX-License-Identifier: ISC */
/*
 * Messages of a backup go from mailctl to mailboxd, which cannot read the backup itself.  maild
 * looks into nothing: the frame was checked, and mailboxd checks what it says.
 */
#include <stdlib.h>

#include "maild/maild.h"

enum { RESTORE_MS = 150000 }; /* a full batch on a slow disk */

static void
on_restored(void *arg, const struct ipc_answer *answer)
{
	struct ipc_origin *origin = arg;
	const struct ipc_restored *restored = answer->payload;
	struct ipc_restored failed = {(uint32_t)answer->fault, 0};

	ipc_answer_RESTORED(*origin, restored != NULL ? restored : &failed, -1);
	free(origin);
}

void
control_restore(struct maild *m, struct ipc_link *link, struct ipc_message *message)
{
	struct child *child = child_next(m, PROCESS_MAILBOXD, NULL);
	struct ipc_origin *origin = malloc(sizeof(*origin));
	struct ipc_restored failed = {FAULT_NOMEM, 0};

	if (origin == NULL) {
		ipc_answer_RESTORED(ipc_origin_of(link, message), &failed, -1);
		return;
	}
	*origin = ipc_origin_of(link, message);
	ipc_call(m->base, child != NULL ? child->link : NULL, IPC_RESTORE, message->payload,
		message->fd, RESTORE_MS, on_restored, origin);
}
