/* SPDX-License-Identifier: ISC */
/* The private state of smtpd. */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include "common/ipc/front.h"
#include "smtpd/smtp.h"

struct smtpd {
	struct front front; /* first: the handlers of front.h find it */
	uint64_t bytes_held; /* of messages, envelopes and headers in flight, against
				settings.message_memory */
	uint64_t messages, refused; /* since the start: accepted, and not */
	char refusal[512];
};

/* A message being taken in: a memfd, its last bytes gathered so that few writes do. */
struct intake {
	struct smtpd *smtpd;
	int fd; /* -1: none */
	uint64_t bytes; /* counted in smtpd.bytes_held */
	struct buffer gathered;
};

/* intake.c */
extern const struct smtp_sink intake_sink; /* arg: struct intake */
void intake_init(struct intake *, struct smtpd *);
/* Writes what is gathered and seals the memfd. */
MUST_USE enum fault intake_seal(struct intake *);
/* Closes and uncounts; when nothing is open, nothing. */
void intake_drop(struct intake *);

/* session.c */
extern const struct session_calls session_calls;

enum fault smtpd_sandbox(struct daemon *, void *state);

#endif
