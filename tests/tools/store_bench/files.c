/* SPDX-License-Identifier: ISC */
/* Owns what lies on the disk: sizes, and the page cache of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tools/store_bench/bench.h"
#include "tests/tools/store_bench/measure.h"

enum { BLOCK = 512, DESCRIPTORS = 16, STILL_CACHED_PERCENT = 2 };

/* nftw() hands no argument on. */
static struct files *measured;
static uint64_t pages_cached, pages_all;

static int
measure_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	size_t len = strlen(path);

	(void)where;
	if (kind != FTW_F)
		return 0;
	measured->apparent += (double)st->st_size;
	measured->disk += (double)st->st_blocks * BLOCK;
	if (strcmp(path + where->base, "data.mdb") == 0) {
		measured->index += (double)st->st_blocks * BLOCK;
		measured->index_length += (double)st->st_size;
	}
	if (len > 4 && strcmp(path + len - 4, ".seg") == 0)
		measured->segments++;
	return 0;
}

void
files_measure(const char *dir, struct files *f)
{
	*f = (struct files){0};
	measured = f;
	if (nftw(dir, measure_one, DESCRIPTORS, FTW_PHYS) < 0)
		bench_die("%s: %s", dir, strerror(errno));
}

/* Counts the pages that stay cached whatever the advice was. */
static void
count_cached(int fd, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page;
	unsigned char *in_core = bench_alloc(pages, 1);
	void *map = size > 0 ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (map != MAP_FAILED) {
		if (mincore(map, size, in_core) == 0)
			for (size_t i = 0; i < pages; i++)
				pages_cached += in_core[i] & 1;
		munmap(map, size);
		pages_all += pages;
	}
	free(in_core);
}

static int
evict_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)where;
	if (kind != FTW_F)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	/* Only clean pages can go. */
	if (fsync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		bench_die("%s cannot be dropped from the cache", path);
	count_cached(fd, (size_t)st->st_size);
	close(fd);
	return 0;
}

void
files_evict(const char *dir)
{
	pages_cached = pages_all = 0;
	if (nftw(dir, evict_one, DESCRIPTORS, FTW_PHYS) < 0)
		bench_die("%s: %s", dir, strerror(errno));
	if (pages_cached * 100 > pages_all * STILL_CACHED_PERCENT + 6400)
		bench_die("%llu of %llu pages stay cached", (unsigned long long)pages_cached,
			(unsigned long long)pages_all);
}

void
files_flush(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		bench_die("%s: %s", dir, strerror(errno));
	close(fd);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

void
files_remove(const char *dir)
{
	if (nftw(dir, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		bench_die("%s: %s", dir, strerror(errno));
}

void
files_make(const char *dir)
{
	if (mkdir(dir, 0700) < 0)
		bench_die("%s: %s", dir, strerror(errno));
}
