/* SPDX-License-Identifier: ISC */
/* Pending calls: used by link.c alone. */
#ifndef IPC_CALL_H
#define IPC_CALL_H

#include "common/ipc/link.h"

/* Ends the call of this id with an answer; false when there is none that waits for this type on
 * this link. */
bool call_finish(uint64_t link, struct ipc_message *, const void *payload);
/* Ends every call on the link with the fault. */
void call_fail_all(uint64_t link, enum fault);

#endif
