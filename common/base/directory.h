/* SPDX-License-Identifier: ISC */
/* Directories: their names, and making these durable: a file whose data are synced is lost all the
 * same when its name is not. */
#ifndef BASE_DIRECTORY_H
#define BASE_DIRECTORY_H

#include <limits.h>

#include "common/base/fault.h"

/* After this the names made, renamed or removed in the directory so far outlive a crash. */
MUST_USE enum fault directory_sync(const char *path);

/* Writes "dir/name"; FAULT_TOO_LONG. */
MUST_USE enum fault directory_path(const char *dir, const char *name, char path[static PATH_MAX]);

/* Hears of one name; a fault ends the walk. */
typedef enum fault directory_name(void *arg, const char *name);
/*
 * Tells every name in the open directory, but "." and "..", in no order.  Names that come or go
 * meanwhile may be told or not; each() may remove the one it is told.
 */
MUST_USE enum fault directory_each(int dir, directory_name *each, void *arg);

/* Removes files and directories below path, and path itself; what is not there is no fault. */
MUST_USE enum fault directory_remove(const char *path);

#endif
