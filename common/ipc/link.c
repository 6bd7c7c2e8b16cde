/* SPDX-License-Identifier: ISC */
/*
 * Frames over a socketpair.  Writing is gathered until the end of the event-loop turn; reading
 * takes whole frames and checks them as link.h says.  The other process may have been broken into:
 * nothing that it sends can do more than cost it the link.
 */
#include "common/ipc/link.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/ipc/call.h"
#include "common/ipc/codec.h"

enum {
	FLAG_FD = 1, /* a descriptor comes with this frame */
	READ_SIZE = 64 * 1024,
	READ_FDS = 64, /* most descriptors taken by one recvmsg; the kernel's limit is 253 */
	FDS_MAX = 128, /* descriptors received and not yet claimed by their frames */
	WRITE_FRAMES = 32,
	DECODE_BUDGET = 4 * 1024 * 1024,
	TURN_MS = 10, /* of handling what one link sent: then the others have their turn */
};

struct frame {
	struct frame *next;
	int fd;
	size_t len;
	size_t sent;
	char bytes[];
};

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
	int fds[FDS_MAX];
	size_t fd_count;
	struct frame *first, **last;
	size_t queued; /* bytes */
	struct arena arena;
};

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

static void
frame_free(struct frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	/* It may have carried a password. */
	secret_wipe(frame->bytes, frame->len);
	free(frame);
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
	while (link->first != NULL) {
		struct frame *next = link->first->next;
		frame_free(link->first);
		link->first = next;
	}
	link->last = &link->first;
	link->queued = 0;
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

/* A handler of the owner runs between enter and leave: it may free the link. */
static void
link_enter(struct ipc_link *link)
{
	link->busy++;
}

static void
link_leave(struct ipc_link *link)
{
	link->busy--;
	if (link->busy == 0 && link->freed)
		link_release(link);
}

static void
link_lose(struct ipc_link *link, enum fault fault)
{
	if (link->broken)
		return;
	link_shut(link, fault);
	link->events.lost(link->events.arg, link, fault);
}

static void
frame_sent(struct ipc_link *link, size_t n)
{
	link->queued -= n;
	while (link->first != NULL) {
		struct frame *frame = link->first;
		size_t left = frame->len - frame->sent;
		if (n < left) {
			frame->sent += n;
			/* The descriptor went with the first byte. */
			if (n > 0 && frame->fd >= 0) {
				close(frame->fd);
				frame->fd = -1;
			}
			return;
		}
		n -= left;
		link->first = frame->next;
		frame_free(frame);
	}
	link->last = &link->first;
}

/* One sendmsg: frames up to the next that carries a descriptor.  False when no more can go now. */
static bool
write_frames(struct ipc_link *link)
{
	struct iovec parts[WRITE_FRAMES];
	size_t count = 0;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = parts};

	for (struct frame *f = link->first; f != NULL && count < WRITE_FRAMES; f = f->next) {
		if (f->fd >= 0 && count > 0)
			break;
		parts[count].iov_base = f->bytes + f->sent;
		parts[count].iov_len = f->len - f->sent;
		count++;
	}
	if (count == 0)
		return false;
	message.msg_iovlen = count;
	if (link->first->fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control.space;
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &link->first->fd, sizeof(int));
	}
	ssize_t n = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS)) {
		event_add(&link->writable, NULL);
		return false;
	}
	if (n < 0) {
		link_lose(link, FAULT_PEER_LOST);
		return false;
	}
	frame_sent(link, (size_t)n);
	return true;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ipc_link *link = arg;

	(void)fd;
	(void)what;
	link_enter(link);
	while (!link->broken && write_frames(link))
		continue;
	if (!link->broken && link->was_full && link->queued < IPC_QUEUE_FULL / 2) {
		link->was_full = false;
		if (link->events.drained != NULL)
			link->events.drained(link->events.arg, link);
	}
	link_leave(link);
}

void
ipc_link_flush(struct ipc_link *link, int timeout_ms)
{
	link_enter(link);
	while (!link->broken && link->first != NULL) {
		struct pollfd poller = {.fd = link->fd, .events = POLLOUT};
		if (poll(&poller, 1, timeout_ms) <= 0)
			break;
		write_frames(link);
	}
	link_leave(link);
}

static bool
may_go(const struct ipc_row *row, enum process from, enum process to)
{
	return (row->from & 1u << from) != 0 && (row->to & 1u << to) != 0;
}

static bool
descriptor_fits(const struct ipc_row *row, bool has_fd)
{
	return row->descriptor == IPC_MAY_FD || (row->descriptor == IPC_FD) == has_fd;
}

