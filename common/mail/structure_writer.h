/* SPDX-License-Identifier: ISC */
/*
 * A stored structure in the making: its numbers and texts (structure_writer.c), put together by
 * structure_build.c.  Nobody else includes this.
 */
#ifndef MAIL_STRUCTURE_WRITER_H
#define MAIL_STRUCTURE_WRITER_H

#include "common/mail/structure.h"

struct structure_writer {
	struct slice message;
	const struct structure_limits *limits;
	struct arena *arena;
	struct buffer *out; /* of its own: offsets count from its start */
	struct mime_tree tree;
	uint16_t flags;
	enum fault fault; /* of the arena; the buffer keeps its own */
};

/* First values, by id; the first field of a name counts. */
struct header_values {
	struct slice section;
	struct slice values[HEADER_ID_COUNT];
	uint64_t repeated; /* bit of each id that came again */
};

void writer_keep_fault(struct structure_writer *, enum fault);
/* Where the next byte comes, from the start of the structure. */
uint32_t writer_offset(const struct structure_writer *);
void writer_add_number(struct structure_writer *, size_t number);
/* Cut at the limit; NULL data is NIL. */
void writer_add_text(struct structure_writer *, struct slice text);
/* Room for numbers that are put when they are known. */
void writer_add_zeroes(struct structure_writer *, size_t len);
/* The place to put a number; NULL after a fault. */
char *writer_at(struct structure_writer *, size_t offset);

struct slice writer_header(const struct structure_writer *, const struct mime_part *);
void writer_collect_fields(struct slice section, struct header_values *);
/* Record, details and envelope of one part. */
void writer_add_part(struct structure_writer *, size_t index);

#endif
