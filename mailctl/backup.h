/* SPDX-License-Identifier: ISC */
/* "store backup" and "store backups". */
#ifndef MAILCTL_BACKUP_H
#define MAILCTL_BACKUP_H

#include "mailctl/commands.h"

/* DIRECTORY is made when it is not there; an earlier backup in it is brought up to date. */
enum status backup_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
/* DIRECTORY: the states that a backup keeps. */
enum status backups_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
