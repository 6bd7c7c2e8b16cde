/* SPDX-License-Identifier: ISC */
/* "store verify [ADDRESS] [rate SIZE]": a long command, which shows how far it is. */
#ifndef MAILCTL_VERIFY_H
#define MAILCTL_VERIFY_H

#include "mailctl/commands.h"

enum status verify_run(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
