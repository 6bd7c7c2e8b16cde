/* SPDX-License-Identifier: ISC */
/*
 * The file "salvage": it stands in the store's directory from before there is a byte of the new
 * index until that is whole and durable, so that a half made one is never taken for a store.  It
 * is the checkpoint of the lost index, which tells how far the log once went.
 */
#include "common/store/salvage_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"

#define MARK "salvage"

static enum fault
path_make(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

static bool
file_exists(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat status;

	return path_make(dir, name, path) == FAULT_OK && lstat(path, &status) == 0;
}

static enum fault
file_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];
	enum fault fault = path_make(dir, name, path);

	if (fault == FAULT_OK && unlink(path) < 0 && errno != ENOENT)
		fault = fault_from_errno(errno);
	return fault;
}

bool
salvage_mark_exists(const char *dir)
{
	return file_exists(dir, MARK);
}

/* The checkpoint becomes the mark, in one step; without one the mark is empty. */
static enum fault
mark_set(const char *dir)
{
	char mark[PATH_MAX], checkpoint[PATH_MAX];
	enum fault fault = path_make(dir, MARK, mark);

	if (fault == FAULT_OK)
		fault = path_make(dir, "checkpoint", checkpoint);
	if (fault != FAULT_OK)
		return fault;
	if (rename(checkpoint, mark) == 0)
		return directory_sync(dir);
	int file = errno == ENOENT
		? open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)
		: -1;
	if (file < 0)
		return fault_from_errno(errno);
	close(file);
	return directory_sync(dir);
}

enum fault
salvage_mark_make(const char *dir)
{
	enum fault fault = FAULT_OK;

	if (!salvage_mark_exists(dir)) {
		if (file_exists(dir, "index/data.mdb"))
			return FAULT_EXISTS;
		fault = mark_set(dir);
	}
	/* What an interrupted salvage has made so far. */
	if (fault == FAULT_OK)
		fault = file_remove(dir, "checkpoint");
	if (fault == FAULT_OK)
		fault = file_remove(dir, "index/data.mdb");
	return fault != FAULT_OK ? fault : file_remove(dir, "index/lock.mdb");
}

enum fault
salvage_mark_read(const char *dir, struct checkpoint *checkpoint)
{
	char path[PATH_MAX];
	enum fault fault = path_make(dir, MARK, path);

	if (fault != FAULT_OK)
		return fault;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return fault_from_errno(errno);
	fault = checkpoint_read(file, checkpoint);
	close(file);
	return fault;
}

enum fault
salvage_mark_remove(const char *dir)
{
	enum fault fault = file_remove(dir, MARK);

	return fault != FAULT_OK ? fault : directory_sync(dir);
}
