/* SPDX-License-Identifier: ISC */
/*
 * A mail message (or other bulk data) between processes: a memfd, written once, then sealed
 * against writing, growing and shrinking.  Whoever receives one maps it only if it is sealed: a
 * sealed memfd can neither change under the reader nor raise SIGBUS.
 */
#ifndef BASE_MEMFD_H
#define BASE_MEMFD_H

#include "common/base/fault.h"
#include "common/base/slice.h"

/* A new, empty memfd (close-on-exec), or -1 with *fault set. */
int memfd_open(const char *name, enum fault *fault);
/* Appends all of the bytes. */
MUST_USE enum fault memfd_append(int fd, struct slice bytes);
/* After this nobody, the writer included, can change it. */
MUST_USE enum fault memfd_seal(int fd);
/*
 * Maps a sealed memfd read-only.  FAULT_PEER_PROTOCOL when fd is no fully sealed memfd,
 * FAULT_TOO_BIG when it has more than max bytes.  An empty one gives an empty slice.
 * The mapping outlives the descriptor; memfd_unmap ends it.
 */
MUST_USE enum fault memfd_map(int fd, size_t max, struct slice *bytes);
/* Accepts the empty slice. */
void memfd_unmap(struct slice *bytes);

#endif
