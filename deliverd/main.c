/* SPDX-License-Identifier: ISC */
/* deliverd: routes a message to mailboxes, parses and packs it, and has mailboxd store it. */
#include "common/base/buffer.h"
#include "common/ipc/daemon.h"
#include "deliverd/delivery.h"

enum { SWEEP_S = 60 };

/* Content keys are gone soon after their time, also when no mail comes. */
static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct deliverd *d = arg;

	(void)fd;
	(void)what;
	seal_ring_sweep(d->ring);
}

static enum fault
open_deliverd(struct daemon *daemon, void *state)
{
	static const struct seal_source source = {&clock_system, &entropy_system};
	const struct timeval often = {.tv_sec = SWEEP_S};
	struct deliverd *d = state;

	d->daemon = daemon;
	d->packer = body_packer_new();
	d->ring = seal_ring_new(&source);
	d->sweep_timer = event_new(daemon_base(daemon), -1, EV_PERSIST, on_sweep, d);
	if (d->packer == NULL || d->ring == NULL || d->sweep_timer == NULL ||
		evtimer_add(d->sweep_timer, &often) != 0)
		return FAULT_NOMEM;
	return FAULT_OK;
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
	if (d->sweep_timer != NULL)
		event_free(d->sweep_timer);
	seal_ring_free(d->ring);
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
