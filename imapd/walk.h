/* SPDX-License-Identifier: ISC */
/*
 * A walk over messages of the view in slices: each slice has a read transaction of its own and
 * ends when the session must yield.  FETCH, STORE and SEARCH are such walks.
 */
#ifndef IMAPD_WALK_H
#define IMAPD_WALK_H

#include "imapd/session.h"

struct walk {
	const struct uid_range *ranges; /* what is left; borrowed */
	size_t count;
	uint32_t next; /* UID to go on with, when it is over the first range's first */
	enum fault fault; /* of the store; the messages that it hit are left out */
};

enum walk_step {
	WALK_ON,
	WALK_LEAVE, /* end the slice, go on behind this message */
	WALK_HOLD, /* end the slice, come back to this message */
	WALK_END, /* enough */
};

/* Called within the read transaction, and before anything of the message was written. */
typedef enum walk_step walk_fn(
	struct imap_session *, const struct store_message *, uint32_t seq, void *arg);

/* One slice; true at the end of the walk. */
bool walk_slice(struct imap_session *, struct walk *, walk_fn *, void *arg);

#endif
