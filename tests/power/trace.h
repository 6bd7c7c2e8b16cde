/* SPDX-License-Identifier: ISC */
/*
 * The trace that the shim writes and the simulator reads: records in the order in which the calls
 * took effect, each a header, then the path or the bytes.  Paths are relative to the traced
 * directory, "" is the directory itself.  Host byte order: a trace never leaves its machine.
 */
#ifndef TESTS_POWER_TRACE_H
#define TESTS_POWER_TRACE_H

#include <stdint.h>

enum trace_kind {
	TRACE_OPEN =
		1, /* handle; text: path.  first: 1 when O_CREAT, and 2 when O_TRUNC was given */
	TRACE_WRITE, /* handle; first: offset; then the bytes */
	TRACE_SIZE, /* ftruncate; handle; first: the new size */
	TRACE_PUNCH, /* handle; first: offset; second: length */
	TRACE_ALLOCATE, /* handle; first: offset; second: length: the size grows to their sum */
	TRACE_RENAME, /* path, NUL, new path; first: 1 when RENAME_EXCHANGE */
	TRACE_LINK, /* path, NUL, new path */
	TRACE_UNLINK, /* path */
	TRACE_MKDIR, /* path */
	TRACE_RMDIR, /* path */
	TRACE_SYNC_START, /* handle; first: number of the sync */
	TRACE_SYNC_END, /* handle; first: number of the sync; second: errno, 0: all is well */
	TRACE_WRITTEN, /* handle opened with O_DSYNC: its last write is durable */
	TRACE_MARK, /* first: what power_mark() was told */
	TRACE_START, /* another program: handles and syncs of the one before are void */
	TRACE_KINDS
};

struct trace_record {
	uint32_t kind;
	uint32_t len; /* bytes that follow */
	uint64_t handle; /* an open(); never the same for two */
	uint64_t first;
	uint64_t second;
	uint64_t time_ns; /* CLOCK_MONOTONIC, so that a client of a traced daemon can place its own
			   */
};

#endif
