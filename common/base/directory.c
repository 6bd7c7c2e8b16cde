/* SPDX-License-Identifier: ISC */
/* Names in directories, and their durability.  Linked by the processes that write files. */
#include "common/base/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };

enum fault
directory_sync(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return fault_from_errno(errno);
	enum fault fault = fsync(dir) < 0 ? fault_from_errno(errno) : FAULT_OK;
	close(dir);
	return fault;
}

enum fault
directory_path(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

enum fault
directory_each(int dir, directory_name *each, void *arg)
{
	/* The list has a place of its own, so that another walk may go on beside it. */
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
	enum fault fault = FAULT_OK;

	if (list == NULL) {
		fault = fault_from_errno(errno);
		if (copy >= 0)
			close(copy);
		return fault;
	}
	while (fault == FAULT_OK) {
		errno = 0;
		struct dirent *entry = readdir(list);
		if (entry == NULL) {
			fault = fault_from_errno(errno);
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fault = each(arg, entry->d_name);
	}
	closedir(list);
	return fault;
}

struct removal {
	int dir;
	unsigned depth;
};

static enum fault
name_remove(void *arg, const char *name)
{
	struct removal *above = arg;

	if (unlinkat(above->dir, name, 0) == 0 || errno == ENOENT)
		return FAULT_OK;
	if (errno != EISDIR && errno != EPERM)
		return fault_from_errno(errno);
	struct removal below = {
		openat(above->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
		above->depth + 1};
	if (below.dir < 0)
		return fault_from_errno(errno);
	enum fault fault = below.depth < DEPTH_MAX ? directory_each(below.dir, name_remove, &below)
						   : FAULT_LIMIT;
	close(below.dir);
	if (fault == FAULT_OK && unlinkat(above->dir, name, AT_REMOVEDIR) < 0)
		fault = fault_from_errno(errno);
	return fault;
}

enum fault
directory_remove(const char *path)
{
	struct removal here = {AT_FDCWD, 0};

	return name_remove(&here, path);
}
