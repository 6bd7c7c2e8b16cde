/* SPDX-License-Identifier: ISC */
/*
 * The directory's records as bytes: a version, then typed fields, big-endian, text as length +
 * bytes.  Decoding checks every field and the end; whatever is on the disk, the answer is a
 * record or FAULT_DAMAGED (a newer version: FAULT_UNSUPPORTED).  Slices borrow from the input.
 * Only an account with a key pair has version 2: without encryption an older program still reads
 * all.
 */
#ifndef AUTHD_RECORD_H
#define AUTHD_RECORD_H

#include "authd/account_key.h"
#include "authd/scram.h"
#include "common/base/buffer.h"
#include "common/base/cursor.h"

enum {
	RECORD_VERSION = 1,
	RECORD_VERSION_KEY = 2, /* of an account that has a key pair */
	RECORD_TEXT_MAX = 1024, /* bytes of one text field */
	RECORD_TARGETS_MAX = 1000, /* addresses of one alias */
	RECORD_SIZE_MAX = 512 * 1024, /* bytes of one record */
};

struct domain_record {
	int64_t created_at; /* wall clock, ms */
	uint64_t postmaster; /* account that gets postmaster's mail; 0: none */
	struct slice catch_all; /* address, or empty */
};

struct account_record {
	bool disabled;
	int64_t created_at;
	int64_t password_at; /* when the password was set */
	struct slice address; /* the main address, in normal form */
	struct slice password_hash; /* Argon2id text of libsodium */
	struct scram_verifier scram;
	struct account_key_record key;
};

enum name_kind { NAME_ACCOUNT = 1, NAME_ALIAS = 2 };

/* What an address of ours is. */
struct name_record {
	enum name_kind kind;
	uint64_t account; /* of an ACCOUNT, never 0 */
	uint32_t target_count; /* of an ALIAS, never 0 */
	struct slice targets; /* encoded: walk it with take_record_target */
};

/* Appends; the buffer keeps the fault (a text over RECORD_TEXT_MAX is FAULT_TOO_LONG). */
MUST_USE enum fault domain_record_encode(const struct domain_record *, struct buffer *out);
MUST_USE enum fault domain_record_decode(struct slice, struct domain_record *);
MUST_USE enum fault account_record_encode(const struct account_record *, struct buffer *out);
MUST_USE enum fault account_record_decode(struct slice, struct account_record *);
MUST_USE enum fault name_record_encode_account(uint64_t account, struct buffer *out);
/* count must be 1..RECORD_TARGETS_MAX: FAULT_TOO_MANY. */
MUST_USE enum fault name_record_encode_alias(
	const struct slice *targets, size_t count, struct buffer *out);
MUST_USE enum fault name_record_decode(struct slice, struct name_record *);
/* The next target of name_record.targets; false at the end. */
bool take_record_target(struct cursor *, struct slice *address);

#endif
