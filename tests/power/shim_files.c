/* SPDX-License-Identifier: ISC */
/* Which descriptors are files below the directory, and what they are called. */
#include "tests/power/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct shim_file files[SHIM_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t handles;

void
shim_lock(void)
{
	(void)pthread_mutex_lock(&lock);
}

void
shim_unlock(void)
{
	(void)pthread_mutex_unlock(&lock);
}

struct shim_file *
shim_file(int fd)
{
	struct stat status;

	if (fd < 0 || fd >= SHIM_FDS || files[fd].handle == 0)
		return NULL;
	if (syscall(SYS_fstat, fd, &status) < 0 || status.st_dev != files[fd].device ||
		status.st_ino != files[fd].inode) {
		files[fd].handle = 0;
		return NULL;
	}
	return &files[fd];
}

/* Drops "." and doubled slashes from the end; ".." does not occur in what we test. */
static void
path_tidy(char *path)
{
	size_t len = strlen(path);

	while (len > 0 &&
		(path[len - 1] == '/' ||
			(path[len - 1] == '.' && (len == 1 || path[len - 2] == '/'))))
		path[--len] = '\0';
}

static bool
absolute(const char *path, char at[static 2 * SHIM_PATH])
{
	char here[SHIM_PATH];
	int n;

	if (path[0] == '/')
		n = snprintf(at, 2 * SHIM_PATH, "%s", path);
	else if (syscall(SYS_getcwd, here, sizeof(here)) > 0)
		n = snprintf(at, 2 * SHIM_PATH, "%s/%s", here, path);
	else
		return false;
	return n > 0 && n < 2 * SHIM_PATH;
}

bool
shim_path(int dir, const char *path, char relative[static SHIM_PATH])
{
	const char *top = getenv("POWER_DIR");
	const struct shim_file *f = shim_file(dir);
	char at[2 * SHIM_PATH];
	size_t len = top != NULL ? strlen(top) : 0;
	int n = -1;

	if (!shim_starts() || len == 0 || path == NULL)
		return false;
	if (path[0] != '/' && dir != AT_FDCWD) {
		if (f == NULL)
			return false;
		n = snprintf(relative, SHIM_PATH, "%s%s%s", f->path, f->path[0] != '\0' ? "/" : "",
			path);
	} else if (absolute(path, at) && strncmp(at, top, len) == 0 &&
		(at[len] == '/' || at[len] == '\0')) {
		n = snprintf(relative, SHIM_PATH, "%s", at + len + strspn(at + len, "/"));
	}
	if (n < 0 || n >= SHIM_PATH)
		return false;
	path_tidy(relative);
	return true;
}

static bool
is_lock(const char *relative)
{
	size_t len = strlen(relative), end = strlen("lock.mdb");

	return len >= end && strcmp(relative + len - end, "lock.mdb") == 0;
}

void
shim_file_opened(int fd, const char *relative, int flags)
{
	struct shim_file *f = &files[fd < SHIM_FDS ? fd : 0];
	struct stat status;

	if (fd >= SHIM_FDS || syscall(SYS_fstat, fd, &status) < 0) {
		fprintf(stderr, "shim: a descriptor that it cannot follow\n");
		abort();
	}
	f->device = status.st_dev;
	f->inode = status.st_ino;
	f->handle = ++handles;
	f->synced = (flags & O_DSYNC) != 0;
	f->ignored = is_lock(relative);
	snprintf(f->path, sizeof(f->path), "%s", relative);
	uint64_t how = ((flags & O_CREAT) != 0 ? 1 : 0) | ((flags & O_TRUNC) != 0 ? 2 : 0);
	if (!f->ignored)
		shim_trace(&(struct trace_record){.kind = TRACE_OPEN,
				   .handle = f->handle,
				   .first = how,
				   .len = (uint32_t)strlen(relative)},
			relative);
}

void
shim_file_copied(int from, int to)
{
	struct shim_file *f = shim_file(from);

	if (to < 0 || to >= SHIM_FDS)
		return;
	if (f != NULL)
		files[to] = *f;
	else
		files[to].handle = 0;
}

void
shim_file_closed(int fd)
{
	if (fd >= 0 && fd < SHIM_FDS)
		files[fd].handle = 0;
}
