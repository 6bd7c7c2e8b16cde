/* SPDX-License-Identifier: ISC */
/* The shim's calls that open files and change names. */
#include "tests/power/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define HAS_MODE(flags) (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE)

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

/* A daemon under test learns of another start of the machine by POWER_BOOT_ID=file. */
static const char *
boot_id_of(const char *path)
{
	const char *other = getenv("POWER_BOOT_ID");

	if (other == NULL || path == NULL || strcmp(path, "/proc/sys/kernel/random/boot_id") != 0)
		return path;
	return other;
}

static int
open_do(int dir, const char *path, int flags, mode_t mode)
{
	char relative[SHIM_PATH];
	int fd = -1;

	shim_lock();
	bool ours = shim_path(dir, path, relative);
	struct shim_verdict v = {0};
	if (ours)
		v = shim_next(SHIM_OPEN, 0);
	if (ours && v.error == 0 && (flags & (O_CREAT | O_TRUNC)) != 0)
		v = shim_next(SHIM_CHANGE, 0);
	if (v.error == 0) {
		fd = (int)syscall(SYS_openat, dir, boot_id_of(path), flags, mode);
		if (fd >= 0 && ours)
			shim_file_opened(fd, relative, flags);
		else
			shim_file_closed(fd);
	}
	shim_unlock();
	if (v.error != 0)
		errno = v.error;
	return fd;
}

EXPORT int
open(const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_do(AT_FDCWD, path, flags, mode);
}

EXPORT int
open64(const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_do(AT_FDCWD, path, flags, mode);
}

EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_do(dir, path, flags, mode);
}

EXPORT int
openat64(int dir, const char *path, int flags, ...)
{
	va_list more;

	va_start(more, flags);
	mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0;
	va_end(more);
	return open_do(dir, path, flags, mode);
}

