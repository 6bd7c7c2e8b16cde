/* SPDX-License-Identifier: ISC */
/* The private state of deliverd. */
#ifndef DELIVERD_DELIVERD_H
#define DELIVERD_DELIVERD_H

#include "common/ipc/daemon.h"
#include "common/store/body.h"
#include "common/store/seal.h"

struct delivery;

struct deliverd {
	struct daemon *daemon;
	struct body_packer *packer;
	struct seal_ring *ring; /* content keys of accounts whose mail is encrypted */
	struct event *sweep_timer; /* of the ring */
	struct delivery *deliveries; /* in flight */
	unsigned delivery_count;
	uint64_t bytes_held; /* of messages in flight, against settings.message_memory */
	uint64_t sealed_bytes; /* of sealed copies on their way to mailboxd, of all deliveries */
	uint64_t messages, recipients, stored, failed, deferred, forwarded; /* since the start */
	bool stopping;
};

enum fault deliverd_sandbox(struct daemon *, void *state);

/* on_queued.c */
void on_deliver(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);

#endif
