/* SPDX-License-Identifier: ISC */
/* "account remove": a slice per commit, so that nobody waits for a large account to go. */
#include <stdlib.h>

#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum { PAUSE_US = 1000 };

struct removal {
	struct mailboxd *mailboxd;
	struct event *next;
	struct ipc_origin origin;
	uint64_t account;
};

/* One commit of its own; FAULT_BUSY: there is more. */
static enum fault
slice_remove(struct removal *r)
{
	struct mailboxd *m = r->mailboxd;

	batch_commit(m);
	enum fault fault = writer_begin(m->writer);
	if (fault != FAULT_OK)
		return fault;
	enum fault removed = writer_account_remove(m->writer, r->account);
	fault = writer_commit(m->writer);
	mailboxd_committed(m);
	return fault != FAULT_OK ? fault : removed;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct removal *r = arg;
	struct timeval pause = {.tv_usec = PAUSE_US};

	(void)fd, (void)what;
	enum fault fault = slice_remove(r);
	if (fault == FAULT_BUSY) {
		event_add(r->next, &pause);
		return;
	}
	daemon_control_done(r->origin, fault, NULL);
	removal_stop(r->mailboxd);
}

void
removal_start(struct mailboxd *m, const struct daemon_control *control, uint64_t account)
{
	struct timeval at_once = {0};

	if (m->removal != NULL) {
		daemon_control_done(
			control->origin, FAULT_BUSY, "another account is being removed");
		return;
	}
	struct removal *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		daemon_control_done(control->origin, FAULT_NOMEM, NULL);
		return;
	}
	*r = (struct removal){.mailboxd = m, .origin = control->origin, .account = account};
	m->removal = r;
	r->next = event_new(daemon_base(m->daemon), -1, 0, on_turn, r);
	if (r->next == NULL || event_add(r->next, &at_once) < 0) {
		daemon_control_done(control->origin, FAULT_NOMEM, NULL);
		removal_stop(m);
	}
}

void
removal_stop(struct mailboxd *m)
{
	if (m->removal == NULL)
		return;
	if (m->removal->next != NULL)
		event_free(m->removal->next);
	free(m->removal);
	m->removal = NULL;
}
