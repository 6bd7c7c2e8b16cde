/* SPDX-License-Identifier: ISC */
/* The client's half of IMAP: commands that must succeed, answers that are counted. */
#ifndef LOAD_IMAP_H
#define LOAD_IMAP_H

#include "tests/tools/load/connection.h"

struct imap_answer {
	unsigned untagged;
	uint64_t bytes; /* of literals */
};

/* Greeting and LOGIN. */
void imap_open(struct connection *, const struct load *, unsigned port, const struct account *);
void imap_close(struct connection *);
struct imap_answer imap_run(struct connection *, const char *command);
void imap_append(struct connection *, const char *mailbox, struct slice message);
/* How many messages INBOX has, by STATUS. */
uint64_t imap_status_messages(struct connection *);
/* Begins to idle, and waits for an EXISTS while idling. */
void imap_idle(struct connection *);
void imap_wait_exists(struct connection *);

#endif
