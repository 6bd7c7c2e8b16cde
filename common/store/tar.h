/* SPDX-License-Identifier: ISC */
/*
 * Streams as POSIX tar archives (ustar; larger sizes as GNU tar writes them), so that people can
 * look into one with tar.  Each member's BLAKE2b (32 bytes, as b2sum -l 256 prints it) is gathered
 * for a manifest, which the stream ends with.  Private to backup and restore.
 */
#ifndef STORE_TAR_H
#define STORE_TAR_H

#include <sodium.h>

#include "common/base/buffer.h"

enum { TAR_BLOCK = 512, TAR_NAME_MAX = 99, TAR_SUM_SIZE = 32 };
#define TAR_MANIFEST "MANIFEST"

struct tar_member {
	char name[TAR_NAME_MAX + 1];
	uint64_t size;
};

struct tar_writer {
	int fd;
	int64_t time; /* of all members */
	struct tar_member member;
	uint64_t left; /* of the member */
	uint64_t written; /* in all */
	crypto_generichash_state sum;
	struct buffer manifest; /* a line per member */
};

void tar_writer_init(struct tar_writer *, int fd, int64_t time);
void tar_writer_clear(struct tar_writer *);
/* FAULT_PEER_LOST: nobody reads any more. */
MUST_USE enum fault tar_begin(struct tar_writer *, const char *name, uint64_t size);
MUST_USE enum fault tar_write(struct tar_writer *, struct slice);
/* All bytes of the member must have been written. */
MUST_USE enum fault tar_end(struct tar_writer *);
MUST_USE enum fault tar_add(struct tar_writer *, const char *name, struct slice content);
/* The manifest (head, then a line per member), and the end of the archive. */
MUST_USE enum fault tar_finish(struct tar_writer *, struct slice head);

struct tar_reader {
	int fd;
	struct tar_member member;
	uint64_t left;
	uint64_t read; /* in all */
	crypto_generichash_state sum;
	struct buffer sums; /* the lines that a manifest must have */
};

void tar_reader_init(struct tar_reader *, int fd);
void tar_reader_clear(struct tar_reader *);
/*
 * The next member, when the last one was read or not.  FAULT_NOT_FOUND: the stream ends here;
 * FAULT_DAMAGED: it was cut, or is no archive; FAULT_UNSUPPORTED: something that we never write.
 */
MUST_USE enum fault tar_next(struct tar_reader *);
/* Up to len bytes; *got 0 at the end of the member. */
MUST_USE enum fault tar_read(struct tar_reader *, void *at, size_t len, size_t *got);
/* The manifest, which is the current member: its head goes to the buffer, its lines are compared.
 */
MUST_USE enum fault tar_manifest_read(struct tar_reader *, struct buffer *head);

#endif
