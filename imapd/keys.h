/* SPDX-License-Identifier: ISC */
/*
 * The keys of an account whose mail is encrypted at rest, as authd has given them with the login.
 * They live with the session, are never logged, and are wiped with it.  Linked by imapd.
 */
#ifndef IMAPD_KEYS_H
#define IMAPD_KEYS_H

#include "common/store/package.h"
#include "imapd/session.h"

/* What an answer to a login brings: AUTH_RESULT or SCRAM_RESULT; empty: none. */
struct keys_given {
	struct slice public_key; /* new mail is sealed to it */
	struct slice private_key;
};

/* Takes them over into the session; FAULT_NOMEM, FAULT_PEER_PROTOCOL. */
MUST_USE enum fault keys_set(struct imap_session *, const struct keys_given *);
/* Wipes and frees s->keys, if any. */
void keys_free(struct imap_session *);
/* Sealed mail is now read with this session's key, or none. */
void keys_use(struct imap_session *);
/* The session has a private key; what it still cannot open is of another one. */
bool keys_are_open(const struct imap_session *);
/*
 * Replaces a package by its sealed form, when the account wants that.  FAULT_SEALED: the session
 * could not read it again, as authd has given no private key, or another one.
 */
MUST_USE enum fault keys_seal(struct imap_session *, struct package *);

#endif
