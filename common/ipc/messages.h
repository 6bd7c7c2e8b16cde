/* SPDX-License-Identifier: ISC */
/*
 * The one table of messages between processes.  It yields the enum, the names for logs, the checks
 * of direction and descriptor, the typed send functions and the table in pabal-ipc(7).  Payload
 * structs are in payloads.h; the fields and their limits in payloads.c.
 *
 * M(TYPE, payload, from, to, descriptor, answer)
 *   from, to    sets of processes that may send and receive it
 *   descriptor  NO_FD, FD (must carry one) or MAY_FD (large data by memfd when it is there)
 *   answer      the message that answers it, or NONE.  An answer carries the request id of what it
 *               answers, and its payload begins with a fault.
 */
#ifndef IPC_MESSAGES_H
#define IPC_MESSAGES_H

#include "common/ipc/process.h"

enum ipc_descriptor { IPC_NO_FD, IPC_FD, IPC_MAY_FD };

#define IPC_MESSAGES(M)                                                                            \
	/* both ways on every link, first */                                                       \
	M(HELLO, hello, SET_ANY, SET_ANY, NO_FD, NONE)                                             \
	/* maild and its children */                                                               \
	M(SETTING, setting, IN_SET(MAILD), SET_CHILD, NO_FD, NONE)                                 \
	M(ROUTE, route, IN_SET(MAILD), IN_SET(RELAYD), NO_FD, NONE)                                \
	M(KEY_FILE, key_file, IN_SET(MAILD), IN_SET(AUTHD), NO_FD, NONE)                           \
	M(LISTENER, listener, IN_SET(MAILD), SET_FRONT, FD, NONE)                                  \
	M(PEER, peer, IN_SET(MAILD), SET_CHILD, FD, NONE)                                          \
	M(CONFIGURED, empty, IN_SET(MAILD), SET_CHILD, NO_FD, NONE)                                \
	M(READY, empty, SET_CHILD, IN_SET(MAILD), NO_FD, NONE)                                     \
	M(PEER_BROKEN, peer, SET_CHILD, IN_SET(MAILD), NO_FD, NONE)                                \
	M(SHUTDOWN, empty, IN_SET(MAILD), SET_CHILD, NO_FD, NONE)                                  \
	M(CONTROL, control, IN_SET(MAILCTL) | IN_SET(MAILD), SET_CHILD | IN_SET(MAILD), NO_FD,     \
		CONTROL_DONE)                                                                      \
	/* carries the request id of a CONTROL whose asker has gone; its answer still comes */     \
	M(CONTROL_CANCEL, empty, IN_SET(MAILD), SET_CHILD, NO_FD, NONE)                            \
	M(CONTROL_TEXT, control_text, SET_CHILD | IN_SET(MAILD), IN_SET(MAILD) | IN_SET(MAILCTL),  \
		NO_FD, NONE)                                                                       \
	M(CONTROL_DONE, done, SET_CHILD | IN_SET(MAILD), IN_SET(MAILD) | IN_SET(MAILCTL), NO_FD,   \
		NONE)                                                                              \
	/* a message of a backup, which mailctl has read */                                        \
	M(RESTORE, restore, IN_SET(MAILCTL) | IN_SET(MAILD), IN_SET(MAILD) | IN_SET(MAILBOXD), FD, \
		RESTORED)                                                                          \
	M(RESTORED, restored, IN_SET(MAILBOXD) | IN_SET(MAILD), IN_SET(MAILD) | IN_SET(MAILCTL),   \
		NO_FD, NONE)                                                                       \
	/* the directory: who may log in, which addresses exist */                                 \
	M(AUTH_PLAIN, auth_plain, SET_FRONT, IN_SET(AUTHD), NO_FD, AUTH_RESULT)                    \
	M(AUTH_RESULT, auth_result, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                         \
	M(SCRAM_START, scram_start, SET_FRONT, IN_SET(AUTHD), NO_FD, SCRAM_CHALLENGE)              \
	M(SCRAM_CHALLENGE, scram_challenge, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                 \
	M(SCRAM_FINISH, scram_finish, SET_FRONT, IN_SET(AUTHD), NO_FD, SCRAM_RESULT)               \
	M(SCRAM_RESULT, scram_result, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                       \
	M(RECIPIENT_CHECK, address, IN_SET(SMTPD), IN_SET(AUTHD), NO_FD, RECIPIENT_CHECKED)        \
	M(RECIPIENT_CHECKED, recipient_checked, IN_SET(AUTHD), IN_SET(SMTPD), NO_FD, NONE)         \
	M(SENDER_CHECK, sender_check, IN_SET(SMTPD), IN_SET(AUTHD), NO_FD, SENDER_CHECKED)         \
	M(SENDER_CHECKED, done, IN_SET(AUTHD), IN_SET(SMTPD), NO_FD, NONE)                         \
	M(EXPAND, address, IN_SET(DELIVERD), IN_SET(AUTHD), NO_FD, EXPANDED)                       \
	M(EXPANDED, expanded, IN_SET(AUTHD), IN_SET(DELIVERD), NO_FD, NONE)                        \
	/* TLS: certificates out, signatures by request */                                         \
	M(CERTIFICATES, certificates, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                       \
	M(CERTIFICATE, certificate, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                         \
	M(SIGN, sign, SET_FRONT, IN_SET(AUTHD), NO_FD, SIGNED)                                     \
	M(SIGNED, signed_digest, IN_SET(AUTHD), SET_FRONT, NO_FD, NONE)                            \
	/* mail on its way */                                                                      \
	M(SUBMIT, submit, IN_SET(SMTPD), IN_SET(QUEUED), FD, SUBMITTED)                            \
	M(SUBMITTED, submitted, IN_SET(QUEUED), IN_SET(SMTPD), NO_FD, NONE)                        \
	M(DELIVER, deliver, IN_SET(QUEUED), IN_SET(DELIVERD), FD, DELIVERED)                       \
	M(DELIVERED, delivered, IN_SET(DELIVERD), IN_SET(QUEUED), NO_FD, NONE)                     \
	M(RELAY, relay, IN_SET(QUEUED), IN_SET(RELAYD), FD, RELAYED)                               \
	M(RELAYED, relayed, IN_SET(RELAYD), IN_SET(QUEUED), NO_FD, NONE)                           \
	/* the store's writer */                                                                   \
	M(ACCOUNT_ENSURE, account_ensure, IN_SET(IMAPD) | IN_SET(POP3D), IN_SET(MAILBOXD), NO_FD,  \
		ACCOUNT_ENSURED)                                                                   \
	M(ACCOUNT_ENSURED, done, IN_SET(MAILBOXD), IN_SET(IMAPD) | IN_SET(POP3D), NO_FD, NONE)     \
	M(APPEND, append, IN_SET(DELIVERD) | IN_SET(IMAPD), IN_SET(MAILBOXD), FD, APPENDED)        \
	M(APPENDED, appended, IN_SET(MAILBOXD), IN_SET(DELIVERD) | IN_SET(IMAPD), NO_FD, NONE)     \
	M(FLAGS_STORE, flags_store, IN_SET(IMAPD), IN_SET(MAILBOXD), MAY_FD, FLAGS_STORED)         \
	M(FLAGS_STORED, flags_stored, IN_SET(MAILBOXD), IN_SET(IMAPD), MAY_FD, NONE)               \
	M(COPY, copy, IN_SET(IMAPD), IN_SET(MAILBOXD), MAY_FD, COPIED)                             \
	M(COPIED, copied, IN_SET(MAILBOXD), IN_SET(IMAPD), MAY_FD, NONE)                           \
	M(EXPUNGE, expunge, IN_SET(IMAPD) | IN_SET(POP3D), IN_SET(MAILBOXD), MAY_FD, EXPUNGED)     \
	M(EXPUNGED, expunged, IN_SET(MAILBOXD), IN_SET(IMAPD) | IN_SET(POP3D), NO_FD, NONE)        \
	M(MAILBOX_CREATE, mailbox_create, IN_SET(IMAPD), IN_SET(MAILBOXD), NO_FD, MAILBOX_DONE)    \
	M(MAILBOX_DELETE, mailbox_name, IN_SET(IMAPD), IN_SET(MAILBOXD), NO_FD, MAILBOX_DONE)      \
	M(MAILBOX_RENAME, mailbox_rename, IN_SET(IMAPD), IN_SET(MAILBOXD), NO_FD, MAILBOX_DONE)    \
	M(MAILBOX_SUBSCRIBE, mailbox_subscribe, IN_SET(IMAPD), IN_SET(MAILBOXD), NO_FD,            \
		MAILBOX_DONE)                                                                      \
	M(MAILBOX_DONE, mailbox_done, IN_SET(MAILBOXD), IN_SET(IMAPD), NO_FD, NONE)                \
	M(RECENT_CLAIM, recent_claim, IN_SET(IMAPD), IN_SET(MAILBOXD), NO_FD, RECENT_CLAIMED)      \
	M(RECENT_CLAIMED, recent_claimed, IN_SET(MAILBOXD), IN_SET(IMAPD), NO_FD, NONE)            \
	M(CHANGED, changed, IN_SET(MAILBOXD), IN_SET(IMAPD), NO_FD, NONE)

#define IPC_ENUM(type, payload, from, to, fd, answer) IPC_##type,
enum ipc_type { IPC_NONE, IPC_MESSAGES(IPC_ENUM) IPC_TYPE_COUNT };
#undef IPC_ENUM

/* Static name for logs. */
const char *ipc_type_name(enum ipc_type);

#endif
