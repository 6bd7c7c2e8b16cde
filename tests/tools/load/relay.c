/* SPDX-License-Identifier: ISC */
/*
 * The relay mode: sends messages for a domain that the server relays to this very program, which
 * listens on the port smtp-port, takes them and drops them.  The clock stops with the last one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/load/message.h"
#include "tests/tools/load/smtp.h"

enum { SINK_BACKLOG = 200, POLL_MS = 2, RELAYED_MS = 120000 };

static int sink_listener;

struct sink {
	struct load *load;
	int fd;
};

static bool
take_command(struct connection *c, bool *in_data)
{
	struct slice line;

	if (!connection_try_line(c, &line))
		return false;
	if (*in_data && slice_equal(line, SLICE("."))) {
		*in_data = false;
		connection_send(c, SLICE("250 2.0.0 dropped\r\n"));
	} else if (*in_data) {
		return true;
	} else if (slice_starts_nocase(line, SLICE("EHLO"))) {
		connection_send(c,
			SLICE("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
			      "250 SIZE 100000000\r\n"));
	} else if (slice_starts_nocase(line, SLICE("DATA"))) {
		*in_data = true;
		connection_send(c, SLICE("354 go on\r\n"));
	} else if (slice_starts_nocase(line, SLICE("QUIT"))) {
		connection_send(c, SLICE("221 2.0.0 bye\r\n"));
		return false;
	} else {
		connection_send(c, SLICE("250 2.0.0 ok\r\n"));
	}
	return true;
}

static void *
serve_sink(void *arg)
{
	struct sink *sink = arg;
	struct connection c;
	bool in_data = false, was = false;

	connection_adopt(&c, sink->fd);
	connection_send(&c, SLICE("220 sink ESMTP\r\n"));
	while (take_command(&c, &in_data)) {
		if (was && !in_data)
			atomic_fetch_add(&sink->load->received, 1);
		was = in_data;
	}
	connection_close(&c);
	free(sink);
	return NULL;
}

static int
listen_loopback(unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, SINK_BACKLOG) != 0)
		load_die("listen on port %u: %s", port, strerror(errno));
	return fd;
}

static void *
accept_sinks(void *arg)
{
	struct load *load = arg;

	for (;;) {
		struct sink *sink = load_alloc(1, sizeof(*sink));
		pthread_t thread;

		*sink = (struct sink){load, accept4(sink_listener, NULL, NULL, SOCK_CLOEXEC)};
		if (sink->fd < 0 || pthread_create(&thread, NULL, serve_sink, sink) != 0)
			load_die("sink: %s", strerror(errno));
		pthread_detach(thread);
	}
	return NULL;
}

void
mode_relay(struct load *load)
{
	struct worker *workers;
	struct stretch s;
	pthread_t thread;
	double end;

	message_prepare();
	sink_listener = listen_loopback(load->smtp_port);
	if (load->recipient == NULL || pthread_create(&thread, NULL, accept_sinks, load) != 0)
		load_die("relay needs recipient=");
	stretch_start(&s, load);
	workers = workers_run(load, smtp_work);
	end = load_now_ms() + RELAYED_MS;
	while (atomic_load(&load->received) < load->count) {
		if (load_now_ms() > end)
			load_die("%u of %u messages relayed", atomic_load(&load->received),
				load->count);
		load_pause_ms(POLL_MS);
	}
	stretch_end(&s, load);
	workers_print(workers, load, &s);
}
