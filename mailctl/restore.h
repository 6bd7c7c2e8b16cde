/* SPDX-License-Identifier: ISC */
/* "store restore": a whole store where there is none, or mail into the running one. */
#ifndef MAILCTL_RESTORE_H
#define MAILCTL_RESTORE_H

#include "mailctl/store_words.h"

/* BACKUP [STORE]: STORE must hold no store; with --account into the running one. */
enum status restore_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

/* restore_parts.c: an account, a mailbox or a message; at: RESTORE_NEWEST or a time. */
enum status restore_parts_run(struct mailctl *, const struct store_words *, int64_t at);
/* What a fault of reading the backup means. */
void restore_complain(const char *backup, int64_t at, enum fault);

#endif
