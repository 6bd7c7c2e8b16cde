/* SPDX-License-Identifier: ISC */
/* mailctl's commands about the encryption of an account's mail; rows of the table in commands.c. */
#ifndef MAILCTL_ENCRYPTION_H
#define MAILCTL_ENCRYPTION_H

#include "mailctl/commands.h"

/* account encrypt, account recovery */
enum status run_encrypt(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
enum status run_decrypt(
	struct mailctl *, const struct command *, const char *const *words, size_t count);
/* account passwd: asks for the old password where encrypted mail hangs on it. */
enum status run_passwd(
	struct mailctl *, const struct command *, const char *const *words, size_t count);

#endif
