/* SPDX-License-Identifier: ISC */
/* Mailbox names of commands, and looking them up. */
#ifndef IMAPD_MAILBOX_H
#define IMAPD_MAILBOX_H

#include "imapd/session.h"

/* From modified UTF-7 to the store's canonical form: FAULT_SYNTAX, FAULT_TOO_LONG. */
MUST_USE enum fault mailbox_name_parse(struct slice written, struct store_name *);
/*
 * In a read transaction of its own.  FAULT_NOT_FOUND also for a name that cannot exist and for a
 * \Noselect one.
 */
MUST_USE enum fault mailbox_find(
	struct imap_session *, struct slice written, struct store_mailbox *);

#endif
