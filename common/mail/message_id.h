/* SPDX-License-Identifier: ISC */
/* Message ids (RFC 5322 3.6.4) of Message-ID, In-Reply-To and References, read leniently. */
#ifndef MAIL_MESSAGE_ID_H
#define MAIL_MESSAGE_ID_H

#include "common/base/cursor.h"

/*
 * The next "<...>" of a raw or unfolded value, with its angles and without anything around it;
 * other words between ids are skipped.  An id has at most 998 bytes and no white space.  False
 * when there is none; then the cursor is at its end.
 */
bool take_message_id(struct cursor *, struct slice *id);

#endif
