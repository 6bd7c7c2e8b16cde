/* SPDX-License-Identifier: ISC */
/*
 * The rights of imapd: its user, connections of clients, memfds, and the store for reading; LMDB's
 * lock file is the only file that it can write.
 */
#include "common/base/sandbox.h"

#include <stdio.h>

#include "common/mail/charset.h"
#include "imapd/imapd.h"

enum {
	DESCRIPTORS_SPARE = 1024,
	PER_SESSION = 2, /* a connection, and the message of an APPEND */
};

enum fault
imapd_sandbox(struct daemon *daemon, void *state)
{
	const struct settings *settings = daemon_settings(daemon);
	static char store[4096], lock[4096];
	const struct sandbox_path paths[] = {
		{store, SANDBOX_READ},
		{lock, SANDBOX_WRITE_FILE},
		{NULL, 0},
	};
	struct sandbox sandbox = {
		.paths = paths,
		.calls = SANDBOX_ACCEPT | SANDBOX_FILES | SANDBOX_MEMFD,
		.files_max = PER_SESSION * (uint64_t)settings->connections + DESCRIPTORS_SPARE,
	};

	(void)state;
	snprintf(store, sizeof store, "%s/store", settings->data_directory);
	snprintf(lock, sizeof lock, "%s/store/index/lock.mdb", settings->data_directory);
	/* iconv loads its tables from files, which are out of reach afterwards. */
	charset_preload();
	daemon_sandbox_user(daemon, &sandbox);
	return sandbox_enter(&sandbox);
}
