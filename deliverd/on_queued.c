/* SPDX-License-Identifier: ISC */
/* What queued asks of deliverd. */
#include "common/base/log.h"
#include "deliverd/delivery.h"

void
on_deliver(struct daemon *daemon, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct ipc_origin origin = ipc_origin_of(link, message);
	int fd = ipc_message_take_fd(message);
	enum fault fault = delivery_start(state, origin, message->payload, fd);

	(void)daemon;
	if (fault != FAULT_OK) {
		struct ipc_delivered answer = {.fault = fault};

		log_warning("cannot start a delivery: %s", fault_text(fault));
		ipc_answer_DELIVERED(origin, &answer, -1);
	}
}
