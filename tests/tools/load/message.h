/* SPDX-License-Identifier: ISC */
/*
 * Messages to send: made of words, a part of them with an attachment in base64, so that a server
 * that compresses finds what it would find in real mail.
 */
#ifndef LOAD_MESSAGE_H
#define LOAD_MESSAGE_H

#include "common/base/buffer.h"
#include "tests/tools/load/load.h"

/* Makes the bodies that message_format copies from; call once, before the threads start. */
void message_prepare(void);
struct message_plan {
	unsigned index;
	size_t size; /* 0: drawn from the mix */
	const char *sender, *recipient;
};

/* Writes one, CRLF lines, none of them beginning with a dot. */
void message_format(struct buffer *out, const struct message_plan *);

#endif
