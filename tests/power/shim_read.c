/* SPDX-License-Identifier: ISC */
/* The shim's calls that read: they fail, fall short, or bring a wrong bit, when the plan says so.
 */
#include "tests/power/shim.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off_t, size_t);

static ssize_t
real_read(int fd, void *at, size_t len, off_t offset)
{
	if (offset < 0)
		return syscall(SYS_read, fd, at, len);
	return syscall(SYS_pread64, fd, at, len, offset);
}

static ssize_t
read_do(int fd, void *at, size_t len, off_t offset)
{
	struct shim_verdict v = {0};

	shim_lock();
	const struct shim_file *f = shim_file(fd);
	if (f != NULL && !f->ignored)
		v = shim_next(SHIM_READ, len);
	shim_unlock();
	if (v.error != 0) {
		errno = v.error;
		return -1;
	}
	ssize_t n = real_read(fd, at, v.is_half ? len / 2 : len, offset);
	if (n > 0 && v.flips)
		((char *)at)[n / 2] ^= 0x10;
	return n;
}

EXPORT ssize_t
read(int fd, void *at, size_t len)
{
	return read_do(fd, at, len, -1);
}

EXPORT ssize_t
pread(int fd, void *at, size_t len, off_t offset)
{
	return read_do(fd, at, len, offset);
}

EXPORT ssize_t
pread64(int fd, void *at, size_t len, off_t offset)
{
	return read_do(fd, at, len, offset);
}

/* What _FORTIFY_SOURCE makes of them. */
EXPORT ssize_t
__read_chk(int fd, void *at, size_t len, size_t room)
{
	if (len > room)
		__builtin_trap();
	return read_do(fd, at, len, -1);
}

EXPORT ssize_t
__pread_chk(int fd, void *at, size_t len, off_t offset, size_t room)
{
	if (len > room)
		__builtin_trap();
	return read_do(fd, at, len, offset);
}

EXPORT ssize_t
__pread64_chk(int fd, void *at, size_t len, off_t offset, size_t room)
{
	return __pread_chk(fd, at, len, offset, room);
}

EXPORT ssize_t
preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
	ssize_t sum = 0;

	for (int i = 0; i < count; i++) {
		ssize_t n = read_do(fd, parts[i].iov_base, parts[i].iov_len, offset + sum);
		if (n < 0)
			return sum > 0 ? sum : n;
		sum += n;
		if ((size_t)n < parts[i].iov_len)
			break;
	}
	return sum;
}

EXPORT ssize_t
preadv64(int fd, const struct iovec *parts, int count, off_t offset)
{
	return preadv(fd, parts, count, offset);
}
