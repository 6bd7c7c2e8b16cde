/* SPDX-License-Identifier: ISC */
/* "store upgrade [--check] [STORE]": what a new program would do to a store, or doing it now. */
#ifndef MAILCTL_UPGRADE_H
#define MAILCTL_UPGRADE_H

#include "mailctl/commands.h"

enum status upgrade_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
