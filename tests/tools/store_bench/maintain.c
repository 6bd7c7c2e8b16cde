/* SPDX-License-Identifier: ISC */
/* What an operator does to a store: fill it, start it, verify, back up, restore, salvage. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/store/backup.h"
#include "common/store/journal.h"
#include "common/store/reader.h"
#include "common/store/salvage.h"
#include "common/store/verify.h"
#include "tests/tools/store_bench/measure.h"
#include "tests/tools/store_bench/sender.h"

void
mode_fill(const struct bench *b)
{
	struct sender s;
	struct usage used;

	sender_open(&s, b);
	/* Numbers decide on threads and bodies: those of an earlier run are not used again. */
	s.number = b->seed * b->accounts * 1000000;
	usage_start(&used, b->dir);
	sender_fill(&s, b->count, NULL);
	usage_end(&used, b->dir);
	result_begin();
	result_usage(&used, (double)b->count, s.mail_bytes);
	result_number("mail_bytes", s.mail_bytes);
	result_end();
	if (b->crash) {
		(void)printf("\n");
		(void)fflush(stdout);
		_exit(0);
	}
	sender_close(&s);
}

void
mode_open(const struct bench *b)
{
	struct store_options options = {.clock = &bench_clock, .segment_size_max = b->segment_size};
	struct store_writer *w;
	double start;

	if (b->cold)
		files_evict(b->dir);
	start = now_ms();
	must(writer_open(b->dir, &options, &w), "open");
	result_begin();
	result_number("open_ms", now_ms() - start);
	start = now_ms();
	writer_close(w);
	result_number("close_ms", now_ms() - start);
	result_end();
}

static void
on_finding(void *arg, const struct store_finding *f)
{
	(void)arg;
	(void)fprintf(stderr, "account %llu, mailbox %u, UID %u: %s\n",
		(unsigned long long)f->account, f->mailbox, f->uid, f->text);
}

void
mode_verify(const struct bench *b)
{
	struct verify_options options = {.bodies = true, .found = on_finding};
	struct verify_progress progress;
	struct store_reader *r;
	double start;

	if (b->cold)
		files_evict(b->dir);
	must(reader_open(b->dir, &r), "open");
	start = now_ms();
	must(store_verify(r, &options, &progress), "verify");
	double ms = now_ms() - start;
	reader_close(r);
	if (progress.findings > 0)
		bench_die("%llu findings", (unsigned long long)progress.findings);
	result_begin();
	result_number("ms", ms);
	result_number("messages", (double)progress.messages);
	result_number("bytes", (double)progress.bytes);
	result_end();
}

void
mode_backup(const struct bench *b)
{
	struct backup_options options = {.may_update = true};
	struct usage used;
	uint64_t bytes;

	if (b->to == NULL)
		bench_die("backup needs to=");
	if (b->cold)
		files_evict(b->dir);
	usage_start(&used, b->to);
	must(store_backup(b->dir, b->to, &options, &bytes), "backup");
	/* On the disk, not only in the page cache. */
	files_flush(b->to);
	usage_end(&used, b->to);
	result_begin();
	result_number("ms", used.seconds * 1e3);
	result_number("cpu_s", used.cpu);
	result_number("bytes", (double)bytes);
	result_end();
}

void
mode_salvage(const struct bench *b)
{
	const char *index = bench_path(b->dir, "index/data.mdb");
	struct salvage_options options = {.clock = &bench_clock};
	struct salvage_report counts;
	struct usage used;

	if (rename(index, bench_path(b->dir, "data.mdb.away")) < 0)
		bench_die("%s: %s", index, strerror(errno));
	if (b->cold)
		files_evict(b->dir);
	usage_start(&used, b->dir);
	must(store_salvage(b->dir, &options, &counts), "salvage");
	usage_end(&used, b->dir);
	result_begin();
	result_number("ms", used.seconds * 1e3);
	result_number("cpu_s", used.cpu);
	result_number("messages", (double)counts.messages);
	result_number("lost", (double)counts.lost);
	result_number("skipped", (double)counts.skipped);
	result_end();
}

void
mode_size(const struct bench *b)
{
	struct files files;

	files_measure(b->dir, &files);
	result_begin();
	result_files(&files);
	result_end();
}
