/* SPDX-License-Identifier: ISC */
/* Owns counters of the machine: clocks, CPU, bytes written; and what is printed. */
#include "tests/tools/store_bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "common/base/cursor.h"
#include "tests/tools/store_bench/bench.h"

enum { SECTOR = 512, SECTORS_WRITTEN = 6, LINE_SIZE = 512 };

double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
bytes_written(void)
{
	static const char key[] = "write_bytes: ";
	FILE *file = fopen("/proc/self/io", "re");
	char line[LINE_SIZE];
	double bytes = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			bytes = strtod(line + sizeof(key) - 1, NULL);
	if (file != NULL)
		fclose(file);
	return bytes;
}

/* /sys/dev/block/MAJOR:MINOR/stat of the disk that holds dir. */
static double
device_written(const char *dir)
{
	char path[64], line[LINE_SIZE];
	struct stat st;
	uint64_t value = 0;

	if (stat(dir, &st) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev),
		minor(st.st_dev));
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return 0;
	size_t n = fread(line, 1, sizeof(line), file);
	fclose(file);
	struct cursor c = cursor_of(slice_make(line, n));
	for (unsigned field = 0; field <= SECTORS_WRITTEN; field++) {
		while (take_byte(&c, ' '))
			continue;
		if (!take_u64(&c, UINT64_MAX, &value))
			return 0;
	}
	return (double)value * SECTOR;
}

void
usage_start(struct usage *u, const char *dir)
{
	u->written = bytes_written();
	u->device = device_written(dir);
	u->cpu = cpu_us() / 1e6;
	u->seconds = now_ms() / 1e3;
}

void
usage_end(struct usage *u, const char *dir)
{
	u->seconds = now_ms() / 1e3 - u->seconds;
	u->cpu = cpu_us() / 1e6 - u->cpu;
	u->written = bytes_written() - u->written;
	u->device = device_written(dir) - u->device;
}

void
usage_add(struct usage *sum, const struct usage *u)
{
	sum->seconds += u->seconds;
	sum->cpu += u->cpu;
	sum->written += u->written;
	sum->device += u->device;
}

void
latencies_add(struct latencies *l, double ms)
{
	if (l->count == l->size) {
		l->size = l->size > 0 ? l->size * 2 : 1024;
		l->values = realloc(l->values, l->size * sizeof(l->values[0]));
		if (l->values == NULL)
			bench_die("out of memory");
	}
	l->values[l->count++] = ms;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
latencies_at(struct latencies *l, double part)
{
	if (l->count == 0)
		return 0;
	qsort(l->values, l->count, sizeof(l->values[0]), compare);
	return l->values[(size_t)((double)(l->count - 1) * part)];
}

void
latencies_clear(struct latencies *l)
{
	free(l->values);
	*l = (struct latencies){0};
}

/* ---- results ---- */

static bool is_first;

static void
key_print(const char *key)
{
	printf("%s\"%s\": ", is_first ? "" : ", ", key);
	is_first = false;
}

void
result_begin(void)
{
	printf("{");
	is_first = true;
}

void
result_number(const char *key, double value)
{
	key_print(key);
	printf("%.9g", value);
}

void
result_text(const char *key, const char *value)
{
	key_print(key);
	printf("\"%s\"", value);
}

void
result_list(const char *key, const double *values, size_t count)
{
	key_print(key);
	for (size_t i = 0; i < count; i++)
		printf("%s%.9g", i == 0 ? "[" : ", ", values[i]);
	printf("]");
}

void
result_open(const char *key)
{
	key_print(key);
	result_begin();
}

void
result_usage(const struct usage *u, double messages, double mail_bytes)
{
	result_number("seconds", u->seconds);
	result_number("rate", messages / u->seconds);
	result_number("cpu_us", u->cpu * 1e6 / messages);
	result_number("written_ratio", u->written / mail_bytes);
	result_number("device_ratio", u->device / mail_bytes);
}

void
result_files(const struct files *f)
{
	result_number("apparent", f->apparent);
	result_number("disk", f->disk);
	result_number("index", f->index);
	result_number("index_length", f->index_length);
	result_number("segments", f->segments);
}

void
result_end(void)
{
	printf("}");
	is_first = false;
}
