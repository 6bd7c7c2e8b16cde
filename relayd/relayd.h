/* SPDX-License-Identifier: ISC */
/*
 * The private state of relayd.
 *
 *	RELAY ─► job ─► (DNS) ─► hosts in order ─► host ─► connection ─► smtp_client (pure)
 *	                                            │ keeps idle connections for the next job
 *	RELAYED ◄──────────── results ◄─────────────┘
 */
#ifndef RELAYD_RELAYD_H
#define RELAYD_RELAYD_H

#include "common/ipc/daemon.h"
#include "common/net/tls.h"
#include "relayd/dns.h"
#include "relayd/routes.h"

struct host;
struct job;

struct relayd_counters {
	uint64_t messages, recipients, sent, refused, deferred;
	uint64_t connections, reused, tls;
};

struct relayd {
	struct daemon *daemon;
	struct dns *dns;
	struct tls_client *tls_may; /* does not check certificates */
	struct tls_client *tls_must;
	struct routes routes;
	struct routes next_routes; /* of the configuration that is arriving */
	struct host *hosts;
	unsigned host_count;
	unsigned connection_count;
	struct job *jobs;
	unsigned job_count;
	struct relayd_counters counters;
	bool stopping;
};

enum fault relayd_sandbox(struct daemon *, void *state);

/* on_queued.c, on_maild.c */
void on_relay(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);
void on_route(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);

/* A share of RFC 5321 4.5.3.2's times, where settings.relay_timeout stands for five minutes. */
static inline int64_t
relayd_minutes(const struct relayd *r, int64_t minutes)
{
	return daemon_settings(r->daemon)->relay_timeout * minutes / 5;
}

#endif
