/* SPDX-License-Identifier: ISC */
/*
 * Space comes back (common/store/compact.h): by itself, slowly, so that nobody feels it; and by
 * "store compact" at once, until nothing is left to do.  There is one run at a time: while somebody
 * asks for it, the slow one goes faster.
 */
#include <stdlib.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum {
	LOOK_S = 60, /* when there is nothing to do */
	SETTLE_MS = 100, /* somebody waits for a checkpoint */
	PAUSE_MS = 10, /* between slices, at least; 1 when somebody waits */
	SHARE = 5, /* the slow one takes at most one part in so many of the time */
	PERCENT_ALL = 95,
	PROGRESS_MS = 1000,
	JSON_MAX = 256,
};
#define TAIL_GARBAGE_ASKED (UINT64_C(64) << 10)

struct compact_run {
	struct event *next;
	/* of somebody who asks */
	bool is_asked;
	bool wants_progress;
	bool is_purging; /* first what is to go at all */
	struct ipc_origin origin;
	struct compact_options options;
	struct compact_slice sum;
	int64_t told_ms;
};

#define NUMBER(n) ((unsigned long long)(n))

static struct compact_options
options_slow(struct mailboxd *m)
{
	uint64_t quarter = (uint64_t)daemon_settings(m->daemon)->segment_size / 4;

	return (struct compact_options){
		.percent = COMPACT_PERCENT,
		.tail_garbage = quarter < COMPACT_TAIL_GARBAGE ? quarter : COMPACT_TAIL_GARBAGE,
		.bytes_max = COMPACT_SLICE,
	};
}

static void
run_tell(struct compact_run *run, const char *end)
{
	struct buffer json;

	buffer_init(&json, JSON_MAX);
	buffer_printf(&json,
		"{\"moved\":%llu,\"log_moved\":%llu,\"freed\":%llu,\"waiting\":%llu}%s",
		NUMBER(run->sum.moved), NUMBER(run->sum.carried), NUMBER(run->sum.freed),
		NUMBER(run->sum.waiting), end);
	if (buffer_fault(&json) == FAULT_OK)
		daemon_control_text(run->origin, buffer_slice(&json));
	buffer_clear(&json);
}

/* The newline tells the asker that this is not yet the answer. */
static void
progress_tell(struct compact_run *run, int64_t now_ms)
{
	if (!run->wants_progress || now_ms - run->told_ms < PROGRESS_MS)
		return;
	run->told_ms = now_ms;
	run_tell(run, "\n");
}

static void
asked_end(struct compact_run *run, enum fault fault)
{
	run->is_asked = false;
	run_tell(run, "");
	daemon_control_done(run->origin, fault, NULL);
}

static void
sum_add(struct compact_slice *sum, const struct compact_slice *slice)
{
	sum->moved += slice->moved;
	sum->carried += slice->carried;
	sum->freed += slice->freed;
	if (slice->next != COMPACT_MORE)
		sum->waiting = slice->waiting;
}

/* How long until the next slice, when nobody asks. */
static int64_t
pause_slow(struct mailboxd *m, const struct compact_slice *slice, int64_t took_ms)
{
	int64_t rate = daemon_settings(m->daemon)->compact_rate, pause = PAUSE_MS;

	if (slice->next != COMPACT_MORE)
		return LOOK_S * INT64_C(1000);
	if (rate > 0)
		pause += (int64_t)((double)(slice->moved + slice->carried) * 1e3 / (double)rate);
	return pause > took_ms * (SHARE - 1) ? pause : took_ms * (SHARE - 1);
}

static int64_t
pause_asked(struct mailboxd *m, const struct compact_slice *slice)
{
	if (slice->next != COMPACT_SETTLES)
		return 1;
	if (m->checkpointer != NULL)
		checkpointer_hurry(m->checkpointer);
	return SETTLE_MS;
}

