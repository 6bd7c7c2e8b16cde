/* SPDX-License-Identifier: ISC */
/* "store verify": a slice per turn of the event loop, between the requests of others. */
#include <stdlib.h>

#include "common/base/buffer.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum {
	JSON_MAX = 1024 * 1024,
	FINDINGS_SHOWN = 1000,
	PAUSE_US = 1000, /* between slices: requests go first */
};

struct verify_run {
	struct mailboxd *mailboxd;
	struct store_verify *verify;
	struct event *next;
	struct ipc_origin origin;
	struct buffer findings; /* JSON objects, separated by commas */
};

static void
on_finding(void *arg, const struct store_finding *f)
{
	struct verify_run *run = arg;
	char account[ID_TEXT_SIZE];

	log_error("store verify: account %s mailbox %u uid %u: %s", id_format(f->account, account),
		f->mailbox, f->uid, f->text);
	if (verify_progress(run->verify)->findings > FINDINGS_SHOWN)
		return;
	/* The texts are our own: there is nothing to escape in them. */
	buffer_printf(&run->findings,
		"%s{\"account\":\"%s\",\"mailbox\":%u,\"uid\":%u,\"text\":\"%s\"}",
		buffer_len(&run->findings) > 0 ? "," : "", account, f->mailbox, f->uid, f->text);
}

static void
verify_finish(struct verify_run *run, enum fault fault)
{
	const struct verify_progress *p = verify_progress(run->verify);
	struct buffer json;

	buffer_init(&json, 2 * JSON_MAX);
	buffer_printf(&json,
		"{\"accounts\":%llu,\"messages\":%llu,\"bytes\":%llu,\"findings\":%llu,\"found\":[",
		(unsigned long long)p->accounts, (unsigned long long)p->messages,
		(unsigned long long)p->bytes, (unsigned long long)p->findings);
	buffer_add_slice(&json, buffer_slice(&run->findings));
	buffer_add_text(&json, "]}");
	daemon_control_text(run->origin, buffer_slice(&json));
	if (fault == FAULT_OK && p->findings > 0)
		daemon_control_done(run->origin, FAULT_DAMAGED, "the store has faults");
	else
		daemon_control_done(run->origin, fault, NULL);
	buffer_clear(&json);
	verify_stop(run->mailboxd);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct verify_run *run = arg;
	struct timeval pause = {.tv_usec = PAUSE_US};
	bool done = false;

	(void)fd, (void)what;
	enum fault fault = verify_step(run->verify, &done);
	if (fault != FAULT_OK || done)
		verify_finish(run, fault);
	else
		event_add(run->next, &pause);
}

void
verify_start(struct mailboxd *m, const struct daemon_control *control, uint64_t account)
{
	struct timeval at_once = {0};

	if (m->verify != NULL) {
		daemon_control_done(control->origin, FAULT_BUSY, "a verify is running already");
		return;
	}
	struct verify_run *run = calloc(1, sizeof(*run));
	if (run == NULL) {
		daemon_control_done(control->origin, FAULT_NOMEM, NULL);
		return;
	}
	struct verify_options options = {
		.bodies = true, .account = account, .found = on_finding, .arg = run};
	m->verify = run;
	run->mailboxd = m;
	run->origin = control->origin;
	buffer_init(&run->findings, JSON_MAX);
	run->verify = verify_new(writer_reader(m->writer), &options);
	run->next = event_new(daemon_base(m->daemon), -1, 0, on_turn, run);
	if (run->verify == NULL || run->next == NULL || event_add(run->next, &at_once) < 0) {
		daemon_control_done(control->origin, FAULT_NOMEM, NULL);
		verify_stop(m);
	}
}

void
verify_stop(struct mailboxd *m)
{
	struct verify_run *run = m->verify;

	if (run == NULL)
		return;
	if (run->next != NULL)
		event_free(run->next);
	verify_free(run->verify);
	buffer_clear(&run->findings);
	free(run);
	m->verify = NULL;
}
