/* SPDX-License-Identifier: ISC */
/*
 * The TLS certificates of the host: which files, when they changed, which number names which key.
 * A key that was replaced still signs for handshakes that began before.
 *
 * Files that only root may read are read once, before rights are dropped (keys_read in sandbox());
 * to follow their changes _authd must be able to read them.
 */
#ifndef AUTHD_KEYS_H
#define AUTHD_KEYS_H

#include "authd/certificate.h"
#include "common/base/clock.h"

enum {
	KEYS_MAX = 100, /* certificates */
	KEYS_POLL_MS = 10 * 1000,
};

struct keys;

MUST_USE enum fault keys_new(const struct clock *, struct keys **);
void keys_free(struct keys *); /* accepts NULL */

/* The list of files anew: begin, add each, commit.  Pairs that were there stay loaded. */
void keys_begin_files(struct keys *);
MUST_USE enum fault keys_add_file(struct keys *, struct slice chain_path, struct slice key_path);
void keys_commit_files(struct keys *);

/* Reads files that are new or changed, as bytes only. */
void keys_read(struct keys *);
/*
 * Turns what was read into keys; a bad pair is logged and what it had before stays.  Without any
 * file configured, a self-signed certificate for hostname is made, once.  True: the set of
 * certificates is another than before.
 */
bool keys_load(struct keys *, const char *hostname);

/* The certificates now: index 0..count-1. */
uint32_t keys_count(const struct keys *);
void keys_get(const struct keys *, uint32_t index, struct ipc_certificate *);
/* FAULT_NOT_FOUND: no such key (any more); else as certificate_sign. */
MUST_USE enum fault keys_sign(const struct keys *, const struct ipc_sign *, struct buffer *);

/* Paths, for the sandbox: NULL after the last. */
const char *keys_path(const struct keys *, uint32_t index);

#endif
