/* SPDX-License-Identifier: ISC */
/*
 * What the mail store holds, as its readers and its writer see it.  Ids: accounts are numbered by
 * the directory; mailboxes by the store within an account, INBOX is 1, an id is never used again
 * and survives a rename; email and thread ids are unique in the whole store and never change
 * (RFC 8474).  An email id stands for the content: a COPY or MOVE keeps it.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "common/store/body.h"
#include "common/store/name.h"
#include "common/store/uids.h"

enum {
	STORE_INBOX = 1, /* mailbox id */
	STORE_KEYWORDS_MAX = 128, /* names per account */
	STORE_KEYWORD_LEN_MAX = 100, /* bytes */
	STORE_PREFIX_MAX = 2048, /* bytes in front of a body, per target */
	STORE_THREAD_HASHES_MAX = 64,
	STORE_DELIVERY_ID_SIZE = 16,
	STORE_MAILBOXES_MAX = 10000, /* per account */
};

/* RFC 3501 2.3.2.  \Recent is no flag but a watermark, see struct store_mailbox. */
enum store_flag {
	STORE_SEEN = 1,
	STORE_ANSWERED = 2,
	STORE_FLAGGED = 4,
	STORE_DELETED = 8,
	STORE_DRAFT = 16,
	STORE_FLAGS_ALL = 31,
};

/* RFC 6154.  N(enumerator, value on disk, attribute) */
#define STORE_SPECIAL_USES(N)                                                                      \
	N(NONE, 0, "")                                                                             \
	N(DRAFTS, 1, "\\Drafts")                                                                   \
	N(SENT, 2, "\\Sent")                                                                       \
	N(JUNK, 3, "\\Junk")                                                                       \
	N(TRASH, 4, "\\Trash")                                                                     \
	N(ARCHIVE, 5, "\\Archive")
enum store_special_use {
#define STORE_SPECIAL_USE_ENUM(name, value, text) STORE_USE_##name = value,
	STORE_SPECIAL_USES(STORE_SPECIAL_USE_ENUM)
#undef STORE_SPECIAL_USE_ENUM
		STORE_USE_COUNT
};
/* "\\Sent" and so on; "" for none. */
const char *store_special_use_text(enum store_special_use);

/* Bit n % 64 of bits[n / 64] stands for keyword number n of the account. */
struct store_keywords {
	uint64_t bits[STORE_KEYWORDS_MAX / 64];
};

static inline bool
store_keywords_has(const struct store_keywords *k, unsigned number)
{
	return number < STORE_KEYWORDS_MAX && (k->bits[number / 64] >> (number % 64) & 1) != 0;
}

struct store_account {
	uint64_t id;
	uint64_t quota_bytes; /* 0: none */
	uint64_t used_bytes; /* sizes of all messages */
	uint64_t messages;
	uint64_t modseq; /* the highest given */
	uint64_t oldest_modseq; /* changes after this one are all known */
	uint32_t mailbox_next;
	uint32_t mailboxes;
	uint32_t uidvalidity_last;
	uint32_t changes; /* entries in the change log */
};

struct store_mailbox {
	uint64_t account;
	uint32_t id;
	uint32_t parent; /* mailbox id, 0 at the top */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t exists;
	uint32_t unseen;
	uint32_t deleted; /* with \Deleted: EXPUNGE has nothing to do at 0 */
	uint32_t recent; /* not yet shown to any session */
	uint32_t recent_from; /* UIDs from here on are \Recent for the next to claim them */
	uint64_t size_bytes;
	uint64_t highest_modseq; /* of its messages, expunges included; at least 1 */
	enum store_special_use special_use;
	bool noselect; /* a mere parent: deleted while it had children (RFC 3501 6.3.4) */
	bool subscribed;
	bool has_children;
	char name[STORE_NAME_MAX + 1]; /* full name, canonical */
	size_t name_len;
};

struct store_message {
	uint64_t account;
	uint32_t mailbox;
	uint32_t uid;
	uint64_t modseq;
	uint64_t email_id;
	uint64_t thread_id;
	uint64_t body_id;
	int64_t received_at; /* INTERNALDATE, seconds since 1970 */
	int16_t zone; /* of it, minutes east of UTC */
	uint8_t flags; /* enum store_flag */
	struct store_keywords keywords;
	uint64_t size; /* RFC822.SIZE: prefix and body */
	uint32_t prefix_len;
	uint32_t structure_len;
};

/* Entries of the change log.  A later entry may overtake an earlier one of the same UIDs. */
enum store_change_kind {
	STORE_CHANGE_NEW = 1, /* messages uid_first..uid_last came */
	STORE_CHANGE_FLAGS = 2, /* flags of some of uid_first..uid_last changed */
	STORE_CHANGE_EXPUNGED = 3, /* all of uid_first..uid_last that were there are gone */
	STORE_CHANGE_MAILBOX = 4, /* made, renamed, other use */
	STORE_CHANGE_MAILBOX_GONE = 5,
	STORE_CHANGE_SUBSCRIPTIONS = 6,
};

struct store_change {
	enum store_change_kind kind;
	uint32_t mailbox;
	uint64_t modseq;
	uint32_t uid_first;
	uint32_t uid_last;
};

/* What readers are told after a commit: look at the changes of this account. */
struct store_event {
	uint64_t account;
	uint32_t mailbox; /* 0: the account as a whole */
	uint64_t modseq;
};

/*
 * Format of the directory: index/ (LMDB), segments/, checkpoint.  A store of a newer format is
 * refused with FAULT_UNSUPPORTED, one of an older format is upgraded by the writer.
 */
#define STORE_FORMAT 2

#endif
