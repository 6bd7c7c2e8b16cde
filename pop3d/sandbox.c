/* SPDX-License-Identifier: ISC */
/* The rights of pop3d: its user, connections of clients, the store for reading. */
#include <limits.h>
#include <stdio.h>

#include "common/base/sandbox.h"
#include "pop3d/pop3d.h"

enum { DESCRIPTORS_SPARE = 1024, PATH_SIZE = PATH_MAX };

enum fault
pop3d_sandbox(struct daemon *daemon, void *state)
{
	const struct settings *settings = daemon_settings(daemon);
	char store[PATH_SIZE], lock[PATH_SIZE];
	/* LMDB's readers write their place into the lock file; nothing else there is theirs. */
	struct sandbox_path paths[] = {
		{store, SANDBOX_READ},
		{lock, SANDBOX_WRITE_FILE},
		{NULL, 0},
	};
	struct sandbox sandbox = {
		.paths = paths,
		.calls = SANDBOX_ACCEPT | SANDBOX_FILES | SANDBOX_MEMFD,
		.files_max = (uint64_t)settings->connections + DESCRIPTORS_SPARE,
	};

	(void)state;
	snprintf(store, sizeof store, "%s/store", settings->data_directory);
	snprintf(lock, sizeof lock, "%s/store/index/lock.mdb", settings->data_directory);
	daemon_sandbox_user(daemon, &sandbox);
	return sandbox_enter(&sandbox);
}
