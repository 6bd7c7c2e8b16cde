/* SPDX-License-Identifier: ISC */
/* What the files of the verifier share. */
#ifndef STORE_VERIFY_PRIVATE_H
#define STORE_VERIFY_PRIVATE_H

#include "common/store/reader_private.h"
#include "common/store/verify.h"

enum stage { STAGE_ACCOUNTS, STAGE_REFERENCES, STAGE_BODIES, STAGE_DONE };

/* Numbers to be counted by sorting: 8 bytes each. */
struct ids {
	uint64_t *at;
	size_t count;
	size_t size;
};

struct store_verify {
	struct store_reader *reader;
	struct verify_options options;
	struct verify_progress progress;
	enum stage stage;
	uint64_t next; /* account or body id to go on with */
	struct ids ids;
	struct ids bodies; /* of the one account that is verified, sorted */
	size_t body_at; /* in bodies: the next one */
	uint64_t account; /* being checked, for findings */
};

/* Tells of a finding in v->account. */
__attribute__((format(printf, 4, 5))) void verify_found(
	struct store_verify *, uint32_t mailbox, uint32_t uid, const char *format, ...);
/* A finding when what is stored is not what was counted. */
void verify_compare(
	struct store_verify *, uint32_t mailbox, const char *what, const uint64_t values[2]);
#define COMPARE(v, mailbox, what, stored, counted)                                                 \
	verify_compare((v), (mailbox), (what), (const uint64_t[2]){(stored), (counted)})

MUST_USE enum fault verify_ids_add(struct ids *, uint64_t id);
void verify_ids_sort(struct ids *);
/* How often an id stands in the sorted list from *at on; *at moves behind it. */
uint32_t verify_ids_take(const struct ids *, size_t *at, uint64_t id);

/* verify_accounts.c: the next account from v->next on, or the next stage. */
MUST_USE enum fault verify_step_accounts(struct store_verify *);

#endif
