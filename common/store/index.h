/* SPDX-License-Identifier: ISC */
/*
 * The tables of the store's index, their keys and their records.  Private to common/store.  Keys
 * are big-endian, so that what is read together lies together.  A record is decoded only when
 * its length and its fields make sense: FAULT_DAMAGED otherwise.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "common/store/kv.h"
#include "common/store/store.h"

/*
 * T(enumerator, name, key, value): also shown in pabal-store(5).  Numbers: id 8 bytes, mailbox and
 * uid 4, modseq 8, time 8 (seconds).  The log names a table by its place here: only add at the end.
 */
#define INDEX_TABLES(T)                                                                            \
	T(META, "meta", "name", "format, tail of the segments, next id")                           \
	T(ACCOUNTS, "accounts", "account", "quota, used, counters, highest modseq")                \
	T(MAILBOXES, "mailboxes", "account mailbox", "counters, parent, use, last level of name")  \
	T(NAMES, "names", "account parent level", "mailbox")                                       \
	T(SUBSCRIPTIONS, "subscriptions", "account hash of name", "name")                          \
	T(KEYWORDS, "keywords", "account number", "name")                                          \
	T(MESSAGES, "messages", "account mailbox uid", "flags, dates, ids, place of the body")     \
	T(EMAILS, "emails", "email id", "references, account, body id, prefix")                    \
	T(BODIES, "bodies", "body id", "references, place of the record")                          \
	T(STRUCTURES, "structures", "body id", "stored structure")                                 \
	T(CHANGES, "changes", "account modseq mailbox uid", "kind, last uid")                      \
	T(THREADS, "threads", "account hash", "thread id")                                         \
	T(DELIVERED, "delivered", "delivery id, account", "mailbox, uidvalidity, uid, email id")   \
	T(DELIVERED_AT, "delivered-at", "time, delivery id, account", "")                          \
	T(EXPUNGED, "expunged", "time, email id", "account, mailbox, uid, message record")         \
	T(PUNCHES, "punches", "segment offset", "length of a dead record")                         \
	T(SEGMENTS, "segments", "segment", "live bytes and records, state")                        \
	T(METADATA, "metadata", "account mailbox entry", "value (not used yet)")

#define INDEX_ENUM(name, text, key, value) INDEX_##name,
enum index_table { INDEX_TABLES(INDEX_ENUM) INDEX_TABLE_COUNT };
#undef INDEX_ENUM
/*
 * Tables whose newest puts always stand in a segment that is still there, so that the log alone can
 * tell what they hold.  A segment is removed only after what it says of them has been said again.
 * The others can be made anew, or do without.
 */
#define INDEX_CARRIED(T)                                                                           \
	T(META)                                                                                    \
	T(ACCOUNTS)                                                                                \
	T(MAILBOXES)                                                                               \
	T(NAMES)                                                                                   \
	T(SUBSCRIPTIONS)                                                                           \
	T(KEYWORDS)                                                                                \
	T(MESSAGES)                                                                                \
	T(EMAILS)                                                                                  \
	T(BODIES)                                                                                  \
	T(STRUCTURES)                                                                              \
	T(THREADS)                                                                                 \
	T(SEGMENTS)                                                                                \
	T(METADATA)                                                                                \
	T(EXPUNGED)
bool index_is_carried(unsigned table);
/* For kv_open: names in the order of the enum, then NULL. */
extern const char *const index_tables[];

enum { INDEX_KEY_MAX = 12 + STORE_LEVEL_MAX };

/* A key, built from its parts. */
struct index_key {
	uint8_t bytes[INDEX_KEY_MAX];
	size_t len;
};

static inline struct slice
index_key_slice(const struct index_key *k)
{
	return slice_make(k->bytes, k->len);
}
void index_key_u8(struct index_key *, uint8_t);
void index_key_u32(struct index_key *, uint32_t);
void index_key_u64(struct index_key *, uint64_t);
void index_key_bytes(struct index_key *, struct slice);
/* The frequent ones. */
struct index_key index_key_id(uint64_t id);
struct index_key index_key_mailbox(uint64_t account, uint32_t mailbox);
struct index_key index_key_message(uint64_t account, uint32_t mailbox, uint32_t uid);

/* An email: what its messages (copies within one account) share. */
struct index_email {
	uint32_t references; /* messages; 0: expunged, waiting to be purged */
	uint64_t account;
	uint64_t body_id;
	struct slice prefix; /* borrows from the map */
};

