/* SPDX-License-Identifier: ISC */
/* The client's half of SMTP, shared by the modes that send. */
#ifndef LOAD_SMTP_H
#define LOAD_SMTP_H

#include "common/base/buffer.h"
#include "tests/tools/load/connection.h"

enum { MESSAGE_MAX = 4194304 };

/* Greeting, EHLO and, for a submission, AUTH. */
void smtp_open(struct connection *, const struct load *, unsigned port);
void smtp_close(struct connection *);
void smtp_expect(struct connection *, unsigned code);
/* MAIL, RCPT and DATA in one packet (RFC 2920); false when refused for now. */
bool smtp_send_envelope(struct connection *, const struct load *, const char *recipient);
/* Message number index with the final dot. */
void smtp_format(struct buffer *out, const struct load *, unsigned index);
/* A session that sends messages until all are given out. */
void smtp_work(struct worker *);

#endif
