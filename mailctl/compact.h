/* SPDX-License-Identifier: ISC */
/* "store compact": progress on a terminal, then what came of it. */
#ifndef MAILCTL_COMPACT_H
#define MAILCTL_COMPACT_H

#include "mailctl/commands.h"

enum status compact_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
