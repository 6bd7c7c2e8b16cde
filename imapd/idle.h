/* SPDX-License-Identifier: ISC */
/* IDLE (RFC 2177): the session while it waits for DONE. */
#ifndef IMAPD_IDLE_H
#define IMAPD_IDLE_H

#include "imapd/session.h"

size_t idle_take_line(struct imap_session *, struct slice input);
/* The mailbox may have changed. */
void idle_tell_changes(struct imap_session *);

#endif
