/* SPDX-License-Identifier: ISC */
/*
 * What a stream says of itself, as lines of text: its first member, the comments of its manifest,
 * and the file in which a caller keeps where the last stream ended.  Private to backup and restore.
 *
 *	# pabal-backup 1
 *	# store 1234		id
 *	# taken 1763698320
 *	# since 0 0 0 CHAIN	a point of the log: commits, segment, length, chain in hexadecimal
 *	# until 17 1 4096 CHAIN
 *	# segments 1 2 3
 */
#ifndef STORE_BACKUP_LABEL_H
#define STORE_BACKUP_LABEL_H

#include "common/base/buffer.h"
#include "common/store/backup_private.h"

#define BACKUP_LABEL "pabal-backup"

struct backup_label {
	uint64_t store;
	int64_t taken_at;
	struct journal_point since; /* sequence 0: everything */
	struct journal_point until;
	struct backup_list segments; /* that the store had then */
};

void backup_label_format(struct buffer *, const struct backup_label *);
/*
 * Up to the first line that does not begin with "#"; lines that are not known are passed over.
 * FAULT_UNSUPPORTED: of a newer version; FAULT_DAMAGED.  The list is to be cleared.
 */
MUST_USE enum fault backup_label_parse(struct slice, struct backup_label *);
bool backup_points_equal(const struct journal_point *, const struct journal_point *);

#endif
