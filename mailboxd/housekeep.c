/* SPDX-License-Identifier: ISC */
/* Housekeeping by the clock: a bounded slice every minute, and sooner while there is more. */
#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum { EVERY_S = 60, AGAIN_US = 20000 };

static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	struct mailboxd *m = arg;
	struct timeval next = {.tv_sec = EVERY_S};
	bool more = false;

	(void)fd, (void)what;
	/* It has a transaction of its own. */
	batch_commit(m);
	enum fault fault = writer_housekeep(m->writer, &more);
	if (fault != FAULT_OK)
		log_warning("housekeeping: %s", fault_text(fault));
	else if (more)
		next = (struct timeval){.tv_usec = AGAIN_US};
	mailboxd_committed(m);
	event_add(m->housekeeping, &next);
}

enum fault
housekeep_start(struct mailboxd *m)
{
	struct timeval soon = {.tv_sec = 1};

	m->housekeeping = event_new(daemon_base(m->daemon), -1, 0, on_time, m);
	if (m->housekeeping == NULL || event_add(m->housekeeping, &soon) < 0)
		return FAULT_NOMEM;
	return FAULT_OK;
}

void
housekeep_stop(struct mailboxd *m)
{
	if (m->housekeeping != NULL)
		event_free(m->housekeeping);
	m->housekeeping = NULL;
}
