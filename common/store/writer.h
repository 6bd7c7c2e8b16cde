/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: linked by mailboxd alone.  Requests gather in a batch:
 *
 *	writer_begin(w);
 *	any number of operations, each with a fault of its own that spoils no other;
 *	if (writer_commit(w) == FAULT_OK) answer them all and broadcast writer_events(w);
 *	else answer them all with that fault: none of them happened.
 *
 * Every operation first checks, then writes.  A fault of the environment itself (disk full,
 * memory) ends the whole batch and shows at the commit.  Nothing of mail is parsed here.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "common/base/clock.h"
#include "common/store/store.h"

struct journal;
struct store_writer;
struct store_reader;

struct store_options {
	const struct clock *clock; /* NULL: clock_system */
	bool group_reads; /* readers run as other users of our group */
	uint64_t segment_size_max; /* 0: SEGMENT_SIZE_MAX */
	uint64_t account_quota; /* of accounts made by a delivery; 0: none */
	uint64_t map_bytes; /* first size of the index's map; 0: 256 MiB */
	uint32_t undelete_seconds; /* 0: 14 days */
	uint32_t delivered_seconds; /* how long delivery ids are remembered; 0: 7 days */
	uint32_t changes_max; /* entries of the change log kept per account; 0: 200,000 */
	const uint8_t *boot_id; /* JOURNAL_BOOT_SIZE bytes; NULL: the machine's.  See journal.h */
	bool checkpoints_apart; /* the caller takes them, see writer_journal() */
};

/*
 * Opens or makes (with its directories, but not dir itself) the store, recovers it after a crash or
 * a power cut, upgrades an older format.  Only one process may have it open: FAULT_BUSY.
 * FAULT_UNSUPPORTED: newer format, nothing was touched.
 */
MUST_USE enum fault writer_open(
	const char *dir, const struct store_options *, struct store_writer **);
void writer_close(struct store_writer *);
/* For the checkpoints of one who does not want to wait for them within a commit. */
struct journal *writer_journal(struct store_writer *);
/* No batch can succeed any more until the store is opened again. */
bool writer_is_broken(const struct store_writer *);
/* A reader of the same store within this process (reader_open() must not be used beside). */
struct store_reader *writer_reader(struct store_writer *);

MUST_USE enum fault writer_begin(struct store_writer *);
/* FAULT_BUSY: the index had to grow, run the same batch again.  Else see above; always temporary.
 */
MUST_USE enum fault writer_commit(struct store_writer *);
void writer_abort(struct store_writer *);
/* FAULT_OK while the batch can still be committed: a failed one need not be filled further. */
enum fault writer_fault(const struct store_writer *);
/* Events of the last committed batch, as a rule one per account and mailbox (highest modseq). */
const struct store_event *writer_events(const struct store_writer *, size_t *count);

/* All below: between begin and commit. */

/* Makes the account, with INBOX and the special-use mailboxes, if it is not there; sets quota. */
MUST_USE enum fault writer_account_ensure(struct store_writer *, uint64_t account, uint64_t quota);
/*
 * Removes up to some thousand messages of the account per call; FAULT_BUSY: call again (in the
 * next batch), there is more.  FAULT_OK: it is gone.
 */
MUST_USE enum fault writer_account_remove(struct store_writer *, uint64_t account);

/* One mailbox that gets the message; the fields below "result" are filled in. */
struct writer_target {
	uint64_t account;
	uint32_t mailbox;
	bool or_inbox; /* a delivery: if the mailbox is gone, into INBOX */
	bool make_account; /* a delivery: make the account if it is not there */
	bool ignore_quota;
	uint8_t flags;
	const struct slice *keywords; /* names */
	size_t keyword_count;
	int64_t received_at;
	int16_t zone;
	struct slice prefix; /* at most STORE_PREFIX_MAX */
	uint8_t delivery_id[STORE_DELIVERY_ID_SIZE]; /* all zero: none */
	/* result */
	enum fault fault;
	bool repeated; /* this delivery had been done already; uid is that of then */
	uint32_t mailbox_used;
	uint32_t uidvalidity;
	uint32_t uid;
	uint64_t modseq;
	uint64_t email_id;
	uint64_t thread_id;
};

/* Slices are read before writer_append returns. */
struct writer_append {
	struct slice structure;
	struct slice body; /* as body_pack() made it; info.stored_len bytes */
	struct body_info info;
	/* 64-bit hashes of Message-ID, then of In-Reply-To and References; they tie threads. */
	const uint64_t *thread_hashes;
	size_t thread_hash_count;
	struct writer_target *targets;
	size_t target_count;
};
/*
 * Stores the body once, and a message per target whose fault is FAULT_OK afterwards:
 * FAULT_NOT_FOUND, FAULT_OVER_QUOTA, FAULT_LIMIT (keywords), FAULT_DENIED (\Noselect).
 */
void writer_append(struct store_writer *, struct writer_append *);

enum writer_flags_verb { WRITER_FLAGS_SET, WRITER_FLAGS_ADD, WRITER_FLAGS_REMOVE };

struct writer_uids {
	uint64_t account;
	uint32_t mailbox;
	const struct uid_range *ranges; /* ascending and disjoint; NULL: all messages */
	size_t range_count;
};

