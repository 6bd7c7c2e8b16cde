/* SPDX-License-Identifier: ISC */
/* MAIL and RCPT with their parameters; part of the client core (smtp_client.h). */
#ifndef RELAYD_SMTP_ENVELOPE_H
#define RELAYD_SMTP_ENVELOPE_H

#include "relayd/smtp_client.h"

/* False: the host cannot take this message at all; the recipients are settled. */
bool envelope_fits(struct smtp_client *);
void envelope_add_mail(struct smtp_client *);
/* The next recipient. */
void envelope_add_rcpt(struct smtp_client *);
/* Gives the result to every recipient that is not settled. */
void envelope_settle_all(struct smtp_client *, const struct smtp_result *);

void smtp_result_of_reply(struct smtp_result *, const struct smtp_reply *);

#endif
