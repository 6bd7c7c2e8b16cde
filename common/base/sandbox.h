/* SPDX-License-Identifier: ISC */
/*
 * Giving up rights for good: user and group, files (Landlock), new privileges, system calls
 * (seccomp), resource limits.  Each daemon says in its sandbox.c what it needs and nothing else.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdint.h>

#include "common/base/fault.h"

enum sandbox_access {
	SANDBOX_READ = 1, /* files under the path may be read */
	SANDBOX_WRITE = 2, /* written, made, renamed, removed */
	SANDBOX_WRITE_FILE = 4, /* this existing file may be written, nothing made */
};

struct sandbox_path {
	const char *path; /* NULL ends the list; a path that does not exist is a fault */
	unsigned access;
};

/* Groups of system calls on top of the base that every daemon needs (event loop, memory, time,
 * messages over descriptors that it already holds). */
enum sandbox_calls {
	SANDBOX_ACCEPT = 1, /* take connections on a listening socket that it was given */
	SANDBOX_CONNECT = 2, /* make AF_INET, AF_INET6 sockets and connect */
	SANDBOX_FILES = 4, /* open, stat, sync, rename, remove files */
	SANDBOX_THREADS = 8,
	SANDBOX_MEMFD = 16, /* make memfds */
};

struct sandbox {
	uint32_t uid, gid; /* 0: stay who we are */
	uint32_t group; /* one more group (readers of the store), 0: none */
	const struct sandbox_path *paths; /* empty list: no file at all */
	unsigned calls;
	uint64_t files_max; /* RLIMIT_NOFILE */
};

/*
 * All of it, or a fault and a log line that names what failed.  A kernel without Landlock: an
 * empty list becomes chroot to an empty directory when root, else a warning is logged.
 */
MUST_USE enum fault sandbox_enter(const struct sandbox *);

#endif
