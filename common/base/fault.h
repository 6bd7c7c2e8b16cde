/* SPDX-License-Identifier: ISC */
/*
 * The one table of faults.  Temporary or permanent is the question that mail always asks, so it
 * stands beside the name.  Each protocol maps a fault to its own reply in one place.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))

/* F(name, temporary, text) */
#define FAULTS(F)                                                                                  \
	F(OK, false, "no fault")                                                                   \
	F(NOMEM, true, "out of memory")                                                            \
	F(BUDGET, true, "over the memory budget")                                                  \
	F(IO, true, "input or output error")                                                       \
	F(NO_SPACE, true, "disk full")                                                             \
	F(TIMEOUT, true, "timed out")                                                              \
	F(PEER_LOST, true, "a needed process is not running")                                      \
	F(PEER_PROTOCOL, true, "a process broke the message rules")                                \
	F(BUSY, true, "busy, try again")                                                           \
	F(DAMAGED, true, "stored data is damaged")                                                 \
	F(INTERNAL, true, "internal error")                                                        \
	F(SYNTAX, false, "syntax error")                                                           \
	F(TOO_LONG, false, "too long")                                                             \
	F(TOO_BIG, false, "message too big")                                                       \
	F(TOO_MANY, false, "too many")                                                             \
	F(LIMIT, false, "a configured limit is reached")                                           \
	F(UNSUPPORTED, false, "not supported")                                                     \
	F(DENIED, false, "not permitted")                                                          \
	F(NOT_FOUND, false, "not found")                                                           \
	F(EXISTS, false, "exists already")                                                         \
	F(HAS_CHILDREN, false, "has children")                                                     \
	F(CONFLICT, false, "changed meanwhile")                                                    \
	F(EXPIRED, false, "expired")                                                               \
	F(SEALED, false, "encrypted to a key that is not open")                                    \
	F(AUTH_FAILED, false, "authentication failed")                                             \
	F(AUTH_SLOWED, true, "too many failed logins, try later")                                  \
	F(ACCOUNT_DISABLED, false, "account disabled")                                             \
	F(NO_SUCH_USER, false, "no such user")                                                     \
	F(NOT_LOCAL, false, "not a local address")                                                 \
	F(OVER_QUOTA, true, "mailbox full")                                                        \
	F(MAIL_LOOP, false, "mail loop")                                                           \
	F(CONFIG, false, "configuration error")                                                    \
	F(TLS, true, "TLS failure")                                                                \
	F(DNS, true, "DNS failure")                                                                \
	F(CHARSET, false, "unknown character set")                                                 \
	F(REFUSED_NOW, true, "the other host cannot take it now")                                  \
	F(REFUSED, false, "the other host refused it")                                             \
	F(UNREACHABLE, true, "the other host cannot be reached")

#define FAULT_ENUM(name, temporary, text) FAULT_##name,
enum fault { FAULTS(FAULT_ENUM) FAULT_COUNT };
#undef FAULT_ENUM

/* False for a value that is no fault of the table (one that came from another process). */
bool fault_is_known(unsigned value);
bool fault_is_temporary(enum fault);
/*
 * A fault of our own disk or memory, which is none of the mail's: one that is permanent elsewhere
 * (a file system that has become read-only is FAULT_DENIED) becomes FAULT_IO, so that nobody's mail
 * bounces for it.
 */
enum fault fault_of_host(enum fault);
/* Static text for people, without a full stop. */
const char *fault_text(enum fault);
/* Static name, for example "NO_SPACE": for logs and JSON. */
const char *fault_name(enum fault);
/* The fault that an errno of a file, memory or socket call means; 0 is FAULT_OK. */
enum fault fault_from_errno(int error);

#endif
