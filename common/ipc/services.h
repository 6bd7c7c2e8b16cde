/* SPDX-License-Identifier: ISC */
/*
 * The one table of what can be listened for: the word of `listen` sections, the process that
 * serves it, its usual port, and whether TLS starts with the first byte (RFC 8314 3).
 */
#ifndef IPC_SERVICES_H
#define IPC_SERVICES_H

#include "common/base/slice.h"
#include "common/ipc/payloads.h"
#include "common/ipc/process.h"

/* S(enumerator, word, process, port, TLS at once) */
#define IPC_SERVICES(S)                                                                            \
	S(SMTP, "smtp", SMTPD, 25, false)                                                          \
	S(SUBMISSION, "submission", SMTPD, 587, false)                                             \
	S(SUBMISSIONS, "submissions", SMTPD, 465, true)                                            \
	S(IMAP, "imap", IMAPD, 143, false)                                                         \
	S(IMAPS, "imaps", IMAPD, 993, true)                                                        \
	S(POP3, "pop3", POP3D, 110, false)                                                         \
	S(POP3S, "pop3s", POP3D, 995, true)

struct service_row {
	const char *name;
	enum process process;
	uint16_t port;
	bool tls_at_once;
};

/* A row per enum ipc_service; NULL for a value outside of it. */
const struct service_row *service_row(uint32_t service);
bool service_find_by_name(struct slice name, enum ipc_service *);

#endif
