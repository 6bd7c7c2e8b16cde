/* SPDX-License-Identifier: ISC */
/*
 * A host that mail is sent to, with its connections: busy, idle, or being made.  Jobs queue here
 * for a connection.  Limits: relay_connections_per_host here, relay_connections over all; for a
 * new connection over the latter an idle one elsewhere is closed.
 */
#ifndef RELAYD_HOST_H
#define RELAYD_HOST_H

#include "relayd/relayd.h"
#include "relayd/smtp_client.h"

enum {
	HOST_ADDRESSES_MAX = 16,
	HOSTS_MAX = 2000, /* beyond, those that nobody uses are forgotten */
	HOST_ADDRESSES_MS = 60000, /* before its addresses are asked for again */
	HOST_NO_TLS_MS = 600000, /* after a failed handshake */
	HOST_DEAD_MS = 30000, /* after no address of it could be talked to; or a tenth of
				 relay_timeout */
};

struct connection;

struct host {
	struct relayd *relayd;
	struct host *next;
	char name[ROUTE_HOST_SIZE]; /* host name, or an address in brackets */
	uint16_t port;
	enum route_tls tls;
	struct secret user, password;
	struct connection *connections;
	unsigned connection_count;
	unsigned making_count; /* of them not yet ready */
	unsigned most; /* it took no more than so many; 0: not known */
	unsigned in_use; /* functions that work on it: it is not freed */
	struct job *waiting, **waiting_last;
	unsigned waiting_count;
	struct dns_lookup *lookup; /* of its addresses, or NULL */
	struct peer_address addresses[HOST_ADDRESSES_MAX];
	unsigned address_count;
	int64_t resolved_until_ms; /* mono clock, as all below */
	int64_t no_tls_until_ms;
	int64_t dead_until_ms;
	struct smtp_result dead; /* why */
};

struct host_key {
	struct slice name;
	uint16_t port;
	enum route_tls tls;
	const struct secret *user, *password; /* NULL: no AUTH */
};

/* The host of that key, made when there is none; NULL when memory is out. */
struct host *host_get(struct relayd *, const struct host_key *);
/* The job waits for a connection; later job_host_ready (by a connection) or job_host_failed. */
void host_add_job(struct host *, struct job *);
/* Puts it before all others: its connection was gone before it began. */
void host_add_job_first(struct host *, struct job *);
void host_remove_job(struct host *, struct job *);
/* Gives connections to waiting jobs, or makes connections for them. */
void host_run(struct host *);
/* The same for all hosts: a connection has gone. */
void hosts_run(struct relayd *);
/* No address of the host works. */
void host_failed(struct host *, const struct smtp_result *);
bool host_is_dead(const struct host *, int64_t now_ms);
/* Aborts every connection; jobs are gone already. */
void hosts_free(struct relayd *);

#endif