static void
next_add(struct compact_run *run, int64_t pause_ms)
{
	struct timeval next = {pause_ms / 1000, pause_ms % 1000 * 1000};

	event_add(run->next, &next);
}

static enum fault
slice_do(struct mailboxd *m, struct compact_slice *slice)
{
	struct compact_run *run = m->compaction;
	struct compact_options options = run->is_asked ? run->options : options_slow(m);

	if (!run->is_asked || !run->is_purging)
		return writer_compact(m->writer, &options, slice);
	*slice = (struct compact_slice){.next = COMPACT_MORE};
	return writer_housekeep(m->writer, &run->is_purging);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct mailboxd *m = arg;
	struct compact_run *run = m->compaction;
	int64_t start_ms = clock_mono_ms(&clock_system);
	struct compact_slice slice;

	(void)fd, (void)what;
	/* It has a transaction of its own. */
	batch_commit(m);
	enum fault fault = slice_do(m, &slice);
	mailboxd_committed(m);
	int64_t now_ms = clock_mono_ms(&clock_system);
	if (fault != FAULT_OK) {
		log_warning("compaction: %s", fault_text(fault));
		slice.next = COMPACT_DONE;
	}
	if (!run->is_asked) {
		next_add(run, pause_slow(m, &slice, now_ms - start_ms));
		return;
	}
	sum_add(&run->sum, &slice);
	progress_tell(run, now_ms);
	if (slice.next == COMPACT_DONE)
		asked_end(run, fault);
	next_add(run, run->is_asked ? pause_asked(m, &slice) : LOOK_S * INT64_C(1000));
}

enum fault
compact_start(struct mailboxd *m)
{
	m->compaction = calloc(1, sizeof(*m->compaction));
	if (m->compaction == NULL)
		return FAULT_NOMEM;
	m->compaction->next = event_new(daemon_base(m->daemon), -1, 0, on_turn, m);
	if (m->compaction->next == NULL)
		return FAULT_NOMEM;
	next_add(m->compaction, LOOK_S * INT64_C(1000));
	return FAULT_OK;
}

/* "store compact [all] [progress]" */
void
compact_ask(struct mailboxd *m, const struct daemon_control *c)
{
	struct compact_run *run = m->compaction;
	struct compact_options options = options_slow(m);
	bool progress = false, fits = true;

	options.tail_garbage = TAIL_GARBAGE_ASKED;
	for (uint32_t i = 2; i < c->word_count; i++) {
		if (slice_equal(c->words[i].text, SLICE("progress")))
			progress = true;
		else if (slice_equal(c->words[i].text, SLICE("all")))
			options.percent = PERCENT_ALL;
		else
			fits = false;
	}
	if (!fits) {
		daemon_control_done(c->origin, FAULT_SYNTAX, "store compact [all]");
		return;
	}
	if (run->is_asked) {
		daemon_control_done(c->origin, FAULT_BUSY, "a compaction is running already");
		return;
	}
	options.last = writer_compact_last(m->writer);
	run->is_asked = run->is_purging = true;
	run->wants_progress = progress;
	run->origin = c->origin;
	run->options = options;
	run->sum = (struct compact_slice){0};
	run->told_ms = 0;
	next_add(run, 0);
}

void
compact_cancel(struct mailboxd *m, struct ipc_origin origin)
{
	if (!m->compaction->is_asked || !ipc_origin_equal(m->compaction->origin, origin))
		return;
	log_info("store compact: nobody waits for it any more");
	asked_end(m->compaction, FAULT_PEER_LOST);
}

bool
compact_is_asked(const struct mailboxd *m)
{
	return m->compaction != NULL && m->compaction->is_asked;
}

void
compact_stop(struct mailboxd *m)
{
	if (m->compaction == NULL)
		return;
	if (m->compaction->next != NULL)
		event_free(m->compaction->next);
	free(m->compaction);
	m->compaction = NULL;
}
