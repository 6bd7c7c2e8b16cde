/* SPDX-License-Identifier: ISC */
/*
 * Rebuilds a lost index from the segments alone: the last resort, when there is no backup.  From
 * whole segments it comes back as it was; from damaged ones, all that the damage did not touch.
 * pabal-store(5) says what is lost when, and which mailboxes get a new UIDVALIDITY.
 */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include "common/store/writer.h"

/* What is wrong: a place in the segments, or a message that is gone. */
struct salvage_finding {
	uint32_t segment; /* 0: no place */
	uint64_t offset;
	uint64_t length;
	uint64_t account; /* 0: no message */
	uint32_t mailbox;
	uint32_t uid;
	uint64_t email_id;
	const char *text; /* a constant */
};

struct salvage_options {
	const struct clock *clock; /* NULL: clock_system */
	void (*found)(void *arg, const struct salvage_finding *); /* may be NULL */
	void (*progress)(void *arg, uint64_t bytes); /* of segments read so far; may be NULL */
	void *arg;
};

struct salvage_report {
	uint64_t messages; /* in the new index */
	uint64_t bodies;
	uint64_t commits; /* of the log, that were done again */
	uint64_t filed; /* messages that the log does not know: where their own records say */
	uint64_t lost; /* messages whose bytes are gone; each was found */
	uint64_t damaged; /* records and segments that cannot be read; each was found */
	uint64_t skipped; /* bytes that belong to no record */
	uint64_t renewed; /* mailboxes with a new UIDVALIDITY */
};

/*
 * dir is the store's directory, in use by nobody.  FAULT_EXISTS: it has an index (move
 * index/data.mdb away first).  Files get the owner of dir.  After a fault or a crash it can be run
 * again; until then nobody takes what was made for a store.
 */
MUST_USE enum fault store_salvage(
	const char *dir, const struct salvage_options *, struct salvage_report *);

#endif
