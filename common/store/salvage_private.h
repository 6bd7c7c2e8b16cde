/* SPDX-License-Identifier: ISC */
/* What the files of salvage share. */
#ifndef STORE_SALVAGE_PRIVATE_H
#define STORE_SALVAGE_PRIVATE_H

#include "common/store/checkpoint.h"
#include "common/store/damage.h"
#include "common/store/ids.h"
#include "common/store/journal_walk.h"
#include "common/store/log_scan.h"
#include "common/store/salvage.h"
#include "common/store/salvage_mark.h"
#include "common/store/writer_private.h"

enum { SALVAGE_PENDING = 4096, SALVAGE_BATCH = 2000 /* records a commit */ };

/* Reading the log: what must be as it was when a transaction has to be done again. */
struct salvage_log {
	struct log_scan scan;
	struct journal_point point; /* of the last commit found */
	uint64_t lost_bytes; /* of damage in this segment */
	/* since the last commit */
	bool damage; /* within a segment */
	uint64_t hidden; /* bytes that are no record */
	bool suspect; /* what follows, a search found; it may be part of somebody's mail */
	bool no_key; /* of format 1: the checksums of headers can be forged */
	bool border; /* of two segments */
	bool removed; /* a segment is missing: all about that is done */
	uint8_t digest[JOURNAL_CHAIN_SIZE]; /* of the headers */
	uint64_t id_max;
	size_t candidates;
	size_t pending;
	struct salvage_report report;
	struct damage_list damages;
};

struct salvage {
	struct salvage_options options;
	struct salvage_report *report;
	struct store_writer *writer;
	struct segment_files *files;
	struct body_reader *bodies;
	struct journal_walk walk; /* only for its files: the reading of records */
	struct salvage_log log, saved;
	uint64_t applied; /* bytes in the transaction */
	struct segment_tail told; /* findings of the log up to here have been told */
	struct id_set emails; /* that the log knows, or knew */
	struct id_set removed; /* numbers of segments that are missing for a reason */
	struct id_list candidates; /* mail that the log did not know: packed places */
	struct {
		uint64_t place;
		uint64_t email_id;
	} pending[SALVAGE_PENDING];
	bool log_is_whole; /* it has told all that there was before it began */
	size_t unlogged; /* so many of them are older than the log */
	bool in_doubt; /* something is missing: whatever is made now must be logged */
	/* repairing */
	struct id_list wanted; /* bodies that are damaged, or missing */
	struct id_list message_emails; /* of every message */
	struct id_list email_bodies; /* of every email */
	struct id_list expunged; /* emails that wait for their purge */
};

/* salvage.c */
void salvage_place_found(struct salvage *, const struct segment_place *, const char *text);
uint64_t salvage_place_pack(const struct segment_place *);
struct segment_place salvage_place_unpack(uint64_t);
/* Where a walk over a table stands: before the first key that is not less. */
struct salvage_key {
	uint8_t bytes[KV_KEY_MAX + 1];
	size_t len; /* 0: at the beginning */
};
/* The next entry, valid until the next write; *at moves behind it. */
bool salvage_next(struct salvage *, unsigned table, struct salvage_key *at, struct slice *key,
	struct slice *value);
/* Runs step in commits of its own until *more is false; *at is its to keep, from 0 on. */
typedef enum fault salvage_step(struct salvage *, struct salvage_key *at, bool *more);
MUST_USE enum fault salvage_steps_run(struct salvage *, salvage_step *);

/* salvage_log.c: does again what the log says, in an empty index. */
MUST_USE enum fault salvage_log_read(struct salvage *);

/* salvage_gap.c: a gap as long as the damage that was seen; one of unknown length. */
void salvage_doubt_bounded(struct salvage *);
void salvage_doubt_unbounded(struct salvage *);
/*
 * A number may be missing because housekeeping removed the segment: a later commit says so.  Those
 * before the first segment need no reason: nothing that is known comes from before them.
 */
MUST_USE enum fault salvage_removals_find(struct salvage *);

/* salvage_mail.c */
/* Looks at every body's bytes; takes out those that are damaged. */
MUST_USE enum fault salvage_bodies_check(struct salvage *);
/* Files the mail that the log does not know, and finds other copies of what is wanted. */
MUST_USE enum fault salvage_mail_file(struct salvage *);
/* An email that had messages, none of which is known any more, gets one. */
MUST_USE enum fault salvage_email_file(struct salvage *, uint64_t id, const struct index_email *);

/* salvage_mailboxes.c */
/* Accounts, mailboxes and names that lead to each other. */
MUST_USE enum fault salvage_mailboxes_mend(struct salvage *);
/* The mailbox with this id: made, under a made-up name, when the account has none. */
MUST_USE enum fault salvage_mailbox_ensure(
	struct salvage *, uint64_t account, uint32_t mailbox, struct writer_place *);

/* salvage_messages.c: messages whose bytes are gone; what accounts and mailboxes count. */
MUST_USE enum fault salvage_messages_mend(struct salvage *);
/* salvage_counts.c: emails, bodies, segments. */
MUST_USE enum fault salvage_counts_mend(struct salvage *);

#endif
