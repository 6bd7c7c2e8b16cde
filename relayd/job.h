/* SPDX-License-Identifier: ISC */
/* One RELAY request: from the domain to the hosts, one after the other, to the results. */
#ifndef RELAYD_JOB_H
#define RELAYD_JOB_H

#include "common/base/arena.h"
#include "relayd/host.h"

enum { JOB_HOSTS_MAX = 16, JOB_TRIES_MAX = 3 };

struct job {
	struct relayd *relayd;
	struct job *next, *previous;
	struct job *next_waiting; /* of its host */
	struct ipc_origin origin;
	struct arena arena;
	struct ipc_relay request; /* a copy in the arena */
	struct slice bytes; /* mapped */
	struct smtp_message message; /* what is still to be sent */
	struct smtp_recipient *recipients; /* all of them */
	uint32_t *numbers; /* of the recipients */
	struct dns_lookup *lookup; /* of the MX records, or NULL */
	char (*host_names)[ROUTE_HOST_SIZE];
	unsigned host_count, host_index;
	const struct route *route; /* until the hosts are known */
	struct host *host; /* at which it waits or is sent */
	struct connection *connection;
	struct smtp_result failure; /* of the hosts so far */
	bool failure_set;
	unsigned tries; /* begun again at the same host */
	bool dsn;
};

/* Starts it; answers origin by itself.  fd becomes its own. */
MUST_USE enum fault job_start(struct relayd *, struct ipc_origin, const struct ipc_relay *, int fd);
/* The host cannot be talked to: the next one, or the end. */
void job_host_failed(struct job *, const struct smtp_result *);
/* Every recipient of job->message is settled; the connection is free again. */
void job_message_done(struct job *, bool dsn);
/* The connection was lost before it could matter: true when the job waits for another one. */
bool job_begin_again(struct job *);
/* queued is gone: gives up all that can still be given up. */
void jobs_drop(struct relayd *);
void jobs_free(struct relayd *);

#endif
