/* SPDX-License-Identifier: ISC */
/*
 * Starting what is due, in queued.  Each turn looks at the destinations that have due recipients,
 * one after the other, and starts a few requests for each that has room; so a destination with a
 * million recipients delays nobody else's.  All orders are read from the disk's index: nothing
 * here grows with the queue.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "queued/queued.h"

enum {
	VISITS_PER_TURN = 1000, /* destinations */
	STARTS_PER_VISIT = 4,
	TRIES_PER_VISIT = 64, /* damaged messages included */
	SCANS_PER_VISIT = 8192, /* more than can be in delivery for one destination */
	PROMOTIONS_PER_TURN = 500,
	PROMOTION_TRIES = 8,
	FLIGHTS_MAX = 2000,
	DELIVER_TIMEOUT_MS = 300000,
	RELAY_TIMEOUT_MS = 3600000, /* relayd has time-outs of its own */
	FULL_LINK_MS = 10,
	NO_MEMORY_MS = 100,
	FAULT_PAUSE_MS = 1000,
	IDLE_MS = 60000,
};

static void
arm(struct queued *q, int64_t delay_ms)
{
	struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
	struct timeval now, then, pending;

	if (q->stopping)
		return;
	if (evtimer_pending(q->dispatch, &pending)) {
		event_base_gettimeofday_cached(daemon_base(q->daemon), &now);
		evutil_timeradd(&now, &delay, &then);
		if (!evutil_timercmp(&then, &pending, <))
			return;
	}
	event_add(q->dispatch, &delay);
}

void
dispatch_after(struct queued *q, int64_t delay_ms)
{
	q->lap.again = true;
	arm(q, delay_ms);
}

/* Flights */

void
flight_end(struct flight *f)
{
	struct flight **at = &f->destination->flights;

	while (*at != NULL && *at != f)
		at = &(*at)->next;
	if (*at == f)
		*at = f->next;
	ipc_cancel(f->call);
	f->queued->flight_count--;
	f->queued->bytes_held -= f->size;
	free(f);
}

void
flights_free(struct queued *q)
{
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++)
		for (struct destination *d = q->destinations.buckets[i]; d != NULL; d = d->next)
			while (d->flights != NULL)
				flight_end(d->flights);
}

static bool
is_in_flight(const struct destination *d, uint64_t id)
{
	for (const struct flight *f = d->flights; f != NULL; f = f->next)
		if (f->id == id)
			return true;
	return false;
}

static struct flight *
flight_new(struct queued *q, struct destination *d, const struct queue_message *m)
{
	struct flight *f = calloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	*f = (struct flight){.queued = q, .destination = d, .id = m->id, .size = m->size};
	f->next = d->flights;
	d->flights = f;
	q->flight_count++;
	q->bytes_held += f->size;
	destination_started(d);
	return f;
}

/* The due recipients of a message that go to the destination, into lists in the arena. */
static bool
collect_recipients(struct spool_txn *txn, struct arena *arena, struct flight *f,
	struct ipc_recipient *recipients)
{
	struct queue_recipient r = {.id = f->id};

	for (; f->count < FLIGHT_RECIPIENTS_MAX && spool_next_recipient(txn, &r); r.number++) {
		struct ipc_recipient *to = &recipients[f->count];

		if (r.state != RECIPIENT_DUE ||
			!slice_equal(r.destination, slice_text(f->destination->name)))
			continue;
		*to = (struct ipc_recipient){
			.number = r.number, .local = r.local, .notify = r.notify};
		if (!arena_copy(arena, r.address, &to->address) ||
			!arena_copy(arena, r.orcpt, &to->orcpt))
			return false;
		f->numbers[f->count++] = r.number;
	}
	return true;
}

