/* SPDX-License-Identifier: ISC */
/*
 * The bytes behind DATA: dots are unstuffed, the end is found, line ends are judged.  Only
 * CR LF "." CR LF ends a message (RFC 5321 4.1.1.4); a bare CR or LF never begins or ends a line,
 * so nobody can smuggle a second message past us, and a message that has one is refused.
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include "common/base/slice.h"

enum data_state { DATA_LINE_START, DATA_DOT, DATA_DOT_CR, DATA_MIDDLE, DATA_CR, DATA_END };

typedef void data_take(void *arg, struct slice bytes);

struct data {
	enum data_state state;
	bool bare; /* a bare CR, a bare LF or a NUL was there */
	bool has_8bit;
	data_take *take; /* gets the message's bytes, in order */
	void *arg;
};

void data_init(struct data *, data_take *take, void *arg);
/* Takes bytes up to the end of the message; the number of those used.  At the end: DATA_END. */
size_t data_decode(struct data *, struct slice bytes);
/* The same judgement for the bytes of BDAT, which have no dots and no end. */
void data_pass(struct data *, struct slice bytes);
/* The last chunk is there: a CR at its end is bare. */
void data_finish(struct data *);

#endif
