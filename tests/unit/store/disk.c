/* SPDX-License-Identifier: ISC */
/* The calls that fail.  They are made by syscall(2), whatever else stands between. */
#include "tests/unit/store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096 };

static struct disk_plan plan;
static unsigned met, failed;

/* glibc's own declarations of these are hidden by fortification, or absent. */
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
int __openat_2(int, const char *, int);

void
disk_plan(const struct disk_plan *p)
{
	plan = *p;
	met = failed = 0;
}

unsigned
disk_heal(void)
{
	plan = (struct disk_plan){0};
	return failed;
}

unsigned
disk_met(void)
{
	return met;
}

static bool
is_named(const char *path)
{
	size_t len = strlen(path), end = plan.name != NULL ? strlen(plan.name) : 0;

	/* Segments are opened by their names alone. */
	if (plan.name == NULL)
		return strstr(path, "/pabal-store-") != NULL || strstr(path, ".seg") != NULL;
	return len >= end && strcmp(path + len - end, plan.name) == 0;
}

static bool
fails(enum disk_call call, const char *path, size_t len)
{
	if ((plan.calls & call) == 0 || !is_named(path) || (plan.is_small && len >= PAGE) ||
		(plan.is_large && len < PAGE))
		return false;
	met++;
	if (met <= plan.skip || (met > plan.skip + 1 && !plan.lasts))
		return false;
	if (plan.ends)
		_exit(0);
	failed++;
	errno = plan.error;
	return true;
}

static bool
fails_fd(enum disk_call call, int fd, size_t len)
{
	char link[64], path[PATH_MAX];

	if ((plan.calls & call) == 0)
		return false;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return fails(call, path, len);
}

int
fdatasync(int fd)
{
	return fails_fd(DISK_SYNC, fd, 0) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return fails_fd(DISK_SYNC, fd, 0) ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (fails_fd(DISK_WRITE, fd, len)) {
		if (plan.error != 0)
			return -1;
		len /= 2;
	}
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += parts[i].iov_len;
	if (fails_fd(DISK_WRITE, fd, len)) {
		if (plan.error != 0)
			return -1;
		for (; count > 0 && parts->iov_len < 2; count--)
			parts++;
		return syscall(SYS_pwrite64, fd, parts->iov_base, parts->iov_len / 2, at);
	}
	return syscall(SYS_pwritev, fd, parts, count, at, 0L);
}

/* LMDB writes pages that lie side by side so. */
ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	if (fails_fd(DISK_WRITE, fd, PAGE) && plan.error != 0)
		return -1;
	return syscall(SYS_writev, fd, parts, count);
}

int
fallocate(int fd, int mode, off_t at, off_t len)
{
	if ((mode & FALLOC_FL_PUNCH_HOLE) == 0 && fails_fd(DISK_ALLOCATE, fd, 0))
		return -1;
	return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

int
ftruncate(int fd, off_t len)
{
	return fails_fd(DISK_CUT, fd, 0) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

static ssize_t
read_at(int fd, void *to, size_t len, off_t at)
{
	if (fails_fd(DISK_READ, fd, len)) {
		if (plan.error != 0)
			return -1;
		len = (len + 1) / 2;
	}
	return syscall(SYS_pread64, fd, to, len, at);
}

ssize_t
pread(int fd, void *to, size_t len, off_t at)
{
	return read_at(fd, to, len, at);
}

ssize_t
__pread_chk(int fd, void *to, size_t len, off_t at, size_t room)
{
	if (len > room)
		abort();
	return read_at(fd, to, len, at);
}

static int
open_at(int dir, const char *path, int flags, mode_t mode)
{
	enum disk_call call = DISK_OPEN | ((flags & O_CREAT) != 0 ? DISK_MAKE : 0);

	if (fails(call, path, 0))
		return -1;
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat(int dir, const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_at(dir, path, flags, mode);
}

int
mkdir(const char *path, mode_t mode)
{
	return fails(DISK_MAKE, path, 0) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

/* The log */

static int gathered = -1, stderr_was = -1;

void
disk_log_gather(void)
{
	fflush(stderr);
	gathered = memfd_create("log", MFD_CLOEXEC);
	stderr_was = dup(STDERR_FILENO);
	if (gathered < 0 || stderr_was < 0 || dup2(gathered, STDERR_FILENO) < 0)
		abort();
}

bool
disk_log_told(const char *text)
{
	char log[65536];

	if (dup2(stderr_was, STDERR_FILENO) < 0)
		abort();
	ssize_t n = syscall(SYS_pread64, gathered, log, sizeof(log) - 1, 0L);
	close(gathered);
	close(stderr_was);
	log[n > 0 ? n : 0] = '\0';
	if (strstr(log, text) == NULL) {
		fprintf(stderr, "no \"%s\" in:\n%s", text, log);
		return false;
	}
	return true;
}
