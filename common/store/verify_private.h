/* SPDX-License-Identifier: ISC */
/* What the files of the verifier share. */
#ifndef STORE_VERIFY_PRIVATE_H
#define STORE_VERIFY_PRIVATE_H

#include "common/store/ids.h"
#include "common/store/reader_private.h"
#include "common/store/verify.h"

enum stage { STAGE_ACCOUNTS, STAGE_REFERENCES, STAGE_BODIES, STAGE_LOG, STAGE_DONE };

struct store_verify {
	struct store_reader *reader;
	struct verify_options options;
	struct verify_progress progress;
	enum stage stage;
	uint64_t next; /* account or body id to go on with */
	struct id_list ids;
	struct id_list bodies; /* of the one account that is verified, sorted */
	size_t body_at; /* in bodies: the next one */
	uint64_t account; /* being checked, for findings */
	struct verify_log *log; /* NULL until it is begun */
};

/* Tells of a finding in v->account. */
__attribute__((format(printf, 4, 5))) void verify_found(
	struct store_verify *, uint32_t mailbox, uint32_t uid, const char *format, ...);
/* A finding when what is stored is not what was counted. */
void verify_compare(
	struct store_verify *, uint32_t mailbox, const char *what, const uint64_t values[2]);
#define COMPARE(v, mailbox, what, stored, counted)                                                 \
	verify_compare((v), (mailbox), (what), (const uint64_t[2]){(stored), (counted)})

/* verify_segments.c: what lives in each segment, counted body by body. */
struct segment_counts {
	struct segment_count *counts; /* ascending */
	size_t count;
	size_t last; /* the one that was counted in last */
};
MUST_USE enum fault segment_counts_add(struct segment_counts *, const struct index_body *);
void segment_counts_clear(struct segment_counts *);
/* With the records of all segments. */
void verify_segments_compare(struct store_verify *, const struct segment_counts *);

/* verify_log.c: a slice of the log, or the next stage. */
MUST_USE enum fault verify_step_log(struct store_verify *);
/* verify_accounts.c: the next account from v->next on, or the next stage. */
MUST_USE enum fault verify_step_accounts(struct store_verify *);

#endif
