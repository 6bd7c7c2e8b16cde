/* SPDX-License-Identifier: ISC */
/*
 * Power cuts by the thousand, from a trace of the workload:
 *
 *	power_simulate trace=T expect=STATES dir=SCRATCH seed=S cuts=N [only=K] [apart=1]
 *		[real=DIR] [tail=1] [workload=PATH shim=PATH]
 *
 * Each cut is a place in the trace and a drawing of what the disk kept.  The store that comes of it
 * is opened as after another start of the machine, and checked by states_check().  real: first
 * the whole trace must give this directory, or the shim has missed a call.  tail: cuts only while
 * the last of several traced programs ran.  workload and shim:
 *every fourth cut is followed by another one while the store recovers.  only: one cut, left in
 *SCRATCH. Prints what was wrong, with the cut's number; the last line has the numbers.  Status 1:
 *failures.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/power/disk.h"
#include "tests/power/states.h"

enum { FAILURES_SHOWN = 5, SECOND_EVERY = 4, TIMEOUT_S = 60 };

struct trace {
	const uint8_t *bytes;
	size_t len;
	uint64_t records;
	uint64_t last_start; /* the record at which the last program began */
	size_t at; /* the next one */
	uint64_t passed;
};

struct simulation {
	struct states expected;
	const char *dir, *workload, *shim;
	char store[3000]; /* in dir */
	uint64_t seed;
	bool apart, tail;
	struct disk *disk;
	struct trace trace;
	uint64_t done, stayed, went, second, failed;
};

struct cut {
	uint64_t number, position; /* in the trace: so many records are done */
};

static const char *
argument(char **argv, const char *key)
{
	size_t len = strlen(key);

	for (; *argv != NULL; argv++)
		if (strncmp(*argv, key, len) == 0 && (*argv)[len] == '=')
			return *argv + len + 1;
	return NULL;
}

