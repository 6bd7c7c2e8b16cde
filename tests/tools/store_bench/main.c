/* SPDX-License-Identifier: ISC */
/*
 * The command line of the store's measurements:
 *
 *	store_bench MODE [KEY=VALUE]...
 *
 * append	k clients against the disk's own ceiling, in dir, which must be empty
 * pack		what packing a message costs, and what it saves
 * fill		adds messages to the store in dir, or makes it
 * open		opens a store: what a start takes, after a crash or a power cut too
 * read		select, flags, envelope or bodies (what=), cold=yes or no
 * change	STORE, COPY, MOVE and EXPUNGE of count messages
 * churn	fills, then deletes half at random and refills, again and again
 * verify	every checksum
 * backup	dir into to; or a restore, the other way round
 * salvage	a new index from the segments alone
 * size		of the files
 *
 * Numbers: writers, count, size (0: a mix, 1: small mail), accounts, account, rounds, milliseconds,
 * segment (bytes), seed, limit (seconds until the program gives up).  Yes or no: cold, hollow,
 *once, apart, power-cut, crash.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cursor.h"
#include "tests/tools/store_bench/bench.h"

enum { LIMIT_S = 3600 };

static int64_t skipped_ms;

static int64_t
wall_ms(void *arg)
{
	(void)arg;
	return clock_wall_ms(&clock_system) + skipped_ms;
}

static int64_t
mono_ms(void *arg)
{
	(void)arg;
	return clock_mono_ms(&clock_system) + skipped_ms;
}

struct clock bench_clock = {wall_ms, mono_ms, NULL};

void
bench_clock_skip(int64_t milliseconds)
{
	skipped_ms += milliseconds;
}

void
bench_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)fprintf(stderr, "store_bench: ");
	(void)vfprintf(stderr, format, arguments);
	(void)fprintf(stderr, "\n");
	va_end(arguments);
	exit(1);
}

void
must(enum fault fault, const char *what)
{
	if (fault != FAULT_OK)
		bench_die("%s: %s", what, fault_text(fault));
}

void *
bench_alloc(size_t count, size_t size)
{
	void *memory = calloc(count > 0 ? count : 1, size);

	if (memory == NULL)
		bench_die("out of memory");
	return memory;
}

const char *
bench_path(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		bench_die("out of memory");
	return path;
}

uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool
set_number(struct bench *b, struct slice key, struct slice value)
{
	uint64_t limit = 0;
	const struct {
		struct slice key;
		uint64_t *number;
	} numbers[] = {{SLICE("writers"), &b->writers}, {SLICE("count"), &b->count},
		{SLICE("size"), &b->size}, {SLICE("accounts"), &b->accounts},
		{SLICE("account"), &b->account}, {SLICE("rounds"), &b->rounds},
		{SLICE("milliseconds"), &b->milliseconds}, {SLICE("segment"), &b->segment_size},
		{SLICE("seed"), &b->seed}, {SLICE("limit"), &limit}};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!slice_equal(key, numbers[i].key))
			continue;
		if (!slice_parse_u64(value, UINT32_MAX, numbers[i].number))
			bench_die("not a number: %s", value.data);
		if (limit > 0)
			(void)alarm((unsigned)limit);
		return true;
	}
	return false;
}

static bool
set_other(struct bench *b, struct slice key, struct slice value)
{
	if (slice_equal(key, SLICE("dir")))
		b->dir = value.data;
	else if (slice_equal(key, SLICE("to")))
		b->to = value.data;
	else if (slice_equal(key, SLICE("what")))
		b->what = value.data;
	else if (slice_equal(key, SLICE("cold")))
		b->cold = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("hollow")))
		b->hollow = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("once")))
		b->once = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("apart")))
		b->apart = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("power-cut")))
		b->power_cut = slice_equal(value, SLICE("yes"));
	else if (slice_equal(key, SLICE("crash")))
		b->crash = slice_equal(value, SLICE("yes"));
	else
		return false;
	return true;
}

static void
set_option(struct bench *b, const char *argument)
{
	struct cursor c = cursor_of(slice_text(argument));
	struct slice key, value;

	if (!take_until(&c, '=', &key) || !take_byte(&c, '='))
		bench_die("not KEY=VALUE: %s", argument);
	value = take_rest(&c);
	if (!set_number(b, key, value) && !set_other(b, key, value))
		bench_die("unknown key: %s", argument);
}

static const struct {
	const char *name;
	void (*run)(const struct bench *);
} modes[] = {{"append", mode_append}, {"pack", mode_pack}, {"fill", mode_fill}, {"open", mode_open},
	{"read", mode_read}, {"change", mode_change}, {"churn", mode_churn},
	{"verify", mode_verify}, {"backup", mode_backup}, {"salvage", mode_salvage},
	{"size", mode_size}};

int
main(int argc, char **argv)
{
	static struct bench b = {.what = "select",
		.writers = 64,
		.count = 1000,
		.size = 10240,
		.accounts = 1,
		.account = 1,
		.rounds = 3,
		.milliseconds = 300,
		.seed = 1,
		.once = true};

	(void)alarm(LIMIT_S);
	for (int i = 2; i < argc; i++)
		set_option(&b, argv[i]);
	if (b.writers == 0 || b.accounts == 0 || b.rounds == 0)
		bench_die("writers, accounts and rounds are at least 1");
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		if (b.dir == NULL && modes[i].run != mode_pack)
			bench_die("%s needs dir=", argv[1]);
		modes[i].run(&b);
		(void)printf("\n");
		return 0;
	}
	bench_die("usage: store_bench MODE [KEY=VALUE]...");
}
