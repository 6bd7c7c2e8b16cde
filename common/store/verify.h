/* SPDX-License-Identifier: ISC */
/*
 * Proves a store against itself: every checksum, reference count, counter and record of the index
 * against the segments, while the store is in use.  Reads one committed state per mailbox; works
 * in slices, so that an event loop can run between them.
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "common/store/reader.h"

struct store_finding {
	uint64_t account; /* 0: the store as a whole */
	uint32_t mailbox; /* 0: none */
	uint32_t uid; /* 0: none */
	const char *text; /* what is wrong; valid during the call only */
};

struct verify_options {
	bool bodies; /* read and check every body, not only its header */
	uint64_t account; /* 0: all accounts */
	void (*found)(void *arg, const struct store_finding *);
	void *arg;
};

struct verify_progress {
	uint64_t accounts;
	uint64_t messages;
	uint64_t bytes; /* of bodies read */
	uint64_t findings;
};

struct store_verify;

/* Borrows reader, which must not be in a transaction between slices. */
struct store_verify *verify_new(struct store_reader *, const struct verify_options *);
void verify_free(struct store_verify *);
/*
 * One slice of some milliseconds to some tens of them.  *done: it was the last.  A fault is one
 * of the machine (FAULT_IO, FAULT_NOMEM); what is wrong with the store is a finding.
 */
MUST_USE enum fault verify_step(struct store_verify *, bool *done);
const struct verify_progress *verify_progress(const struct store_verify *);
/* All of it in one call. */
MUST_USE enum fault store_verify(
	struct store_reader *, const struct verify_options *, struct verify_progress *);

#endif
