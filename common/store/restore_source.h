/* SPDX-License-Identifier: ISC */
/*
 * Single messages of a backup, made ready for RESTORE (common/ipc/payloads.h): as they are stored,
 * sealed ones too.  Linked by mailctl; between reader_begin() and reader_end().
 */
#ifndef STORE_RESTORE_SOURCE_H
#define STORE_RESTORE_SOURCE_H

#include "common/store/package.h"
#include "common/store/reader.h"

/* Drawn when the store was made; a backup has the same. */
MUST_USE enum fault restore_store_id(struct store_reader *, uint64_t *id);

/*
 * What tells whether two messages are the same one: of one store the email id; between stores what
 * is in it and when it came (FAULT_DAMAGED: its record cannot be read).
 */
MUST_USE enum fault restore_identity(
	struct store_reader *, const struct store_message *, bool by_content, uint64_t *identity);

struct restore_package {
	struct package package;
	uint32_t prefix_len;
	char prefix[STORE_PREFIX_MAX];
};
/* FAULT_DAMAGED: some of it is not what was stored.  To be cleared by package_clear(). */
MUST_USE enum fault restore_package_make(
	struct store_reader *, const struct store_message *, struct restore_package *);

#endif
