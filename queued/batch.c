/* SPDX-License-Identifier: ISC */
/* Group commit of the queue, in queued.  done(FAULT_OK) means: on disk, whatever happens next. */
#include "queued/batch.h"

#include <stdlib.h>

#include "common/base/log.h"

enum { COMMIT_TRIES = 8, MUST_RETRY_MS = 1000, RESULT_WAIT_MS = 5 };

struct batch {
	struct spool *spool;
	struct event *soon;
	struct change *first, **last;
	unsigned count;
	void (*committed)(void *arg);
	void *arg;
};

struct change *
change_new(size_t budget)
{
	struct change *c = calloc(1, sizeof *c);

	if (c != NULL)
		arena_init(&c->arena, budget);
	return c;
}

void
change_free(struct change *c)
{
	if (c == NULL)
		return;
	for (struct parcel *p = c->parcels; p != NULL; p = p->next)
		buffer_clear(&p->owned);
	arena_clear(&c->arena);
	free(c);
}

struct parcel *
change_add_parcel(struct change *c, uint32_t count)
{
	struct parcel *p = arena_alloc(&c->arena, sizeof *p);

	if (p == NULL)
		return NULL;
	p->recipients = arena_array(&c->arena, count, sizeof *p->recipients);
	if (p->recipients == NULL)
		return NULL;
	p->recipient_count = count;
	p->next = c->parcels;
	c->parcels = p;
	return p;
}

/* Before the transaction: the bytes. */

static enum fault
append_parcels(struct spool *spool, struct change *c)
{
	for (struct parcel *p = c->parcels; p != NULL; p = p->next) {
		enum fault fault = spool_append(spool, p->bytes, &p->message);
		if (fault != FAULT_OK)
			return fault;
	}
	return FAULT_OK;
}

static void
append_bytes(struct spool *spool, struct change *list)
{
	for (struct change *c = list; c != NULL; c = c->next)
		c->fault = append_parcels(spool, c);
}

/* Inside it: the tables. */

static void
apply_parcel(struct spool_txn *txn, struct parcel *p)
{
	p->message.left = p->recipient_count;
	for (uint32_t i = 0; i < p->recipient_count; i++) {
		p->recipients[i].id = p->message.id;
		if (p->message.next_number <= p->recipients[i].number)
			p->message.next_number = p->recipients[i].number + 1;
	}
	spool_add_message(txn, &p->message);
	for (uint32_t i = 0; i < p->recipient_count; i++)
		spool_add_recipient(txn, &p->recipients[i]);
}

/* Additions come first, so that the message outlives the recipient that they replace. */
static void
apply_additions(struct spool_txn *txn, struct change *c)
{
	struct queue_message m;
	uint32_t count = 0, number;

	for (uint32_t i = 0; i < c->step_count; i++)
		count += c->steps[i].kind == CHANGE_ADD;
	/* Its texts stand in the map: it is written before anything else is. */
	if (count == 0 || !spool_get_message(txn, c->id, NULL, &m))
		return;
	number = m.next_number;
	m.next_number += count;
	m.left += count;
	spool_put_message(txn, &m);
	for (uint32_t i = 0; i < c->step_count; i++) {
		if (c->steps[i].kind != CHANGE_ADD)
			continue;
		c->steps[i].recipient.id = c->id;
		c->steps[i].recipient.number = number++;
		spool_add_recipient(txn, &c->steps[i].recipient);
	}
}

static void
apply_step(struct spool_txn *txn, const struct change_step *step)
{
	struct queue_recipient now, then = step->recipient;

	if (step->kind == CHANGE_REMOVE)
		spool_remove_recipient(txn, then.id, then.number);
	if (step->kind != CHANGE_UPDATE || !spool_get_recipient(txn, &then, NULL, &now))
		return;
	if (now.state == RECIPIENT_HELD)
		then.state = RECIPIENT_HELD;
	spool_change_recipient(txn, &then);
}

/* Ids are drawn by smtpd: one that is taken spoils its own change and no other. */
static bool
ids_are_free(struct spool_txn *txn, const struct change *c)
{
	struct queue_message m;

	for (const struct parcel *p = c->parcels; p != NULL; p = p->next)
		if (spool_get_message(txn, p->message.id, NULL, &m))
			return false;
	return true;
}

