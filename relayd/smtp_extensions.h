/* SPDX-License-Identifier: ISC */
/* The lines of a reply to EHLO; part of the client core (smtp_client.h). */
#ifndef RELAYD_SMTP_EXTENSIONS_H
#define RELAYD_SMTP_EXTENSIONS_H

#include "relayd/smtp_client.h"

/* ehlo-line of RFC 5321 4.1.1.1: any line but the first, which is the greeting. */
void extensions_add(struct smtp_client *, struct slice line);

#endif
