/* SPDX-License-Identifier: ISC */
/*
 * From the store's change log to untagged EXPUNGE, EXISTS, RECENT and FETCH (RFC 3501 5.2, 7.4.1).
 * Learning and telling are two steps: what may not be told now is kept in the view.
 */
#ifndef IMAPD_SYNC_H
#define IMAPD_SYNC_H

#include "imapd/session.h"

/* Reads what has changed since the last time; a fault of the store leaves it for later. */
void sync_learn(struct imap_session *);
/* Writes a slice of what is known and not told; true when nothing is left that may be told. */
bool sync_tell(struct imap_session *, bool with_expunges);

#endif