static void
send_deliver(struct flight *f, const struct queue_message *m, struct ipc_recipient *to, int fd)
{
	struct ipc_deliver request = {
		.id = f->id, .sender = m->sender, .recipients = to, .recipient_count = f->count};
	struct daemon *daemon = f->queued->daemon;

	/* deliverd does not read it, and it makes frames long. */
	for (uint32_t i = 0; i < f->count; i++)
		to[i].orcpt = SLICE("");
	f->call = ipc_call(daemon_base(daemon), daemon_peer(daemon, PROCESS_DELIVERD), IPC_DELIVER,
		&request, fd, DELIVER_TIMEOUT_MS, on_delivered, f);
}

static void
send_relay(struct flight *f, const struct queue_message *m, struct ipc_recipient *to, int fd)
{
	struct ipc_relay request = {
		.id = f->id,
		.sender = m->sender,
		.domain = slice_text(f->destination->name),
		.body = m->body,
		.smtputf8 = m->smtputf8,
		.ret = m->ret,
		.envid = m->envid,
		.recipients = to,
		.recipient_count = f->count,
	};
	struct daemon *daemon = f->queued->daemon;

	f->call = ipc_call(daemon_base(daemon), daemon_peer(daemon, PROCESS_RELAYD), IPC_RELAY,
		&request, fd, RELAY_TIMEOUT_MS, on_relayed, f);
}

static void
send_flight(struct flight *f, const struct queue_message *m, struct ipc_recipient *to)
{
	int fd;
	enum fault fault = spool_open_message(f->queued->spool, m, &fd);

	if (fault != FAULT_OK) {
		char id[ID_TEXT_SIZE];

		log_error(
			"%s: cannot read the message: %s", id_format(f->id, id), fault_text(fault));
		results_of_fault(f, fault);
		return;
	}
	if (f->destination->name[0] == '\0')
		send_deliver(f, m, to, fd);
	else
		send_relay(f, m, to, fd);
	close(fd);
}

/* A request that was collected in the read transaction, to be sent after it. */
struct start {
	struct start *next;
	struct flight *flight;
	struct queue_message message;
	struct ipc_recipient *recipients;
};

/* One turn. */
struct turn {
	struct queued *q;
	struct spool_txn txn;
	struct arena arena;
	struct start *starts, **last;
	int64_t now_ms; /* mono clock */
	bool more; /* there is something to do at once */
};

enum started {
	STARTED,
	NO_MEMORY, /* for now */
	PASSED_OVER, /* its records are damaged: it must not keep back what stands behind it */
};

static enum started
start_flight(struct turn *t, struct destination *d, struct start *s)
{
	s->recipients = arena_array(&t->arena, FLIGHT_RECIPIENTS_MAX, sizeof *s->recipients);
	s->flight = s->recipients != NULL ? flight_new(t->q, d, &s->message) : NULL;
	if (s->flight == NULL)
		return NO_MEMORY;
	bool good = collect_recipients(&t->txn, &t->arena, s->flight, s->recipients);
	if (good && s->flight->count > 0)
		return STARTED;
	destination_dropped(d);
	flight_end(s->flight);
	return good ? PASSED_OVER : NO_MEMORY;
}

static enum started
start_message(struct turn *t, struct destination *d, uint64_t id)
{
	struct start *s = arena_alloc(&t->arena, sizeof *s);
	enum started started;

	if (s == NULL)
		return NO_MEMORY;
	if (!spool_get_message(&t->txn, id, &t->arena, &s->message))
		return t->txn.kv.fault == FAULT_OK ? PASSED_OVER : NO_MEMORY;
	if (!queued_has_memory(t->q, s->message.size))
		return NO_MEMORY;
	started = start_flight(t, d, s);
	if (started != STARTED)
		return started;
	*t->last = s;
	t->last = &s->next;
	t->q->lap.started = true;
	return STARTED;
}

/* Visiting destinations */

static void
step_entry(struct spool_entry *e)
{
	if (e->number != UINT32_MAX) {
		e->number++;
		return;
	}
	e->number = 0;
	e->id++;
}

