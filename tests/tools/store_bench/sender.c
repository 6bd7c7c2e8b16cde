/* SPDX-License-Identifier: ISC */
/* Owns the writing side of the measurements. */
#include "tests/tools/store_bench/sender.h"

#include "common/store/compact.h"
#include "tests/tools/store_bench/mail.h"

enum { HOUSEKEEPING_ROUNDS = 4, MINUTE_MS = 61000 };

void
sender_open(struct sender *s, const struct bench *b)
{
	struct store_options options = {.clock = &bench_clock, .segment_size_max = b->segment_size};

	*s = (struct sender){.bench = b, .state = b->seed * 2654435761U + 1};
	pool_make(&s->pool, b);
	must(writer_open(b->dir, &options, &s->writer), "open");
	if (!b->apart)
		return;
	s->base = event_base_new();
	if (s->base == NULL)
		bench_die("out of memory");
	must(checkpointer_new(s->base, writer_journal(s->writer), &s->checkpointer),
		"checkpointer");
}

void
sender_close(struct sender *s)
{
	checkpointer_free(s->checkpointer);
	writer_close(s->writer);
	if (s->base != NULL)
		event_base_free(s->base);
	pool_clear(&s->pool);
}

/* A new message's own hash, and for every second that of an earlier one. */
static size_t
draw_hashes(struct sender *s, uint64_t hashes[2])
{
	hashes[0] = s->number * 0x9e3779b97f4a7c15U;
	if (s->bench->hollow || s->number % 2 == 0)
		return 1;
	hashes[1] = draw(&s->state) % s->number * 0x9e3779b97f4a7c15U;
	return 2;
}

static void
draw_delivery_id(struct sender *s, struct writer_target *t)
{
	for (size_t at = 0; s->bench->once && at < STORE_DELIVERY_ID_SIZE; at += 8) {
		uint64_t bits = draw(&s->state);
		memcpy(t->delivery_id + at, &bits, 8);
	}
}

static struct slice
prefix_of(const struct sender *s)
{
	return s->bench->hollow ? SLICE("Return-Path: <>\r\n")
				: SLICE("Return-Path: <person4711@example.net>\r\n"
					"Delivered-To: user815@example.org\r\n");
}

static void
deliver(struct sender *s, struct sent *sent)
{
	const struct pool_message *m = &s->pool.messages[s->number % s->pool.count];
	struct writer_target target = {
		.account = s->bench->account + s->number % s->bench->accounts,
		.mailbox = STORE_INBOX,
		.make_account = true,
		.received_at = clock_wall_ms(&bench_clock) / 1000,
		.zone = 60,
		.prefix = prefix_of(s)};
	uint64_t hashes[2];
	struct writer_append append = {.structure = m->structure,
		.body = m->body,
		.info = m->info,
		.thread_hashes = hashes,
		.thread_hash_count = draw_hashes(s, hashes),
		.targets = &target,
		.target_count = 1};

	draw_delivery_id(s, &target);
	writer_append(s->writer, &append);
	/* A fault of the environment shows at the commit. */
	if (writer_fault(s->writer) != FAULT_OK)
		return;
	must(target.fault, "append");
	s->mail_bytes += (double)(m->info.plain_len + target.prefix.len);
	s->number++;
	if (sent != NULL)
		*sent = (struct sent){target.account, target.uid, (uint32_t)m->info.stored_len};
}

static void
after_commit(struct sender *s)
{
	if (s->checkpointer == NULL)
		return;
	checkpointer_committed(s->checkpointer);
	(void)event_base_loop(s->base, EVLOOP_NONBLOCK);
}

void
sender_commit(struct sender *s, uint64_t count, struct sent *sent)
{
	for (;;) {
		uint64_t number = s->number;
		double mail_bytes = s->mail_bytes;

		must(writer_begin(s->writer), "begin");
		for (uint64_t i = 0; i < count; i++)
			deliver(s, sent != NULL ? &sent[i] : NULL);
		enum fault fault = writer_commit(s->writer);
		if (fault == FAULT_OK) {
			after_commit(s);
			return;
		}
		if (fault != FAULT_BUSY)
			must(fault, "commit");
		s->number = number;
		s->mail_bytes = mail_bytes;
	}
}

void
sender_fill(struct sender *s, uint64_t count, struct sent *sent)
{
	uint64_t most = s->bench->writers;

	for (uint64_t done = 0; done < count;) {
		uint64_t n = count - done < most ? count - done : most;

		sender_commit(s, n, sent != NULL ? sent + done : NULL);
		done += n;
	}
}

void
sender_batch(struct sender *s, void (*work)(struct store_writer *, void *arg), void *arg)
{
	enum fault fault;

	do {
		must(writer_begin(s->writer), "begin");
		work(s->writer, arg);
		fault = writer_commit(s->writer);
	} while (fault == FAULT_BUSY);
	must(fault, "commit");
	after_commit(s);
}

/* What mailboxd does slowly, at once. */
static void
compact_all(struct sender *s)
{
	struct compact_options options = {.percent = COMPACT_PERCENT,
		.tail_garbage = COMPACT_TAIL_GARBAGE,
		.bytes_max = COMPACT_SLICE,
		.last = writer_compact_last(s->writer)};
	struct compact_slice slice;

	do {
		must(writer_compact(s->writer, &options, &slice), "compaction");
		after_commit(s);
		if (slice.next != COMPACT_SETTLES || s->checkpointer == NULL)
			continue;
		checkpointer_hurry(s->checkpointer);
		(void)event_base_loop(s->base, EVLOOP_ONCE);
	} while (slice.next != COMPACT_DONE);
}

void
sender_housekeep(struct sender *s)
{
	for (unsigned i = 0; i < HOUSEKEEPING_ROUNDS; i++) {
		bool more = true;

		while (more)
			must(writer_housekeep(s->writer, &more), "housekeeping");
		bench_clock_skip(MINUTE_MS);
	}
	compact_all(s);
	bench_clock_skip(COMPACT_GRACE_S * INT64_C(1000));
	compact_all(s);
}
