/* SPDX-License-Identifier: ISC */
/*
 * What a session knows of its selected mailbox: which UID has which message sequence number.  It
 * changes only together with what is told to the client (RFC 3501 5.2, 7.4.1), whatever happens in
 * the store meanwhile.  UIDs are kept as ranges, so that an ordinary mailbox costs a few bytes.
 */
#ifndef IMAPD_VIEW_H
#define IMAPD_VIEW_H

#include "common/store/uids.h"

struct view_range {
	uint32_t first, last; /* UIDs */
	uint32_t seq; /* sequence number of first */
};

struct view {
	uint32_t mailbox; /* id; 0: none is selected */
	uint32_t uidvalidity;
	bool read_only;
	bool gone; /* the mailbox has been deleted */
	uint64_t modseq; /* changes up to here are known */
	uint32_t recent_from; /* this and later UIDs are \Recent here (RFC 3501 2.3.2) */
	unsigned keywords; /* names that the client has been told of */
	struct view_range *ranges;
	size_t range_count, range_size;
	uint32_t count; /* messages */
	/* Learned from the store, not yet told to the client. */
	struct uid_set expunged;
	struct uid_set changed; /* flags; those whose modseq is over changed_since */
	size_t changed_told; /* so many ranges of it are told already */
	uint64_t changed_since;
	uint64_t own_modseq; /* of this session's last STORE: told already */
	bool has_news; /* new messages have come */
};

/* Frees and zeroes; then no mailbox is selected. */
void view_clear(struct view *);
/* Adds UIDs over the last one, as new messages; FAULT_NOMEM. */
MUST_USE enum fault view_append(struct view *, struct uid_range);
/* 0 when the view does not have the UID. */
uint32_t view_seq(const struct view *, uint32_t uid);
/* The same for ascending UIDs: *hint, 0 at first, remembers the place. */
uint32_t view_seq_next(const struct view *, uint32_t uid, size_t *hint);
/* seq must be 1 .. count. */
uint32_t view_uid(const struct view *, uint32_t seq);
/* The highest UID, 0 when it is empty. */
uint32_t view_last_uid(const struct view *);
/* How many of its messages have UIDs first .. last. */
uint32_t view_count_between(const struct view *, uint32_t first, uint32_t last);
/* Removes ascending, disjoint ranges (which need not be there); sequence numbers move up. */
MUST_USE enum fault view_remove(struct view *, const struct uid_range *, size_t count);
/* Adds a range to a set in any order; uid_set_normalize puts it right afterwards. */
void uid_set_push(struct uid_set *, uint32_t first, uint32_t last);
void uid_set_normalize(struct uid_set *);

#endif
