/* SPDX-License-Identifier: ISC */
/* Message bytes as DATA wants them (RFC 5321 4.5.2), in pieces of any size.  Pure. */
#ifndef RELAYD_DOTS_H
#define RELAYD_DOTS_H

#include "common/base/buffer.h"

struct dots {
	bool in_line; /* the last byte was no line end */
	bool after_cr;
};

/*
 * Appends in with every leading dot doubled.  A bare LF becomes CRLF: a host that takes it for a
 * line end could be made to see another end of the message than we do.
 */
void dots_add(struct dots *, struct slice in, struct buffer *out);
/* Ends the last line when it is open, and the message with ".". */
void dots_finish(struct dots *, struct buffer *out);

#endif
