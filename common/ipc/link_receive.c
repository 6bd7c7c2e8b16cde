/* SPDX-License-Identifier: ISC */
/*
 * Frames in, checked as link.h says.  The other process may have been broken into: nothing that it
 * sends can do more than cost it the link.
 */
#include "common/ipc/link_private.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/ipc/call.h"

enum {
	READ_FDS = 64, /* most descriptors taken by one recvmsg; the kernel's limit is 253 */
	TURN_MS = 10, /* of handling what one link sent: then the others have their turn */
};

static bool
accept_hello(struct ipc_link *link, const struct ipc_message *message)
{
	const struct ipc_hello *hello = message->payload;

	if (message->type != IPC_HELLO || hello->table_hash != ipc_table_hash() ||
		hello->process != (uint32_t)link->other ||
		(link->instance_known && hello->instance != link->instance))
		return false;
	link->greeted = true;
	link->instance = hello->instance;
	if (link->events.up != NULL)
		link->events.up(link->events.arg, link);
	return true;
}

/* The meaning of a checked message. */
static bool
dispatch(struct ipc_link *link, struct ipc_message *message)
{
	if (!link->greeted)
		return accept_hello(link, message);
	if (message->type == IPC_HELLO)
		return false;
	if (!ipc_type_is_answer(message->type))
		link->events.message(link->events.arg, link, message);
	else if (!call_finish(link->id, message, message->payload))
		log_debug("late %s from %s dropped", ipc_type_name(message->type),
			process_name(link->other));
	return true;
}

/* The first received descriptor, or -1. */
static int
claim_fd(struct ipc_link *link)
{
	if (link->fd_count == 0)
		return -1;
	int fd = link->fds[0];
	link->fd_count--;
	memmove(link->fds, link->fds + 1, link->fd_count * sizeof link->fds[0]);
	return fd;
}

static bool
take_frame(struct ipc_link *link, struct slice header, struct slice payload)
{
	unsigned type = get_u16(header.data + 4), flags = get_u16(header.data + 6);
	const struct ipc_row *row = ipc_row(type);
	struct ipc_message message = {(enum ipc_type)type, get_u64(header.data + 8), NULL, -1};
	void *decoded;

	if (row == NULL || (flags & ~(unsigned)LINK_FLAG_FD) != 0 ||
		!link_may_go(row, link->other, link->self) ||
		!link_descriptor_fits(row, (flags & LINK_FLAG_FD) != 0))
		return false;
	if ((flags & LINK_FLAG_FD) != 0 && (message.fd = claim_fd(link)) < 0)
		return false;
	bool good = ipc_decode(row->layout, payload, &link->arena, &decoded) == FAULT_OK;
	message.payload = decoded;
	good = good && dispatch(link, &message);
	arena_clear(&link->arena);
	if (message.fd >= 0)
		close(message.fd);
	if (!good)
		log_warning("%s broke the rules with %s", process_name(link->other), row->name);
	return good;
}

/* A whole frame waits, or the start of one that can be judged already. */
static bool
has_frame(const struct ipc_link *link)
{
	struct slice bytes = buffer_slice(&link->in);

	if (bytes.len < IPC_HEADER_LEN)
		return false;
	uint32_t len = get_u32(bytes.data);
	return len > IPC_PAYLOAD_MAX || bytes.len - IPC_HEADER_LEN >= len;
}

static void
take_next(struct ipc_link *link)
{
	struct slice bytes = buffer_slice(&link->in);
	uint32_t len = get_u32(bytes.data);

	if (len > IPC_PAYLOAD_MAX) {
		link_lose(link, FAULT_PEER_PROTOCOL);
		return;
	}
	struct slice payload = slice_make(bytes.data + IPC_HEADER_LEN, len);
	bool good = take_frame(link, slice_first(bytes, IPC_HEADER_LEN), payload);
	/* It may have carried a password. */
	secret_wipe(link->in.data + link->in.start, IPC_HEADER_LEN + len);
	buffer_consume(&link->in, IPC_HEADER_LEN + len);
	if (!good)
		link_lose(link, FAULT_PEER_PROTOCOL);
}

/* Whoever asks for much work at once (signatures) waits himself, and not the others. */
static void
take_frames(struct ipc_link *link)
{
	int64_t until = clock_mono_ms(&clock_system) + TURN_MS;
	/* A timer, because libevent looks at no descriptor while an event makes itself active. */
	const struct timeval next_turn = {0};

	while (!link->broken && has_frame(link)) {
		if (clock_mono_ms(&clock_system) >= until) {
			event_add(&link->more, &next_turn);
			return;
		}
		take_next(link);
	}
}

/* False when there are more descriptors than frames can have sent honestly. */
static bool
keep_fds(struct ipc_link *link, struct msghdr *message)
{
	bool good = (message->msg_flags & MSG_CTRUNC) == 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (link->fd_count < LINK_FDS_MAX) {
				link->fds[link->fd_count++] = fd;
			} else {
				close(fd);
				good = false;
			}
		}
	}
	return good;
}

static void
receive(struct ipc_link *link)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(READ_FDS * sizeof(int))];
	} control;
	struct iovec part = {
		.iov_base = buffer_reserve(&link->in, LINK_READ_SIZE), .iov_len = LINK_READ_SIZE};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.space};

	if (part.iov_base == NULL) {
		link_lose(link, buffer_fault(&link->in));
		return;
	}
	ssize_t n = recvmsg(link->fd, &message, MSG_CMSG_CLOEXEC);
	if (n > 0) {
		buffer_added(&link->in, (size_t)n);
		if (!keep_fds(link, &message))
			link_lose(link, FAULT_PEER_PROTOCOL);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		link_lose(link, FAULT_PEER_LOST);
	}
}

void
link_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_link *link = arg;

	(void)fd;
	(void)what;
	link_enter(link);
	if (!has_frame(link))
		receive(link);
	take_frames(link);
	if (buffer_len(&link->in) == 0)
		buffer_clear(&link->in);
	link_leave(link);
}
