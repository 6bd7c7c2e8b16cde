/* SPDX-License-Identifier: ISC */
#ifndef MAILCTL_BACKUP_STREAM_H
#define MAILCTL_BACKUP_STREAM_H

#include "mailctl/mailctl.h"

/*
 * A backup to standard output.  state: a file that says where the last one ended, and is replaced
 * when this one is out; without the file, or NULL: everything.
 */
enum status backup_stream_run(struct mailctl *, const char *from, const char *state);

#endif
