/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails on demand, within this test program: disk.c has functions of the names of the
 * C library's, which LMDB calls as well.  One plan at a time; what it does not name works as ever.
 */
#ifndef TESTS_UNIT_STORE_DISK_H
#define TESTS_UNIT_STORE_DISK_H

#include <stdbool.h>

enum disk_call {
	DISK_WRITE = 1, /* pwrite, pwritev, writev */
	DISK_SYNC = 2, /* fdatasync, fsync */
	DISK_ALLOCATE = 4, /* fallocate that takes blocks */
	DISK_CUT = 8, /* ftruncate */
	DISK_OPEN = 16,
	DISK_MAKE = 32, /* open with O_CREAT, mkdir */
	DISK_READ = 64, /* pread */
	DISK_TAKES_SPACE = DISK_WRITE | DISK_ALLOCATE | DISK_CUT | DISK_MAKE,
};

struct disk_plan {
	unsigned calls; /* enum disk_call */
	const char *name; /* how the path of the file ends; NULL: any file of a fixture */
	unsigned skip; /* so many of these calls work before one fails */
	int error; /* errno; 0: half of what is to be written or read, and no fault */
	bool lasts; /* all later ones fail, too */
	bool is_small; /* only writes of less than a page: LMDB's meta pages */
	bool is_large; /* only others */
	bool ends; /* it does not fail: the process ends before it, as by kill -9 */
};

void disk_plan(const struct disk_plan *);
/* Well again.  Returns how many calls have failed since the plan. */
unsigned disk_heal(void);
/* How many calls the plan has met, failed or not. */
unsigned disk_met(void);

/* Standard error into memory, until told() has looked for a text in it. */
void disk_log_gather(void);
/* Ends the gathering; true when the text was there.  Else prints what was. */
bool disk_log_told(const char *text);

#endif
