/* SPDX-License-Identifier: ISC */
/*
 * What imapd asks of the store: SELECT (one look-up), FLAGS (a walk), ENVELOPE (a walk with the
 * stored structures), bodies.  Of the mailbox INBOX of one account, by a reader of its own process.
 */
#include <stdlib.h>

#include "common/store/reader.h"
#include "tests/tools/store_bench/bench.h"
#include "tests/tools/store_bench/measure.h"

enum { BODY_MOST = 64 * 1024 * 1024 };

struct reading {
	struct store_reader *reader;
	const struct bench *bench;
	double count;
	double bytes;
	char *body;
};

static void
do_select(struct reading *r)
{
	struct store_mailbox m;

	must(reader_mailbox_by_name(r->reader, r->bench->account, SLICE("INBOX"), &m), "mailbox");
	if (m.exists == 0)
		bench_die("the mailbox is empty");
	r->count++;
}

static void
look_at_flags(struct reading *r, const struct store_message *m)
{
	if (m->uid == 0 || m->size == 0)
		bench_die("a message without UID or bytes");
	(void)r;
}

static void
look_at_structure(struct reading *r, const struct store_message *m)
{
	struct slice structure;

	must(reader_structure(r->reader, m, &structure), "structure");
	/* Every page of it is touched. */
	for (size_t at = 0; at < structure.len; at += 64)
		if (((const volatile char *)structure.data)[at] != '\0')
			r->bytes += 0;
	r->bytes += (double)structure.len;
}

static void
look_at_body(struct reading *r, const struct store_message *m)
{
	struct store_content content;

	must(reader_content(r->reader, m, &content), "content");
	size_t size = store_content_size(&content);
	if (size > BODY_MOST)
		bench_die("a message of %zu bytes", size);
	must(reader_read(r->reader, &content, 0, (struct body_span){r->body, size}), "read");
	r->bytes += (double)size;
}

static void
walk(struct reading *r, void (*look)(struct reading *, const struct store_message *))
{
	struct reader_walk w;
	struct store_message m;
	uint64_t left = r->bench->count;

	reader_walk_open(r->reader, r->bench->account, STORE_INBOX, &w);
	for (bool more = reader_walk_seek(&w, 0, &m); more && left > 0;
		more = reader_walk_next(&w, &m), left--) {
		look(r, &m);
		r->count++;
	}
	must(reader_walk_close(&w), "walk");
	if (left > 0)
		bench_die("%.0f messages instead of %llu", r->count,
			(unsigned long long)r->bench->count);
}

static void
do_flags(struct reading *r)
{
	walk(r, look_at_flags);
}

static void
do_envelope(struct reading *r)
{
	walk(r, look_at_structure);
}

static void
do_bodies(struct reading *r)
{
	walk(r, look_at_body);
}

static const struct {
	const char *what;
	void (*run)(struct reading *);
} kinds[] = {{"select", do_select}, {"flags", do_flags}, {"envelope", do_envelope},
	{"bodies", do_bodies}};

static void
run_once(struct reading *r, void (*run)(struct reading *), double *ms)
{
	double start = now_ms();

	r->count = r->bytes = 0;
	must(reader_begin(r->reader), "begin");
	run(r);
	reader_end(r->reader);
	*ms = now_ms() - start;
}

/* Cold: a new reader each time, as the pages that a process has mapped cannot be dropped. */
static void
run_rounds(struct reading *r, void (*run)(struct reading *), double *ms)
{
	const struct bench *b = r->bench;
	double ignored;

	for (uint64_t i = 0; i < b->rounds; i++) {
		if (b->cold)
			files_evict(b->dir);
		if (b->cold || i == 0)
			must(reader_open(b->dir, &r->reader), "open");
		if (!b->cold && i == 0)
			run_once(r, run, &ignored);
		run_once(r, run, &ms[i]);
		if (b->cold)
			reader_close(r->reader);
	}
	if (!b->cold)
		reader_close(r->reader);
}

void
mode_read(const struct bench *b)
{
	struct reading r = {.bench = b, .body = bench_alloc(BODY_MOST, 1)};
	double *ms = bench_alloc(b->rounds, sizeof(*ms));
	size_t kind = 0;

	while (kind < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[kind].what, b->what) != 0)
		kind++;
	if (kind == sizeof(kinds) / sizeof(kinds[0]))
		bench_die("unknown: what=%s", b->what);
	run_rounds(&r, kinds[kind].run, ms);
	result_begin();
	result_text("what", b->what);
	result_number("count", r.count);
	result_number("bytes", r.bytes);
	result_list("ms", ms, b->rounds);
	result_end();
	free(ms);
	free(r.body);
}
