/* SPDX-License-Identifier: ISC */
/* Making the names in a directory durable: a file whose data are synced is lost all the same when
 * its name is not. */
#ifndef BASE_DIRECTORY_H
#define BASE_DIRECTORY_H

#include "common/base/fault.h"

/* After this the names made, renamed or removed in the directory so far outlive a crash. */
MUST_USE enum fault directory_sync(const char *path);

#endif