EXPORT int
creat(const char *path, mode_t mode)
{
	return open_do(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int
creat64(const char *path, mode_t mode)
{
	return creat(path, mode);
}

/* What _FORTIFY_SOURCE makes of them. */
EXPORT int
__open_2(const char *path, int flags)
{
	return open_do(AT_FDCWD, path, flags, 0);
}

EXPORT int
__open64_2(const char *path, int flags)
{
	return open_do(AT_FDCWD, path, flags, 0);
}

EXPORT int
__openat_2(int dir, const char *path, int flags)
{
	return open_do(dir, path, flags, 0);
}

EXPORT int
__openat64_2(int dir, const char *path, int flags)
{
	return open_do(dir, path, flags, 0);
}

EXPORT int
close(int fd)
{
	shim_lock();
	shim_file_closed(fd);
	int rc = (int)syscall(SYS_close, fd);
	shim_unlock();
	return rc;
}

static int
copied(int from, int to)
{
	shim_lock();
	if (to >= 0 && to != from)
		shim_file_copied(from, to);
	shim_unlock();
	return to;
}

EXPORT int
dup(int fd)
{
	return copied(fd, (int)syscall(SYS_dup, fd));
}

EXPORT int
dup2(int fd, int to)
{
	return copied(fd, (int)syscall(SYS_dup2, fd, to));
}

EXPORT int
dup3(int fd, int to, int flags)
{
	return copied(fd, (int)syscall(SYS_dup3, fd, to, flags));
}

EXPORT int
fcntl(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	long argument = va_arg(more, long);
	va_end(more);
	int rc = (int)syscall(SYS_fcntl, fd, command, argument);
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, rc) : rc;
}

EXPORT int
fcntl64(int fd, int command, ...)
{
	va_list more;

	va_start(more, command);
	long argument = va_arg(more, long);
	va_end(more);
	return fcntl(fd, command, argument);
}

/* A change of one or two names. */
struct naming {
	enum trace_kind kind;
	int dir, to_dir;
	const char *path, *to;
	unsigned flags;
	mode_t mode;
	bool is_here; /* called without directories */
};

/* By the calls that libc would make: a sandbox may allow no others. */
static int
naming_here(const struct naming *n)
{
	switch (n->kind) {
	case TRACE_RENAME:
		return (int)syscall(SYS_rename, n->path, n->to);
	case TRACE_LINK:
		return (int)syscall(SYS_link, n->path, n->to);
	case TRACE_MKDIR:
		return (int)syscall(SYS_mkdir, n->path, n->mode);
	case TRACE_RMDIR:
		return (int)syscall(SYS_rmdir, n->path);
	default:
		return (int)syscall(SYS_unlink, n->path);
	}
}

static int
naming_real(const struct naming *n)
{
	if (n->is_here)
		return naming_here(n);
	switch (n->kind) {
	case TRACE_RENAME:
		return (int)syscall(SYS_renameat2, n->dir, n->path, n->to_dir, n->to, n->flags);
	case TRACE_LINK:
		return (int)syscall(SYS_linkat, n->dir, n->path, n->to_dir, n->to, n->flags);
	case TRACE_MKDIR:
		return (int)syscall(SYS_mkdirat, n->dir, n->path, n->mode);
	default:
		return (int)syscall(SYS_unlinkat, n->dir, n->path, n->flags);
	}
}

static int
naming_do(const struct naming *n)
{
	char path[SHIM_PATH], to[SHIM_PATH];
	struct shim_verdict v = {0};
	int rc = -1;

	shim_lock();
	bool ours = shim_path(n->dir, n->path, path);
	bool both = n->to == NULL || shim_path(n->to_dir, n->to, to);
	if (ours)
		v = shim_next(SHIM_CHANGE, 0);
	if (v.error == 0)
		rc = naming_real(n);
	/* What comes from outside or goes there is not followed: it does not occur. */
	if (rc == 0 && ours && both)
		shim_trace_paths(n->kind, path, n->to != NULL ? to : NULL);
	shim_unlock();
	if (v.error != 0)
		errno = v.error;
	return rc;
}

EXPORT int
renameat2(int dir, const char *path, int to_dir, const char *to, unsigned flags)
{
	return naming_do(&(struct naming){TRACE_RENAME, dir, to_dir, path, to, flags, 0, false});
}

EXPORT int
renameat(int dir, const char *path, int to_dir, const char *to)
{
	return renameat2(dir, path, to_dir, to, 0);
}

EXPORT int
linkat(int dir, const char *path, int to_dir, const char *to, int flags)
{
	return naming_do(
		&(struct naming){TRACE_LINK, dir, to_dir, path, to, (unsigned)flags, 0, false});
}

EXPORT int
unlinkat(int dir, const char *path, int flags)
{
	enum trace_kind kind = (flags & AT_REMOVEDIR) != 0 ? TRACE_RMDIR : TRACE_UNLINK;

	return naming_do(&(struct naming){kind, dir, 0, path, NULL, (unsigned)flags, 0, false});
}

EXPORT int
mkdirat(int dir, const char *path, mode_t mode)
{
	return naming_do(&(struct naming){TRACE_MKDIR, dir, 0, path, NULL, 0, mode, false});
}

static int
here(enum trace_kind kind, const char *path, const char *to, mode_t mode)
{
	return naming_do(&(struct naming){kind, AT_FDCWD, AT_FDCWD, path, to, 0, mode, true});
}

EXPORT int
rename(const char *path, const char *to)
{
	return here(TRACE_RENAME, path, to, 0);
}

EXPORT int
link(const char *path, const char *to)
{
	return here(TRACE_LINK, path, to, 0);
}

EXPORT int
unlink(const char *path)
{
	return here(TRACE_UNLINK, path, NULL, 0);
}

EXPORT int
rmdir(const char *path)
{
	return here(TRACE_RMDIR, path, NULL, 0);
}

EXPORT int
mkdir(const char *path, mode_t mode)
{
	return here(TRACE_MKDIR, path, NULL, mode);
}
