/* SPDX-License-Identifier: ISC */
/*
 * Appends by k clients against what the disk can do.  All k wait for an answer at all times, so
 * each commit takes k messages: that is what mailboxd's batch comes to when its clients are quick.
 *
 * The ceilings have the same bytes of mail (prefix, structure and packed body) in the same groups,
 * one writev() and one fdatasync() each: at the end of a growing file ("raw"), and over a file
 * that has all its blocks already ("reused"), where the file system has nothing to note.  All
 * three take turns, so that the disk's moods meet them alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/tools/store_bench/measure.h"
#include "tests/tools/store_bench/sender.h"

enum { PARTS = 3, GROUP_MOST = 256, REUSED_LEAST = 16 * 1024 * 1024, PIECE = 1024 * 1024 };
enum { WARM_UP_COMMITS = 3 };

/* One of the three. */
struct contender {
	const char *name;
	struct usage used;
	struct latencies latencies; /* of commits */
	double *rates; /* per stretch */
	double messages;
	double mail_bytes;
};

struct raw {
	const char *dir;
	const struct pool *pool;
	uint64_t number;
	int fd;
	bool reused;
	off_t at, size;
};

static void
file_fill(int fd, off_t size)
{
	char *zeros = bench_alloc(PIECE, 1);

	for (off_t done = 0; done < size; done += PIECE)
		if (write(fd, zeros, PIECE) != PIECE)
			bench_die("write: %s", strerror(errno));
	if (fsync(fd) < 0)
		bench_die("fsync: %s", strerror(errno));
	free(zeros);
}

static void
raw_open(struct raw *r, const struct bench *b, const struct pool *pool, bool reused)
{
	*r = (struct raw){.dir = b->dir, .pool = pool, .reused = reused};
	r->fd = open(bench_path(b->dir, reused ? "reused" : "raw"),
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r->fd < 0)
		bench_die("raw file: %s", strerror(errno));
	if (!reused)
		return;
	/* Room for some of the largest groups. */
	r->size = (off_t)(b->writers * (b->size + PIECE / 16) * 2);
	if (r->size < REUSED_LEAST)
		r->size = REUSED_LEAST;
	file_fill(r->fd, r->size);
}

static double
raw_commit(struct raw *r, uint64_t count)
{
	static const char prefix[80];
	struct iovec parts[GROUP_MOST * PARTS];
	size_t n = 0, len = 0;
	double mail_bytes = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct pool_message *m = &r->pool->messages[r->number++ % r->pool->count];
		const struct slice pieces[PARTS] = {
			slice_make(prefix, sizeof(prefix)), m->structure, m->body};

		for (size_t p = 0; p < PARTS; p++) {
			parts[n++] =
				(struct iovec){(void *)(uintptr_t)pieces[p].data, pieces[p].len};
			len += pieces[p].len;
		}
		mail_bytes += (double)(m->info.plain_len + sizeof(prefix));
	}
	if (r->reused && r->at + (off_t)len > r->size)
		r->at = 0;
	if (pwritev(r->fd, parts, (int)n, r->at) != (ssize_t)len || fdatasync(r->fd) < 0)
		bench_die("raw append: %s", strerror(errno));
	r->at += (off_t)len;
	return mail_bytes;
}

static double
store_commit(struct sender *s, uint64_t count)
{
	double before = s->mail_bytes;

	sender_commit(s, count, NULL);
	return s->mail_bytes - before;
}

/* One contender's turn; what the one before left unwritten is not its work. */
static void
stretch(const struct bench *b, struct contender *c, uint64_t turn, struct sender *s, struct raw *r)
{
	struct usage used;
	double start, now, messages = 0;

	files_flush(b->dir);
	usage_start(&used, b->dir);
	start = now = now_ms();
	while (now - start < (double)b->milliseconds) {
		c->mail_bytes +=
			s != NULL ? store_commit(s, b->writers) : raw_commit(r, b->writers);
		messages += (double)b->writers;
		latencies_add(&c->latencies, now_ms() - now);
		now = now_ms();
	}
	usage_end(&used, b->dir);
	usage_add(&c->used, &used);
	c->messages += messages;
	c->rates[turn] = messages / used.seconds;
}

/*
 * Bytes written: of one long stretch of the store alone, which ends with all of it on the disk, as
 * an index may be written long after the commit.  Closes the store.
 */
static void
bytes_print(const struct bench *b, struct sender *s)
{
	struct usage used;
	struct files files;
	double start, number = (double)s->number, mail_bytes = s->mail_bytes;

	files_flush(b->dir);
	usage_start(&used, b->dir);
	start = now_ms();
	do {
		sender_commit(s, b->writers, NULL);
	} while (now_ms() - start < (double)(b->milliseconds * b->rounds));
	number = (double)s->number - number;
	mail_bytes = s->mail_bytes - mail_bytes;
	double all_bytes = s->mail_bytes;
	sender_close(s);
	files_flush(b->dir);
	usage_end(&used, b->dir);
	files_measure(s->bench->dir, &files);
	result_open("bytes");
	result_usage(&used, number, mail_bytes);
	result_number("disk_ratio", files.disk / all_bytes);
	result_files(&files);
	result_end();
}

static void
contender_print(struct contender *c, uint64_t rounds)
{
	result_open(c->name);
	result_usage(&c->used, c->messages, c->mail_bytes);
	result_number("messages", c->messages);
	result_number("p50_ms", latencies_at(&c->latencies, 0.5));
	result_number("p99_ms", latencies_at(&c->latencies, 0.99));
	result_list("rates", c->rates, rounds);
	result_end();
	latencies_clear(&c->latencies);
	free(c->rates);
}

void
mode_append(const struct bench *b)
{
	enum { RAW, REUSED, STORE, CONTENDERS };
	struct contender c[CONTENDERS] = {{.name = "raw"}, {.name = "reused"}, {.name = "store"}};
	struct bench in = *b;
	struct sender s;
	struct raw raw[STORE];

	if (b->writers > GROUP_MOST)
		bench_die("at most %d writers", GROUP_MOST);
	in.dir = bench_path(b->dir, "store");
	in.apart = true;
	files_make(in.dir);
	sender_open(&s, &in);
	raw_open(&raw[RAW], b, &s.pool, false);
	raw_open(&raw[REUSED], b, &s.pool, true);
	for (size_t i = 0; i < CONTENDERS; i++)
		c[i].rates = bench_alloc(b->rounds, sizeof(c[i].rates[0]));
	/* Accounts and files are made before the clock runs. */
	sender_fill(&s, b->accounts, NULL);
	for (unsigned i = 0; i < WARM_UP_COMMITS; i++)
		sender_commit(&s, b->writers, NULL);
	for (uint64_t turn = 0; turn < b->rounds; turn++)
		for (size_t i = 0; i < CONTENDERS; i++) {
			size_t which = (i + turn) % CONTENDERS;
			stretch(b, &c[which], turn, which == STORE ? &s : NULL,
				&raw[which % STORE]);
		}
	result_begin();
	for (size_t i = 0; i < CONTENDERS; i++)
		contender_print(&c[i], b->rounds);
	bytes_print(b, &s);
	result_end();
	files_remove(in.dir);
}
