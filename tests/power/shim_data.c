/* SPDX-License-Identifier: ISC */
/* The shim's calls that change, sync and read the bytes of a file. */
#include "tests/power/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { PAGE = 4096 };

/* One write, whatever it was called. */
struct change {
	int fd;
	const struct iovec *parts;
	int count;
	off_t offset; /* -1: at the descriptor's */
	int flags; /* of pwritev2() */
};

/* By the calls that libc would make: a sandbox may allow no others. */
static ssize_t
real_write(const struct change *c)
{
	const struct iovec *p = c->parts;

	if (c->flags != 0)
		return syscall(SYS_pwritev2, c->fd, p, c->count, c->offset, 0L, c->flags);
	if (c->count != 1 && c->offset < 0)
		return syscall(SYS_writev, c->fd, p, c->count);
	if (c->count != 1)
		return syscall(SYS_pwritev, c->fd, p, c->count, c->offset, 0L);
	if (c->offset < 0)
		return syscall(SYS_write, c->fd, p->iov_base, p->iov_len);
	return syscall(SYS_pwrite64, c->fd, p->iov_base, p->iov_len, c->offset);
}

static size_t
parts_len(const struct change *c)
{
	size_t len = 0;

	for (int i = 0; i < c->count; i++)
		len += c->parts[i].iov_len;
	return len;
}

static char *
parts_join(const struct change *c, size_t len)
{
	char *bytes = malloc(len + 1);

	if (bytes == NULL)
		abort();
	for (int i = 0, at = 0; i < c->count; at += (int)c->parts[i].iov_len, i++)
		memcpy(bytes + at, c->parts[i].iov_base, c->parts[i].iov_len);
	return bytes;
}

static void
written(const struct shim_file *f, const struct change *c, const char *bytes, size_t len)
{
	shim_trace(&(struct trace_record){.kind = TRACE_WRITE,
			   .handle = f->handle,
			   .first = (uint64_t)c->offset,
			   .len = (uint32_t)len},
		bytes);
	if ((f->synced || (c->flags & (RWF_DSYNC | RWF_SYNC)) != 0) && !shim_is_swallowed(f))
		shim_trace(
			&(struct trace_record){.kind = TRACE_WRITTEN, .handle = f->handle}, NULL);
}

static size_t
half_of(const struct change *c, size_t len, bool at_page)
{
	uint64_t start = (uint64_t)c->offset, middle = start + len / 2;

	if (at_page)
		middle -= middle % PAGE;
	return middle > start ? (size_t)(middle - start) : 0;
}

/* With the lock held. */
static ssize_t
change_do(const struct shim_file *f, struct change *c)
{
	size_t len = parts_len(c);
	struct shim_verdict v = shim_next(SHIM_CHANGE, len);

	if (v.error != 0) {
		errno = v.error;
		return -1;
	}
	if (c->offset < 0)
		c->offset = lseek(c->fd, 0, SEEK_CUR);
	char *bytes = parts_join(c, len);
	struct iovec one = {bytes, v.is_half ? half_of(c, len, v.kills) : len};
	struct change joined = {c->fd, &one, 1, c->offset, c->flags};
	ssize_t n = real_write(&joined);
	if (n > 0)
		written(f, c, bytes, (size_t)n);
	int error = errno;
	free(bytes);
	if (v.kills)
		shim_kill();
	errno = error;
	return n;
}

static ssize_t
change(struct change c)
{
	bool at_own = c.offset < 0;

	shim_lock();
	const struct shim_file *f = shim_file(c.fd);
	if (f == NULL || f->ignored) {
		shim_unlock();
		return real_write(&c);
	}
	ssize_t n = change_do(f, &c);
	if (n > 0 && at_own)
		(void)lseek(c.fd, n, SEEK_CUR);
	shim_unlock();
	return n;
}

EXPORT ssize_t
write(int fd, const void *bytes, size_t len)
{
	struct iovec one = {(void *)(uintptr_t)bytes, len};

	return change((struct change){fd, &one, 1, -1, 0});
}

EXPORT ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	struct iovec one = {(void *)(uintptr_t)bytes, len};

	return change((struct change){fd, &one, 1, offset, 0});
}

EXPORT ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

EXPORT ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	return change((struct change){fd, parts, count, -1, 0});
}

EXPORT ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return change((struct change){fd, parts, count, offset, 0});
}

