/* SPDX-License-Identifier: ISC */
/*
 * Sequence sets to UID ranges, and UID ranges to mailboxd and back.  What is not in the view is
 * never touched: a message that the client has not been told of cannot be meant by it.
 */
#ifndef IMAPD_UIDS_H
#define IMAPD_UIDS_H

#include "imapd/session.h"

struct uid_list {
	struct uid_range *ranges; /* ascending, apart; in the command's arena */
	size_t count;
};

/*
 * By UIDs when the command has UID in front, else by sequence numbers.  False when the reply has
 * been given: a sequence number that no message has (RFC 3501 9, seq-number) is BAD.
 */
bool uids_resolve(struct imap_session *, const struct sequence_set *, struct uid_list *);
/* The same for SEARCH's keys, by either kind of number. */
MUST_USE enum fault uids_from_set(
	struct imap_session *, const struct sequence_set *, bool by_uid, struct uid_list *);
/* A walk over it, in the command's arena; NULL when that is full. */
struct walk *uids_walk(struct imap_session *, const struct uid_list *);
/* How many messages of the view are in it. */
uint32_t uids_count(const struct imap_session *, const struct uid_list *);

/* UID ranges as payloads.h wants them: bytes in the frame, or a sealed memfd when they are many. */
struct uids_wire {
	struct slice bytes;
	int fd; /* -1: none */
};
MUST_USE enum fault uids_encode(struct imap_session *, const struct uid_list *, struct uids_wire *);
void uids_wire_clear(struct uids_wire *);
/* The ranges of an answer, from its field or its descriptor, into the command's arena. */
MUST_USE enum fault uids_decode(
	struct imap_session *, struct slice field, struct ipc_message *, struct uid_list *);
/* "1:3,7" */
void uids_format(const struct uid_list *, struct buffer *);
/* Asks mailboxd to expunge what is \Deleted in the view (of CLOSE and EXPUNGE). */
void uids_ask_expunge(struct imap_session *, imap_on_answer *);

#endif
