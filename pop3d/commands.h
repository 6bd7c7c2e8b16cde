/* SPDX-License-Identifier: ISC */
/*
 * The only list of POP3 commands, and the only one of replies.  A command goes parse -> permit ->
 * perform; CAPA (RFC 2449 5) is derived from the table.
 */
#ifndef POP3D_COMMANDS_H
#define POP3D_COMMANDS_H

#include "pop3d/pop3.h"

#define POP3_IN_AUTHORIZATION (1u << POP3_AWAIT_LOGIN | 1u << POP3_AWAIT_PASS)
#define POP3_IN_TRANSACTION (1u << POP3_AWAIT_COMMAND)
#define POP3_IN_ANY (POP3_IN_AUTHORIZATION | POP3_IN_TRANSACTION)

/* C(name, verb, parser, states, capability, offered) */
#define POP3_COMMANDS(C)                                                                           \
	C(capa, "CAPA", parse_nothing, POP3_IN_ANY, NULL, always)                                  \
	C(stls, "STLS", parse_nothing, POP3_IN_AUTHORIZATION, "STLS", can_start_tls)               \
	C(user, "USER", parse_text, POP3_IN_AUTHORIZATION, "USER", can_log_in)                     \
	C(pass, "PASS", parse_text, POP3_IN_AUTHORIZATION, NULL, always)                           \
	C(auth, "AUTH", parse_optional_text, POP3_IN_AUTHORIZATION, "SASL", can_log_in)            \
	C(utf8, "UTF8", parse_nothing, POP3_IN_AUTHORIZATION, "UTF8 USER", always)                 \
	C(quit, "QUIT", parse_nothing, POP3_IN_ANY, NULL, always)                                  \
	C(noop, "NOOP", parse_nothing, POP3_IN_TRANSACTION, NULL, always)                          \
	C(stat, "STAT", parse_nothing, POP3_IN_TRANSACTION, NULL, always)                          \
	C(list, "LIST", parse_optional_number, POP3_IN_TRANSACTION, NULL, always)                  \
	C(uidl, "UIDL", parse_optional_number, POP3_IN_TRANSACTION, "UIDL", always)                \
	C(retr, "RETR", parse_number, POP3_IN_TRANSACTION, NULL, always)                           \
	C(top, "TOP", parse_number_and_lines, POP3_IN_TRANSACTION, "TOP", always)                  \
	C(dele, "DELE", parse_number, POP3_IN_TRANSACTION, NULL, always)                           \
	C(rset, "RSET", parse_nothing, POP3_IN_TRANSACTION, NULL, always)

/* Capabilities without a command.  RFC 2449 6.4 RESP-CODES, 6.6 PIPELINING, RFC 3206. */
#define POP3_CAPABILITIES                                                                          \
	"RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nIMPLEMENTATION Pabal\r\n"

/* R(name, text): response codes by RFC 2449 8 and RFC 3206 */
#define POP3_REPLIES(R)                                                                            \
	R(BYE, "+OK Good-bye.")                                                                    \
	R(NOTHING_DONE, "+OK")                                                                     \
	R(USER_NOTED, "+OK Now the password.")                                                     \
	R(TLS_BEGINS, "+OK Begin TLS.")                                                            \
	R(UTF8_ON, "+OK UTF-8 it is.")                                                             \
	R(MARKS_GONE, "+OK Nothing is marked for deletion.")                                       \
	R(MARKED, "+OK Marked for deletion.")                                                      \
	R(CAPABILITIES, "+OK Capabilities follow.")                                                \
	R(MECHANISMS, "+OK Mechanisms follow.")                                                    \
	R(LISTING, "+OK Listing follows.")                                                         \
	R(MESSAGE, "+OK Message follows.")                                                         \
	R(UNKNOWN, "-ERR Unknown command.")                                                        \
	R(SYNTAX, "-ERR Wrong arguments.")                                                         \
	R(NOT_NOW, "-ERR Not in this state.")                                                      \
	R(TOO_LONG, "-ERR Line too long.")                                                         \
	R(TOO_MANY_ERRORS, "-ERR Too many errors.")                                                \
	R(TLS_NOT_NOW, "-ERR TLS is not available.")                                               \
	R(TLS_FIRST, "-ERR Passwords are taken with TLS only; use STLS.")                          \
	R(USER_FIRST, "-ERR USER comes first.")                                                    \
	R(NO_MECHANISM, "-ERR Unknown mechanism.")                                                 \
	R(CANCELLED, "-ERR Cancelled.")                                                            \
	R(MALFORMED, "-ERR Malformed response.")                                                   \
	R(NO_SUCH_MESSAGE, "-ERR No such message.")                                                \
	R(MESSAGE_GONE, "-ERR The message is gone: another client removed it.")                    \
	R(MESSAGE_DAMAGED, "-ERR [SYS/PERM] The message cannot be read.")                          \
	R(MESSAGE_SEALED, "-ERR [SYS/PERM] The message is encrypted to a key that is not open.")   \
	R(AUTH_FAILED, "-ERR [AUTH] Wrong name or password.")                                      \
	R(DISABLED, "-ERR [AUTH] The account is disabled.")                                        \
	R(SLOWED, "-ERR [SYS/TEMP] Too many failed logins, try later.")                            \
	R(IN_USE, "-ERR [IN-USE] Another session has this maildrop.")                              \
	R(TEMPORARY, "-ERR [SYS/TEMP] Try again later.")                                           \
	R(PERMANENT, "-ERR [SYS/PERM] It cannot be done.")                                         \
	R(NOT_REMOVED, "-ERR [SYS/TEMP] No message was removed; try again later.")

#define POP3_REPLY_ENUM(name, text) POP3_SAY_##name,
enum pop3_reply { POP3_REPLIES(POP3_REPLY_ENUM) POP3_REPLY_COUNT };
#undef POP3_REPLY_ENUM

/* Adds the reply's line. */
void pop3_say(struct pop3 *, enum pop3_reply);
/* The same for a client's mistake: too many end the session. */
void pop3_say_error(struct pop3 *, enum pop3_reply);
/* The reply that a fault of another process or of the store means. */
enum pop3_reply pop3_reply_of(enum fault);
/* Performs one command line. */
void pop3_command(struct pop3 *, struct slice line);
/* Acts on a step of the SASL exchange. */
void pop3_sasl_step(struct pop3 *, enum sasl_step);
void pop3_end_sasl(struct pop3 *);
void pop3_close(struct pop3 *);

#endif
