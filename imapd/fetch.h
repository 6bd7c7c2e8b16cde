/* SPDX-License-Identifier: ISC */
/* The state of a running FETCH: which messages, and where it stands in the middle of one. */
#ifndef IMAPD_FETCH_H
#define IMAPD_FETCH_H

#include "imapd/flags.h"
#include "imapd/session.h"
#include "imapd/uids.h"
#include "imapd/walk.h"

struct imap_fetch {
	struct uid_list list;
	struct walk walk;
	uint32_t expected, told; /* messages */
	bool sets_seen, asks_flags, asks_uid;
	struct uid_set unseen; /* what \Seen is set on */
	enum fault fault; /* the first one met */
	/* the message whose text is being sent */
	bool is_sending;
	const struct fetch_att *att; /* the item that the text belongs to */
	struct store_message message;
	struct store_content content;
	uint64_t offset, left;
};

/*
 * Writes "* seq FETCH (...)", within a read transaction.  False when a long text, or the rest of
 * many items, is to follow in further turns: then fetch->is_sending is set.
 */
bool fetch_write_message(
	struct imap_session *, const struct store_message *, uint32_t seq, struct flag_names *);
/* The next piece of the long text; false when it could not be read. */
bool fetch_write_piece(struct imap_session *);
/* What comes behind the long text, in a read transaction of its own; false without the store. */
bool fetch_resume_message(struct imap_session *);

/* Frees s->fetch, if any. */
void fetch_free(struct imap_session *);

#endif
