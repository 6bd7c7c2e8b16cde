/* SPDX-License-Identifier: ISC */
/* The arguments of the commands that copy a store: places, and options in any order. */
#ifndef MAILCTL_STORE_WORDS_H
#define MAILCTL_STORE_WORDS_H

#include <limits.h>

#include "mailctl/commands.h"

struct store_words {
	const char *places[2]; /* without "--" */
	size_t place_count;
	const char *keep; /* the options' values; NULL: not given */
	const char *store;
	const char *state;
	const char *at;
	const char *account;
	const char *from;
	const char *mailbox;
	const char *uid;
	const char *email;
};

/* False, after the usage, for options that are not in it. */
bool store_words_parse(
	const char *usage, const char *const *words, size_t count, struct store_words *);
/* Where the running suite has its store, or where one is by default when --store names none. */
enum status store_words_locate(
	struct mailctl *, const struct store_words *, char path[static PATH_MAX]);
/* The directory of another process beside the store. */
bool store_words_beside(const char *store, const char *name, char path[static PATH_MAX]);

#endif