struct index_body {
	uint32_t references; /* emails */
	struct segment_place place; /* of the record */
	uint32_t structure_len;
	uint16_t prefix_len; /* in the record; that of its first email */
	uint8_t codec; /* enum body_codec */
	uint64_t stored_len;
	uint64_t plain_len;
};

/* Where the body's bytes are, within the record. */
struct body_handle index_body_handle(const struct index_body *);

struct index_segment {
	uint64_t live_bytes;
	uint32_t live_records;
	/* Of all records with a body that came in, and of the live ones' bodies when unpacked. */
	uint64_t mail_bytes;
	uint64_t plain_bytes;
	bool is_older; /* made by format 1: these two are not known of all of it */
	bool is_carried; /* what its log says was said again, and nothing more comes */
	int64_t emptied_at; /* when a body was last moved out; 0: never */
	uint64_t end_id; /* ids from here on were drawn after it was full; 0: not known */
};

struct index_delivered {
	uint32_t mailbox;
	uint32_t uidvalidity;
	uint32_t uid;
	uint64_t email_id;
};

/* load: FAULT_NOT_FOUND, FAULT_DAMAGED, or the transaction's own fault. */
MUST_USE enum fault index_account_load(struct kv_txn *, uint64_t id, struct store_account *);
MUST_USE enum fault index_account_decode(struct slice key, struct slice, struct store_account *);
void index_account_save(struct kv_txn *, const struct store_account *);
/*
 * Of a mailbox, name is only the last level here; subscribed and has_children are not set.
 */
MUST_USE enum fault index_mailbox_load(
	struct kv_txn *, uint64_t account, uint32_t id, struct store_mailbox *);
MUST_USE enum fault index_mailbox_decode(struct slice key, struct slice, struct store_mailbox *);
void index_mailbox_save(struct kv_txn *, const struct store_mailbox *);
/* The id of a canonical name. */
MUST_USE enum fault index_mailbox_find(
	struct kv_txn *, uint64_t account, struct slice name, uint32_t *id);
/* The child of a parent (0: the top) with this last level. */
MUST_USE enum fault index_child_find(
	struct kv_txn *, const struct store_mailbox *parent, struct slice level, uint32_t *id);
bool index_has_children(struct kv_txn *, uint64_t account, uint32_t mailbox);
struct index_key index_key_name(uint64_t account, uint32_t parent, struct slice level);
struct index_key index_key_subscription(uint64_t account, struct slice name);

MUST_USE enum fault index_message_decode(struct slice key, struct slice, struct store_message *);
MUST_USE enum fault index_message_load(
	struct kv_txn *, struct index_key key, struct store_message *);
enum { INDEX_MESSAGE_SIZE = 76 };
void index_message_encode(const struct store_message *, uint8_t record[static INDEX_MESSAGE_SIZE]);
void index_message_save(struct kv_txn *, const struct store_message *);

MUST_USE enum fault index_email_load(struct kv_txn *, uint64_t id, struct index_email *);
void index_email_save(struct kv_txn *, uint64_t id, const struct index_email *);
MUST_USE enum fault index_body_decode(struct slice, struct index_body *);
MUST_USE enum fault index_body_load(struct kv_txn *, uint64_t id, struct index_body *);
void index_body_save(struct kv_txn *, uint64_t id, const struct index_body *);
MUST_USE enum fault index_segment_decode(struct slice, struct index_segment *);
MUST_USE enum fault index_segment_load(struct kv_txn *, uint32_t segment, struct index_segment *);
void index_segment_save(struct kv_txn *, uint32_t segment, const struct index_segment *);
MUST_USE enum fault index_delivered_decode(struct slice, struct index_delivered *);

MUST_USE enum fault index_change_decode(struct slice key, struct slice, struct store_change *);
/* Adds an entry and counts it in the account, which the caller saves. */
void index_change_add(struct kv_txn *, struct store_account *, const struct store_change *);

/* The value of meta name as a number; FAULT_NOT_FOUND. */
MUST_USE enum fault index_meta_load(struct kv_txn *, const char *name, uint64_t *value);
void index_meta_save(struct kv_txn *, const char *name, uint64_t value);
#define INDEX_META_FORMAT "format"
#define INDEX_META_STORE "store-id" /* drawn when the store is made; a backup has the same */
#define INDEX_META_NEXT_ID "next-id"
#define INDEX_META_UPGRADE "upgrade-from" /* the format that records may still have */
/* The log has said all that the index has; without this it is said once more, see compact.h. */
#define INDEX_META_LOG_WHOLE "log-whole"

#endif
