/* SPDX-License-Identifier: ISC */
/* "store backup", "store restore" and "store salvage": what mailctl does to a store by itself. */
#ifndef MAILCTL_BACKUP_H
#define MAILCTL_BACKUP_H

#include "mailctl/commands.h"

/* DIRECTORY is made when it is not there; an earlier backup in it is brought up to date. */
enum status backup_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
/* BACKUP [STORE]: STORE must hold no store; it gets the owner of its directory. */
enum status restore_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

/* [STORE]: rebuilds a lost index from the segments, while nobody uses the store. */
enum status salvage_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
