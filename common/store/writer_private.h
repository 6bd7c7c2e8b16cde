/* SPDX-License-Identifier: ISC */
/* What the files of the writing half share. */
#ifndef STORE_WRITER_PRIVATE_H
#define STORE_WRITER_PRIVATE_H

#include "common/store/index.h"
#include "common/store/journal.h"
#include "common/store/writer.h"

struct store_writer {
	char *dir;
	struct store_options options;
	bool salvaging; /* segments without an index are what we came for */
	int lock; /* writer.lock: one writer at a time */
	struct journal *journal;
	struct store_reader *reader;
	bool must_settle; /* space waits for a checkpoint to be given back */
	/* the batch */
	struct kv_txn txn;
	int64_t now; /* seconds since 1970 */
	uint64_t next_id; /* of emails, bodies and threads */
	uint64_t first_id; /* next_id when the batch began */
	struct store_event *events;
	size_t event_count;
	size_t event_size; /* allocated */
	struct store_message *gathered; /* GATHER_MAX, made when first needed */
	struct compaction *compaction; /* compact.c; made when first needed */
};

/* writer_open for salvage: an index is made, and all segments are taken as committed. */
MUST_USE enum fault writer_open_salvage(
	const char *dir, const struct store_options *, struct store_writer **);

/* upgrade.c: brings records of an older format up to date, some thousand a commit. */
MUST_USE enum fault writer_upgrade(struct store_writer *);
/* writer_restored.c: of a store that comes from a backup, all counters jump ahead. */
MUST_USE enum fault writer_restored(struct store_writer *);

/* The next modification sequence of an account. */
static inline uint64_t
writer_next_modseq(struct store_account *a)
{
	return ++a->modseq;
}

/* Writes a change to the log of the account (which the caller saves) and remembers the event. */
void writer_change(struct store_writer *, struct store_account *, const struct store_change *);
/* One change per range of the set. */
struct writer_changes {
	enum store_change_kind kind;
	uint32_t mailbox;
	uint64_t modseq;
	const struct uid_set *uids;
};
void writer_changes(struct store_writer *, struct store_account *, const struct writer_changes *);

/* Loads both; FAULT_NOT_FOUND, FAULT_DENIED (\Noselect). */
struct writer_place {
	struct store_account account;
	struct store_mailbox mailbox; /* name: last level */
};
MUST_USE enum fault writer_place_load(
	struct store_writer *, uint64_t account, uint32_t mailbox, struct writer_place *);
/* Saves both. */
void writer_place_save(struct store_writer *, const struct writer_place *);

/* Adds a message to the counters of its mailbox and account, or takes it off. */
void writer_count_add(struct store_account *, struct store_mailbox *, const struct store_message *);
void writer_count_remove(
	struct store_account *, struct store_mailbox *, const struct store_message *);

/* Keyword names as bits; unknown ones get a number if create is set, else are left out. */
struct writer_keywords {
	uint64_t account;
	const struct slice *names;
	size_t count;
	bool create;
};
MUST_USE enum fault writer_keywords_find(
	struct store_writer *, const struct writer_keywords *, struct store_keywords *);

/*
 * Messages of ranges, some thousand at a time, so that memory is bounded and no cursor stands
 * open while the table is written.  Zero the struct, set uids and end, call until count is 0.
 */
struct writer_gather {
	const struct writer_uids *uids;
	uint32_t end; /* UIDs from here on are not meant (new copies) */
	size_t range;
	uint32_t next;
	const struct store_message *messages;
	size_t count;
};
MUST_USE enum fault writer_gather(struct store_writer *, struct writer_gather *);

/* Removes one message of a place from the index; the email waits for its purge. */
void writer_message_expunge(
	struct store_writer *, struct writer_place *, const struct store_message *);
/* All messages of a mailbox, at most max of them; true when none is left. */
MUST_USE enum fault writer_mailbox_empty(
	struct store_writer *, struct writer_place *, size_t max, bool *empty);
/* Where an appended message goes, and what its record says of the body. */
struct writer_arrival {
	const struct store_message *message;
	struct slice prefix;
};
/* Writes message, email, counters and change; saves the place.  modseq and uid are the message's.
 */
void writer_message_add(
	struct store_writer *, struct writer_place *, const struct writer_arrival *);
/* Writes a body that has just been appended with its structure, and counts it in its segment. */
void writer_body_add(
	struct store_writer *, uint64_t body_id, const struct index_body *, struct slice structure);

/* A body counts in its segment, or does no more; emptied_at: it was moved out then, or 0. */
void writer_body_count(struct store_writer *, const struct index_body *);
void writer_body_release(struct store_writer *, const struct index_body *, int64_t emptied_at);

/* Makes a mailbox record below parent (0: the top); the caller saves the account. */
struct writer_child {
	uint32_t parent;
	struct slice level;
	enum store_special_use use;
};
MUST_USE enum fault writer_child_make(struct store_writer *, struct store_account *,
	const struct writer_child *, struct store_mailbox *made);
/* The thread of the first known Message-ID, or a new one named like the email. */
uint64_t writer_thread_find(
	struct store_writer *, const struct writer_threads *, const struct store_message *);
/* Ties the unknown Message-IDs to the thread; a known one keeps its thread for ever (RFC 8474). */
void writer_thread_tie(
	struct store_writer *, const struct writer_threads *, const struct store_message *);
/* Finds the entry of an expunged email, from the latest on; FAULT_NOT_FOUND. */
MUST_USE enum fault writer_expunged_find(
	struct store_writer *, uint64_t email_id, struct index_key *key, struct store_message *);

/* Takes an email off the index for good; its body too, with its last email. */
void writer_email_purge(struct store_writer *, uint64_t email_id);

#endif
