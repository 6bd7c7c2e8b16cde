/* SPDX-License-Identifier: ISC */
/*
 * The processes of the suite, as names and as sets.  Which of them are linked by a socketpair is
 * in process_links: maild makes those pairs and hands them over.
 */
#ifndef IPC_PROCESS_H
#define IPC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* P(enumerator, name) */
#define PROCESSES(P)                                                                               \
	P(MAILD, "maild")                                                                          \
	P(AUTHD, "authd")                                                                          \
	P(SMTPD, "smtpd")                                                                          \
	P(QUEUED, "queued")                                                                        \
	P(RELAYD, "relayd")                                                                        \
	P(DELIVERD, "deliverd")                                                                    \
	P(MAILBOXD, "mailboxd")                                                                    \
	P(IMAPD, "imapd")                                                                          \
	P(POP3D, "pop3d")                                                                          \
	P(MAILCTL, "mailctl")

#define PROCESS_ENUM(e, name) PROCESS_##e,
enum process { PROCESSES(PROCESS_ENUM) PROCESS_COUNT };
#undef PROCESS_ENUM

/* Sets of processes, for the columns of the message table. */
#define IN_SET(p) (1u << PROCESS_##p)
#define SET_FRONT (IN_SET(SMTPD) | IN_SET(IMAPD) | IN_SET(POP3D))
#define SET_CHILD                                                                                  \
	(SET_FRONT | IN_SET(AUTHD) | IN_SET(QUEUED) | IN_SET(RELAYD) | IN_SET(DELIVERD) |          \
		IN_SET(MAILBOXD))
#define SET_ANY ((1u << PROCESS_COUNT) - 1)

/* Static name, or "unknown" for a value outside the table. */
const char *process_name(enum process);
bool process_find(const char *name, enum process *);

#endif
