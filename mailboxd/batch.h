/* SPDX-License-Identifier: ISC */
/*
 * The batch: requests are done as they come, inside one write transaction, and answered together
 * after its commit.  It batches by itself: while a commit blocks, the next requests gather in the
 * sockets; a lone request is committed in the turn in which it came.
 *
 *	nothing --batch_enter--> gathering --a turn without news, or full--> commit --> nothing
 */
#ifndef MAILBOXD_BATCH_H
#define MAILBOXD_BATCH_H

#include "common/base/arena.h"
#include "common/ipc/daemon.h"
#include "common/store/uids.h"

enum {
	BATCH_REQUESTS_MAX = 512,
	BATCH_BYTES_MAX = 64 * 1024 * 1024, /* of appended bodies */
	BATCH_ARENA = 64 * 1024 * 1024, /* what answers may take */
};

struct mailboxd;

/* An answer that waits for the commit. */
struct batch_answer {
	struct batch_answer *next;
	struct ipc_origin origin;
	enum ipc_type type;
	size_t size;
	void *payload; /* of the type, in the arena; begins with its fault */
	int fd; /* a memfd that belongs to the answer, or -1 */
};

struct batch {
	bool open;
	struct arena arena;
	struct batch_answer *first;
	struct batch_answer **last;
	unsigned count;
	unsigned count_seen; /* when the commit event came last */
	uint64_t bytes;
	struct event *commit;
};

MUST_USE enum fault batch_init(struct mailboxd *);
/* Drops an open batch: nobody gets an answer. */
void batch_clear(struct mailboxd *);
/*
 * Joins a request to the batch: gives the answer, its payload zeroed, or NULL when the request has
 * been answered with a fault already.  Whoever got an answer calls batch_leave() in the end.
 */
struct batch_answer *batch_enter(struct mailboxd *, struct ipc_link *, const struct ipc_message *);
/* Commits at once when the batch is full; bytes: what this request appended. */
void batch_leave(struct mailboxd *, uint64_t bytes);
/* Commits an open batch and answers. */
void batch_commit(struct mailboxd *);
/* Sends the events of the last commit to every imapd. */
void batch_broadcast(struct mailboxd *);

/* UID ranges of a request, from the field or the memfd; in the arena. */
struct batch_uids {
	struct uid_range *ranges; /* never NULL */
	size_t count;
};
MUST_USE enum fault batch_uids_read(
	struct mailboxd *, const struct ipc_message *, struct slice field, struct batch_uids *);
/* UID ranges of an answer: into *field, or the answer's memfd when they are many. */
MUST_USE enum fault batch_uids_write(
	struct mailboxd *, struct batch_answer *, const struct uid_set *, struct slice *field);
/* Keyword names, separated by spaces, as slices in the arena. */
MUST_USE enum fault batch_keywords_read(
	struct mailboxd *, struct slice field, struct slice **names, size_t *count);

#endif