EXPORT ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev(fd, parts, count, offset);
}

EXPORT ssize_t
pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	return change((struct change){fd, parts, count, offset, flags});
}

EXPORT ssize_t
pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	return pwritev2(fd, parts, count, offset, flags);
}

/* A change that is no write: rc of the real call, then the record. */
static int
other_change(int fd, long (*real)(int, const struct trace_record *), struct trace_record record)
{
	int rc = -1;

	shim_lock();
	const struct shim_file *f = shim_file(fd);
	if (f == NULL || f->ignored) {
		shim_unlock();
		return (int)real(fd, &record);
	}
	struct shim_verdict v = shim_next(SHIM_CHANGE, 0);
	if (v.error == 0)
		rc = (int)real(fd, &record);
	record.handle = f->handle;
	if (rc == 0 && record.kind != 0)
		shim_trace(&record, NULL);
	shim_unlock();
	if (v.error != 0)
		errno = v.error;
	return rc;
}

static long
real_truncate(int fd, const struct trace_record *r)
{
	return syscall(SYS_ftruncate, fd, (off_t)r->first);
}

EXPORT int
ftruncate(int fd, off_t size)
{
	return other_change(fd, real_truncate,
		(struct trace_record){.kind = TRACE_SIZE, .first = (uint64_t)size});
}

EXPORT int
ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

static long
real_punch(int fd, const struct trace_record *r)
{
	return syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)r->first, (off_t)r->second);
}

static long
real_allocate(int fd, const struct trace_record *r)
{
	return syscall(SYS_fallocate, fd, 0, (off_t)r->first, (off_t)r->second);
}

static long
real_allocate_keep(int fd, const struct trace_record *r)
{
	return syscall(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, (off_t)r->first, (off_t)r->second);
}

EXPORT int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct trace_record r = {.first = (uint64_t)offset, .second = (uint64_t)len};

	/* Blocks behind the end are nothing that a reader sees: no record, but it counts. */
	if (mode == FALLOC_FL_KEEP_SIZE)
		return other_change(fd, real_allocate_keep, r);
	r.kind = mode == 0 ? TRACE_ALLOCATE : TRACE_PUNCH;
	if (mode == 0)
		return other_change(fd, real_allocate, r);
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return other_change(fd, real_punch, r);
	errno = EOPNOTSUPP;
	return -1;
}

EXPORT int
fallocate64(int fd, int mode, off_t offset, off_t len)
{
	return fallocate(fd, mode, offset, len);
}

EXPORT int
posix_fallocate(int fd, off_t offset, off_t len)
{
	return fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

EXPORT int
posix_fallocate64(int fd, off_t offset, off_t len)
{
	return posix_fallocate(fd, offset, len);
}

static long
real_sync_range(int fd, const struct trace_record *r)
{
	return syscall(SYS_sync_file_range, fd, (off_t)r->first, (off_t)r->second, (int)r->len);
}

/* Guarantees nothing, so it leaves no record. */
EXPORT int
sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
	return other_change(fd, real_sync_range,
		(struct trace_record){
			.first = (uint64_t)offset, .second = (uint64_t)len, .len = flags});
}

/* The lock is not held while it runs: other threads go on writing. */
static int
sync_do(int fd, long call)
{
	struct trace_record start = {.kind = TRACE_SYNC_START}, end = {.kind = TRACE_SYNC_END};

	shim_lock();
	const struct shim_file *f = shim_file(fd);
	if (f == NULL || f->ignored) {
		shim_unlock();
		return (int)syscall(call, fd);
	}
	struct shim_verdict v = shim_next(SHIM_CHANGE, 0);
	bool swallowed = shim_is_swallowed(f);
	start.handle = end.handle = f->handle;
	start.first = end.first = shim_sync_number();
	if (!swallowed)
		shim_trace(&start, NULL);
	shim_unlock();
	if (swallowed)
		return 0;
	int rc = v.error != 0 ? -1 : (int)syscall(call, fd);
	int error = v.error != 0 ? v.error : errno;
	end.second = rc == 0 ? 0 : (uint64_t)error;
	shim_lock();
	shim_trace(&end, NULL);
	shim_unlock();
	errno = error;
	return rc;
}

EXPORT int
fsync(int fd)
{
	return sync_do(fd, SYS_fsync);
}

EXPORT int
fdatasync(int fd)
{
	return sync_do(fd, SYS_fdatasync);
}
