/* SPDX-License-Identifier: ISC */
/*
 * The one table of SMTP replies.  Handlers name a reply; code, enhanced status code (RFC 3463) and
 * text stand here.  In a text "$h" is our host name and "$1" the argument, of which control bytes
 * are left out.
 */
#ifndef SMTPD_REPLIES_H
#define SMTPD_REPLIES_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/* R(name, code, enhanced code or "", text) */
#define SMTP_REPLIES(R)                                                                            \
	R(GREETING, 220, "", "$h")                                                                 \
	R(HELLO, 250, "", "Hello $1, pleased to meet you")                                         \
	R(SENDER_OK, 250, "2.1.0", "$1... Sender ok")                                              \
	R(RECIPIENT_OK, 250, "2.1.5", "$1... Recipient ok")                                        \
	R(GO_AHEAD, 354, "", "Enter mail, end with \".\" on a line by itself")                     \
	R(CHUNK_OK, 250, "2.0.0", "$1 octets received")                                            \
	R(ACCEPTED, 250, "2.0.0", "$1 Message accepted for delivery")                              \
	R(BYE, 221, "2.0.0", "$h closing connection")                                              \
	R(RESET, 250, "2.0.0", "Reset state")                                                      \
	R(OK, 250, "2.0.0", "OK")                                                                  \
	R(READY_FOR_TLS, 220, "2.0.0", "Ready to start TLS")                                       \
	R(LOGGED_IN, 235, "2.7.0", "Authentication successful")                                    \
	R(CANNOT_VERIFY, 252, "2.5.2",                                                             \
		"Cannot VRFY user, but will accept message and attempt delivery")                  \
	/* the client's side is wrong */                                                           \
	R(UNKNOWN_COMMAND, 500, "5.5.1", "Command unrecognized: \"$1\"")                           \
	R(LINE_TOO_LONG, 500, "5.5.2", "Line too long")                                            \
	R(SYNTAX, 501, "5.5.4", "Syntax: $1")                                                      \
	R(NO_ARGUMENT, 501, "5.5.4", "This command takes no argument")                             \
	R(BAD_ADDRESS, 501, "5.1.7", "Syntax error in address")                                    \
	R(BAD_RECIPIENT, 501, "5.1.3", "Syntax error in address")                                  \
	R(BAD_PARAMETER, 501, "5.5.4", "Bad value of a parameter")                                 \
	R(NOT_IMPLEMENTED, 502, "5.5.1", "Command not implemented")                                \
	R(UNKNOWN_PARAMETER, 555, "5.5.4", "Parameter not recognized")                             \
	R(UNKNOWN_MECHANISM, 504, "5.5.4", "Unrecognized authentication type")                     \
	R(NEEDS_UTF8, 553, "5.6.7", "Address needs SMTPUTF8")                                      \
	R(HELLO_FIRST, 503, "5.5.1", "Say HELO or EHLO first")                                     \
	R(MAIL_FIRST, 503, "5.5.1", "Need MAIL before this")                                       \
	R(RCPT_FIRST, 503, "5.5.1", "Need RCPT before this")                                       \
	R(IN_TRANSACTION, 503, "5.5.1", "Not during a mail transaction")                           \
	R(IN_CHUNKS, 503, "5.5.1", "BDAT has begun: only BDAT or RSET now")                        \
	R(NO_VALID_RECIPIENTS, 554, "5.5.1", "No valid recipients")                                \
	R(TLS_ALREADY, 503, "5.5.1", "TLS is active already")                                      \
	R(NO_TLS, 454, "4.7.0", "TLS not available")                                               \
	R(TLS_FIRST, 530, "5.7.0", "Must issue a STARTTLS command first")                          \
	R(LOGIN_FIRST, 530, "5.7.0", "Authentication required")                                    \
	R(NO_AUTH_HERE, 503, "5.5.1", "Authentication not offered here")                           \
	R(AUTH_NEEDS_TLS, 538, "5.7.11", "Encryption required for authentication")                 \
	R(LOGGED_IN_ALREADY, 503, "5.5.1", "Already authenticated")                                \
	R(AUTH_CANCELLED, 501, "5.7.0", "Authentication cancelled")                                \
	R(AUTH_MALFORMED, 501, "5.5.2", "Cannot decode response")                                  \
	R(AUTH_FAILED, 535, "5.7.8", "Authentication credentials invalid")                         \
	R(AUTH_DISABLED, 535, "5.7.13", "Account disabled")                                        \
	R(AUTH_LATER, 454, "4.7.0", "Temporary authentication failure")                            \
	R(AUTH_SLOWED, 454, "4.7.0", "Too many failed logins, try later")                          \
	R(TOO_MANY_ERRORS, 421, "4.7.0", "$h Too many errors, closing connection")                 \
	R(WRONG_PROTOCOL, 421, "4.7.0", "$h This is a mail server, closing connection")            \
	/* policy */                                                                               \
	R(NOT_YOUR_ADDRESS, 553, "5.7.1", "$1... Sender address not owned by you")                 \
	R(FROM_NOT_YOURS, 550, "5.7.1", "From address $1 not owned by you")                        \
	R(NO_SUCH_USER, 550, "5.1.1", "$1... User unknown")                                        \
	R(USER_DISABLED, 550, "5.2.1", "$1... Mailbox disabled")                                   \
	R(NO_RELAY, 550, "5.7.1", "$1... Relaying denied")                                         \
	R(TOO_MANY_RECIPIENTS, 452, "4.5.3", "Too many recipients")                                \
	/* the message */                                                                          \
	R(TOO_BIG, 552, "5.3.4", "Message size exceeds limit")                                     \
	R(BARE_NEWLINE, 550, "5.6.0", "Bare CR, bare LF or NUL in message")                        \
	R(HEADER_TOO_BIG, 552, "5.3.4", "Header section too big")                                  \
	R(MAIL_LOOP, 554, "5.4.6", "Too many hops: mail loop")                                     \
	R(BAD_FROM, 550, "5.6.0", "Cannot read the From field")                                    \
	R(REFUSED, 554, "5.0.0", "Message refused: $1")                                            \
	/* our side cannot, for now */                                                             \
	R(MAILBOX_FULL, 452, "4.2.2", "Mailbox full")                                              \
	R(NO_MEMORY, 452, "4.3.1", "Insufficient system storage, try later")                       \
	R(LATER, 451, "4.3.0", "Temporary failure, try later")                                     \
	R(TIMED_OUT, 421, "4.4.2", "$h Timeout, closing connection")                               \
	R(SHUTTING_DOWN, 421, "4.3.2", "$h Service shutting down, closing connection")             \
	R(TOO_MANY_CONNECTIONS, 421, "4.7.0", "$h Too many connections, try later")

enum smtp_reply {
	REPLY_NONE, /* nothing to say: success of a parser */
#define REPLY_ENUM(name, code, enhanced, text) REPLY_##name,
	SMTP_REPLIES(REPLY_ENUM)
#undef REPLY_ENUM
		REPLY_COUNT
};

/* Appends the reply as one line. */
void reply_format(enum smtp_reply, const char *hostname, struct slice argument, struct buffer *out);
/* 4xx and 5xx. */
bool reply_is_error(enum smtp_reply);
/* What a fault of the message or of a process behind us says to the client. */
enum smtp_reply reply_of_fault(enum fault);

#endif
