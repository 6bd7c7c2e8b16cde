/* SPDX-License-Identifier: ISC */
/*
 * Owns clocks, threads and sums: what the servers' processes have used of the CPU, and the
 * latencies of all sessions.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/load/load.h"

enum { STAT_MAX = 1024, STACK_SIZE = 262144, FIELD_PPID = 1, FIELD_UTIME = 11, FIELD_CSTIME = 14 };

struct process {
	unsigned pid, parent;
	uint64_t ticks;
	bool is_ours;
};

double
load_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void
load_pause_ms(unsigned ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	(void)nanosleep(&pause, NULL);
}

/* The fields of /proc/PID/stat behind the name: state, ppid, ... utime, stime, cutime, cstime. */
static bool
parse_stat(struct slice text, struct process *p)
{
	struct cursor c = cursor_of(slice_after(text, slice_find_last(text, ')') + 1));

	for (unsigned field = 0; field <= FIELD_CSTIME; field++) {
		struct slice word;
		uint64_t value = 0;

		if (!take_byte(&c, ' ') || !take_until(&c, ' ', &word))
			return false;
		if (field == FIELD_PPID && slice_parse_u64(word, UINT32_MAX, &value))
			p->parent = (unsigned)value;
		if (field >= FIELD_UTIME && slice_parse_u64(word, UINT64_MAX, &value))
			p->ticks += value;
	}
	return true;
}

static bool
load_process(const char *name, struct process *p)
{
	char path[300], text[STAT_MAX];
	uint64_t pid;
	FILE *file;
	size_t n;

	if (!slice_parse_u64(slice_text(name), UINT32_MAX, &pid))
		return false;
	*p = (struct process){.pid = (unsigned)pid};
	(void)snprintf(path, sizeof(path), "/proc/%s/stat", name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	n = fread(text, 1, sizeof(text), file);
	fclose(file);
	return parse_stat(slice_make(text, n), p);
}

static size_t
load_processes(struct process **all)
{
	size_t count = 0, size = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct process p;

	*all = NULL;
	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		if (!load_process(entry->d_name, &p))
			continue;
		if (count == size) {
			size = size * 2 + 256;
			*all = realloc(*all, size * sizeof(**all));
			if (*all == NULL)
				load_die("out of memory");
		}
		(*all)[count++] = p;
	}
	if (proc != NULL)
		closedir(proc);
	return count;
}

/* Marks roots and their children, until a pass finds no more of them. */
static void
mark_tree(struct process *all, size_t count, const struct load *load)
{
	bool found = true;

	for (size_t i = 0; i < count; i++)
		for (unsigned r = 0; r < load->root_count; r++)
			all[i].is_ours |= all[i].pid == load->roots[r];
	while (found) {
		found = false;
		for (size_t i = 0; i < count; i++)
			for (size_t j = 0; j < count && !all[i].is_ours; j++)
				if (all[j].is_ours && all[j].pid == all[i].parent)
					found = all[i].is_ours = true;
	}
}

double
cpu_of_roots(const struct load *load)
{
	struct process *all;
	uint64_t ticks = 0;
	size_t count;

	if (load->root_count == 0)
		return 0;
	count = load_processes(&all);
	mark_tree(all, count, load);
	for (size_t i = 0; i < count; i++)
		ticks += all[i].is_ours ? all[i].ticks : 0;
	free(all);
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void
stretch_start(struct stretch *s, const struct load *load)
{
	s->cpu_s = cpu_of_roots(load);
	s->wall_ms = load_now_ms();
}

void
stretch_end(struct stretch *s, const struct load *load)
{
	s->wall_ms = load_now_ms() - s->wall_ms;
	s->cpu_s = cpu_of_roots(load) - s->cpu_s;
}

struct job {
	pthread_t thread;
	struct worker *worker;
	void (*work)(struct worker *);
};

static void *
run_job(void *arg)
{
	struct job *job = arg;

	job->work(job->worker);
	return NULL;
}

struct worker *
workers_run(struct load *load, void (*work)(struct worker *))
{
	struct worker *workers = load_alloc(load->sessions, sizeof(*workers));
	struct job *jobs = load_alloc(load->sessions, sizeof(*jobs));
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (unsigned i = 0; i < load->sessions; i++) {
		workers[i] = (struct worker){.load = load, .index = i};
		jobs[i] = (struct job){.worker = &workers[i], .work = work};
		if (pthread_create(&jobs[i].thread, &attributes, run_job, &jobs[i]) != 0)
			load_die("no thread %u", i);
	}
	for (unsigned i = 0; i < load->sessions; i++)
		pthread_join(jobs[i].thread, NULL);
	pthread_attr_destroy(&attributes);
	free(jobs);
	return workers;
}

void
worker_add_latency(struct worker *w, double ms)
{
	if (w->latencies == NULL)
		w->latencies = load_alloc(w->load->count, sizeof(*w->latencies));
	w->latencies[w->done++] = ms;
}

static int
compare_ms(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

void
workers_print(struct worker *workers, const struct load *load, const struct stretch *s)
{
	double *all = load_alloc(load->count + 1, sizeof(*all));
	uint64_t bytes = 0;
	size_t n = 0;

	for (unsigned i = 0; i < load->sessions; i++) {
		for (unsigned j = 0; j < workers[i].done; j++)
			all[n++] = workers[i].latencies[j];
		bytes += workers[i].bytes;
		free(workers[i].latencies);
	}
	qsort(all, n, sizeof(*all), compare_ms);
	printf("{\"count\": %zu, \"seconds\": %.4f, \"rate\": %.2f, \"cpu_s\": %.3f, "
	       "\"p50_ms\": %.3f, \"p95_ms\": %.3f, \"bytes\": %llu, \"deferred\": %u}\n",
		n, s->wall_ms / 1e3, (double)n / (s->wall_ms / 1e3), s->cpu_s, all[n / 2],
		all[n * 95 / 100], (unsigned long long)bytes, atomic_load(&load->deferred));
	free(all);
	free(workers);
}
