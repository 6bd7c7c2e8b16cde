/* SPDX-License-Identifier: ISC */
/*
 * What the directory_*.c files share: tables, keys, the write loop.  Nobody else includes it.
 *
 *	meta      "format" -> u32; "secret" -> 32 bytes
 *	domains   domain -> domain_record
 *	accounts  id (u64) -> account_record
 *	names     domain 00 local part -> name_record, so that a domain's names lie together
 *	logins    id (u64) network (16 bytes) -> when last seen (u64, ms)
 *
 * An address is one key of one table, so that it cannot be account and alias at once.
 */
#ifndef AUTHD_DIRECTORY_INTERNAL_H
#define AUTHD_DIRECTORY_INTERNAL_H

#include "authd/directory.h"
#include "common/mail/address.h"
#include "common/store/kv.h"

enum directory_table { TABLE_META, TABLE_DOMAINS, TABLE_ACCOUNTS, TABLE_NAMES, TABLE_LOGINS };

enum { DIRECTORY_FORMAT = 1, DIRECTORY_SECRET_LEN = 32, DIRECTORY_REASON_MAX = 512 };

struct directory {
	struct kv *kv;
	const struct clock *clock;
	const struct entropy *entropy;
	uint8_t secret[DIRECTORY_SECRET_LEN];
	char hostname[256]; /* normal form */
	char reason[DIRECTORY_REASON_MAX];
};

/* Sets directory_reason and gives the fault back. */
enum fault directory_refuse(struct directory *, enum fault, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One change: run within a write transaction, perhaps twice; a fault drops it. */
typedef enum fault directory_change(struct directory *, struct kv_txn *, void *arg);
MUST_USE enum fault directory_write(struct directory *, directory_change *, void *arg);

/* Parses and normalises, with a reason on a fault. */
MUST_USE enum fault directory_normal_address(
	struct directory *, struct slice text, struct arena *, struct address *normal);
MUST_USE enum fault directory_normal_domain(
	struct directory *, struct slice text, struct arena *, struct slice *normal);
/* The address in normal form as text, in the arena; NULL data when it is full. */
struct slice directory_address_text(const struct address *, struct arena *);

/* The key of an address in normal form. */
struct name_key {
	char bytes[KV_KEY_MAX + 1];
	size_t len;
};
/* FAULT_TOO_LONG. */
MUST_USE enum fault name_key_set(struct name_key *, struct slice domain, struct slice local);
/* The start of all keys of a domain. */
MUST_USE enum fault name_key_set_domain(struct name_key *, struct slice domain);
/* The local part in a key of TABLE_NAMES. */
struct slice name_key_local(struct slice key);

static inline struct slice
name_key_slice(const struct name_key *k)
{
	return slice_make(k->bytes, k->len);
}

/*
 * Begins a read transaction for a list of names: prefix becomes that of the domain only
 * (FAULT_NOT_FOUND when it is not ours), or empty for all names.  With a fault there is none.
 */
MUST_USE enum fault directory_begin_list(
	struct directory *, struct slice only, struct name_key *prefix, struct kv_txn *);

/* The first name of the list; kv_next_prefix goes on. */
static inline bool
directory_first_name(struct kv_cursor *cursor, struct slice prefix)
{
	return prefix.len > 0 ? kv_seek_prefix(cursor, prefix) : kv_first(cursor);
}

/* FAULT_NOT_FOUND without one; else decoded, borrowing from the map. */
MUST_USE enum fault directory_load_domain(
	struct kv_txn *, struct slice name, struct domain_record *);
MUST_USE enum fault directory_load_name(
	struct kv_txn *, const struct address *normal, struct name_record *);
MUST_USE enum fault directory_load_account(struct kv_txn *, uint64_t id, struct account_record *);
/* Encodes and puts. */
MUST_USE enum fault directory_save_domain(
	struct kv_txn *, struct slice name, const struct domain_record *);
MUST_USE enum fault directory_save_account(
	struct kv_txn *, uint64_t id, const struct account_record *);
/* What an expansion works with. */
struct expander {
	struct directory *directory;
	struct kv_txn *txn;
	struct arena *arena; /* everything that it finds */
};
/* The same as directory_expand, in a transaction of the caller's. */
MUST_USE enum fault directory_expand_in(
	const struct expander *, struct slice address, struct expansions *);
/* A change of one account; what a change does not need stays zero. */
struct account_change {
	struct address normal;
	struct slice text; /* the same, as text */
	const struct password_record *password;
	const struct account_key_record *key;
	const uint8_t *stored_key; /* of the password that wraps the key */
	bool disabled;
	uint64_t id; /* result */
};
/* Runs the change with normal and text filled in from the address. */
MUST_USE enum fault directory_change_account(
	struct directory *, struct slice address, directory_change *, struct account_change *);
/*
 * The record that a change begins with; FAULT_NO_SUCH_USER with a reason.  It borrows from the map
 * until the next write; saving it reads it before it writes.
 */
MUST_USE enum fault directory_load_for_change(
	struct directory *, struct kv_txn *, struct account_change *, struct account_record *);
/* Forgets the networks of an account. */
void directory_forget_logins(struct kv_txn *, uint64_t account);

#endif