static uint64_t
number(char **argv, const char *key, uint64_t otherwise)
{
	const char *text = argument(argv, key);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static bool
record_take(struct trace *t, struct trace_record *r, const uint8_t **bytes)
{
	if (t->len - t->at < sizeof(*r))
		return false;
	memcpy(r, t->bytes + t->at, sizeof(*r));
	if (t->len - t->at - sizeof(*r) < r->len)
		return false;
	*bytes = t->bytes + t->at + sizeof(*r);
	t->at += sizeof(*r) + r->len;
	t->passed++;
	return true;
}

static void
trace_rewind(struct trace *t)
{
	t->at = 0;
	t->passed = 0;
}

static void
trace_open(struct trace *t, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	struct trace_record r;
	const uint8_t *bytes;

	*t = (struct trace){0};
	if (fd < 0 || fstat(fd, &status) < 0)
		disk_die("%s cannot be read", path);
	t->len = (size_t)status.st_size;
	if (t->len > 0) {
		t->bytes = mmap(NULL, t->len, PROT_READ, MAP_PRIVATE, fd, 0);
		if (t->bytes == MAP_FAILED)
			disk_die("%s cannot be read", path);
	}
	close(fd);
	while (record_take(t, &r, &bytes)) {
		t->records++;
		if (r.kind == TRACE_START)
			t->last_start = t->records;
	}
	trace_rewind(t);
}

static void
trace_close(struct trace *t)
{
	if (t->len > 0)
		munmap((void *)(uintptr_t)t->bytes, t->len);
}

static void
trace_advance(struct trace *t, struct disk *disk, uint64_t position)
{
	struct trace_record r;
	const uint8_t *bytes;

	while (t->passed < position && record_take(t, &r, &bytes))
		disk_follow(disk, &r, bytes);
}

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static void
store_write(const struct simulation *s, const struct disk_image *image)
{
	(void)nftw(s->store, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
	if (mkdir(s->store, 0700) < 0)
		disk_die("%s cannot be made", s->store);
	disk_image_write(image, s->store);
}

/* All of it is drawn from the seed and the number of the cut. */
static struct disk_cut
cut_draw(const struct simulation *s, uint64_t number, uint64_t again)
{
	uint64_t seed = disk_hash(s->seed, 7 + again, number);

	return (struct disk_cut){
		.seed = seed,
		.sector = disk_hash(seed, 8, 1) % 2 == 0 ? 512 : 4096,
		.zeros = disk_hash(seed, 8, 2) % 2 == 0,
		.names_apart = disk_hash(seed, 8, 3) % 2 == 0,
	};
}

static void
output_to(const struct simulation *s)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/output", s->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(2);
	(void)alarm(TIMEOUT_S);
}

static void
output_show(const struct simulation *s)
{
	char path[4096], line[2000];

	snprintf(path, sizeof(path), "%s/output", s->dir);
	FILE *in = fopen(path, "re");
	for (int i = 0; in != NULL && i < 40 && fgets(line, sizeof(line), in) != NULL; i++)
		printf("    %.400s%s", line, strchr(line, '\n') != NULL ? "" : "\n");
	if (in != NULL)
		fclose(in);
}

/* The exit status of a child, or -1 when it died of something else. */
static int
child_wait(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		disk_die("no child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a child, as a broken store may do anything: 0: in this state, 1: in the next, else wrong. */
static int
store_check(const struct simulation *s, uint32_t acked, bool exact, uint8_t boot)
{
	static struct play play;

	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		output_to(s);
		play_init(&play, s->store, 1);
		play.options.checkpoints_apart = s->apart;
		play_options(&play, boot);
		int found = states_check(&play, &s->expected, acked, exact);
		play_clear(&play);
		fflush(stdout);
		_exit(found < 0 ? 3 : found);
	}
	return child_wait(child);
}

static void
failed(struct simulation *s, const struct cut *c, const struct disk_cut *drawn, const char *what)
{
	s->failed++;
	if (s->failed > FAILURES_SHOWN)
		return;
	printf("cut %llu of seed %llu (record %llu, acknowledged %llu, sectors of %u%s%s): %s\n",
		(unsigned long long)c->number, (unsigned long long)s->seed,
		(unsigned long long)c->position, (unsigned long long)s->disk->marked, drawn->sector,
		drawn->zeros ? ", zeros" : "", drawn->names_apart ? ", names apart" : "", what);
	output_show(s);
}

/* The store recovers, and is traced while it does. */
static int
store_recover(const struct simulation *s, uint32_t acked, const char *trace)
{
	char arguments[3][5000];

	(void)unlink(trace);
	snprintf(arguments[0], sizeof(arguments[0]), "dir=%s", s->store);
	snprintf(arguments[1], sizeof(arguments[1]), "expect=%s/expect", s->dir);
	snprintf(arguments[2], sizeof(arguments[2]), "acked=%u", acked);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		output_to(s);
		(void)setenv("LD_PRELOAD", s->shim, 1);
		(void)setenv("POWER_DIR", s->store, 1);
		(void)setenv("POWER_TRACE", trace, 1);
		execl(s->workload, s->workload, "open", arguments[0], arguments[1], arguments[2],
			"boot=2", s->apart ? "apart=1" : "apart=0", (char *)NULL);
		_exit(2);
	}
	return child_wait(child);
}

/* The power fails again while the store recovers from the first time. */
static void
second_cut(struct simulation *s, const struct cut *c, struct disk_image *image)
{
	struct disk_cut drawn = cut_draw(s, c->number, 1);
	struct trace trace;
	char path[4096];
	uint32_t acked = (uint32_t)s->disk->marked;

	snprintf(path, sizeof(path), "%s/second", s->dir);
	if (store_recover(s, acked, path) != 0) {
		failed(s, c, &drawn, "the store does not recover");
		return;
	}
	trace_open(&trace, path);
	struct disk *disk = disk_of_image(image);
	trace_advance(&trace, disk, disk_hash(drawn.seed, 9, 9) % (trace.records + 1));
	disk_sample(disk, &drawn, image);
	store_write(s, image);
	s->second++;
	if (disk->is_marked)
		acked = (uint32_t)disk->marked;
	int found = store_check(s, acked, disk->is_marked, 3);
	if (found != 0 && found != 1)
		failed(s, c, &drawn, "the second cut, while it recovered");
	disk_free(disk);
	trace_close(&trace);
}

static void
cut_do(struct simulation *s, const struct cut *c)
{
	struct disk_cut drawn = cut_draw(s, c->number, 0);
	struct disk_image image;

	trace_advance(&s->trace, s->disk, c->position);
	disk_sample(s->disk, &drawn, &image);
	store_write(s, &image);
	s->done++;
	if (s->shim != NULL && c->number % SECOND_EVERY == 0) {
		second_cut(s, c, &image);
	} else {
		int found = store_check(s, (uint32_t)s->disk->marked, false, 2);
		s->stayed += found == 0;
		s->went += found == 1;
		if (found != 0 && found != 1)
			failed(s, c, &drawn, "after the cut");
	}
	disk_image_clear(&image);
}

static int
positions_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct cut *)a)->position, y = ((const struct cut *)b)->position;

	return x < y ? -1 : x > y;
}

