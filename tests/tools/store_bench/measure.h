/* SPDX-License-Identifier: ISC */
/* What a stretch of work cost, latencies, files on the disk, and results as JSON. */
#ifndef STORE_BENCH_MEASURE_H
#define STORE_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usage {
	double seconds;
	double cpu; /* seconds, of all threads, system included */
	double written; /* bytes that this process gave to the disk, by /proc/self/io */
	double device; /* bytes that the disk has written, for whomever; 0: not known */
};

double now_ms(void);
/* CPU that this process has used; exact, for short stretches. */
double cpu_us(void);
/* dir: on the disk that is meant. */
void usage_start(struct usage *, const char *dir);
/* Turns the counters of the start into what was used since. */
void usage_end(struct usage *, const char *dir);
void usage_add(struct usage *sum, const struct usage *);

struct latencies {
	double *values;
	size_t count, size;
};
void latencies_add(struct latencies *, double ms);
/* 0 <= part <= 1; 0 when there is none. */
double latencies_at(struct latencies *, double part);
void latencies_clear(struct latencies *);

/* Of the regular files below dir. */
struct files {
	double apparent; /* lengths */
	double disk; /* blocks taken */
	double index; /* blocks of index/data.mdb */
	double index_length;
	unsigned segments;
};
void files_measure(const char *dir, struct files *);
/* Drops all of them from the page cache, and ends the program unless they are gone. */
void files_evict(const char *dir);
/* All that is dirty in dir's file system goes to the disk. */
void files_flush(const char *dir);
/* Removes dir and everything below. */
void files_remove(const char *dir);
/* An empty directory at the path. */
void files_make(const char *dir);

/* One object per run: result_begin(), members, result_end(). */
void result_begin(void);
void result_number(const char *key, double value);
void result_text(const char *key, const char *value);
void result_list(const char *key, const double *values, size_t count);
/* A member that is an object; result_end() closes it. */
void result_open(const char *key);
void result_usage(const struct usage *, double messages, double mail_bytes);
void result_files(const struct files *);
void result_end(void);

#endif
