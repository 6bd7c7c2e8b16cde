/* SPDX-License-Identifier: ISC */
/*
 * Append-only segment files, NNNNNNNN.seg, of self-describing records: the bytes of mail, for the
 * store (mailboxd) and the queue (queued).  The order of a commit is: append, segments_sync(),
 * then the commit of the index with segments_tail() in it.  At start segments_recover() cuts off
 * what lies past the tail of the last commit, so a torn record is never seen.  Records never
 * change; a dead one is punched out, and gives its space back.
 *
 * Records lie at multiples of 8 bytes: header (SEGMENT_HEADER_SIZE), prefix, structure, body.  The
 * first is the head of the file, but for files that were begun by format 1 of the store.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "common/base/slice.h"

enum {
	SEGMENT_HEADER_SIZE = 136,
	SEGMENT_KEY_SIZE = 16,
	SEGMENT_HEAD_SIZE =
		SEGMENT_HEADER_SIZE + SEGMENT_KEY_SIZE, /* offset of the second record */
	SEGMENT_CHECKSUM_SIZE = 16, /* BLAKE2b */
	SEGMENT_FILES_OPEN = 32, /* descriptors that a reader keeps open at most */
};
#define SEGMENT_SIZE_MAX (UINT64_C(1) << 30) /* when a new file is begun, by default */
/* Bytes that mail leaves free on a full disk, for changes of the index. */
#define SEGMENT_RESERVE (UINT64_C(256) << 10)

enum segment_kind {
	SEGMENT_MAIL = 1, /* a message with its body */
	SEGMENT_TARGET = 2, /* a further mailbox of the body body_id; has only a prefix */
	SEGMENT_QUEUE = 3, /* a queued message; email_id is the queue id */
	/*
	 * Changes of the index, see journal.h.  email_id is the commit's sequence number, body_id
	 * the number of changes, mailbox 1 in the last record of a commit; the prefix is the
	 * checksum of the commit before, and the digest of the headers since.
	 */
	SEGMENT_CHANGES = 4,
	/*
	 * The first record of a file; its prefix is the key of the header checksums of all others.
	 * It is drawn at random: who sends mail cannot know it, and so no mail can hold what a
	 * search behind a damaged stretch would take for a record.
	 */
	SEGMENT_HEAD = 5,
};

/* What a record says of itself, enough to rebuild an index without any other file. */
struct segment_record {
	enum segment_kind kind;
	uint8_t codec; /* enum body_codec */
	uint8_t flags; /* enum store_flag, as at the append */
	int16_t zone; /* of received_at, minutes east of UTC */
	uint64_t account;
	uint32_t mailbox;
	uint32_t uid;
	int64_t received_at; /* seconds since 1970 */
	uint64_t email_id;
	uint64_t thread_id;
	uint64_t body_id;
	uint32_t stored_sum; /* of the stored body; 0: an older record; by the append */
	uint64_t plain_len; /* bytes of the body when unpacked */
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE]; /* of the unpacked body */
	uint8_t parts_checksum[SEGMENT_CHECKSUM_SIZE]; /* of prefix and structure; by the append */
	uint8_t header_checksum[SEGMENT_CHECKSUM_SIZE]; /* of all above; when read from a header */
	struct slice prefix; /* at most 4 GiB each */
	struct slice structure;
	struct slice body; /* as stored */
};

/* Where a record lies. */
struct segment_place {
	uint32_t segment;
	uint64_t offset;
	uint64_t length; /* header, parts and padding */
};

/* The end of what is committed: all of earlier segments, and length bytes of this one. */
struct segment_tail {
	uint32_t segment; /* 0: nothing yet; the first segment is 1 */
	uint64_t length;
};

struct segments; /* for appending */

/* dir must exist; size_max 0: SEGMENT_SIZE_MAX.  group_reads: files are made 0640, else 0600. */
struct segments_options {
	uint64_t size_max;
	bool group_reads;
};
MUST_USE enum fault segments_open(
	const char *dir, const struct segments_options *, struct segments **);
void segments_close(struct segments *);
/*
 * Cuts off everything past the tail, later files included; the next sync makes sure of all before.
 * FAULT_DAMAGED when files are shorter.
 */
MUST_USE enum fault segments_recover(struct segments *, struct segment_tail);
/*
 * Writes what the tail's file has behind this place once more, for the next sync: after a sync that
 * failed, an earlier process's too, the kernel takes lost pages for clean.
 */
MUST_USE enum fault segments_rewrite(struct segments *, struct segment_tail from);
/* The last segment file there is and its length (cut down to a multiple of 8). */
MUST_USE enum fault segments_last(struct segments *, struct segment_tail *);
/* Writes one record at the tail; nothing is durable yet.  On a fault the tail stays.  Faults of the
 * disk are temporary ones. */
MUST_USE enum fault segments_append(
	struct segments *, const struct segment_record *, struct segment_place *);
/* The checksum of the header that was appended last. */
const uint8_t *segments_header_checksum(const struct segments *);
/*
 * Makes all appended records durable; the directory entry of a new file too.  After a fault nothing
 * that was appended since the last sync may be trusted: every append and sync fails with it until
 * segments_cut() has taken that back.
 */
MUST_USE enum fault segments_sync(struct segments *);
struct segment_tail segments_tail(const struct segments *);
/* Takes back what was appended since the tail was so. */
MUST_USE enum fault segments_cut(struct segments *, struct segment_tail);
/* Gives the space behind a record's header back to the file system, where it can. */
MUST_USE enum fault segments_punch(struct segments *, const struct segment_place *);
/* The next record begins a new file, if this one has any. */
void segments_turn(struct segments *);
/* Removes a segment before the tail's. */
MUST_USE enum fault segments_remove(struct segments *, uint32_t segment);

/* Reading: a bounded cache of open segment files. */
struct segment_files;

/* Takes over nothing; opens dir itself.  most: descriptors kept open. */
MUST_USE enum fault segment_files_open(const char *dir, unsigned most, struct segment_files **);
void segment_files_close(struct segment_files *);
/* All of the bytes or FAULT_DAMAGED (past the end), FAULT_NOT_FOUND (no such file), FAULT_IO. */
MUST_USE enum fault segment_files_read(
	struct segment_files *, uint32_t segment, uint64_t offset, void *at, size_t len);
/*
 * Reads and checks the header of the record at place->offset: magic, version, lengths, header
 * checksum; FAULT_DAMAGED.  The slices of the record have their lengths but no data; length is
 * set in place.  A punched record keeps its header: what follows reads as zeros.
 */
MUST_USE enum fault segment_files_header(
	struct segment_files *, struct segment_place *, struct segment_record *);
/* Closes the file of a segment that was removed: an open one keeps its space. */
void segment_files_forget(struct segment_files *, uint32_t segment);
/* The same for all that were removed, by whomever. */
void segment_files_sweep(struct segment_files *);
/* The head of the file is damaged: its headers cannot be told from damaged ones, as a rule. */
bool segment_files_is_headless(struct segment_files *, uint32_t segment);
/* The length of a segment file. */
MUST_USE enum fault segment_files_size(struct segment_files *, uint32_t segment, uint64_t *size);
/* Offset of the stored body in the file, for a record at place. */
uint64_t segment_body_offset(const struct segment_place *, const struct segment_record *);

#endif
