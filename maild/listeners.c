/* SPDX-License-Identifier: ISC */
/* Listening sockets: bound here, by root, and handed to the processes that accept on them. */
#include "maild/maild.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

enum { BACKLOG = 1024 };

static bool
is_same(const struct config_listen *listen, const struct listener *l)
{
	return listen->service == l->service && listen->address.port == l->address.port &&
		peer_address_equal(&listen->address, &l->address);
}

static const struct listener *
find_bound(const struct maild *m, const struct config_listen *listen)
{
	for (size_t i = 0; i < m->listener_count; i++) {
		if (is_same(listen, &m->listeners[i]))
			return &m->listeners[i];
	}
	return NULL;
}

static bool
is_listed(const struct config *config, const struct listener *l)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		if (is_same(&config->listens[i], l))
			return true;
	}
	return false;
}

/* The socket, or -1 with errno. */
static int
bind_one(const struct peer_address *address)
{
	struct sockaddr_storage to;
	socklen_t len = peer_address_to(address, &to);
	int one = 1;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* [::] and 0.0.0.0 are listed apart and must not collide. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
		(to.ss_family != AF_INET6 ||
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
		bind(fd, (const struct sockaddr *)&to, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
close_from(struct maild *m, size_t first)
{
	while (m->listener_count > first)
		close(m->listeners[--m->listener_count].fd);
}

/* A machine without IPv6 gets the usual listeners without it. */
static bool
may_be_missing(const struct config *config, const struct config_listen *listen)
{
	return config->listens_by_default && listen->address.family == PEER_IPV6 &&
		(errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
}

enum fault
listeners_open(struct maild *m, const struct config *config)
{
	size_t before = m->listener_count;
	char text[CONFIG_ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *wanted = &config->listens[i];
		int fd;

		if (find_bound(m, wanted) != NULL)
			continue;
		fd = m->listener_count < CONFIG_LISTENS_MAX ? bind_one(&wanted->address) : -1;
		if (fd < 0 && may_be_missing(config, wanted))
			continue;
		if (fd < 0) {
			log_error("listen %s: %s: %s", service_row(wanted->service)->name,
				config_address_format(&wanted->address, text), strerror(errno));
			close_from(m, before);
			return FAULT_CONFIG;
		}
		m->listeners[m->listener_count++] =
			(struct listener){wanted->service, wanted->address, fd};
	}
	return FAULT_OK;
}

void
listeners_close_unlisted(struct maild *m, const struct config *config)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->listener_count; i++) {
		if (is_listed(config, &m->listeners[i]))
			m->listeners[kept++] = m->listeners[i];
		else
			close(m->listeners[i].fd);
	}
	m->listener_count = kept;
}

void
listeners_close(struct maild *m)
{
	close_from(m, 0);
}
