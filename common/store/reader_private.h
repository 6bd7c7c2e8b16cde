/* SPDX-License-Identifier: ISC */
/* What the files of the reading half share, and the writer that lends its environment to one. */
#ifndef STORE_READER_PRIVATE_H
#define STORE_READER_PRIVATE_H

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "common/store/index.h"
#include "common/store/reader.h"

struct store_reader {
	char *dir;
	struct kv *kv; /* NULL until there is a store */
	bool kv_is_lent; /* the writer's */
	struct kv_txn txn;
	struct segment_files *files;
	struct body_reader *bodies;
	int64_t swept_ms; /* when files that were removed were last closed */
	struct seal_opener *key; /* borrowed; NULL: none */
	struct buffer structure; /* the sealed one that was opened last */
	struct log_limit told; /* of bodies that cannot be read */
};

/* A reader within the writer's process. */
MUST_USE enum fault reader_open_lent(const char *dir, struct kv *, struct store_reader **);
/* Opens files if that has not been possible before. */
MUST_USE enum fault reader_files_ensure(struct store_reader *);

/* Full name, subscribed and has_children for a mailbox whose name is its last level. */
MUST_USE enum fault reader_mailbox_complete(struct kv_txn *, struct store_mailbox *);

#endif
