/* SPDX-License-Identifier: ISC */
/*
 * What the files of the shim share.  It is loaded by LD_PRELOAD and stands between a program and
 * the system calls that change files below one directory.  Environment:
 *
 *	POWER_DIR=/abs/dir      only files below it count; nothing is done without
 *	POWER_PROGRAM=name      only in the program of this name, say mailboxd
 *	POWER_TRACE=file        appends every change to the trace (trace.h)
 *	POWER_COUNT=file        at the end: how many changes, reads and opens there were
 *	POWER_KILL=n            SIGKILL before the nth change
 *	POWER_KILL_HALF=1       ... or when half of that write's pages are written: within a page
 *the kernel lets nobody die POWER_ONCE=file         ... only while this file is empty; the death is
 *noted there POWER_FAULT=n:what      the nth change fails: EIO, ENOSPC, EMFILE, ..., or short (half
 *of a write); n+:what: this and all later ones POWER_READ_FAULT=n:what the nth read fails, or
 *short, or flip: one bit of it is wrong POWER_OPEN_FAULT=n:what the nth open fails
 *	POWER_BOOT_ID=file      is read in place of the kernel's boot id
 *	POWER_SWALLOW=.seg      syncs of files whose names end so do nothing, say that all is well,
 *	                        and are not in the trace: a lying disk
 *
 * Real calls are made by syscall(2), so that nothing depends on what else is preloaded.  One lock
 *is held over a change and its record, but not while a sync runs.
 */
#ifndef TESTS_POWER_SHIM_H
#define TESTS_POWER_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/power/trace.h"

enum { SHIM_FDS = 4096, SHIM_PATH = 1024 };

/* An open file below the directory. */
struct shim_file {
	uint64_t handle; /* 0: not one of ours */
	bool synced; /* O_DSYNC or O_SYNC */
	bool ignored; /* lock.mdb: shared memory, worth nothing after a crash */
	dev_t device; /* closedir() and fclose() close unseen: the number may be another file's now
		       */
	ino_t inode;
	char path[SHIM_PATH]; /* relative to the directory */
};

/* shim_files.c; all with the lock held. */
void shim_lock(void);
void shim_unlock(void);
/* NULL when fd is none of ours. */
struct shim_file *shim_file(int fd);
/* The path relative to the directory; false when it is not below it. */
bool shim_path(int dir, const char *path, char relative[static SHIM_PATH]);
void shim_file_opened(int fd, const char *relative, int flags);
void shim_file_copied(int from, int to);
void shim_file_closed(int fd);

/* shim_trace.c */
void shim_trace(const struct trace_record *, const void *bytes);
void shim_trace_paths(enum trace_kind, const char *path, const char *to);
uint64_t shim_sync_number(void);
bool shim_is_swallowed(const struct shim_file *);

/* shim_plan.c: what is to go wrong. */
enum shim_class { SHIM_CHANGE, SHIM_READ, SHIM_OPEN, SHIM_CLASSES };
struct shim_verdict {
	int error; /* the call fails with it; 0: it does not */
	bool is_half; /* only half of the bytes */
	bool kills; /* and then the process dies */
	bool flips; /* a bit of what was read */
};
/* Counts one call; kills the process when its time has come and nothing is to be written before. */
struct shim_verdict shim_next(enum shim_class, size_t len);
void shim_kill(void);
bool shim_starts(void); /* at the first call: reads the environment; false: nothing to do */

#endif
