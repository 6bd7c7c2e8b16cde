/* SPDX-License-Identifier: ISC */
/* Durable names.  Linked by the processes that write files. */
#include "common/base/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