static void
scan_from_start(struct destination *d)
{
	d->scan = (struct spool_entry){0};
	memcpy(d->scan.destination, d->name, sizeof d->scan.destination);
	d->scanning = false;
}

/*
 * The next message of the destination that is not in delivery.  The search goes on where the last
 * one stopped, and begins once more at the oldest when it comes to the end.
 */
static bool
find_message(struct turn *t, struct destination *d, uint64_t *id)
{
	bool from_start = !d->scanning;

	if (from_start)
		scan_from_start(d);
	for (int i = 0; i < SCANS_PER_VISIT; i++) {
		if (!spool_next_due(&t->txn, &d->scan)) {
			scan_from_start(d);
			if (from_start)
				return false;
			from_start = true;
			continue;
		}
		*id = d->scan.id;
		step_entry(&d->scan);
		d->scanning = true;
		if (!is_in_flight(d, *id))
			return true;
	}
	return false;
}

static bool
can_start(const struct turn *t)
{
	return t->q->flight_count < FLIGHTS_MAX &&
		t->q->flight_count <
		2 * (uint32_t)daemon_settings(t->q->daemon)->relay_connections + WINDOW_LOCAL;
}

static void
wake_at(struct turn *t, int64_t mono_ms)
{
	if (mono_ms < t->q->lap.next_ms)
		t->q->lap.next_ms = mono_ms;
}

/* The process that takes the mail is there and reads. */
static bool
is_link_ready(struct turn *t, const char *name)
{
	enum process process = name[0] == '\0' ? PROCESS_DELIVERD : PROCESS_RELAYD;
	struct ipc_link *link = daemon_peer(t->q->daemon, process);

	if (link == NULL)
		return false;
	if (!ipc_link_is_full(link))
		return true;
	wake_at(t, t->now_ms + FULL_LINK_MS);
	return false;
}

static void
visit(struct turn *t, const char *name)
{
	struct destination *d;
	uint64_t id;
	int starts = 0;

	if (!is_link_ready(t, name))
		return;
	d = destination_get(&t->q->destinations, name);
	if (d == NULL)
		return;
	if (d->paused_until_ms > t->now_ms)
		wake_at(t, d->paused_until_ms);
	for (int i = 0; i < TRIES_PER_VISIT && starts < STARTS_PER_VISIT; i++) {
		enum started started;

		if (!can_start(t) || !destination_has_room(d, t->now_ms) ||
			!find_message(t, d, &id))
			return;
		started = start_message(t, d, id);
		starts += started == STARTED;
		if (started == NO_MEMORY) {
			scan_from_start(d);
			wake_at(t, t->now_ms + NO_MEMORY_MS);
			return;
		}
	}
}

static void
open_lap(struct queued *q)
{
	if (q->lap.open)
		return;
	q->lap = (struct lap){.open = true, .from_middle = q->turn_is_set, .next_ms = INT64_MAX};
}

/*
 * One lap goes over all destinations, in as many turns as it takes.  Another one follows when this
 * one started something, missed the beginning, or when something came up behind it.
 */
static void
visit_all(struct turn *t)
{
	struct queued *q = t->q;

	open_lap(q);
	for (int i = 0; i < VISITS_PER_TURN && can_start(t); i++) {
		if (!spool_next_destination(&t->txn, !q->turn_is_set, &q->turn)) {
			t->more = q->lap.started || q->lap.from_middle || q->lap.again;
			q->lap.open = false;
			q->turn_is_set = false;
			return;
		}
		q->turn_is_set = true;
		visit(t, q->turn.destination);
	}
	/* Full: the end of any flight starts the next lap here, in the middle. */
	t->more = can_start(t);
	q->lap.open = t->more;
}

static void
send_starts(struct turn *t)
{
	for (struct start *s = t->starts; s != NULL; s = s->next)
		send_flight(s->flight, &s->message, s->recipients);
}

