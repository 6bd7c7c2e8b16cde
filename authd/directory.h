/* SPDX-License-Identifier: ISC */
/*
 * The directory: domains, accounts, aliases and catch-alls in an LMDB environment that authd alone
 * opens.  Plain functions, no event loop; a change is on disk when its function returns FAULT_OK.
 *
 * Addresses are given as people and peers write them and looked up in normal form: the domain as
 * A-labels, lower case; the local part without quotes, case-folded and in NFC.  Local parts of our
 * own domains thus ignore case; those of foreign addresses keep it.
 *
 * Look-up order of an address of ours:
 *	exact account -> exact alias -> user+detail as user (account, then alias), detail handed on
 *	-> catch-all of the domain -> for postmaster and abuse, the domain's first account
 *
 * A disabled account can neither log in nor get mail (5.2.1 in the words of RFC 3463).
 */
#ifndef AUTHD_DIRECTORY_H
#define AUTHD_DIRECTORY_H

#include "authd/record.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/fault.h"

enum {
	DIRECTORY_DEPTH_MAX = 10, /* aliases in a row */
	DIRECTORY_EXPANSION_MAX = 1000, /* targets of one address */
	DIRECTORY_EXPANSION_BYTES = 192 * 1024, /* of their addresses, so that they fit a frame */
	DIRECTORY_ARENA = 2 * 1024 * 1024, /* a budget that every function here is happy with */
	DIRECTORY_NETWORK_LEN = 16,
	DIRECTORY_NETWORKS_MAX = 64, /* remembered per account */
};

struct directory;

struct directory_options {
	const struct clock *clock;
	const struct entropy *entropy;
	const char *hostname; /* postmaster@hostname is served too; may be "" */
};

/* dir must exist.  FAULT_UNSUPPORTED: made by a newer program. */
MUST_USE enum fault directory_open(
	const char *dir, const struct directory_options *, struct directory **);
/* Accepts NULL. */
void directory_close(struct directory *);
/* Why the last change was refused, for people; "" when there is nothing to add to the fault. */
const char *directory_reason(const struct directory *);
/* 32 bytes that never change: salts for unknown users are derived from them. */
const uint8_t *directory_secret(const struct directory *);
void directory_set_hostname(struct directory *, const char *hostname);

/* Reading.  Results live in the arena. */

struct account {
	uint64_t id; /* random, never 0, never used again */
	struct account_record record;
};

/* By its exact address, as for a login.  FAULT_NO_SUCH_USER, FAULT_SYNTAX, FAULT_DAMAGED. */
MUST_USE enum fault directory_find_account(
	struct directory *, struct slice address, struct arena *, struct account *);
MUST_USE enum fault directory_get_account(
	struct directory *, uint64_t id, struct arena *, struct account *);

enum expansion_kind { EXPANSION_ACCOUNT, EXPANSION_FORWARD };

struct expansion {
	enum expansion_kind kind;
	uint64_t account; /* of an ACCOUNT */
	struct slice address; /* the account's main address, or the foreign address */
	struct slice detail; /* of user+detail, in normal form; may be empty */
	struct slice public_key; /* mail of the ACCOUNT is to be encrypted to it; empty: is not */
};

struct expansions {
	struct expansion *list;
	size_t count;
};

/*
 * All ends of an address, each once.  FAULT_NOT_LOCAL: not our domain.  Ends that are missing or
 * disabled are left out; when none is left: FAULT_MAIL_LOOP, FAULT_ACCOUNT_DISABLED or
 * FAULT_NO_SUCH_USER, in this order of weight.  FAULT_TOO_MANY: over a limit above.
 */
MUST_USE enum fault directory_expand(
	struct directory *, struct slice address, struct arena *, struct expansions *);
/*
 * May the account send as this address (its own, with +detail, or one that expands to it)?  The
 * empty address may be used by all (RFC 5321 4.5.5).  FAULT_DENIED, FAULT_ACCOUNT_DISABLED.
 */
MUST_USE enum fault directory_may_send(
	struct directory *, uint64_t account, struct slice address, struct arena *);

struct domain_entry {
	struct slice name;
	struct domain_record record;
	struct slice postmaster; /* address, or empty */
	uint32_t accounts, aliases;
};

