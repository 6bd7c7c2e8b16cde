/* SPDX-License-Identifier: ISC */
/*
 * "store verify": a slice per turn of the event loop, between the requests of others, and no more
 * bytes of mail a second than the rate allows.
 */
#include <stdlib.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum {
	JSON_MAX = 1024 * 1024,
	FINDINGS_SHOWN = 1000,
	PAUSE_US = 1000, /* between slices: requests go first */
	PROGRESS_MS = 1000,
	PROGRESS_MAX = 256, /* bytes of a line */
};

/* What the words ask for. */
struct verify_wish {
	uint64_t account; /* 0: all */
	int64_t rate; /* bytes a second; 0: no limit */
	bool progress; /* a line now and then before the answer */
};

struct verify_run {
	struct mailboxd *mailboxd;
	struct store_verify *verify;
	struct event *next;
	struct ipc_origin origin;
	struct verify_wish wish;
	int64_t paid_us; /* monotonic: by then the bytes that were read are within the rate */
	int64_t told_ms; /* when progress was last told */
	struct buffer findings; /* JSON objects, separated by commas */
};

#define NUMBER(n) ((unsigned long long)(n))

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

/* JSON without its closing brace. */
static void
counters_print(const struct verify_run *run, struct buffer *json)
{
	const struct verify_progress *p = verify_progress(run->verify);

	buffer_printf(json, "{\"accounts\":%llu,\"messages\":%llu,\"bytes\":%llu,\"findings\":%llu",
		NUMBER(p->accounts), NUMBER(p->messages), NUMBER(p->bytes), NUMBER(p->findings));
}

static void
verify_finish(struct verify_run *run, enum fault fault)
{
	struct buffer json;

	buffer_init(&json, 2 * JSON_MAX);
	counters_print(run, &json);
	buffer_add_text(&json, ",\"found\":[");
	buffer_add_slice(&json, buffer_slice(&run->findings));
	buffer_add_text(&json, "]}");
	daemon_control_text(run->origin, buffer_slice(&json));
	if (fault == FAULT_OK && verify_progress(run->verify)->findings > 0)
		daemon_control_done(run->origin, FAULT_DAMAGED, "the store has faults");
	else
		daemon_control_done(run->origin, fault, NULL);
	buffer_clear(&json);
	verify_stop(run->mailboxd);
}

/* The newline tells the asker that this is not yet the answer. */
static void
progress_tell(struct verify_run *run, int64_t now_ms)
{
	struct buffer line;

	if (!run->wish.progress || (run->told_ms != 0 && now_ms - run->told_ms < PROGRESS_MS))
		return;
	run->told_ms = now_ms;
	buffer_init(&line, PROGRESS_MAX);
	counters_print(run, &line);
	buffer_add_text(&line, "}\n");
	if (buffer_fault(&line) == FAULT_OK)
		daemon_control_text(run->origin, buffer_slice(&line));
	buffer_clear(&line);
}

/*
 * How long to wait for what was read since now_ms.  Time that the disk or others took is not made
 * up for by reading faster later.
 */
static struct timeval
pause_for(struct verify_run *run, uint64_t bytes, int64_t now_ms)
{
	int64_t start = now_ms * 1000, end = clock_mono_ms(&clock_system) * 1000, wait = 0;

	if (run->paid_us < start)
		run->paid_us = start;
	if (run->wish.rate > 0) {
		run->paid_us += (int64_t)((double)bytes * 1e6 / (double)run->wish.rate);
		wait = run->paid_us - end;
	}
	if (wait < PAUSE_US)
		wait = PAUSE_US;
	return (struct timeval){.tv_sec = wait / 1000000, .tv_usec = wait % 1000000};
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct verify_run *run = arg;
	uint64_t before = verify_progress(run->verify)->bytes;
	int64_t now_ms = clock_mono_ms(&clock_system);
	bool done = false;

	(void)fd, (void)what;
	enum fault fault = verify_step(run->verify, &done);
	if (fault != FAULT_OK || done) {
		verify_finish(run, fault);
		return;
	}
	progress_tell(run, now_ms);
	struct timeval pause = pause_for(run, verify_progress(run->verify)->bytes - before, now_ms);
	event_add(run->next, &pause);
}

/* The setting's own parser knows what a size is, and which ones may be. */
static enum fault
rate_parse(struct slice text, int64_t *rate)
{
	struct settings s;
	enum fault fault =
		settings_init(&s) ? settings_set(&s, SLICE("verify-rate"), text) : FAULT_NOMEM;

	*rate = s.verify_rate;
	settings_clear(&s);
	return fault;
}

/* "store verify [ACCOUNT] [rate SIZE] [progress]", in any order. */
static enum fault
wish_parse(const struct daemon_control *c, struct verify_wish *wish)
{
	enum fault fault = FAULT_OK;

	for (uint32_t i = 2; i < c->word_count && fault == FAULT_OK; i++) {
		struct slice word = c->words[i].text;
		if (slice_equal(word, SLICE("progress")))
			wish->progress = true;
		else if (slice_equal(word, SLICE("rate")))
			fault = ++i < c->word_count ? rate_parse(c->words[i].text, &wish->rate)
						    : FAULT_SYNTAX;
		else if (wish->account != 0 || !control_account_parse(word, &wish->account))
			fault = FAULT_SYNTAX;
	}
	return fault;
}

static enum fault
run_make(struct mailboxd *m, const struct verify_wish *wish, struct verify_run **made)
{
	struct timeval at_once = {0};
	struct verify_run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return FAULT_NOMEM;
	struct verify_options options = {
		.bodies = true, .account = wish->account, .found = on_finding, .arg = run};
	m->verify = *made = run;
	run->mailboxd = m;
	run->wish = *wish;
	buffer_init(&run->findings, JSON_MAX);
	run->verify = verify_new(writer_reader(m->writer), &options);
	run->next = event_new(daemon_base(m->daemon), -1, 0, on_turn, run);
	if (run->verify == NULL || run->next == NULL || event_add(run->next, &at_once) < 0) {
		verify_stop(m);
		return FAULT_NOMEM;
	}
	return FAULT_OK;
}

void
verify_start(struct mailboxd *m, const struct daemon_control *control)
{
	struct verify_wish wish = {.rate = daemon_settings(m->daemon)->verify_rate};
	struct verify_run *run;
	enum fault fault = wish_parse(control, &wish);

	if (fault != FAULT_OK) {
		daemon_control_done(
			control->origin, fault, "store verify [ACCOUNT] [rate SIZE] [progress]");
		return;
	}
	if (m->verify != NULL) {
		daemon_control_done(control->origin, FAULT_BUSY, "a verify is running already");
		return;
	}
	fault = run_make(m, &wish, &run);
	if (fault == FAULT_OK)
		run->origin = control->origin;
	else
		daemon_control_done(control->origin, fault, NULL);
}

void
verify_cancel(struct mailboxd *m, struct ipc_origin origin)
{
	if (m->verify == NULL || !ipc_origin_equal(m->verify->origin, origin))
		return;
	log_info("store verify: nobody waits for it any more");
	daemon_control_done(origin, FAULT_PEER_LOST, NULL);
	verify_stop(m);
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
