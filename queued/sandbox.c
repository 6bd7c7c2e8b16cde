/* SPDX-License-Identifier: ISC */
/* The rights of queued: its user, the queue's directory, memfds; no network. */
#include "common/base/buffer.h"
#include "common/base/sandbox.h"
#include "queued/queued.h"

enum { DESCRIPTORS_MAX = 16384 };

enum fault
queued_sandbox(struct daemon *daemon, void *state)
{
	struct buffer path;
	struct sandbox_path paths[] = {{NULL, SANDBOX_READ | SANDBOX_WRITE}, {NULL, 0}};
	struct sandbox sandbox = {
		.paths = paths,
		.calls = SANDBOX_MEMFD | SANDBOX_FILES | SANDBOX_THREADS,
		.files_max = DESCRIPTORS_MAX,
	};
	enum fault fault;

	(void)state;
	journal_preload();
	daemon_sandbox_user(daemon, &sandbox);
	buffer_init(&path, 8192);
	buffer_printf(&path, "%s/queue", daemon_settings(daemon)->data_directory);
	buffer_add_byte(&path, '\0');
	fault = buffer_fault(&path);
	paths[0].path = buffer_slice(&path).data;
	if (fault == FAULT_OK)
		fault = sandbox_enter(&sandbox);
	buffer_clear(&path);
	return fault;
}
