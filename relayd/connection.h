/* SPDX-License-Identifier: ISC */
/* One connection to a host: the thin shell around smtp_client. */
#ifndef RELAYD_CONNECTION_H
#define RELAYD_CONNECTION_H

#include "common/net/line.h"
#include "common/net/stream.h"
#include "relayd/dots.h"
#include "relayd/host.h"

enum {
	CONNECTION_IDLE_MS = 5000, /* kept for another message */
	CONNECTION_MESSAGES_MAX = 500,
};

struct connection {
	struct host *host;
	struct connection *next;
	struct stream *stream;
	char *hostname; /* ours, as this connection says it */
	struct smtp_client client;
	struct line_reader reader;
	struct job *job; /* whose message is being sent */
	unsigned address; /* index of the one in use */
	bool ready; /* it has been able to take mail */
	bool timed_out;
	bool ending; /* closed() is all that is awaited */
	struct dots dots;
	size_t sent; /* bytes of the body given to the stream */
};

/* Makes one and counts it with the host; false when memory is out. */
bool connection_open(struct host *);
bool connection_is_idle(const struct connection *);
/* Of an idle one. */
void connection_send(struct connection *, struct job *);
void connection_quit(struct connection *);
/* The job is given up: the connection is closed, so that the message is not completed. */
void connection_drop_job(struct connection *);
/* At once, without a callback. */
void connection_free(struct connection *);

#endif
