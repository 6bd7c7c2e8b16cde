/* SPDX-License-Identifier: ISC */
/*
 * The data directory: root's (or ours), with one directory per process that keeps something.  The
 * store's directory and files are readable by the group of its owner; the readers get that group.
 * A wrong owner ends the start: it would show later as mail that cannot be delivered.
 */
#include "maild/maild.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

static uid_t
owner_of(const struct maild *m, const struct process_row *row)
{
	return geteuid() == 0 ? m->users[row->process].uid : geteuid();
}

static enum fault
check_owner(const char *path, const char *name, const struct stat *st, uid_t owner)
{
	const char *slash = name[0] != '\0' ? "/" : "";

	if (!S_ISDIR(st->st_mode)) {
		log_error("%s%s%s: is not a directory", path, slash, name);
		return FAULT_CONFIG;
	}
	if (st->st_uid != owner) {
		log_error("%s%s%s: belongs to user %u, must belong to user %u", path, slash, name,
			(unsigned)st->st_uid, (unsigned)owner);
		return FAULT_CONFIG;
	}
	return FAULT_OK;
}

static enum fault
fail(const char *path, const char *name)
{
	log_error("%s/%s: %s", path, name, strerror(errno));
	return fault_from_errno(errno);
}

static enum fault
prepare_one(struct maild *m, const struct process_row *row)
{
	const char *path = m->config.settings.data_directory;
	const struct process_user *user = &m->users[row->process];
	struct stat st;

	if (mkdirat(m->directory_fd, row->directory, 0700) != 0 && errno != EEXIST)
		return fail(path, row->directory);
	if (fstatat(m->directory_fd, row->directory, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(path, row->directory);
	/* Root's: just made, or left behind by a start that was cut off here.  The owner comes
	 * last, so that it tells what is still to be done. */
	if (S_ISDIR(st.st_mode) && geteuid() == st.st_uid &&
		fchmodat(m->directory_fd, row->directory, row->directory_mode, 0) != 0)
		return fail(path, row->directory);
	if (S_ISDIR(st.st_mode) && geteuid() == 0 && st.st_uid == 0) {
		if (fchownat(m->directory_fd, row->directory, user->uid, user->gid,
			    AT_SYMLINK_NOFOLLOW) != 0)
			return fail(path, row->directory);
		st.st_uid = user->uid;
	}
	return check_owner(path, row->directory, &st, owner_of(m, row));
}

/* Two suites over one store would each believe to be its only writer. */
static enum fault
lock(struct maild *m)
{
	const char *path = m->config.settings.data_directory;

	if (flock(m->directory_fd, LOCK_EX | LOCK_NB) == 0)
		return FAULT_OK;
	log_error(
		"%s: %s", path, errno == EWOULDBLOCK ? "in use by another maild" : strerror(errno));
	return FAULT_CONFIG;
}

enum fault
directories_prepare(struct maild *m)
{
	const char *path = m->config.settings.data_directory;
	struct stat st;
	enum fault fault;

	if (mkdir(path, 0755) == 0 && chmod(path, 0755) != 0)
		log_warning("%s: %s", path, strerror(errno));
	m->directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->directory_fd < 0 || fstat(m->directory_fd, &st) != 0) {
		log_error("%s: %s", path, strerror(errno));
		return FAULT_CONFIG;
	}
	fault = check_owner(path, "", &st, geteuid());
	if (fault == FAULT_OK)
		fault = lock(m);
	for (size_t i = 0; i < process_row_count && fault == FAULT_OK; i++) {
		if (process_rows[i].directory != NULL)
			fault = prepare_one(m, &process_rows[i]);
	}
	return fault;
}
