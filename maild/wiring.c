/* SPDX-License-Identifier: ISC */
/*
 * What a process gets from maild before it may open anything: its part of the config, and its
 * sockets to the other processes.  Nothing else ties two processes together.
 */
#include "maild/maild.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"

enum { SETTING_VALUE_MAX = 65536 };

static enum fault
send_settings(struct child *child)
{
	const struct settings *settings = &child->maild->config.settings;
	enum fault fault = FAULT_OK;
	struct buffer value;

	buffer_init(&value, SETTING_VALUE_MAX);
	for (unsigned i = 0; i < setting_count() && fault == FAULT_OK; i++) {
		struct ipc_setting setting = {.name = slice_text(setting_row(i)->name)};

		buffer_reset(&value);
		settings_format(settings, i, &value);
		setting.value = buffer_slice(&value);
		fault = buffer_fault(&value);
		if (fault == FAULT_OK)
			fault = ipc_send_SETTING(child->link, 0, &setting, -1);
	}
	buffer_clear(&value);
	return fault;
}

static enum fault
send_routes(struct child *child)
{
	const struct config *config = &child->maild->config;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < config->route_count && fault == FAULT_OK; i++) {
		const struct config_route *r = &config->routes[i];
		struct ipc_route route = {
			.domain = slice_text(r->domain),
			.host = slice_text(r->host),
			.port = r->port,
			.tls = r->tls,
			.user = slice_text(r->user),
			.password = slice_text(r->password),
		};

		fault = ipc_send_ROUTE(child->link, 0, &route, -1);
	}
	return fault;
}

static enum fault
send_key_files(struct child *child)
{
	const struct config *config = &child->maild->config;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < config->certificate_count && fault == FAULT_OK; i++) {
		struct ipc_key_file file = {
			.certificate = slice_text(config->certificates[i].chain),
			.key = slice_text(config->certificates[i].key),
		};

		fault = ipc_send_KEY_FILE(child->link, 0, &file, -1);
	}
	return fault;
}

static enum fault
send_listeners(struct child *child)
{
	const struct maild *m = child->maild;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < m->listener_count && fault == FAULT_OK; i++) {
		const struct listener *l = &m->listeners[i];
		char text[CONFIG_ADDRESS_TEXT_MAX];
		struct ipc_listener listener = {
			.service = l->service,
			.address = slice_text(config_address_format(&l->address, text)),
		};

		if (service_row(l->service)->process == child->row->process)
			fault = ipc_send_LISTENER(child->link, 0, &listener, l->fd);
	}
	return fault;
}

enum fault
wiring_configure(struct child *child)
{
	enum process process = child->row->process;
	enum fault fault = send_settings(child);

	if (fault == FAULT_OK && process == PROCESS_RELAYD)
		fault = send_routes(child);
	if (fault == FAULT_OK && process == PROCESS_AUTHD)
		fault = send_key_files(child);
	if (fault == FAULT_OK)
		fault = send_listeners(child);
	return fault;
}

static enum fault
connect_pair(struct child *a, struct child *b)
{
	struct ipc_peer to_a = {(uint32_t)b->row->process, b->instance};
	struct ipc_peer to_b = {(uint32_t)a->row->process, a->instance};
	enum fault fault;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return FAULT_IO;
	fault = ipc_send_PEER(a->link, 0, &to_a, fds[0]);
	if (fault == FAULT_OK)
		fault = ipc_send_PEER(b->link, 0, &to_b, fds[1]);
	close(fds[0]);
	close(fds[1]);
	return fault;
}

enum fault
wiring_connect(struct child *child)
{
	struct maild *m = child->maild;
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < m->child_count && fault == FAULT_OK; i++) {
		struct child *other = &m->children[i];

		if (other->wired && other->link != NULL && other != child &&
			process_is_linked(child->row->process, other->row->process))
			fault = connect_pair(child, other);
	}
	child->wired = fault == FAULT_OK;
	return fault;
}
