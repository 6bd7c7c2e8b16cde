/* SPDX-License-Identifier: ISC */
/* The sessions of smtpd, imapd and pop3d under one kind of name: PROCESS/WORKER/NUMBER. */
#ifndef MAILCTL_SESSIONS_H
#define MAILCTL_SESSIONS_H

#include "common/ipc/process.h"
#include "mailctl/mailctl.h"

struct session_name {
	enum process process;
	char worker[16], number[24];
};

/* Adds an object per session to the list; complains when a process does not answer. */
enum status sessions_list(const struct mailctl *, json_t *list);
/* Ends the IMAP and POP3 sessions of an account; complains when a process does not answer. */
enum status sessions_end_of(const struct mailctl *, const char *account);
bool session_name_parse(const char *name, struct session_name *);

#endif
