/* SPDX-License-Identifier: ISC */
/* The private state of imapd: what all sessions share, and the sessions by account. */
#ifndef IMAPD_IMAPD_H
#define IMAPD_IMAPD_H

#include "common/ipc/front.h"
#include "imapd/session.h"

enum { IMAPD_ACCOUNT_BUCKETS = 4096 };

struct imapd;

/* One client: the session's core, and the connection that it is bound to. */
struct imap_client {
	struct imapd *imapd;
	struct connection *connection;
	struct imap_session session;
	bool is_queued; /* waits for a turn */
	bool has_ended; /* the peer sends no more */
	bool is_finished; /* the connection is being closed */
	bool awaits_rest; /* of a command, and not as long as for a command */
	struct imap_client *next_turn, *previous_turn;
	struct imap_client *next_of_account, *previous_of_account; /* after login */
};

struct imapd {
	struct front front; /* first: the handlers of front.h find it */
	struct imap_core core;
	struct event *turn;
	struct imap_client *turns, *turns_end; /* who waits for a turn, in order */
	struct imap_client *by_account[IMAPD_ACCOUNT_BUCKETS];
};

extern const struct session_calls imapd_session_calls;

MUST_USE enum fault imapd_start_turns(struct imapd *);
void imapd_stop_turns(struct imapd *);
/* Something of the account has changed: whoever idles there is told. */
void imapd_account_changed(struct imapd *, uint64_t account, uint32_t mailbox);
/* Hints may have been lost: everybody looks. */
void imapd_all_changed(struct imapd *);

/* on_mailboxd.c */
void on_changed(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);

enum fault imapd_sandbox(struct daemon *, void *state);

#endif