/* Waiting recipients whose time has come */

/* Its entry goes first: one that leads to a damaged record would come up for ever. */
static void
promote_one(struct spool_txn *txn, struct arena *arena, const struct spool_entry *e)
{
	struct queue_recipient key = {.id = e->id, .number = e->number}, r;

	spool_drop_waiting(txn, e);
	if (!spool_get_recipient(txn, &key, arena, &r) || r.state != RECIPIENT_WAITING)
		return;
	r.state = RECIPIENT_DUE;
	spool_change_recipient(txn, &r);
}

static enum fault
promote(struct queued *q, int64_t now_ms, bool *more)
{
	struct spool_entry e = {0};
	struct spool_txn txn;
	struct arena arena;
	enum fault fault = spool_begin(q->spool, true, &txn);
	int count = 0;

	if (fault != FAULT_OK)
		return fault;
	arena_init(&arena, 16 * 1024 * 1024);
	for (; count < PROMOTIONS_PER_TURN; count++) {
		if (!spool_next_waiting(&txn, &e) || e.next_ms > now_ms)
			break;
		promote_one(&txn, &arena, &e);
		step_entry(&e);
	}
	fault = spool_commit(&txn);
	arena_clear(&arena);
	*more = count == PROMOTIONS_PER_TURN;
	return fault;
}

/* ms until the first waiting recipient is due; 0 when one is. */
static int64_t
next_waiting_in(struct queued *q)
{
	struct spool_entry e = {0};
	struct spool_txn txn;
	int64_t wait_ms = IDLE_MS;

	if (spool_begin(q->spool, false, &txn) != FAULT_OK)
		return FAULT_PAUSE_MS;
	if (spool_next_waiting(&txn, &e)) {
		int64_t now_ms = clock_wall_ms(&clock_system);

		if (e.next_ms <= now_ms)
			wait_ms = 0;
		else if (e.next_ms - now_ms < wait_ms)
			wait_ms = e.next_ms - now_ms;
	}
	spool_abort(&txn);
	return wait_ms;
}

static int64_t
promote_due(struct queued *q)
{
	bool more = true;
	enum fault fault = FAULT_OK;

	if (next_waiting_in(q) > 0)
		return next_waiting_in(q);
	for (int i = 0; i < PROMOTION_TRIES; i++) {
		fault = promote(q, clock_wall_ms(&clock_system), &more);
		if (fault != FAULT_BUSY)
			break;
	}
	if (fault == FAULT_OK)
		return more ? 0 : next_waiting_in(q);
	log_error("cannot write to the queue: %s", fault_text(fault));
	return FAULT_PAUSE_MS;
}

static bool
turn_open(struct turn *t, struct queued *q)
{
	*t = (struct turn){.q = q, .now_ms = clock_mono_ms(&clock_system)};
	t->last = &t->starts;
	arena_init(&t->arena, CHANGE_BUDGET);
	return spool_begin(q->spool, false, &t->txn) == FAULT_OK;
}

/* The event: what is due now. */
static void
on_dispatch(evutil_socket_t fd, short what, void *arg)
{
	struct queued *q = arg;
	int64_t wait_ms;
	struct turn t;

	(void)fd;
	(void)what;
	if (q->stopping)
		return;
	wait_ms = promote_due(q);
	if (turn_open(&t, q)) {
		visit_all(&t);
		spool_abort(&t.txn);
		send_starts(&t);
	} else {
		wait_ms = FAULT_PAUSE_MS;
	}
	arena_clear(&t.arena);
	if (q->lap.next_ms - t.now_ms < wait_ms)
		wait_ms = q->lap.next_ms - t.now_ms;
	arm(q, t.more ? 0 : wait_ms);
}

bool
dispatch_open(struct queued *q)
{
	q->dispatch = evtimer_new(daemon_base(q->daemon), on_dispatch, q);
	return q->dispatch != NULL;
}
