/* SPDX-License-Identifier: ISC */
/* The shim's trace file.  Opened at the start, as a sandbox may forbid it later. */
#include "tests/power/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int trace = -1;
static const char *swallow;
static uint64_t syncs;

/* For the program under test, found by dlsym(): a point in the trace of its own. */
__attribute__((visibility("default"))) void power_mark(uint64_t);

bool
shim_starts(void)
{
	static int starts = -1;

	if (starts >= 0)
		return starts;
	const char *program = getenv("POWER_PROGRAM");
	starts = getenv("POWER_DIR") != NULL &&
		(program == NULL || strcmp(program, program_invocation_short_name) == 0);
	const char *path = getenv("POWER_TRACE");
	swallow = getenv("POWER_SWALLOW");
	if (!starts || path == NULL)
		return starts;
	trace = (int)syscall(
		SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (trace < 0) {
		fprintf(stderr, "shim: cannot write %s\n", path);
		_exit(2);
	}
	shim_trace(&(struct trace_record){.kind = TRACE_START}, NULL);
	return starts;
}

void
shim_trace(const struct trace_record *record, const void *bytes)
{
	struct trace_record r = *record;
	struct iovec parts[] = {{&r, sizeof(r)}, {(void *)(uintptr_t)bytes, r.len}};
	struct timespec now;

	if (trace < 0)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	r.time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	ssize_t n = syscall(SYS_writev, trace, parts, r.len > 0 ? 2 : 1);
	if (n != (ssize_t)(sizeof(r) + r.len)) {
		fprintf(stderr, "shim: the trace cannot be written\n");
		abort();
	}
}

void
shim_trace_paths(enum trace_kind kind, const char *path, const char *to)
{
	char both[2 * SHIM_PATH];
	size_t len = strlen(path), more = to != NULL ? strlen(to) + 1 : 0;

	memcpy(both, path, len);
	if (to != NULL) {
		both[len] = '\0';
		memcpy(both + len + 1, to, more - 1);
	}
	shim_trace(&(struct trace_record){.kind = kind, .len = (uint32_t)(len + more)}, both);
}

uint64_t
shim_sync_number(void)
{
	return ++syncs;
}

bool
shim_is_swallowed(const struct shim_file *f)
{
	size_t len = strlen(f->path), end = swallow != NULL ? strlen(swallow) : 0;

	return end > 0 && len >= end && memcmp(f->path + len - end, swallow, end) == 0;
}

void
power_mark(uint64_t value)
{
	shim_lock();
	shim_trace(&(struct trace_record){.kind = TRACE_MARK, .first = value}, NULL);
	shim_unlock();
}
