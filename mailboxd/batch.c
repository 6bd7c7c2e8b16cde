/* SPDX-License-Identifier: ISC */
/*
 * One commit for many requests.  mailboxd never answers OK before the commit that made it true;
 * when the commit fails, every request of the batch gets its fault and none of them happened.
 */
#include "mailboxd/batch.h"

#include <string.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/cursor.h"
#include "common/base/log.h"
#include "common/base/memfd.h"
#include "common/ipc/codec.h"
#include "mailboxd/mailboxd.h"

enum {
	RANGE_SIZE = 8, /* bytes of one range on the wire */
	RANGES_BYTES_MAX = 32 * 1024 * 1024, /* of ranges in a memfd */
	EVENTS_PER_MESSAGE = 4096,
};

/*
 * Lets the loop look at the sockets first.  An event made active by hand would run within this very
 * turn, before more requests are read, and every batch would have one request.
 */
static void
commit_later(struct batch *b)
{
	static const struct timeval next_turn = {0, 0};

	event_add(b->commit, &next_turn);
}

static void
commit_event(evutil_socket_t fd, short what, void *arg)
{
	struct mailboxd *m = arg;

	(void)fd, (void)what;
	/* Requests still come: one more turn of the loop, for whatever lies in the sockets. */
	if (m->batch.open && m->batch.count != m->batch.count_seen) {
		m->batch.count_seen = m->batch.count;
		commit_later(&m->batch);
		return;
	}
	batch_commit(m);
}

static void
batch_reset(struct batch *b)
{
	for (struct batch_answer *a = b->first; a != NULL; a = a->next)
		if (a->fd >= 0)
			close(a->fd);
	arena_clear(&b->arena);
	b->first = NULL;
	b->last = &b->first;
	b->count = b->count_seen = 0;
	b->bytes = 0;
	b->open = false;
}

enum fault
batch_init(struct mailboxd *m)
{
	arena_init(&m->batch.arena, BATCH_ARENA);
	batch_reset(&m->batch);
	m->batch.commit = event_new(daemon_base(m->daemon), -1, 0, commit_event, m);
	return m->batch.commit != NULL ? FAULT_OK : FAULT_NOMEM;
}

void
batch_clear(struct mailboxd *m)
{
	if (m->batch.open)
		writer_abort(m->writer);
	if (m->batch.commit != NULL)
		event_free(m->batch.commit);
	m->batch.commit = NULL;
	batch_reset(&m->batch);
}

/* Every answer's payload begins with its fault; the rest stays zero. */
static void
answer_fault(struct ipc_origin origin, enum ipc_type request, enum fault fault)
{
	union {
		uint32_t fault;
		struct ipc_done done;
		struct ipc_appended appended;
		struct ipc_restored restored;
		struct ipc_flags_stored flags_stored;
		struct ipc_copied copied;
		struct ipc_expunged expunged;
		struct ipc_mailbox_done mailbox_done;
		struct ipc_recent_claimed recent_claimed;
	} payload;

	memset(&payload, 0, sizeof(payload));
	payload.fault = (uint32_t)fault;
	ipc_answer(origin, ipc_row(request)->answer, &payload, -1);
}

static enum fault
batch_open(struct mailboxd *m)
{
	enum fault fault = writer_begin(m->writer);

	if (fault != FAULT_OK) {
		mailboxd_committed(m);
		return fault;
	}
	m->batch.open = true;
	commit_later(&m->batch);
	return FAULT_OK;
}

struct batch_answer *
batch_enter(struct mailboxd *m, struct ipc_link *link, const struct ipc_message *message)
{
	struct batch *b = &m->batch;
	enum fault fault = b->open ? FAULT_OK : batch_open(m);
	const struct ipc_layout *layout = ipc_row(ipc_row(message->type)->answer)->layout;
	struct batch_answer *a = NULL;

	m->counters.requests++;
	if (fault == FAULT_OK) {
		a = arena_alloc(&b->arena, sizeof(*a));
		if (a != NULL)
			a->payload = arena_alloc(&b->arena, layout->size);
		if (a == NULL || a->payload == NULL)
			fault = FAULT_BUDGET;
	}
	if (fault != FAULT_OK) {
		answer_fault(ipc_origin_of(link, message), message->type, fault);
		return NULL;
	}
	a->origin = ipc_origin_of(link, message);
	a->type = ipc_row(message->type)->answer;
	a->size = layout->size;
	a->fd = -1;
	*b->last = a;
	b->last = &a->next;
	b->count++;
	return a;
}

void
batch_leave(struct mailboxd *m, uint64_t bytes)
{
	struct batch *b = &m->batch;

	b->bytes += bytes;
	/* After a fault of the environment the batch is lost: more of it would be work in vain. */
	if (b->count >= BATCH_REQUESTS_MAX || b->bytes >= BATCH_BYTES_MAX ||
		b->arena.used >= BATCH_ARENA / 2 || writer_fault(m->writer) != FAULT_OK)
		batch_commit(m);
}

