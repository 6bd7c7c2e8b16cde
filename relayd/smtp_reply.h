/* SPDX-License-Identifier: ISC */
/*
 * Replies of SMTP servers (RFC 5321 4.2): one line after the other becomes a reply with its code,
 * enhanced status code (RFC 2034) and text.  Pure; the server is not trusted.
 */
#ifndef RELAYD_SMTP_REPLY_H
#define RELAYD_SMTP_REPLY_H

#include <stdint.h>

#include "common/base/slice.h"

enum {
	SMTP_REPLY_LINE_MAX = 4096, /* RFC 5321 4.5.3.1.5 says 512; servers differ */
	SMTP_REPLY_LINES_MAX = 100,
	SMTP_REPLY_TEXT_MAX = 512, /* what is kept of the text of all lines */
	SMTP_STATUS_SIZE = 16,
};

struct smtp_reply {
	uint32_t code; /* 200-599 */
	bool final; /* the last line was read */
	uint32_t lines;
	char status[SMTP_STATUS_SIZE]; /* "5.1.1" or "" */
	char text[SMTP_REPLY_TEXT_MAX + 1];
	size_t text_len;
	struct slice line; /* the text of the line just added; borrows from it */
};

void smtp_reply_start(struct smtp_reply *);
/*
 * One line without its CRLF.  False when it is no reply line, has another code than the line
 * before, or is one too many: the server cannot be understood.
 */
bool smtp_reply_add(struct smtp_reply *, struct slice line);

static inline uint32_t
smtp_reply_class(const struct smtp_reply *r)
{
	return r->code / 100;
}

#endif
