/* SPDX-License-Identifier: ISC */
/* Sealed memory files.  Linked by every process that hands on or receives mail. */
#include "common/base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int
memfd_open(const char *name, enum fault *fault)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	*fault = fd < 0 ? fault_from_errno(errno) : FAULT_OK;
	return fd;
}

enum fault
memfd_append(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_from_errno(n < 0 ? errno : EIO);
		bytes = slice_after(bytes, (size_t)n);
	}
	return FAULT_OK;
}

enum fault
memfd_seal(int fd)
{
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0)
		return fault_from_errno(errno);
	return FAULT_OK;
}

enum fault
memfd_map(int fd, size_t max, struct slice *bytes)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS || fstat(fd, &status) < 0)
		return FAULT_PEER_PROTOCOL;
	if (status.st_size < 0 || (uint64_t)status.st_size > max)
		return FAULT_TOO_BIG;
	if (status.st_size == 0) {
		*bytes = slice_make(NULL, 0);
		return FAULT_OK;
	}
	void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return fault_from_errno(errno);
	*bytes = slice_make(map, (size_t)status.st_size);
	return FAULT_OK;
}

void
memfd_unmap(struct slice *bytes)
{
	/* munmap of a range that we mapped cannot fail. */
	if (bytes->len > 0)
		munmap((void *)(uintptr_t)bytes->data, bytes->len);
	*bytes = slice_make(NULL, 0);
}
