/* SPDX-License-Identifier: ISC */
/*
 * What mailctl asks of queued:
 *
 *	status
 *	queue list
 *	queue show|retry|hold|release|remove ID|ID/NUMBER|all
 *
 * A job goes through the queue in pages, one per turn of the event loop, so that a long queue
 * delays no mail; each page of a change is one commit.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "queued/show.h"

enum {
	PAGE_MESSAGES = 200,
	PAGE_TRIES = 8,
	RECIPIENT_ARENA = 8 * RECORD_TEXT_MAX, /* the texts of one */
	PAGE_JSON_MAX = 64 * 1024 * 1024,
	FULL_LINK_MS = 10,
};

enum verb { VERB_LIST, VERB_SHOW, VERB_RETRY, VERB_HOLD, VERB_RELEASE, VERB_REMOVE, VERB_COUNT };

static const char *const verb_names[VERB_COUNT] = {
	"list", "show", "retry", "hold", "release", "remove"};

enum scope { SCOPE_ALL, SCOPE_MESSAGE, SCOPE_RECIPIENT };

struct job {
	struct queued *queued;
	struct event *next_page;
	struct ipc_origin origin;
	enum verb verb;
	enum scope scope;
	uint64_t id; /* of the scope, then of the next message of a page */
	uint32_t number;
	uint64_t count; /* messages shown, recipients changed */
};

static void
job_end(struct job *j, enum fault fault, const char *message)
{
	daemon_control_done(j->origin, fault, message);
	event_free(j->next_page);
	free(j);
}

static void
job_continue(struct job *j)
{
	struct ipc_link *link = ipc_link_find(j->origin.link);
	struct timeval soon = {0, link != NULL && ipc_link_is_full(link) ? FULL_LINK_MS * 1000 : 0};

	event_add(j->next_page, &soon);
}

/* Showing */

/* False at the end of what is to be shown. */
static bool
add_page(struct job *j, struct spool_txn *txn, struct buffer *json)
{
	for (int i = 0; i < PAGE_MESSAGES && buffer_len(json) < PAGE_JSON_MAX / 4; i++) {
		struct queue_message m;
		uint64_t wanted = j->id;

		if (!spool_next_message(txn, wanted, &m) ||
			(j->scope != SCOPE_ALL && m.id != wanted))
			return false;
		if (j->count++ > 0)
			buffer_add_byte(json, ',');
		show_message(j->queued, txn, &m, json);
		if (j->scope != SCOPE_ALL || m.id == UINT64_MAX)
			return false;
		j->id = m.id + 1;
	}
	return true;
}

static void
show_page(struct job *j)
{
	struct spool_txn txn;
	struct buffer json;
	bool more = false;
	enum fault fault = spool_begin(j->queued->spool, false, &txn);

	buffer_init(&json, PAGE_JSON_MAX);
	if (j->count == 0)
		buffer_add_text(&json, "{\"messages\":[");
	if (fault == FAULT_OK) {
		more = add_page(j, &txn, &json);
		fault = txn.kv.fault != FAULT_OK ? txn.kv.fault : buffer_fault(&json);
		spool_abort(&txn);
	}
	if (fault == FAULT_OK && j->scope != SCOPE_ALL && j->count == 0)
		fault = FAULT_NOT_FOUND;
	if (!more)
		buffer_add_text(&json, "]}");
	if (fault == FAULT_OK)
		daemon_control_text(j->origin, buffer_slice(&json));
	buffer_clear(&json);
	if (fault == FAULT_OK && more)
		job_continue(j);
	else
		job_end(j, fault, fault == FAULT_NOT_FOUND ? "no such message in the queue" : NULL);
}

/* Changing */

static bool
change_recipient(struct job *j, struct spool_txn *txn, struct queue_recipient *r, int64_t now_ms)
{
	switch (j->verb) {
	case VERB_RETRY:
		if (r->state != RECIPIENT_WAITING)
			return false;
		r->state = RECIPIENT_DUE;
		r->next_ms = now_ms;
		break;
	case VERB_HOLD:
		if (r->state == RECIPIENT_HELD)
			return false;
		r->state = RECIPIENT_HELD;
		break;
	case VERB_RELEASE:
		if (r->state != RECIPIENT_HELD)
			return false;
		r->state = RECIPIENT_DUE;
		r->next_ms = now_ms;
		break;
	default:
		spool_remove_recipient(txn, r->id, r->number);
		return true;
	}
	spool_change_recipient(txn, r);
	return true;
}

static uint64_t
change_message(struct job *j, struct spool_txn *txn, uint64_t id)
{
	struct queue_recipient key = {.id = id}, r;
	int64_t now_ms = clock_wall_ms(&clock_system);
	uint64_t count = 0;
	struct arena arena;

	arena_init(&arena, RECIPIENT_ARENA);
	if (j->scope == SCOPE_RECIPIENT)
		key.number = j->number;
	while (spool_next_recipient(txn, &key)) {
		if (j->scope == SCOPE_RECIPIENT && key.number != j->number)
			break;
		if (spool_get_recipient(txn, &key, &arena, &r) &&
			change_recipient(j, txn, &r, now_ms))
			count++;
		arena_clear(&arena);
		if (key.number == UINT32_MAX)
			break;
		key.number++;
	}
	return count;
}

struct page {
	bool more, any;
	uint64_t count;
	uint64_t next_id;
};

