/* SPDX-License-Identifier: ISC */
/*
 * The only list of SMTP commands.  A command goes parse -> permit -> perform; EHLO and HELP are
 * derived from the tables here.  C(name, parser, states, needs, syntax)
 */
#ifndef SMTPD_COMMANDS_H
#define SMTPD_COMMANDS_H

#include "smtpd/arguments.h"
#include "smtpd/smtp.h"

#define IN_STATE(s) (1u << SMTP_AWAIT_##s)
#define IN_ANY                                                                                     \
	(IN_STATE(HELLO) | IN_STATE(MAIL) | IN_STATE(RCPT) | IN_STATE(DATA) | IN_STATE(CHUNK))
#define IN_NO_MAIL (IN_STATE(HELLO) | IN_STATE(MAIL))

#define SMTP_COMMANDS(C)                                                                           \
	C(helo, "HELO", parse_hello, IN_ANY, NEEDS_NOTHING, "HELO hostname")                       \
	C(ehlo, "EHLO", parse_hello, IN_ANY, NEEDS_NOTHING, "EHLO hostname")                       \
	C(mail, "MAIL", parse_mail, IN_STATE(MAIL), NEEDS_LOGIN, "MAIL FROM:<address>")            \
	C(rcpt, "RCPT", parse_rcpt, IN_STATE(RCPT) | IN_STATE(DATA), NEEDS_LOGIN,                  \
		"RCPT TO:<address>")                                                               \
	C(data, "DATA", parse_nothing, IN_STATE(RCPT) | IN_STATE(DATA), NEEDS_LOGIN, "DATA")       \
	C(bdat, "BDAT", parse_bdat, IN_ANY, NEEDS_NOTHING, "BDAT size [LAST]")                     \
	C(rset, "RSET", parse_nothing, IN_ANY, NEEDS_NOTHING, "RSET")                              \
	C(noop, "NOOP", parse_text, IN_ANY, NEEDS_NOTHING, "NOOP")                                 \
	C(quit, "QUIT", parse_nothing, IN_ANY, NEEDS_NOTHING, "QUIT")                              \
	C(vrfy, "VRFY", parse_text, IN_ANY, NEEDS_NOTHING, "VRFY address")                         \
	C(expn, "EXPN", parse_text, IN_ANY, NEEDS_NOTHING, NULL)                                   \
	C(help, "HELP", parse_text, IN_ANY, NEEDS_NOTHING, "HELP")                                 \
	C(starttls, "STARTTLS", parse_nothing, IN_NO_MAIL, NEEDS_NOTHING, "STARTTLS")              \
	C(auth, "AUTH", parse_auth, IN_STATE(MAIL), NEEDS_NOTHING, "AUTH mechanism [response]")

enum smtp_needs { NEEDS_NOTHING, NEEDS_LOGIN /* on submission */ };

/* One whole command line. */
void commands_perform(struct smtp *, struct slice line);

/* What the rest of the core offers to the handlers: smtp.c */
void smtp_say(struct smtp *, enum smtp_reply, struct slice argument);
/* The same for a client's mistake, which is counted: too many end the session. */
void smtp_say_error(struct smtp *, enum smtp_reply, struct slice argument);
/* Forgets the transaction; the state becomes AWAIT_MAIL, or AWAIT_HELLO before a hello. */
void smtp_reset(struct smtp *);
void smtp_close(struct smtp *);
void smtp_ask(struct smtp *, enum smtp_effect, enum smtp_state);
/* Acts on a step of the SASL exchange. */
void smtp_sasl_step(struct smtp *, enum sasl_step);
bool smtp_may_auth(const struct smtp *);
/* transaction.c */
void transaction_begin(struct smtp *, const struct mail_arguments *);
void transaction_ask_recipient(struct smtp *, const struct rcpt_arguments *);
/* Opens the message; REPLY_NONE or why not. */
enum smtp_reply transaction_open_message(struct smtp *);
void transaction_finish_message(struct smtp *);
/* trace.c: the Received field of the transaction, in its arena; empty when that is full. */
struct slice trace_format(struct smtp *);

#endif
