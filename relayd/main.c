/* SPDX-License-Identifier: ISC */
/* relayd: carries mail to other hosts by SMTP. */
#include "common/base/buffer.h"
#include "common/ipc/daemon.h"
#include "relayd/job.h"

static void
take_routes(struct relayd *r)
{
	routes_clear(&r->routes);
	r->routes = r->next_routes;
	r->next_routes = (struct routes){0};
}

static enum fault
open_relayd(struct daemon *daemon, void *state)
{
	struct relayd *r = state;

	r->daemon = daemon;
	take_routes(r);
	return FAULT_OK;
}

static void
reconfigure_relayd(struct daemon *daemon, void *state)
{
	(void)daemon;
	take_routes(state);
}

/* What queued does not know of any more it will send again: it should not be sent twice. */
static void
peer_down(struct daemon *daemon, void *state, struct ipc_link *link)
{
	(void)daemon;
	if (ipc_link_process(link) == PROCESS_QUEUED)
		jobs_drop(state);
}

static void
show_status(const struct relayd *r, struct ipc_origin origin)
{
	const struct relayd_counters *n = &r->counters;
	struct buffer json;

	buffer_init(&json, 4096);
	buffer_printf(&json,
		"{\"messages\":%llu,\"recipients\":%llu,\"sent\":%llu,\"refused\":%llu,"
		"\"deferred\":%llu,",
		(unsigned long long)n->messages, (unsigned long long)n->recipients,
		(unsigned long long)n->sent, (unsigned long long)n->refused,
		(unsigned long long)n->deferred);
	buffer_printf(&json,
		"\"connections\":%llu,\"reused\":%llu,\"tls\":%llu,\"in_flight\":%u,"
		"\"open_connections\":%u,\"hosts\":%u,\"routes\":%u}",
		(unsigned long long)n->connections, (unsigned long long)n->reused,
		(unsigned long long)n->tls, r->job_count, r->connection_count, r->host_count,
		(unsigned)r->routes.count);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

static void
control_relayd(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(state, control->origin);
	else
		daemon_control_done(control->origin, FAULT_NOT_FOUND, "no such command");
}

static void
shutdown_relayd(struct daemon *daemon, void *state)
{
	struct relayd *r = state;

	r->stopping = true;
	if (r->job_count == 0)
		daemon_stop(daemon);
}

static void
close_relayd(struct daemon *daemon, void *state)
{
	struct relayd *r = state;

	(void)daemon;
	jobs_free(r);
	hosts_free(r);
	dns_close(r->dns);
	tls_client_unref(r->tls_may);
	tls_client_unref(r->tls_must);
	routes_clear(&r->routes);
	routes_clear(&r->next_routes);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_RELAY, on_relay},
		{IPC_ROUTE, on_route},
		{IPC_NONE, NULL},
	};
	static struct relayd relayd;
	static const struct daemon_spec spec = {
		.process = PROCESS_RELAYD,
		.state = &relayd,
		.handlers = handlers,
		.sandbox = relayd_sandbox,
		.open = open_relayd,
		.reconfigure = reconfigure_relayd,
		.peer_down = peer_down,
		.control = control_relayd,
		.shutdown = shutdown_relayd,
		.close = close_relayd,
	};

	return daemon_main(&spec, argc, argv);
}
