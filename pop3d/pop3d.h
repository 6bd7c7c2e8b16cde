/* SPDX-License-Identifier: ISC */
/*
 * pop3d's private state.  It talks to the network and reads the store; it has no key, no password
 * hash and no right to write mail.  Deletions are a request to mailboxd.
 */
#ifndef POP3D_POP3D_H
#define POP3D_POP3D_H

#include "common/ipc/front.h"
#include "common/store/reader.h"
#include "common/store/seal.h"
#include "pop3d/pop3.h"

enum { LOCK_BUCKETS = 1024 };

struct pop3_session;

struct pop3d {
	struct front front; /* first: front.h */
	struct store_reader *reader;
	struct pop3_session *locks[LOCK_BUCKETS]; /* sessions that have a maildrop, by account */
	struct buffer piece; /* of a message, on its way from the store to a session */
	uint64_t logins, retrieved, removed;
};

struct pop3_session {
	struct pop3d *pop3d;
	struct connection *connection;
	struct pop3 core;
	struct front_login login;
	uint64_t call; /* to mailboxd; 0: none */
	struct store_content *content; /* of the message being sent */
	struct seal_opener *key; /* of encrypted mail; NULL: none.  Wiped with the session */
	uint64_t locked; /* account, 0: none */
	struct pop3_session *next_lock;
};

/* sandbox.c */
enum fault pop3d_sandbox(struct daemon *, void *state);
/* session.c */
extern const struct session_calls pop3_session_calls;

/* locks.c: one session per maildrop (RFC 1939 4).  False: another session has it. */
bool lock_take(struct pop3_session *, uint64_t account);
void lock_release(struct pop3_session *);

/* mail.c: the maildrop and its messages, from the store. */
/* Fills core.drop; FAULT_NOT_FOUND: mailboxd has no such account yet. */
MUST_USE enum fault mail_load(struct pop3_session *);
/* Finds the message of core.transfer. */
MUST_USE enum fault mail_open(struct pop3_session *, uint64_t *size);
/* Reads the next piece; it is gone with the next call. */
MUST_USE enum fault mail_read(struct pop3_session *, struct slice *piece);
void mail_close(struct pop3_session *);
/* Sealed mail is read with this key from now on, or with none. */
MUST_USE enum fault mail_set_key(struct pop3_session *, struct slice private_key);
void mail_forget_key(struct pop3_session *);

#endif
