/* SPDX-License-Identifier: ISC */
#ifndef MAILCTL_SALVAGE_H
#define MAILCTL_SALVAGE_H

#include "mailctl/commands.h"

/* [STORE]: rebuilds a lost index from the segments, while nobody uses the store. */
enum status salvage_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
