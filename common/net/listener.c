/* SPDX-License-Identifier: ISC */
/* Accepting.  The listening sockets come from maild; this process cannot make any. */
#include "common/net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/base/log.h"

struct listener {
	struct listener_setup setup;
	struct event accept_event, rest_event;
};

static void
rest(struct listener *l, int error)
{
	struct timeval tv = {.tv_usec = LISTENER_REST_MS * 1000};

	log_warning("accept: %s; resting", strerror(error));
	event_del(&l->accept_event);
	evtimer_add(&l->rest_event, &tv);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(&l->accept_event, NULL);
}

static bool
out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void
accept_one(struct listener *l)
{
	struct sockaddr_storage from = {0};
	struct peer_address peer;
	socklen_t len = sizeof from;
	int fd = accept4(l->setup.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Else it has died in the queue, or another worker has it. */
		if (out_of_resources(errno))
			rest(l, errno);
		return;
	}
	if (peer_address_from(&peer, (const struct sockaddr *)&from, len) != FAULT_OK)
		close(fd);
	else
		l->setup.accepted(l->setup.arg, fd, &peer);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	/* One a turn: of the workers on this socket the one with less to do takes the next. */
	accept_one(arg);
}

struct listener *
listener_new(const struct listener_setup *setup)
{
	struct listener *l = calloc(1, sizeof *l);

	if (l == NULL || evutil_make_socket_nonblocking(setup->fd) != 0) {
		close(setup->fd);
		free(l);
		return NULL;
	}
	l->setup = *setup;
	event_assign(
		&l->accept_event, setup->base, setup->fd, EV_READ | EV_PERSIST, on_acceptable, l);
	evtimer_assign(&l->rest_event, setup->base, on_rested, l);
	event_add(&l->accept_event, NULL);
	return l;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	event_del(&l->accept_event);
	event_del(&l->rest_event);
	close(l->setup.fd);
	free(l);
}
