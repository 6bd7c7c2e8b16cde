/* SPDX-License-Identifier: ISC */
/*
 * Accepts on one listening socket.  When descriptors or memory run out it rests for a moment
 * instead of spinning on a socket that stays readable.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "common/base/fault.h"
#include "common/net/address.h"

struct event_base;
struct listener;

enum { LISTENER_REST_MS = 100 };

struct listener_setup {
	struct event_base *base;
	int fd; /* listening; becomes the listener's, also on failure */
	/* A new connection: fd is the callee's, non-blocking and close-on-exec. */
	void (*accepted)(void *arg, int fd, const struct peer_address *from);
	void *arg;
};

struct listener *listener_new(const struct listener_setup *);
/* Stops and closes the socket; accepts NULL. */
void listener_free(struct listener *);

#endif
