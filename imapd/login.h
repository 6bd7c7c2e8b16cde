/* SPDX-License-Identifier: ISC */
/* The exchange of AUTHENTICATE (RFC 3501 6.2.2, RFC 4959) between lines of the client and authd. */
#ifndef IMAPD_LOGIN_H
#define IMAPD_LOGIN_H

#include "imapd/session.h"

size_t login_take_line(struct imap_session *, struct slice input);
/* Wipes and frees s->login, if any. */
void login_free(struct imap_session *);

#endif