struct account_entry {
	uint64_t id;
	const struct account_record *record;
};

struct alias_entry {
	struct slice address;
	struct slice targets; /* take_record_target */
	uint32_t target_count;
};

/* Called within a read transaction: what it gets dies when it returns; it must not come back
 * into the directory. */
typedef void domain_each(void *arg, const struct domain_entry *);
typedef void account_each(void *arg, const struct account_entry *);
typedef void alias_each(void *arg, const struct alias_entry *);

/* only: one domain (FAULT_NOT_FOUND), or empty for all. */
MUST_USE enum fault directory_list_domains(
	struct directory *, struct slice only, domain_each *, void *arg);
MUST_USE enum fault directory_list_accounts(
	struct directory *, struct slice only, account_each *, void *arg);
MUST_USE enum fault directory_list_aliases(
	struct directory *, struct slice only, alias_each *, void *arg);

/* Changing.  Every refusal sets directory_reason. */

MUST_USE enum fault directory_add_domain(struct directory *, struct slice name);
/* FAULT_HAS_CHILDREN while it has accounts or aliases. */
MUST_USE enum fault directory_remove_domain(struct directory *, struct slice name);
/* address empty: none any more. */
MUST_USE enum fault directory_set_catch_all(
	struct directory *, struct slice domain, struct slice address);

/* What a password becomes; made off the event loop (password.h). */
struct password_record {
	struct slice hash;
	struct scram_verifier scram;
	/*
	 * Of an account with a key pair: the pair, wrapped by the new password.  With the pair that
	 * the account has, only by_password is taken; another pair replaces it, and mail that is
	 * encrypted to the old one can never be read again, so that has to be said.
	 */
	const struct account_key_record *key; /* NULL: none */
	bool gives_up_mail;
};

/* May an account of this address be added?  Asked before the password is hashed. */
MUST_USE enum fault directory_check_new_account(struct directory *, struct slice address);
/* id is set with FAULT_OK. */
MUST_USE enum fault directory_add_account(
	struct directory *, struct slice address, const struct password_record *, uint64_t *id);
/* FAULT_DENIED: the account has a key pair, and the record would lose it without saying so. */
MUST_USE enum fault directory_set_password(
	struct directory *, struct slice address, const struct password_record *);
/*
 * Gives the account a key pair, or the pair that it has another recovery key; new mail is encrypted
 * from now on.  stored_key: of the password that wraps it.  FAULT_CONFLICT: the password or the
 * pair has changed since.
 */
MUST_USE enum fault directory_set_key(struct directory *, struct slice address,
	const struct account_key_record *, const uint8_t stored_key[static SCRAM_KEY_LEN]);
/* New mail stays as it is; the key is kept for what is encrypted.  FAULT_NOT_FOUND without a key.
 */
MUST_USE enum fault directory_stop_sealing(struct directory *, struct slice address);
MUST_USE enum fault directory_set_disabled(struct directory *, struct slice address, bool disabled);
/* Aliases that name it stay, and pass over it. */
MUST_USE enum fault directory_remove_account(
	struct directory *, struct slice address, uint64_t *id);

/*
 * Adds targets to an alias, which is made when it is not there.  A target that is there already
 * is passed over.  FAULT_MAIL_LOOP when a target leads nowhere but back, FAULT_NO_SUCH_USER when
 * one of ours does not exist.
 */
MUST_USE enum fault directory_add_alias(
	struct directory *, struct slice alias, const struct slice *targets, size_t count);
/* Without targets: the whole alias.  Without its last target it is gone too. */
MUST_USE enum fault directory_remove_alias(
	struct directory *, struct slice alias, const struct slice *targets, size_t count);

/* Networks from which an account has logged in well (guard.h). */

/* When the account last logged in from there, wall clock in ms; 0: never, or it is forgotten. */
int64_t directory_network_seen(
	struct directory *, uint64_t account, const uint8_t network[static DIRECTORY_NETWORK_LEN]);

struct directory_login {
	uint64_t account;
	uint8_t network[DIRECTORY_NETWORK_LEN];
};

/* Remembers them in one transaction.  The oldest of an account with too many is forgotten. */
MUST_USE enum fault directory_note_logins(
	struct directory *, const struct directory_login *, size_t count);

#endif