static enum fault
change_page(struct job *j, struct page *page)
{
	struct spool_txn txn;
	enum fault fault = spool_begin(j->queued->spool, true, &txn);

	if (fault != FAULT_OK)
		return fault;
	*page = (struct page){.more = true, .next_id = j->id};
	for (int i = 0; i < PAGE_MESSAGES && page->more; i++) {
		struct queue_message m;

		if (!spool_next_message(&txn, page->next_id, &m) ||
			(j->scope != SCOPE_ALL && m.id != j->id)) {
			page->more = false;
			break;
		}
		page->any = true;
		page->more = j->scope == SCOPE_ALL && m.id != UINT64_MAX;
		page->next_id = m.id + 1;
		page->count += change_message(j, &txn, m.id);
	}
	fault = spool_commit(&txn);
	return fault;
}

static void
end_changes(struct job *j)
{
	struct buffer json;

	buffer_init(&json, 256);
	buffer_printf(&json, "{\"recipients\":%llu}", (unsigned long long)j->count);
	daemon_control_text(j->origin, buffer_slice(&json));
	buffer_clear(&json);
	log_info("queue %s: %llu recipients", verb_names[j->verb], (unsigned long long)j->count);
	job_end(j, FAULT_OK, NULL);
}

static void
run_changes(struct job *j)
{
	struct page page = {0};
	enum fault fault = FAULT_BUSY;

	for (int i = 0; i < PAGE_TRIES && fault == FAULT_BUSY; i++)
		fault = change_page(j, &page);
	if (fault != FAULT_OK) {
		job_end(j, fault, NULL);
		return;
	}
	if (j->scope != SCOPE_ALL && !page.any) {
		job_end(j, FAULT_NOT_FOUND, "no such message in the queue");
		return;
	}
	j->count += page.count;
	j->id = page.next_id;
	destinations_resume(&j->queued->destinations);
	dispatch_after(j->queued, 0);
	if (page.more)
		job_continue(j);
	else
		end_changes(j);
}

static void
on_next_page(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;

	(void)fd;
	(void)what;
	if (j->verb == VERB_LIST || j->verb == VERB_SHOW)
		show_page(j);
	else
		run_changes(j);
}

/* Words */

static bool
parse_scope(struct slice word, struct job *j)
{
	size_t slash = slice_find_byte(word, '/');
	uint64_t number;

	if (slice_equal(word, SLICE("all"))) {
		j->scope = SCOPE_ALL;
		return true;
	}
	j->scope = SCOPE_MESSAGE;
	if (!id_parse(slice_first(word, slash), &j->id))
		return false;
	if (slash == word.len)
		return true;
	j->scope = SCOPE_RECIPIENT;
	if (!slice_parse_u64(slice_after(word, slash + 1), UINT32_MAX, &number))
		return false;
	j->number = (uint32_t)number;
	return true;
}

static bool
parse_job(const struct daemon_control *c, struct job *j)
{
	if (c->word_count < 2 || !slice_equal(c->words[0].text, SLICE("queue")))
		return false;
	for (int v = 0; v < VERB_COUNT; v++) {
		if (!slice_equal(c->words[1].text, slice_text(verb_names[v])))
			continue;
		j->verb = (enum verb)v;
		if (v == VERB_LIST)
			return c->word_count == 2;
		return c->word_count == 3 && parse_scope(c->words[2].text, j);
	}
	return false;
}

static void
show_status(struct queued *q, struct ipc_origin origin)
{
	const struct queued_counters *n = &q->counters;
	struct spool_txn txn;
	struct buffer json;
	unsigned long long messages = 0, recipients = 0;

	if (spool_begin(q->spool, false, &txn) == FAULT_OK) {
		messages = spool_count_messages(&txn);
		recipients = spool_count_recipients(&txn);
		spool_abort(&txn);
	}
	buffer_init(&json, 4096);
	buffer_printf(&json,
		"{\"messages\":%llu,\"recipients\":%llu,\"in_flight\":%u,\"submissions\":%u,",
		messages, recipients, (unsigned)q->flight_count, q->submission_count);
	buffer_printf(&json,
		"\"submitted\":%llu,\"direct\":%llu,\"spooled\":%llu,\"refused\":%llu,",
		(unsigned long long)n->submitted, (unsigned long long)n->direct,
		(unsigned long long)n->spooled, (unsigned long long)n->refused);
	buffer_printf(&json,
		"\"delivered\":%llu,\"relayed\":%llu,\"deferred\":%llu,\"failed\":%llu,"
		"\"notices\":%llu,\"bytes_held\":%llu}",
		(unsigned long long)n->delivered, (unsigned long long)n->relayed,
		(unsigned long long)n->deferred, (unsigned long long)n->failed,
		(unsigned long long)n->notices, (unsigned long long)q->bytes_held);
	daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, buffer_fault(&json), NULL);
	buffer_clear(&json);
}

static void
start_job(struct queued *q, const struct daemon_control *control)
{
	struct job *j = calloc(1, sizeof *j);

	if (j == NULL) {
		daemon_control_done(control->origin, FAULT_NOMEM, NULL);
		return;
	}
	j->queued = q;
	j->origin = control->origin;
	j->next_page = evtimer_new(daemon_base(q->daemon), on_next_page, j);
	if (j->next_page == NULL || !parse_job(control, j)) {
		daemon_control_done(control->origin, FAULT_SYNTAX,
			"usage: queue list, or queue show|retry|hold|release|remove ID|all");
		if (j->next_page != NULL)
			event_free(j->next_page);
		free(j);
		return;
	}
	job_continue(j);
}

void
control_queued(struct daemon *daemon, void *state, const struct daemon_control *control)
{
	(void)daemon;
	if (control->word_count == 1 && slice_equal(control->words[0].text, SLICE("status")))
		show_status(state, control->origin);
	else
		start_job(state, control);
}
