/* SPDX-License-Identifier: ISC */
/*
 * One message on its way into mailboxes:
 *
 *	DELIVER ─► expanding (an EXPAND per recipient) ─► appending (APPENDs) ─► DELIVERED
 *
 * Delivery ids are message id | account: whatever an alias says at the next try, an account
 * that has the message never gets it again.
 */
#ifndef DELIVERD_DELIVERY_H
#define DELIVERD_DELIVERY_H

#include "deliverd/deliverd.h"

/*
 * Starts it; it answers origin by itself, exactly once.  fd (a sealed memfd) becomes its own, also
 * on a fault.  FAULT_BUDGET when message_memory is used up.
 */
MUST_USE enum fault delivery_start(
	struct deliverd *, struct ipc_origin, const struct ipc_deliver *, int fd);
/* Drops all without an answer. */
void deliveries_free(struct deliverd *);
/* Appends the 16 bytes to id. */
void delivery_id_make(uint64_t message, uint64_t account, uint8_t id[static IPC_DELIVERY_ID_LEN]);

#endif
