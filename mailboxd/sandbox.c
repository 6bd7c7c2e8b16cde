/* SPDX-License-Identifier: ISC */
/* The rights of mailboxd: its user and the directory of the store; no network, no other file. */
#include "common/base/sandbox.h"

#include <limits.h>
#include <stdio.h>

#include "common/store/journal.h"
#include "mailboxd/mailboxd.h"

enum { DESCRIPTORS_MAX = 4096 };

bool
mailboxd_directory(struct daemon *daemon, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/store", daemon_settings(daemon)->data_directory);

	return n >= 0 && (size_t)n < size;
}

enum fault
mailboxd_sandbox(struct daemon *daemon, void *state)
{
	char directory[PATH_MAX];
	struct sandbox_path paths[] = {{directory, SANDBOX_READ | SANDBOX_WRITE}, {NULL, 0}};
	struct sandbox sandbox = {
		.paths = paths,
		.calls = SANDBOX_FILES | SANDBOX_MEMFD | SANDBOX_THREADS,
		.files_max = DESCRIPTORS_MAX,
	};

	(void)state;
	journal_preload();
	if (!mailboxd_directory(daemon, directory, sizeof(directory)))
		return FAULT_TOO_LONG;
	daemon_sandbox_user(daemon, &sandbox);
	return sandbox_enter(&sandbox);
}
