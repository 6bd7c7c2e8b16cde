/* SPDX-License-Identifier: ISC */
/* Resolves the users of all processes before anything starts.  Without root there is only one. */
#include "maild/maild.h"

#include <pwd.h>
#include <unistd.h>

#include "common/base/log.h"

enum fault
users_resolve(struct maild *m)
{
	uint32_t base = (uint32_t)m->config.settings.user_id_base;

	if (geteuid() != 0)
		return FAULT_OK;
	for (size_t i = 0; i < process_row_count; i++) {
		const struct process_row *row = &process_rows[i];
		struct process_user *user = &m->users[row->process];
		const struct passwd *pw;

		if (base != 0) {
			user->uid = user->gid = base + (uint32_t)row->process;
			continue;
		}
		pw = getpwnam(row->user);
		if (pw == NULL || pw->pw_uid == 0) {
			log_error("there is no user %s: run systemd-sysusers, or set user-id-base",
				row->user);
			return FAULT_CONFIG;
		}
		user->uid = pw->pw_uid;
		user->gid = pw->pw_gid;
	}
	return FAULT_OK;
}
