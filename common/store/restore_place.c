/* SPDX-License-Identifier: ISC */
/*
 * Where a restore goes: everything is made in a directory beside the store's own files, and put in
 * place at the end, the index last; segments without an index, which nobody would dare to
 * overwrite, are never left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/restore_private.h"

#define UNFINISHED "restore.new"
#define COMPLETE "restore.ready" /* the same, all of it made, to be put in place */

static enum fault
no_writer_check(const char *dir)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, "writer.lock", path);

	if (fault != FAULT_OK)
		return fault;
	int lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		fault = errno == EWOULDBLOCK ? FAULT_BUSY : fault_from_errno(errno);
	close(lock);
	return fault;
}

static enum fault
size_of(const char *dir, const char *name, uint64_t *size)
{
	char path[PATH_MAX];
	struct stat status;
	enum fault fault = directory_path(dir, name, path);

	*size = 0;
	if (fault != FAULT_OK)
		return fault;
	if (stat(path, &status) < 0)
		return errno == ENOENT ? FAULT_OK : fault_from_errno(errno);
	*size = (uint64_t)status.st_size;
	return FAULT_OK;
}

enum fault
restore_target_check(const char *dir)
{
	uint64_t size;
	enum fault fault = no_writer_check(dir);

	if (fault == FAULT_OK)
		fault = size_of(dir, "index/data.mdb", &size);
	if (fault == FAULT_OK && size > 0)
		fault = FAULT_EXISTS;
	return fault != FAULT_OK ? fault : backup_no_segments(dir);
}

/* Over an empty directory of that name, if there is one. */
static enum fault
place(const char *dir, const char *from_name, const char *to_name)
{
	char from[PATH_MAX], to[PATH_MAX];
	enum fault fault = directory_path(dir, from_name, from);

	if (fault == FAULT_OK)
		fault = directory_path(dir, to_name, to);
	if (fault == FAULT_OK && rename(from, to) < 0 && errno != ENOENT)
		fault = fault_from_errno(errno);
	return fault;
}

/* What an index that is gone has left: another one must not be taken for that. */
static enum fault
leftovers_remove(const char *dir)
{
	static const char *const names[] = {"checkpoint", "index/data.mdb", "index/lock.mdb"};
	char path[PATH_MAX];
	enum fault fault = FAULT_OK;

	for (size_t i = 0; fault == FAULT_OK && i < sizeof(names) / sizeof(names[0]); i++) {
		fault = directory_path(dir, names[i], path);
		if (fault == FAULT_OK)
			fault = directory_remove(path);
	}
	return fault == FAULT_OK ? directory_sync(dir) : fault;
}

static enum fault
modes_set(const char *dir, const struct backup_owner *owner)
{
	char path[PATH_MAX];
	enum fault fault = directory_path(dir, UNFINISHED "/index/lock.mdb", path);

	if (fault == FAULT_OK)
		fault = directory_remove(path);
	if (fault == FAULT_OK)
		fault = directory_path(dir, UNFINISHED "/index/data.mdb", path);
	if (fault == FAULT_OK)
		fault = backup_path_own(path, owner, 0640);
	if (fault == FAULT_OK)
		fault = directory_path(dir, UNFINISHED "/index", path);
	return fault == FAULT_OK ? backup_path_own(path, owner, 0750) : fault;
}

/* The index comes last, so that there is no store before all of it is there. */
static enum fault
restore_place(const char *dir)
{
	char path[PATH_MAX];
	uint64_t size;
	enum fault fault = size_of(dir, COMPLETE "/index/data.mdb", &size);

	if (fault == FAULT_OK && size > 0)
		fault = leftovers_remove(dir);
	if (fault == FAULT_OK)
		fault = place(dir, COMPLETE "/segments", "segments");
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	if (fault == FAULT_OK)
		fault = place(dir, COMPLETE "/index", "index");
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	if (fault == FAULT_OK)
		fault = directory_path(dir, COMPLETE, path);
	return fault == FAULT_OK ? directory_remove(path) : fault;
}

enum fault
restore_begin(const char *dir, const struct backup_owner *owner)
{
	char path[PATH_MAX];
	enum fault fault = FAULT_OK;

	/* Killed while it was put in place. */
	fault = directory_path(dir, COMPLETE, path);
	if (fault == FAULT_OK && access(path, F_OK) == 0) {
		fault = restore_place(dir);
		return fault == FAULT_OK ? FAULT_EXISTS : fault;
	}
	if (fault == FAULT_OK)
		fault = restore_target_check(dir);
	if (fault == FAULT_OK)
		fault = directory_path(dir, UNFINISHED, path);
	if (fault == FAULT_OK)
		fault = directory_remove(path);
	return fault == FAULT_OK ? backup_dir_make(dir, UNFINISHED, owner, 0700) : fault;
}

enum fault
restore_finish(const char *dir, const struct backup_owner *owner)
{
	enum fault fault = modes_set(dir, owner);

	if (fault == FAULT_OK)
		fault = place(dir, UNFINISHED, COMPLETE);
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	return fault == FAULT_OK ? restore_place(dir) : fault;
}

enum fault
restore_directory(const char *from, const char *to, bool *done)
{
	char data[PATH_MAX], unfinished[PATH_MAX];
	struct backup_owner owner;
	uint64_t size;
	enum fault fault = size_of(to, "data.mdb", &size);

	*done = false;
	if (fault == FAULT_OK)
		fault = backup_owner_of(to, &owner);
	if (fault == FAULT_OK)
		fault = directory_path(to, "data.mdb", data);
	if (fault == FAULT_OK)
		fault = directory_path(to, "data.mdb.new", unfinished);
	if (fault != FAULT_OK || size > 0)
		return fault;
	fault = backup_file_copy(from, unfinished, &owner, 0600);
	/* A backup without one. */
	if (fault == FAULT_NOT_FOUND)
		return FAULT_OK;
	if (fault == FAULT_OK && rename(unfinished, data) < 0)
		fault = fault_from_errno(errno);
	if (fault == FAULT_OK)
		fault = directory_sync(to);
	*done = fault == FAULT_OK;
	return fault;
}
