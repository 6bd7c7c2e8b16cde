/* SPDX-License-Identifier: ISC */
/* The state of a running FETCH, and the pieces of cmd_fetch.c that others use. */
#ifndef IMAPD_FETCH_H
#define IMAPD_FETCH_H

#include "imapd/session.h"

/* Frees s->fetch, if any. */
void fetch_free(struct imap_session *);

#endif