struct writer_flags {
	struct writer_uids uids;
	enum writer_flags_verb verb;
	uint8_t flags;
	const struct slice *keywords;
	size_t keyword_count;
	bool conditional; /* RFC 7162 3.1.3 UNCHANGEDSINCE */
	uint64_t unchanged_since;
	/* result; the sets are the caller's to clear */
	uint64_t modseq; /* of all changed messages; 0 when nothing changed */
	struct uid_set changed;
	struct uid_set failed; /* modified since: not touched */
};
/* Messages that are not there (any more) are passed over.  FAULT_NOT_FOUND, FAULT_LIMIT. */
MUST_USE enum fault writer_flags_store(struct store_writer *, struct writer_flags *);

struct writer_copy {
	struct writer_uids uids;
	uint32_t to; /* mailbox of the same account */
	/* result; the set is the caller's to clear */
	struct uid_set copied; /* source UIDs, in order */
	uint32_t uidvalidity; /* of the destination */
	uint32_t uid_first; /* the first new UID; the others follow without gaps */
	uint64_t modseq;
};
/* All or none: FAULT_NOT_FOUND (either mailbox), FAULT_OVER_QUOTA, FAULT_DENIED (\Noselect). */
MUST_USE enum fault writer_copy(struct store_writer *, struct writer_copy *);
/* RFC 6851; needs no quota.  Destination and source must differ (FAULT_DENIED). */
MUST_USE enum fault writer_move(struct store_writer *, struct writer_copy *);

struct writer_expunge {
	struct writer_uids uids;
	bool only_deleted; /* with \Deleted: EXPUNGE, UID EXPUNGE.  Else all: POP3, purges */
	/* result; the set is the caller's to clear */
	struct uid_set expunged;
	uint64_t modseq; /* 0 when nothing was expunged */
};
MUST_USE enum fault writer_expunge(struct store_writer *, struct writer_expunge *);

/* Makes parents too.  FAULT_EXISTS, FAULT_SYNTAX, FAULT_TOO_LONG, FAULT_LIMIT; id may be NULL. */
struct writer_create {
	uint64_t account;
	struct slice name;
	enum store_special_use special_use; /* FAULT_EXISTS when another mailbox has it */
	/* result */
	uint32_t id;
	uint32_t uidvalidity;
};
MUST_USE enum fault writer_mailbox_create(struct store_writer *, struct writer_create *);
/*
 * RFC 3501 6.3.4.  With children: a \Noselect parent stays; FAULT_HAS_CHILDREN when it was one
 * already.  INBOX: FAULT_DENIED.
 */
MUST_USE enum fault writer_mailbox_delete(
	struct store_writer *, uint64_t account, struct slice name);
/*
 * RFC 3501 6.3.5.  Ids and UIDVALIDITY stay; children follow.  Of INBOX: its messages move into
 * the new mailbox, INBOX and its children stay.  Into itself: FAULT_DENIED.
 */
MUST_USE enum fault writer_mailbox_rename(
	struct store_writer *, uint64_t account, struct slice from, struct slice to);
/* FAULT_EXISTS when another mailbox has this use. */
MUST_USE enum fault writer_mailbox_use(
	struct store_writer *, uint64_t account, uint32_t mailbox, enum store_special_use);
/* on: FAULT_NOT_FOUND unless there is such a mailbox.  off: no fault when it was not subscribed. */
MUST_USE enum fault writer_subscribe(
	struct store_writer *, uint64_t account, struct slice name, bool on);

/* Gives a session the \Recent messages: the UIDs of *recent; none when first > last. */
MUST_USE enum fault writer_recent_claim(
	struct store_writer *, uint64_t account, uint32_t mailbox, struct uid_range *recent);

/* Brings back an expunged message, with a new UID, into its old mailbox or INBOX. */
MUST_USE enum fault writer_undelete(
	struct store_writer *, uint64_t account, uint64_t email_id, struct uid_range *uid);

/* Hashes of Message-ID, then of In-Reply-To and References. */
struct writer_threads {
	const uint64_t *hashes;
	size_t count;
};

struct writer_restore_target {
	uint32_t mailbox; /* when it is gone: INBOX */
	uint8_t flags;
	const struct slice *keywords;
	size_t keyword_count;
	int64_t received_at;
	int16_t zone;
};

/* A message of a backup, with all its places in one account.  Slices are read before it returns. */
struct writer_restore {
	uint64_t store; /* id of the store that the ids below are of; email_id 0: they count nothing
			 */
	uint64_t account;
	uint64_t email_id;
	uint64_t thread_id;
	uint64_t body_id;
	int64_t expunged_at; /* when it waits for its purge here: since then; 0: not known */
	struct slice prefix;
	struct slice structure;
	struct slice body;
	struct body_info info;
	struct writer_threads threads;
	const struct writer_restore_target *targets;
	size_t target_count;
	/* result */
	uint32_t restored; /* messages; 0: the email is there, and was left alone */
};
/*
 * Puts it back, with new UIDs and modification sequences, and without a look at the quota.  It
 * keeps its email and thread id when they are of this store and nobody has them.  FAULT_NOT_FOUND:
 * no such account.
 */
MUST_USE enum fault writer_restore(struct store_writer *, struct writer_restore *);

/*
 * Between batches: one bounded slice of housekeeping (forgets old delivery ids, purges expunged
 * messages after the undelete time, trims change logs, punches, frees dead readers' slots), with a
 * commit of its own.  *more: there is more to do now.  Segments are removed by compact.h.
 */
MUST_USE enum fault writer_housekeep(struct store_writer *, bool *more);

#endif
