/* SPDX-License-Identifier: ISC */
/* The rights of smtpd: its user, connections of clients, memfds; no file, no socket of its own. */
#include "common/base/sandbox.h"
#include "smtpd/smtpd.h"

enum { DESCRIPTORS_SPARE = 1024 };

enum fault
smtpd_sandbox(struct daemon *daemon, void *state)
{
	static const struct sandbox_path no_paths[] = {{NULL, 0}};
	/* A connection and the message that it sends. */
	uint64_t per_session = 2;
	struct sandbox sandbox = {
		.paths = no_paths,
		.calls = SANDBOX_ACCEPT | SANDBOX_MEMFD,
		.files_max = per_session * (uint64_t)daemon_settings(daemon)->connections +
			DESCRIPTORS_SPARE,
	};

	(void)state;
	daemon_sandbox_user(daemon, &sandbox);
	return sandbox_enter(&sandbox);
}
