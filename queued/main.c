/* SPDX-License-Identifier: ISC */
/* queued: takes mail from smtpd, delivers it at once or keeps it until it can be delivered. */
#include "common/base/buffer.h"
#include "common/base/log.h"
#include "queued/queued.h"

enum { QUEUE_SEGMENT_SIZE = 64 * 1024 * 1024, WINDOW_MOST = 40, STOP_MS = 5000 };

static enum fault
open_spool(struct queued *q)
{
	struct spool_options options = {
		.segment_size = QUEUE_SEGMENT_SIZE, .checkpoints_apart = true};
	struct buffer path;
	enum fault fault;

	buffer_init(&path, 8192);
	buffer_printf(&path, "%s/queue", daemon_settings(q->daemon)->data_directory);
	buffer_add_byte(&path, '\0');
	fault = buffer_fault(&path);
	if (fault == FAULT_OK)
		fault = spool_open(buffer_slice(&path).data, &options, &q->spool);
	if (fault != FAULT_OK)
		log_error("cannot open the queue: %s", fault_text(fault));
	buffer_clear(&path);
	return fault;
}

static void
on_committed(void *arg)
{
	struct queued *q = arg;

	/* The next start recovers what this process no longer can. */
	if (journal_is_broken(spool_journal(q->spool))) {
		log_error("ending, as the queue cannot be changed any more");
		daemon_stop(q->daemon);
	} else if (q->checkpointer != NULL)
		checkpointer_committed(q->checkpointer);
}

/* As many requests at once as keep every connection of relayd busy. */
static uint32_t
window_of(const struct settings *settings)
{
	int64_t window = 4 * settings->relay_connections_per_host;

	return window > WINDOW_MOST ? WINDOW_MOST : (uint32_t)window;
}

static void
reconfigure_queued(struct daemon *daemon, void *state)
{
	struct queued *q = state;

	q->policy = schedule_policy_of(daemon_settings(daemon));
	q->destinations.window_max = window_of(daemon_settings(daemon));
	dispatch_after(q, 0);
}

static enum fault
open_queued(struct daemon *daemon, void *state)
{
	struct queued *q = state;
	enum fault fault;

	q->daemon = daemon;
	q->policy = schedule_policy_of(daemon_settings(daemon));
	destinations_init(&q->destinations, window_of(daemon_settings(daemon)));
	fault = open_spool(q);
	if (fault != FAULT_OK)
		return fault;
	q->batch = batch_new(daemon_base(daemon), q->spool, on_committed, q);
	if (q->batch == NULL || !dispatch_open(q))
		return FAULT_NOMEM;
	fault = checkpointer_new(daemon_base(daemon), spool_journal(q->spool), &q->checkpointer);
	if (fault != FAULT_OK)
		return fault;
	/* What was in delivery when we last ran is due. */
	dispatch_after(q, 0);
	return FAULT_OK;
}

static void
peer_up(struct daemon *daemon, void *state, struct ipc_link *link)
{
	struct queued *q = state;

	(void)daemon;
	(void)link;
	if (q->dispatch != NULL)
		dispatch_after(q, 0);
}

void
queued_check_idle(struct queued *q)
{
	if (q->stopping && q->submission_count == 0 && q->flight_count == 0 &&
		batch_waiting(q->batch) == 0)
		daemon_stop(q->daemon);
}

static void
on_stop_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct queued *q = arg;

	(void)fd;
	(void)what;
	log_info("stopping with %u requests in flight: they are due at the next start",
		(unsigned)q->flight_count);
	daemon_stop(q->daemon);
}

static void
shutdown_queued(struct daemon *daemon, void *state)
{
	struct queued *q = state;
	struct timeval deadline = {STOP_MS / 1000, 0};

	q->stopping = true;
	event_base_once(daemon_base(daemon), -1, EV_TIMEOUT, on_stop_deadline, q, &deadline);
	queued_check_idle(q);
}

static void
close_queued(struct daemon *daemon, void *state)
{
	struct queued *q = state;

	(void)daemon;
	if (q->batch != NULL)
		batch_commit(q->batch);
	submissions_free(q);
	batch_free(q->batch);
	flights_free(q);
	if (q->dispatch != NULL)
		event_free(q->dispatch);
	destinations_clear(&q->destinations);
	checkpointer_free(q->checkpointer);
	spool_close(q->spool);
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_SUBMIT, on_submit},
		{IPC_NONE, NULL},
	};
	static struct queued queued;
	static const struct daemon_spec spec = {
		.process = PROCESS_QUEUED,
		.state = &queued,
		.handlers = handlers,
		.sandbox = queued_sandbox,
		.open = open_queued,
		.reconfigure = reconfigure_queued,
		.peer_up = peer_up,
		.control = control_queued,
		.shutdown = shutdown_queued,
		.close = close_queued,
	};

	return daemon_main(&spec, argc, argv);
}
