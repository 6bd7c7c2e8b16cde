/* SPDX-License-Identifier: ISC */
/* Bytes of the client to whole commands: lines, literals, and the dispatch by the command table. */
#ifndef IMAPD_INPUT_H
#define IMAPD_INPUT_H

#include "imapd/session.h"

/* Each returns how many bytes of the input are used. */
size_t input_take_command(struct imap_session *, struct slice input);
/* A line for SASL or IDLE: calls on_line with it, or says BYE when it is over max bytes. */
struct input_line {
	size_t max;
	void (*on_line)(struct imap_session *, struct slice line);
};
size_t input_take_line(struct imap_session *, struct slice input, const struct input_line *);
/* The message of an APPEND is complete or was refused: the rest of the line follows. */
void input_resume_command(struct imap_session *);

#endif
