/* SPDX-License-Identifier: ISC */
/* A message as a multi-line response: dot-stuffing, the lines that TOP wants, the end. */
#ifndef POP3D_DOTS_H
#define POP3D_DOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/slice.h"

enum { DOTS_ALL_LINES = -1 };

struct dots {
	int64_t lines_left; /* of the body; DOTS_ALL_LINES: no limit */
	bool in_body;
	bool in_line; /* the line has a byte */
	bool only_cr; /* and it is CR so far */
	char last, before_last;
};

void dots_init(struct dots *, int64_t body_lines);
/* The next bytes of the message.  False when no more are wanted. */
bool dots_add(struct dots *, struct slice bytes, struct buffer *out);
/* The terminating line, on a line of its own whatever came before. */
void dots_end(const struct dots *, struct buffer *out);

#endif
