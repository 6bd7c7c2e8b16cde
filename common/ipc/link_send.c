/* SPDX-License-Identifier: ISC */
/* Frames out.  They are gathered until the end of the event-loop turn. */
#include "common/ipc/link_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/secret.h"

enum { WRITE_FRAMES = 32 };

struct frame {
	struct frame *next;
	int fd;
	size_t len;
	size_t sent;
	char bytes[];
};

static void
frame_free(struct frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	/* It may have carried a password. */
	secret_wipe(frame->bytes, frame->len);
	free(frame);
}

void
frames_drop(struct ipc_link *link)
{
	while (link->first != NULL) {
		struct frame *next = link->first->next;
		frame_free(link->first);
		link->first = next;
	}
	link->last = &link->first;
	link->queued = 0;
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

void
link_on_writable(evutil_socket_t fd, short what, void *arg)
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

static struct frame *
frame_new(enum ipc_type type, uint64_t request, struct slice payload, int fd)
{
	struct frame *frame = malloc(sizeof *frame + IPC_HEADER_LEN + payload.len);

	if (frame == NULL)
		return NULL;
	*frame = (struct frame){.fd = -1, .len = IPC_HEADER_LEN + payload.len};
	put_u32(frame->bytes, (uint32_t)payload.len);
	put_u16(frame->bytes + 4, (uint16_t)type);
	put_u16(frame->bytes + 6, fd >= 0 ? LINK_FLAG_FD : 0);
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

	if (row == NULL || !link_may_go(row, link->self, link->other) ||
		!link_descriptor_fits(row, fd >= 0))
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
