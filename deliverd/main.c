/* SPDX-License-Identifier: ISC */
/* deliverd: routes a message to mailboxes, parses and packs it, and has mailboxd store it. */
#include "common/base/buffer.h"
#include "common/ipc/daemon.h"
#include "deliverd/delivery.h"

static enum fault
open_deliverd(struct daemon *daemon, void *state)
{
	struct deliverd *d = state;

	d->daemon = daemon;
	d->packer = body_packer_new();
	return d->packer != NULL ? FAULT_OK : FAULT_NOMEM;
}

static void
show_status(const struct deliverd *d, struct ipc_origin origin)
{
	struct buffer json;

	buffer_init(&json, 4096);
	buffer_printf(&json,
		"{\"messages\":%llu,\"recipients\":%llu,\"stored\":%llu,\"deferred\":%llu,"
		"\"failed\":%llu,\"forwarded\":%llu,\"in_flight\":%u,\"bytes_held\":%llu}",
		(unsigned long long)d->messages, (unsigned long long)d->recipients,
		(unsigned long long)d->stored, (unsigned long long)d->deferred,
		(unsigned long long)d->failed, (unsigned long long)d->forwarded, d->delivery_count,
		(unsigned long long)d->bytes_held);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

static void
control_deliverd(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(state, control->origin);
	else
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
}

/* What is in flight ends by itself; queued sends no more once it stops too. */
static void
shutdown_deliverd(struct daemon *daemon, void *state)
{
	struct deliverd *d = state;

	d->stopping = true;
	if (d->delivery_count == 0)
		daemon_stop(daemon);
}

static void
close_deliverd(struct daemon *daemon, void *state)
{
	struct deliverd *d = state;

	(void)daemon;
	deliveries_free(d);
	body_packer_free(d->packer);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_DELIVER, on_deliver},
		{IPC_NONE, NULL},
	};
	static struct deliverd deliverd;
	static const struct daemon_spec spec = {
		.process = PROCESS_DELIVERD,
		.state = &deliverd,
		.handlers = handlers,
		.sandbox = deliverd_sandbox,
		.open = open_deliverd,
		.control = control_deliverd,
		.shutdown = shutdown_deliverd,
		.close = close_deliverd,
	};

	return daemon_main(&spec, argc, argv);
}
