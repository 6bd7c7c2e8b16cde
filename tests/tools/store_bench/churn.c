/* SPDX-License-Identifier: ISC */
/*
 * The age of a store: fill, then again and again delete half of what is there at random, let the
 * undelete time pass, and refill.  The disk's blocks are counted each time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tools/store_bench/measure.h"
#include "tests/tools/store_bench/sender.h"

enum { DELETED_AT_ONCE = 64 };
#define UNDELETE_MS (INT64_C(15) * 24 * 3600 * 1000)

struct churn {
	struct sender sender;
	struct sent *live;
	uint64_t live_count;
	double live_bytes; /* of stored bodies */
};

struct deletion {
	const struct sent *from;
	uint64_t count;
};

static int
by_place(const void *a, const void *b)
{
	const struct sent *x = a, *y = b;

	if (x->account != y->account)
		return x->account < y->account ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* All of one account: a client's EXPUNGE. */
static void
do_delete(struct store_writer *w, void *arg)
{
	const struct deletion *d = arg;
	struct uid_range ranges[DELETED_AT_ONCE];
	struct writer_expunge expunge = {
		.uids = {d->from->account, STORE_INBOX, ranges, (size_t)d->count}};

	for (uint64_t i = 0; i < d->count; i++)
		ranges[i] = (struct uid_range){d->from[i].uid, d->from[i].uid};
	must(writer_expunge(w, &expunge), "expunge");
	if (uid_set_total(&expunge.expunged) != d->count)
		bench_die("fewer messages expunged than asked for");
	uid_set_clear(&expunge.expunged);
}

/* The first half becomes a random choice. */
static void
shuffle(struct churn *c)
{
	for (uint64_t i = 0; i < c->live_count / 2; i++) {
		uint64_t other = i + draw(&c->sender.state) % (c->live_count - i);
		struct sent swapped = c->live[i];

		c->live[i] = c->live[other];
		c->live[other] = swapped;
	}
}

static uint64_t
delete_half(struct churn *c)
{
	uint64_t half = c->live_count / 2;
	struct deletion d;

	shuffle(c);
	qsort(c->live, half, sizeof(c->live[0]), by_place);
	for (uint64_t at = 0; at < half; at += d.count) {
		d = (struct deletion){&c->live[at], 0};
		while (d.count < DELETED_AT_ONCE && at + d.count < half &&
			c->live[at + d.count].account == d.from->account)
			c->live_bytes -= c->live[at + d.count++].stored;
		sender_batch(&c->sender, do_delete, &d);
	}
	memmove(c->live, c->live + half, (c->live_count - half) * sizeof(c->live[0]));
	c->live_count -= half;
	return half;
}

static void
refill(struct churn *c, uint64_t count)
{
	sender_fill(&c->sender, count, c->live + c->live_count);
	for (uint64_t i = 0; i < count; i++)
		c->live_bytes += c->live[c->live_count + i].stored;
	c->live_count += count;
}

static void
files_print(const struct churn *c, const char *key)
{
	struct files f;

	files_measure(c->sender.bench->dir, &f);
	result_open(key);
	result_files(&f);
	result_number("live", c->live_bytes);
	result_end();
}

static void
filled_print(struct churn *c, const char *key, uint64_t count)
{
	struct usage used;
	double before = c->sender.mail_bytes;

	usage_start(&used, c->sender.bench->dir);
	refill(c, count);
	usage_end(&used, c->sender.bench->dir);
	result_open(key);
	result_usage(&used, (double)count, c->sender.mail_bytes - before);
	result_end();
}

static void
round_print(struct churn *c, const char *key)
{
	double start = now_ms();
	uint64_t count = delete_half(c);
	double deleted = now_ms();

	result_open(key);
	result_number("delete_rate", (double)count * 1e3 / (deleted - start));
	bench_clock_skip(UNDELETE_MS);
	start = now_ms();
	sender_housekeep(&c->sender);
	result_number("housekeep_ms", now_ms() - start);
	files_print(c, "after_delete");
	filled_print(c, "refill", count);
	files_print(c, "after_refill");
	result_end();
}

void
mode_churn(const struct bench *b)
{
	struct churn c = {.live = bench_alloc(b->count + b->writers, sizeof(c.live[0]))};
	char key[32];

	sender_open(&c.sender, b);
	result_begin();
	result_number("count", (double)b->count);
	result_number("rounds", (double)b->rounds);
	filled_print(&c, "fill", b->count);
	files_print(&c, "after_fill");
	for (uint64_t i = 1; i <= b->rounds; i++) {
		(void)snprintf(key, sizeof(key), "round%llu", (unsigned long long)i);
		round_print(&c, key);
	}
	result_end();
	sender_close(&c.sender);
	free(c.live);
}
