/* SPDX-License-Identifier: ISC */
/*
 * The one table of tagged replies (RFC 3501 7.1, response codes of RFC 5530), and the one place
 * where a fault becomes a reply.  Handlers name a reply.
 */
#ifndef IMAPD_REPLY_H
#define IMAPD_REPLY_H

#include "common/base/buffer.h"
#include "common/base/fault.h"

/* R(name, condition, response code, text).  An empty text: "NAME completed". */
#define IMAP_REPLIES(R)                                                                            \
	R(DONE, OK, "", "")                                                                        \
	R(SELECTED, OK, "READ-WRITE", "")                                                          \
	R(EXAMINED, OK, "READ-ONLY", "")                                                           \
	R(LOGGED_IN, OK, "", "Logged in")                                                          \
	R(BEGIN_TLS, OK, "", "Begin TLS negotiation now")                                          \
	R(SYNTAX, BAD, "", "Syntax error in the arguments")                                        \
	R(UNKNOWN, BAD, "", "Unknown command")                                                     \
	R(STATE, BAD, "", "Not allowed in this state")                                             \
	R(NUL, BAD, "", "NUL bytes are not allowed")                                               \
	R(TOO_LONG, BAD, "", "Command too long")                                                   \
	R(SEQUENCE, BAD, "", "No message has this sequence number")                                \
	R(CANCELLED, BAD, "", "Authentication cancelled")                                          \
	R(SASL_SYNTAX, BAD, "", "Malformed authentication exchange")                               \
	R(NOT_DONE, BAD, "", "Expected DONE")                                                      \
	R(NO_TLS, BAD, "", "TLS is not available")                                                 \
	R(BINARY, BAD, "", "Binary literals are not supported")                                    \
	R(PRIVACY, NO, "PRIVACYREQUIRED", "Log in under TLS: use STARTTLS first")                  \
	R(MECHANISM, NO, "CANNOT", "Mechanism not supported")                                      \
	R(AUTH_FAILED, NO, "AUTHENTICATIONFAILED", "Wrong user name or password")                  \
	R(AUTH_SLOWED, NO, "UNAVAILABLE", "Too many failed logins, try again later")               \
	R(DISABLED, NO, "CONTACTADMIN", "Account disabled")                                        \
	R(NONEXISTENT, NO, "NONEXISTENT", "No such mailbox")                                       \
	R(NOSELECT, NO, "NONEXISTENT", "This name holds only other mailboxes")                     \
	R(TRYCREATE, NO, "TRYCREATE", "No such mailbox")                                           \
	R(EXISTS, NO, "ALREADYEXISTS", "Mailbox exists already")                                   \
	R(HASCHILDREN, NO, "HASCHILDREN", "Mailbox has children")                                  \
	R(BAD_NAME, NO, "CANNOT", "Not a possible mailbox name")                                   \
	R(CANNOT, NO, "CANNOT", "Not possible with this mailbox")                                  \
	R(READ_ONLY, NO, "READ-ONLY", "Mailbox is selected read-only")                             \
	R(EXPUNGED, NO, "EXPUNGEISSUED", "Some of the messages have been expunged")                \
	R(TOO_BIG, NO, "TOOBIG", "Message is too big")                                             \
	R(EMPTY, NO, "CANNOT", "An empty message cannot be stored")                                \
	R(CHARSET, NO, "BADCHARSET (US-ASCII UTF-8)", "Unknown character set")                     \
	R(USEATTR, NO, "USEATTR", "This special use is not possible here")                         \
	R(LIMIT, NO, "LIMIT", "A limit is reached")                                                \
	R(OVERQUOTA, NO, "OVERQUOTA", "Mailbox is full")                                           \
	R(CORRUPTION, NO, "CORRUPTION", "Stored data is damaged")                                  \
	R(SEALED, NO, "NOPERM", "Encrypted mail is not open to this login: log in again")          \
	R(UNAVAILABLE, NO, "UNAVAILABLE", "Temporary failure, try again later")                    \
	R(SERVERBUG, NO, "SERVERBUG", "Internal error")

#define IMAP_REPLY_ENUM(name, condition, code, text) REPLY_##name,
enum imap_reply { IMAP_REPLIES(IMAP_REPLY_ENUM) REPLY_COUNT };
#undef IMAP_REPLY_ENUM

bool reply_is_bad(enum imap_reply);
bool reply_is_ok(enum imap_reply);
/* The reply that a fault of the store, of mailboxd or of authd means. */
enum imap_reply reply_of_fault(enum fault);

/* Where it is an answer to: the tag, the command's name as in the table, a code of its own. */
struct reply_line {
	struct slice tag;
	const char *command;
	struct slice code; /* empty: the table's */
};
/* tag SP resp-cond-state CRLF */
void reply_format(enum imap_reply, const struct reply_line *, struct buffer *);

#endif