static void
apply_change(struct spool_txn *txn, struct change *c)
{
	if (!ids_are_free(txn, c)) {
		c->fault = FAULT_INTERNAL;
		return;
	}
	for (struct parcel *p = c->parcels; p != NULL; p = p->next)
		apply_parcel(txn, p);
	apply_additions(txn, c);
	for (uint32_t i = 0; i < c->step_count; i++)
		apply_step(txn, &c->steps[i]);
}

static enum fault
commit_tables(struct spool *spool, struct change *list)
{
	enum fault fault = FAULT_BUSY;

	for (int i = 0; i < COMMIT_TRIES && fault == FAULT_BUSY; i++) {
		struct spool_txn txn;

		fault = spool_begin(spool, true, &txn);
		if (fault != FAULT_OK)
			return fault;
		for (struct change *c = list; c != NULL; c = c->next)
			if (c->fault == FAULT_OK)
				apply_change(&txn, c);
		fault = spool_commit(&txn);
	}
	return fault;
}

static enum fault
commit_list(struct spool *spool, struct change *list)
{
	append_bytes(spool, list);
	enum fault fault = commit_tables(spool, list);
	if (fault != FAULT_OK)
		spool_cut(spool);
	for (struct change *c = list; c != NULL; c = c->next)
		if (c->fault == FAULT_OK)
			c->fault = fault;
	return fault;
}

/* After it: the answers. */

static void
wait_again(struct batch *b, struct change *c)
{
	struct timeval delay = {MUST_RETRY_MS / 1000, MUST_RETRY_MS % 1000 * 1000};

	c->next = NULL;
	*b->last = c;
	b->last = &c->next;
	b->count++;
	if (!evtimer_pending(b->soon, NULL))
		event_add(b->soon, &delay);
}

static void
finish_list(struct batch *b, struct change *list)
{
	while (list != NULL) {
		struct change *c = list;

		list = c->next;
		if (c->fault != FAULT_OK && c->must && fault_is_temporary(c->fault)) {
			wait_again(b, c);
			continue;
		}
		if (c->done != NULL)
			c->done(c->arg, c->fault);
		change_free(c);
	}
}

/* Those that must be written go alone when the whole did not fit: they free more than they take. */
static void
split_list(struct change *list, struct change **must, struct change **others)
{
	*must = *others = NULL;
	while (list != NULL) {
		struct change *c = list, **to = c->must ? must : others;

		list = c->next;
		c->next = *to;
		*to = c;
	}
}

void
batch_commit(struct batch *b)
{
	struct change *list = b->first, *must, *others;
	enum fault fault;

	if (list == NULL)
		return;
	b->first = NULL;
	b->last = &b->first;
	b->count = 0;
	fault = commit_list(b->spool, list);
	if (fault == FAULT_OK) {
		finish_list(b, list);
	} else {
		log_error("cannot write to the queue: %s", fault_text(fault));
		split_list(list, &must, &others);
		if (must != NULL && others != NULL)
			(void)!commit_list(b->spool, must);
		finish_list(b, others);
		finish_list(b, must);
	}
	b->committed(b->arg);
}

static void
on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	batch_commit(arg);
}

struct batch *
batch_new(struct event_base *base, struct spool *spool, void (*committed)(void *arg), void *arg)
{
	struct batch *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	b->spool = spool;
	b->last = &b->first;
	b->committed = committed;
	b->arg = arg;
	b->soon = evtimer_new(base, on_soon, b);
	if (b->soon == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	while (b->first != NULL) {
		struct change *c = b->first;

		b->first = c->next;
		change_free(c);
	}
	event_free(b->soon);
	free(b);
}

/*
 * Somebody waits for the answer to a submission, and nobody for a result: a result alone lets some
 * milliseconds pass, in which others come to share the commit.
 */
void
batch_add(struct batch *b, struct change *c)
{
	struct timeval now = {0, 0}, soon = {0, RESULT_WAIT_MS * 1000};

	c->next = NULL;
	*b->last = c;
	b->last = &c->next;
	b->count++;
	if (!c->must)
		event_add(b->soon, &now);
	else if (!evtimer_pending(b->soon, NULL))
		event_add(b->soon, &soon);
}

unsigned
batch_waiting(const struct batch *b)
{
	return b->count;
}
