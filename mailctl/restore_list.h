/* SPDX-License-Identifier: ISC */
/* Which messages of an account in a backup the running store does not have. */
#ifndef MAILCTL_RESTORE_LIST_H
#define MAILCTL_RESTORE_LIST_H

#include "common/base/arena.h"
#include "common/store/restore_source.h"

struct restore_wish {
	uint64_t account; /* in the backup */
	uint64_t into; /* in the running store */
	struct slice mailbox; /* its name in the backup; empty: all */
	uint32_t uid; /* of that mailbox; 0: all */
	uint64_t email; /* 0: all */
};

/* A message of the backup. */
struct restore_place {
	uint64_t email;
	uint32_t mailbox; /* its place in the list of mailboxes */
	uint32_t uid;
};

/* An email with all its messages that are wanted: places first .. first + count - 1. */
struct restore_email {
	size_t first;
	size_t count;
	bool is_done;
};

struct restore_expunged {
	uint64_t email;
	int64_t at;
};

struct restore_list {
	struct store_reader *backup; /* within a transaction */
	uint64_t store; /* id of the backup's store */
	bool by_content; /* of another store or account: ids do not tell */
	bool has_account;
	struct restore_wish wish;
	struct arena arena;
	struct store_mailbox_list mailboxes;
	struct store_keyword_names keywords;
	struct restore_place *places; /* by email */
	size_t place_count, place_size;
	struct restore_email *emails; /* in the order of mailboxes and UIDs */
	size_t email_count;
	size_t missing; /* messages */
	size_t present;
	/* of the running store, sorted */
	uint64_t *known;
	size_t known_count, known_size;
	struct restore_expunged *expunged;
	size_t expunged_count, expunged_size;
};

/*
 * view, live: directories of stores.  FAULT_NOT_FOUND: no such account (has_account false), mailbox
 * or message in the backup.  To be closed in any case.
 */
MUST_USE enum fault restore_list_open(
	struct restore_list *, const char *view, const char *live, const struct restore_wish *);
void restore_list_close(struct restore_list *);
/* Whether messages of this mailbox are wanted at all. */
bool restore_list_has_mailbox(const struct restore_list *, size_t mailbox);
MUST_USE enum fault restore_list_message(
	struct restore_list *, const struct restore_place *, struct store_message *);
/* Since when the email waits for its purge in the running store; 0: it does not. */
int64_t restore_list_expunged(const struct restore_list *, uint64_t email);

#endif