void
batch_commit(struct mailboxd *m)
{
	struct batch *b = &m->batch;

	if (!b->open)
		return;
	enum fault fault = writer_commit(m->writer);
	m->counters.batches++;
	if (fault != FAULT_OK) {
		m->counters.failed_batches++;
		log_error("commit of %u requests: %s", b->count, fault_text(fault));
	}
	for (struct batch_answer *a = b->first; a != NULL; a = a->next) {
		if (fault != FAULT_OK) {
			uint32_t value = (uint32_t)fault;
			memset(a->payload, 0, a->size);
			memcpy(a->payload, &value, sizeof(value));
		}
		ipc_answer(a->origin, a->type, a->payload, fault == FAULT_OK ? a->fd : -1);
	}
	batch_reset(b);
	if (fault == FAULT_OK)
		batch_broadcast(m);
	mailboxd_committed(m);
}

void
batch_broadcast(struct mailboxd *m)
{
	struct ipc_change changes[EVENTS_PER_MESSAGE];
	size_t count;
	const struct store_event *events = writer_events(m->writer, &count);

	for (size_t at = 0; at < count;) {
		struct ipc_changed changed = {.changes = changes};
		while (at < count && changed.change_count < EVENTS_PER_MESSAGE) {
			changes[changed.change_count++] = (struct ipc_change){
				events[at].account, events[at].mailbox, events[at].modseq};
			at++;
		}
		m->counters.events += changed.change_count;
		/* A hint: an imapd that cannot take it finds the change with the next one. */
		for (struct ipc_link *link = daemon_peer_next(m->daemon, PROCESS_IMAPD, NULL);
			link != NULL; link = daemon_peer_next(m->daemon, PROCESS_IMAPD, link))
			if (ipc_send_CHANGED(link, 0, &changed, -1) != FAULT_OK)
				log_debug("imapd/%u does not take events", ipc_link_instance(link));
	}
}

static enum fault
ranges_decode(struct mailboxd *m, struct slice bytes, struct batch_uids *uids)
{
	size_t count = bytes.len / RANGE_SIZE;

	if (bytes.len % RANGE_SIZE != 0)
		return FAULT_PEER_PROTOCOL;
	uids->ranges = arena_array(&m->batch.arena, count + 1, sizeof(uids->ranges[0]));
	if (uids->ranges == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < count; i++) {
		const char *at = bytes.data + i * RANGE_SIZE;
		uids->ranges[i] = (struct uid_range){get_u32(at), get_u32(at + 4)};
	}
	/* Order is the sender's duty, but nothing here may depend on it. */
	uids->count = uid_ranges_normalize(uids->ranges, count);
	return FAULT_OK;
}

enum fault
batch_uids_read(struct mailboxd *m, const struct ipc_message *message, struct slice field,
	struct batch_uids *uids)
{
	struct slice bytes;

	if (message->fd < 0)
		return ranges_decode(m, field, uids);
	enum fault fault = memfd_map(message->fd, RANGES_BYTES_MAX, &bytes);
	if (fault != FAULT_OK)
		return fault;
	fault = ranges_decode(m, bytes, uids);
	memfd_unmap(&bytes);
	return fault;
}

static enum fault
memfd_make(struct slice bytes, int *fd)
{
	enum fault fault;

	*fd = memfd_open("uids", &fault);
	if (fault == FAULT_OK)
		fault = memfd_append(*fd, bytes);
	return fault != FAULT_OK ? fault : memfd_seal(*fd);
}

enum fault
batch_uids_write(struct mailboxd *m, struct batch_answer *answer, const struct uid_set *set,
	struct slice *field)
{
	size_t size = set->count * RANGE_SIZE;
	char *bytes = arena_array(&m->batch.arena, set->count + 1, RANGE_SIZE);

	if (bytes == NULL || set->fault != FAULT_OK)
		return FAULT_BUDGET;
	for (size_t i = 0; i < set->count; i++) {
		put_u32(bytes + i * RANGE_SIZE, set->ranges[i].first);
		put_u32(bytes + i * RANGE_SIZE + 4, set->ranges[i].last);
	}
	if (size > IPC_RANGES_MAX)
		return memfd_make(slice_make(bytes, size), &answer->fd);
	*field = slice_make(bytes, size);
	return FAULT_OK;
}

enum fault
batch_keywords_read(struct mailboxd *m, struct slice field, struct slice **names, size_t *count)
{
	struct cursor c = cursor_of(field);

	*count = 0;
	*names = arena_array(&m->batch.arena, field.len / 2 + 1, sizeof(**names));
	if (*names == NULL)
		return FAULT_BUDGET;
	while (!cursor_at_end(&c)) {
		struct slice name;
		if (take_byte(&c, ' '))
			continue;
		if (!take_until(&c, ' ', &name))
			name = take_rest(&c);
		(*names)[(*count)++] = name;
	}
	return FAULT_OK;
}
