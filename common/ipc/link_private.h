/* SPDX-License-Identifier: ISC */
/* What link.c (its life), link_send.c and link_receive.c share. */
#ifndef IPC_LINK_PRIVATE_H
#define IPC_LINK_PRIVATE_H

#include <event2/event_struct.h>

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/ipc/codec.h"
#include "common/ipc/link.h"

enum {
	LINK_FLAG_FD = 1, /* a descriptor comes with this frame */
	LINK_READ_SIZE = 64 * 1024,
	LINK_FDS_MAX = 128, /* descriptors received and not yet claimed by their frames */
};

struct frame;

struct ipc_link {
	uint64_t id;
	struct ipc_link *next; /* all links of this process */
	struct event_base *base;
	struct event readable, writable;
	struct event more; /* whole frames are left over from the last turn */
	struct event flush; /* activated when frames wait; runs at the end of the turn */
	int fd;
	enum process self, other;
	uint32_t instance;
	bool instance_known;
	bool greeted;
	bool was_full;
	bool broken; /* no more reading or writing */
	bool freed; /* ipc_link_free was called while handlers ran */
	unsigned busy; /* handlers that run now */
	struct ipc_link_events events;
	struct buffer in;
	int fds[LINK_FDS_MAX];
	size_t fd_count;
	struct frame *first, **last;
	size_t queued; /* bytes */
	struct arena arena;
};

/* A handler of the owner runs between enter and leave: it may free the link. */
void link_enter(struct ipc_link *);
void link_leave(struct ipc_link *);
/* Closes and tells the owner, once. */
void link_lose(struct ipc_link *, enum fault);
/* The table allows this message from one to the other. */
bool link_may_go(const struct ipc_row *, enum process from, enum process to);
bool link_descriptor_fits(const struct ipc_row *, bool has_fd);
/* Frees all frames that wait. */
void frames_drop(struct ipc_link *);

/* Event callbacks. */
void link_on_readable(evutil_socket_t, short what, void *arg);
void link_on_writable(evutil_socket_t, short what, void *arg);

#endif
