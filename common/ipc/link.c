/* SPDX-License-Identifier: ISC */
/* The life of a link: made, found, lost, freed.  Linked by every process. */
#include "common/ipc/link_private.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/ipc/call.h"

enum { DECODE_BUDGET = 4 * 1024 * 1024 };

static struct ipc_link *links;
static uint64_t last_link_id;
static uint32_t own_instance;

int
ipc_message_take_fd(struct ipc_message *message)
{
	int fd = message->fd;

	message->fd = -1;
	return fd;
}

uint64_t
ipc_link_id(const struct ipc_link *link)
{
	return link->id;
}

struct ipc_link *
ipc_link_find(uint64_t id)
{
	for (struct ipc_link *link = links; link != NULL; link = link->next) {
		if (link->id == id && !link->broken && !link->freed)
			return link;
	}
	return NULL;
}

enum process
ipc_link_process(const struct ipc_link *link)
{
	return link->other;
}

uint32_t
ipc_link_instance(const struct ipc_link *link)
{
	return link->instance;
}

void
ipc_link_expect(struct ipc_link *link, uint32_t instance)
{
	link->instance = instance;
	link->instance_known = true;
}

void
ipc_link_set_instance(uint32_t self)
{
	own_instance = self;
}

bool
ipc_link_is_full(const struct ipc_link *link)
{
	return link->queued >= IPC_QUEUE_FULL;
}

bool
link_may_go(const struct ipc_row *row, enum process from, enum process to)
{
	return (row->from & 1u << from) != 0 && (row->to & 1u << to) != 0;
}

bool
link_descriptor_fits(const struct ipc_row *row, bool has_fd)
{
	return row->descriptor == IPC_MAY_FD || (row->descriptor == IPC_FD) == has_fd;
}

static void
link_release(struct ipc_link *link)
{
	struct ipc_link **slot = &links;

	while (*slot != link)
		slot = &(*slot)->next;
	*slot = link->next;
	buffer_clear(&link->in);
	arena_clear(&link->arena);
	free(link);
}

/* Stops all traffic and closes; what waits for the link hears of it. */
static void
link_shut(struct ipc_link *link, enum fault fault)
{
	if (link->broken)
		return;
	link->broken = true;
	event_del(&link->readable);
	event_del(&link->writable);
	event_del(&link->more);
	event_del(&link->flush);
	close(link->fd);
	for (size_t i = 0; i < link->fd_count; i++)
		close(link->fds[i]);
	link->fd_count = 0;
	frames_drop(link);
	call_fail_all(link->id, fault);
}

void
ipc_link_free(struct ipc_link *link)
{
	if (link == NULL || link->freed)
		return;
	link_shut(link, FAULT_PEER_LOST);
	link->freed = true;
	if (link->busy == 0)
		link_release(link);
}

void
link_enter(struct ipc_link *link)
{
	link->busy++;
}

void
link_leave(struct ipc_link *link)
{
	link->busy--;
	if (link->busy == 0 && link->freed)
		link_release(link);
}

void
link_lose(struct ipc_link *link, enum fault fault)
{
	if (link->broken)
		return;
	link_shut(link, fault);
	link->events.lost(link->events.arg, link, fault);
}

struct ipc_link *
ipc_link_new(struct event_base *base, int fd, enum process self, enum process other,
	const struct ipc_link_events *events)
{
	struct ipc_link *link = calloc(1, sizeof *link);
	struct ipc_hello hello = {ipc_table_hash(), (uint32_t)self, own_instance};

	if (link == NULL || evutil_make_socket_nonblocking(fd) < 0) {
		free(link);
		close(fd);
		return NULL;
	}
	link->id = ++last_link_id;
	link->base = base;
	link->fd = fd;
	link->self = self;
	link->other = other;
	link->events = *events;
	link->last = &link->first;
	buffer_init(&link->in, IPC_HEADER_LEN + IPC_PAYLOAD_MAX + LINK_READ_SIZE);
	arena_init(&link->arena, DECODE_BUDGET);
	event_assign(&link->readable, base, fd, EV_READ | EV_PERSIST, link_on_readable, link);
	event_assign(&link->writable, base, fd, EV_WRITE, link_on_writable, link);
	event_assign(&link->more, base, -1, 0, link_on_readable, link);
	event_assign(&link->flush, base, -1, 0, link_on_writable, link);
	link->next = links;
	links = link;
	event_add(&link->readable, NULL);
	if (ipc_send_HELLO(link, 0, &hello, -1) != FAULT_OK) {
		ipc_link_free(link);
		return NULL;
	}
	return link;
}
