/* SPDX-License-Identifier: ISC */
/*
 * A backup as one stream, for ssh, tapes and object stores: a tar archive of everything, or of what
 * the log has got since the last one.  The order of a backup to a directory holds here, too.
 * Linked by mailctl; pabal-store(5) tells the members.
 */
#ifndef STORE_BACKUP_STREAM_H
#define STORE_BACKUP_STREAM_H

#include "common/base/buffer.h"
#include "common/store/restore.h"

struct backup_stream_options {
	int out;
	const char *directory; /* authd's, or NULL */
	/*
	 * Where the last stream ended, as *end gave it; empty: everything.  FAULT_CONFLICT: of
	 * another store, or of another past of this one.
	 */
	struct slice since;
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

/*
 * from: a store's directory.  bytes: written.  end: where it ended, text to be kept for the next
 * stream once this one is safe.  FAULT_PEER_LOST: nobody reads.  Needs room for a copy of the
 * index in TMPDIR (/var/tmp).
 */
MUST_USE enum fault store_backup_stream(const char *from, const struct backup_stream_options *,
	struct buffer *end, uint64_t *bytes);

/*
 * to as in store_restore(); in: one archive of everything and any number that follow on it, one
 * behind the other.  FAULT_DAMAGED: it was cut, or is not what was written; FAULT_CONFLICT: an
 * archive that does not follow on the one before.
 */
MUST_USE enum fault store_restore_stream(
	int in, const char *to, const struct restore_options *, struct restore_result *);

#endif
