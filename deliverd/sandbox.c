/* SPDX-License-Identifier: ISC */
/* The rights of deliverd: its user, memfds and the sockets that it holds; no file, no network. */
#include "common/base/sandbox.h"
#include "common/mail/charset.h"
#include "deliverd/deliverd.h"

enum { DESCRIPTORS_MAX = 16384 };

enum fault
deliverd_sandbox(struct daemon *daemon, void *state)
{
	static const struct sandbox_path no_paths[] = {{NULL, 0}};
	struct sandbox sandbox = {
		.paths = no_paths,
		.calls = SANDBOX_MEMFD,
		.files_max = DESCRIPTORS_MAX,
	};

	(void)state;
	daemon_sandbox_user(daemon, &sandbox);
	/* Previews are in UTF-8, and iconv's tables are files. */
	charset_preload();
	return sandbox_enter(&sandbox);
}