/* In the order of the trace, which is then followed once. */
static void
cuts_do(struct simulation *s, uint64_t count, const char *only)
{
	uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 0;
	struct cut *cuts = calloc(count + 1, sizeof(cuts[0]));

	if (cuts == NULL)
		disk_die("no memory");
	for (uint64_t i = 0; i < count; i++) {
		cuts[i].number = first + i;
		uint64_t from = s->tail ? s->trace.last_start : 0;
		cuts[i].position =
			from + disk_hash(s->seed, 10, first + i) % (s->trace.records - from + 1);
	}
	qsort(cuts, count, sizeof(cuts[0]), positions_compare);
	for (uint64_t i = 0; i < count; i++)
		cut_do(s, &cuts[i]);
	free(cuts);
}

/* The trace has all that happened. */
static void
trace_prove(struct simulation *s, const char *real)
{
	struct disk_image image;

	trace_advance(&s->trace, s->disk, UINT64_MAX);
	disk_sample(s->disk, &(struct disk_cut){.sector = 512, .whole = true}, &image);
	if (!disk_image_compare(&image, real))
		disk_die("the trace is not what happened");
	disk_image_clear(&image);
	disk_free(s->disk);
	s->disk = disk_new();
	trace_rewind(&s->trace);
}

/* The copy stands beside the store, for the second program. */
static void
expected_link(const struct simulation *s, const char *expect)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/expect", s->dir);
	(void)unlink(path);
	if (symlink(expect, path) < 0)
		disk_die("%s cannot be made", path);
}

int
main(int argc, char **argv)
{
	static struct simulation s;
	const char *trace = argument(argv, "trace"), *expect = argument(argv, "expect");
	const char *real = argument(argv, "real"), *only = argument(argv, "only");

	s.dir = argument(argv, "dir");
	if (argc < 4 || trace == NULL || expect == NULL || s.dir == NULL)
		disk_die("usage: power_simulate trace=T expect=STATES dir=SCRATCH ...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	s.seed = number(argv, "seed", 1);
	s.apart = number(argv, "apart", 0) != 0;
	s.tail = number(argv, "tail", 0) != 0;
	s.workload = argument(argv, "workload");
	s.shim = argument(argv, "shim");
	snprintf(s.store, sizeof(s.store), "%s/store", s.dir);
	states_load(&s.expected, expect);
	expected_link(&s, expect);
	trace_open(&s.trace, trace);
	s.disk = disk_new();
	if (real != NULL)
		trace_prove(&s, real);
	cuts_do(&s, only != NULL ? 1 : number(argv, "cuts", 100), only);
	printf("%llu cuts: %llu in the acknowledged state, %llu in the next, %llu with a second "
	       "cut, "
	       "%llu failed\n",
		(unsigned long long)s.done, (unsigned long long)s.stayed,
		(unsigned long long)s.went, (unsigned long long)s.second,
		(unsigned long long)s.failed);
	return s.failed > 0;
}
