/* SPDX-License-Identifier: ISC */
/* Checkpoints beside the loop, for mailboxd and queued. */
#include "common/store/checkpointer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"

enum { LATER_MS = 5100 }; /* a little after a checkpoint becomes due by its age */

struct checkpointer {
	struct journal *journal;
	struct journal_sync *sync; /* under way, or NULL */
	pthread_t thread;
	int finished; /* eventfd: the thread has done its work */
	struct event *on_finished;
	struct event *later;
};

static void *
run(void *arg)
{
	struct checkpointer *c = arg;
	const uint64_t one = 1;

	journal_sync_run(c->sync);
	/* It cannot be full; the main thread joins in any case. */
	ssize_t n = write(c->finished, &one, sizeof(one));
	(void)n;
	return NULL;
}

/* Signals are for the main thread. */
static bool
thread_start(struct checkpointer *c)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0;
}

static void
finish(struct checkpointer *c)
{
	c->sync = NULL;
	/* A fault is logged, and breaks the journal: its owner sees that. */
	(void)!journal_checkpoint_finish(c->journal);
}

static void
start(struct checkpointer *c)
{
	enum fault fault = journal_checkpoint_start(c->journal, &c->sync);
	if (fault != FAULT_OK) {
		c->sync = NULL;
		/* A transaction is open: its commit asks again. */
		if (fault != FAULT_BUSY)
			log_warning("checkpoint: %s", fault_text(fault));
		return;
	}
	if (thread_start(c))
		return;
	/* Without a thread the loop waits. */
	journal_sync_run(c->sync);
	finish(c);
}

void
checkpointer_committed(struct checkpointer *c)
{
	static const struct timeval later = {LATER_MS / 1000, LATER_MS % 1000 * 1000};

	if (c->sync != NULL)
		return;
	if (journal_checkpoint_is_due(c->journal))
		start(c);
	else if (!evtimer_pending(c->later, NULL))
		event_add(c->later, &later);
}

void
checkpointer_hurry(struct checkpointer *c)
{
	uint64_t commits;

	(void)journal_checkpoint_age_ms(c->journal, &commits);
	if (c->sync == NULL && commits > 0)
		start(c);
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct checkpointer *c = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 || c->sync == NULL)
		return;
	pthread_join(c->thread, NULL);
	finish(c);
	checkpointer_committed(c);
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	struct checkpointer *c = arg;

	(void)fd, (void)what;
	if (journal_checkpoint_is_due(c->journal))
		checkpointer_committed(c);
}

enum fault
checkpointer_new(
	struct event_base *base, struct journal *journal, struct checkpointer **checkpointer)
{
	struct checkpointer *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return FAULT_NOMEM;
	c->journal = journal;
	c->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->finished >= 0)
		c->on_finished = event_new(base, c->finished, EV_READ | EV_PERSIST, on_finished, c);
	c->later = evtimer_new(base, on_later, c);
	if (c->on_finished == NULL || c->later == NULL || event_add(c->on_finished, NULL) < 0) {
		checkpointer_free(c);
		return FAULT_NOMEM;
	}
	*checkpointer = c;
	return FAULT_OK;
}

void
checkpointer_free(struct checkpointer *c)
{
	if (c == NULL)
		return;
	if (c->sync != NULL) {
		pthread_join(c->thread, NULL);
		finish(c);
	}
	if (c->on_finished != NULL)
		event_free(c->on_finished);
	if (c->later != NULL)
		event_free(c->later);
	if (c->finished >= 0)
		close(c->finished);
	free(c);
}
