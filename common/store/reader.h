/* SPDX-License-Identifier: ISC */
/*
 * The reading half of the store, for imapd, pop3d and deliverd: nobody is asked, the index is read
 * by mmap, bodies by pread.  It trusts neither the index nor the segments: what is broken gives
 * FAULT_DAMAGED for that one record.
 *
 * Everything between reader_begin() and reader_end() sees one committed state.  Never hold a read
 * transaction across a turn of the event loop: the writer cannot reuse pages while one is open.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "common/base/arena.h"
#include "common/store/kv.h"
#include "common/store/store.h"

struct store_reader;

/*
 * dir is the store's directory.  The files are opened now if they are there, else at the first
 * reader_begin() that finds them.  Needs: read on index/data.mdb and segments/, read and write on
 * index/lock.mdb.
 */
MUST_USE enum fault reader_open(const char *dir, struct store_reader **);
void reader_close(struct store_reader *);

/*
 * Sealed mail is opened by this key from now on; NULL: by none, and reads as FAULT_SEALED.
 * Borrowed: to be taken back before it is freed.  Nothing that it has opened is kept after that.
 */
void reader_use_key(struct store_reader *, struct seal_opener *);

/* FAULT_NOT_FOUND: no store yet.  FAULT_UNSUPPORTED: a newer format. */
MUST_USE enum fault reader_begin(struct store_reader *);
void reader_end(struct store_reader *);

/* All below: between begin and end only, unless said otherwise; FAULT_NOT_FOUND, FAULT_DAMAGED. */

MUST_USE enum fault reader_account(struct store_reader *, uint64_t account, struct store_account *);
/* Walks all accounts in order of their ids; stops when the callback gives a fault. */
MUST_USE enum fault reader_accounts(struct store_reader *,
	enum fault (*each)(void *arg, const struct store_account *), void *arg);

/* All counters for SELECT and STATUS; costs two or three look-ups, whatever the mailbox's size. */
MUST_USE enum fault reader_mailbox(
	struct store_reader *, uint64_t account, uint32_t id, struct store_mailbox *);
/* Any spelling of the name. */
MUST_USE enum fault reader_mailbox_by_name(
	struct store_reader *, uint64_t account, struct slice name, struct store_mailbox *);
/* The mailbox of a special use; FAULT_NOT_FOUND. */
MUST_USE enum fault reader_mailbox_by_use(
	struct store_reader *, uint64_t account, enum store_special_use, struct store_mailbox *);
/*
 * All mailboxes of an account, parents before children, siblings in byte order, INBOX first.
 * The array is in the arena; FAULT_BUDGET when it does not fit (about 1.1 KiB each).
 */
struct store_mailbox_list {
	struct store_mailbox *mailboxes;
	size_t count;
};
MUST_USE enum fault reader_mailboxes(
	struct store_reader *, uint64_t account, struct arena *, struct store_mailbox_list *);
/* Subscribed names, existing or not (RFC 3501 6.3.6), in no particular order. */
MUST_USE enum fault reader_subscriptions(struct store_reader *, uint64_t account,
	enum fault (*each)(void *arg, struct slice name), void *arg);

/* Keyword names of an account; slices are in the arena. */
struct store_keyword_names {
	unsigned count; /* numbers 0 .. count-1 are taken */
	struct slice names[STORE_KEYWORDS_MAX];
};
MUST_USE enum fault reader_keywords(
	struct store_reader *, uint64_t account, struct arena *, struct store_keyword_names *);

MUST_USE enum fault reader_message(struct store_reader *, uint64_t account, uint32_t mailbox,
	uint32_t uid, struct store_message *);

/*
 * Walks the messages of a mailbox with ascending UIDs by one cursor.  An open walk must be closed
 * before reader_end().  Use:
 *
 *	reader_walk_open(r, account, mailbox, &w);
 *	for (bool more = reader_walk_seek(&w, first, &m); more; more = reader_walk_next(&w, &m))
 *		...
 *	fault = reader_walk_close(&w);
 *
 * seek finds the first UID >= first; it may be called again at any time.  A damaged record ends
 * nothing: it is skipped, and the close says FAULT_DAMAGED.
 */
struct reader_walk {
	struct store_reader *reader;
	struct kv_cursor cursor;
	uint64_t account;
	uint32_t mailbox;
	enum fault fault;
};
void reader_walk_open(
	struct store_reader *, uint64_t account, uint32_t mailbox, struct reader_walk *);
bool reader_walk_seek(struct reader_walk *, uint32_t first, struct store_message *);
bool reader_walk_next(struct reader_walk *, struct store_message *);
/* enum fault of the walk; may be called twice. */
enum fault reader_walk_close(struct reader_walk *);

/* All UIDs >= first of a mailbox, added to the set; decodes no record (2 ms for 100,000). */
MUST_USE enum fault reader_uids(struct store_reader *, uint64_t account, uint32_t mailbox,
	uint32_t first, struct uid_set *);

/*
 * The stored structure that deliverd or imapd made; the slice is valid until the next call of this
 * or reader_end().  FAULT_SEALED.
 */
MUST_USE enum fault reader_structure(
	struct store_reader *, const struct store_message *, struct slice *structure);

/*
 * What the client sees as the message: the prefix and the body.  reader_content() needs the
 * transaction; reading does not, and is right until the message's undelete time is over.  A body
 * that has moved meanwhile is found again.
 */
struct store_content {
	uint64_t body_id;
	struct body_handle body;
	uint32_t prefix_len;
	char prefix[STORE_PREFIX_MAX];
};
MUST_USE enum fault reader_content(
	struct store_reader *, const struct store_message *, struct store_content *);
static inline uint64_t
store_content_size(const struct store_content *c)
{
	return c->prefix_len + c->body.plain_len;
}
/*
 * Exactly span.len bytes from offset, or FAULT_NOT_FOUND, FAULT_DAMAGED, FAULT_IO, FAULT_SEALED.
 * Within a transaction or without.
 */
MUST_USE enum fault reader_read(
	struct store_reader *, const struct store_content *, uint64_t offset, struct body_span);

/*
 * The change log after modseq since, ascending; mailbox 0: of the whole account.  FAULT_EXPIRED:
 * the log no longer reaches back so far (compare message by message instead).  Stops when the
 * callback gives a fault, and hands that on.
 */
struct reader_changes {
	uint64_t account;
	uint32_t mailbox;
	uint64_t since;
	enum fault (*each)(void *arg, const struct store_change *);
	void *arg;
};
MUST_USE enum fault reader_changes(struct store_reader *, const struct reader_changes *);

/* For undelete: expunged messages of an account that are not yet purged, oldest first. */
MUST_USE enum fault reader_expunged(struct store_reader *, uint64_t account,
	enum fault (*each)(void *arg, int64_t expunged_at, const struct store_message *),
	void *arg);

#endif
