/* SPDX-License-Identifier: ISC */
/* What queued and maild tell relayd. */
#include "common/base/log.h"
#include "relayd/job.h"

void
on_relay(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct relayd *r = state;
	struct ipc_origin origin = ipc_origin_of(link, message);
	enum fault fault = FAULT_BUSY;

	(void)daemon;
	if (!r->stopping)
		fault = job_start(r, origin, message->payload, ipc_message_take_fd(message));
	if (fault != FAULT_OK) {
		struct ipc_relayed answer = {.fault = fault};

		ipc_answer_RELAYED(origin, &answer, -1);
	}
}

/* Routes come before CONFIGURED, and are in force from then on. */
void
on_route(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct relayd *r = state;
	const struct ipc_route *route = message->payload;
	enum fault fault = routes_add(&r->next_routes, route);

	(void)daemon;
	(void)link;
	if (fault != FAULT_OK)
		log_warning(
			"route %" SLICE_FMT ": %s", SLICE_ARG(route->domain), fault_text(fault));
}