static struct frame *
frame_new(enum ipc_type type, uint64_t request, struct slice payload, int fd)
{
	struct frame *frame = malloc(sizeof *frame + IPC_HEADER_LEN + payload.len);

	if (frame == NULL)
		return NULL;
	*frame = (struct frame){.fd = -1, .len = IPC_HEADER_LEN + payload.len};
	put_u32(frame->bytes, (uint32_t)payload.len);
	put_u16(frame->bytes + 4, (uint16_t)type);
	put_u16(frame->bytes + 6, fd >= 0 ? FLAG_FD : 0);
	put_u64(frame->bytes + 8, request);
	if (payload.len > 0)
		memcpy(frame->bytes + IPC_HEADER_LEN, payload.data, payload.len);
	if (fd >= 0) {
		frame->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (frame->fd < 0) {
			free(frame);
			return NULL;
		}
	}
	return frame;
}

static void
frame_queue(struct ipc_link *link, struct frame *frame)
{
	*link->last = frame;
	link->last = &frame->next;
	link->queued += frame->len;
	if (ipc_link_is_full(link))
		link->was_full = true;
	if (!event_pending(&link->writable, EV_WRITE, NULL))
		event_active(&link->flush, EV_WRITE, 1);
}

enum fault
ipc_send(struct ipc_link *link, enum ipc_type type, uint64_t request, const void *payload, int fd)
{
	const struct ipc_row *row = ipc_row(type);
	struct buffer bytes;

	if (row == NULL || !may_go(row, link->self, link->other) || !descriptor_fits(row, fd >= 0))
		return FAULT_DENIED;
	if (link->broken)
		return FAULT_PEER_LOST;
	buffer_init(&bytes, IPC_PAYLOAD_MAX);
	enum fault fault = ipc_encode(row->layout, payload, &bytes);
	if (fault == FAULT_BUDGET)
		fault = FAULT_TOO_LONG;
	if (fault == FAULT_OK && link->queued + buffer_len(&bytes) > IPC_QUEUE_MAX)
		fault = FAULT_BUSY;
	if (fault == FAULT_OK) {
		struct frame *frame = frame_new(type, request, buffer_slice(&bytes), fd);
		if (frame != NULL)
			frame_queue(link, frame);
		else
			fault = FAULT_NOMEM;
	}
	if (bytes.data != NULL)
		secret_wipe(bytes.data, bytes.size);
	buffer_clear(&bytes);
	return fault;
}

void
ipc_answer(struct ipc_origin origin, enum ipc_type type, const void *payload, int fd)
{
	struct ipc_link *link = origin.link != 0 ? ipc_link_find(origin.link) : NULL;

	if (link == NULL)
		return;
	enum fault fault = ipc_send(link, type, origin.request, payload, fd);
	if (fault != FAULT_OK)
		log_warning("%s to %s not sent: %s", ipc_type_name(type), process_name(link->other),
			fault_text(fault));
}

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

	if (row == NULL || (flags & ~(unsigned)FLAG_FD) != 0 ||
		!may_go(row, link->other, link->self) ||
		!descriptor_fits(row, (flags & FLAG_FD) != 0))
		return false;
	if ((flags & FLAG_FD) != 0 && (message.fd = claim_fd(link)) < 0)
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
			if (link->fd_count < FDS_MAX) {
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
		.iov_base = buffer_reserve(&link->in, READ_SIZE), .iov_len = READ_SIZE};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.space};

	ssize_t n = part.iov_base == NULL ? -1 : recvmsg(link->fd, &message, MSG_CMSG_CLOEXEC);
	if (n > 0) {
		buffer_added(&link->in, (size_t)n);
		if (!keep_fds(link, &message))
			link_lose(link, FAULT_PEER_PROTOCOL);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		link_lose(link, FAULT_PEER_LOST);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
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
	buffer_init(&link->in, IPC_HEADER_LEN + IPC_PAYLOAD_MAX + READ_SIZE);
	arena_init(&link->arena, DECODE_BUDGET);
	event_assign(&link->readable, base, fd, EV_READ | EV_PERSIST, on_readable, link);
	event_assign(&link->writable, base, fd, EV_WRITE, on_writable, link);
	event_assign(&link->more, base, -1, 0, on_readable, link);
	event_assign(&link->flush, base, -1, 0, on_writable, link);
	link->next = links;
	links = link;
	event_add(&link->readable, NULL);
	if (ipc_send_HELLO(link, 0, &hello, -1) != FAULT_OK) {
		ipc_link_free(link);
		return NULL;
	}
	return link;
}
