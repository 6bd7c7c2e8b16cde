/* SPDX-License-Identifier: ISC */
/* The one table of mailctl's commands; help and usage come from it. */
#ifndef MAILCTL_COMMANDS_H
#define MAILCTL_COMMANDS_H

#include <stddef.h>
#include <stdio.h>

#include "common/base/id.h"
#include "common/ipc/process.h"
#include "mailctl/mailctl.h"

struct client_reply;

enum { COMMAND_WORDS_MAX = 2, COMMAND_ANY = 200 };

struct command {
	const char *words; /* "account add" */
	const char *arguments; /* for help */
	unsigned min, max; /* count of the arguments */
	enum process target;
	bool takes_password; /* read, and sent as the last argument */
	/* NULL: sent as it is, and the answer printed. */
	enum status (*run)(
		struct mailctl *, const struct command *, const char *const *words, size_t count);
	const char *help;
};

/* Finds the command that the arguments begin with; *used words belong to it. */
const struct command *command_find(char *const *arguments, int count, int *used);
/* Prints the commands whose words begin with prefix, one line each; false when there are none. */
bool commands_print(const char *prefix, FILE *);
/* The store knows accounts by their ids only: authd tells the one of the address. */
enum status command_account_find(
	struct mailctl *, const char *address, char id[static ID_TEXT_SIZE]);
/* An answer for people, or as it is for programs. */
void command_print(const struct mailctl *, const json_t *);
/* Prints the reply, or complains, and clears it. */
enum status command_answer(struct mailctl *, struct client_reply *);
/* Performs it with the arguments behind its words. */
enum status command_perform(
	struct mailctl *, const struct command *, char *const *arguments, int count);

#endif
