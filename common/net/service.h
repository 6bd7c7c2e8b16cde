/* SPDX-License-Identifier: ISC */
/*
 * What smtpd, imapd and pop3d share: listening sockets in, sessions out.  It accepts, counts
 * connections in total and per peer network, refuses politely over a limit, starts TLS at once
 * where the port says so, keeps the time-outs and ends everything in order at shutdown.  The
 * protocol is a struct of functions.
 *
 *	fd ─► listener ─► connection (stream + peer + timers) ─► the protocol's session
 */
#ifndef NET_SERVICE_H
#define NET_SERVICE_H

#include <stdint.h>

#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/net/address.h"
#include "common/net/stream.h"

struct event_base;
struct service;
struct tls_server;

enum { SERVICE_PORTS_MAX = 32, SERVICE_SESSION_TEXT_MAX = 128 };

/* One listening socket. */
struct service_port {
	int fd; /* listening, inherited; closed by the service */
	int kind; /* the protocol's own enum: smtp, submission... */
	bool tls_at_once;
};

struct service_limits {
	unsigned connections; /* at once */
	unsigned per_address; /* at once, per IPv4 address or IPv6 /64; loopback is exempt */
	int64_t login_ms; /* from opening to connection_logged_in; 0: no limit */
	int64_t idle_ms; /* without a byte */
};

/* One client.  The fields are for reading. */
struct connection {
	struct service *service;
	struct stream *stream;
	const struct service_port *port; /* a copy: outlives the listening socket */
	struct peer_address peer;
	struct peer_address self;
	uint64_t id; /* unique in this process */
	int64_t opened_at; /* wall clock, ms */
	bool logged_in;
	void *session; /* what opened() gave */
	char who[SERVICE_SESSION_TEXT_MAX]; /* account, for lists of sessions; may be empty */
	/* private */
	struct service_port port_copy;
	struct connection *next, *previous;
};

/* All come from the event loop, in an order that is: opened, (any), closed. */
struct session_calls {
	/* Sends the greeting and gives the session; NULL refuses.  With TLS at once: afterwards. */
	void *(*opened)(struct connection *, void *arg);
	void (*input)(void *session); /* see stream.h */
	void (*drained)(void *session); /* may be NULL */
	void (*tls_started)(void *session); /* STARTTLS only; NULL without it */
	void (*timed_out)(void *session); /* say good-bye and connection_finish */
	/* NULL: finish.  A session that waits for another process hears of it after resuming. */
	void (*ended)(void *session);
	void (*shutdown)(void *session); /* finish what is in flight, say good-bye, finish */
	void (*closed)(void *session, enum fault why); /* free it; connection dies after this */
	/* The whole line, with CRLF, for a client over a limit on this port; "" says nothing. */
	const char *(*refusal)(const struct service_port *, void *arg);
};

struct service_setup {
	struct event_base *base;
	const struct session_calls *calls;
	void *arg; /* for opened and refusal */
	struct service_limits limits;
};

struct service *service_new(const struct service_setup *);
/* Starts accepting on the port; takes over its fd. */
MUST_USE enum fault service_listen(struct service *, const struct service_port *);
/* Stops accepting on all ports and forgets them; connections live on, others may be added. */
void service_close_ports(struct service *);
/* For connections from now on.  tls may be NULL (STARTTLS is not to be offered). */
void service_set_tls(struct service *, struct tls_server *tls);
bool service_has_tls(const struct service *);
void service_set_limits(struct service *, const struct service_limits *);
/*
 * Closes the ports and tells every session; what is left after deadline_ms is aborted.  done(arg)
 * comes from the event loop when no connection is left.
 */
void service_shutdown(struct service *, int64_t deadline_ms, void (*done)(void *arg), void *arg);
/* Aborts what is left: closed() of every session is called from here. */
void service_free(struct service *);

unsigned service_count(const struct service *);
struct service_counters {
	uint64_t accepted, refused, tls_failed, timed_out;
};
const struct service_counters *service_get_counters(const struct service *);
/* For `mailctl session`: newest first; NULL ends. */
struct connection *service_first(struct service *);
struct connection *connection_next(const struct connection *);
struct connection *service_find(struct service *, uint64_t id);

/* Ends the login time-out; who is kept for session lists, cut when too long. */
void connection_logged_in(struct connection *, struct slice who);
/* Starts TLS with the service's certificates; tls_started() or closed() follows. */
void connection_start_tls(struct connection *);
/* stream_finish and stream_abort. */
void connection_finish(struct connection *);
void connection_abort(struct connection *, enum fault why);

#endif
