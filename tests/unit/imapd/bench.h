/* SPDX-License-Identifier: ISC */
/*
 * A whole IMAP world in one process: a real store in a temporary directory, and several sessions
 * whose effects are answered by the writing half of the store and by a fake authd.  Used by the
 * transcripts, the other tests and the fuzzer.
 *
 * Accounts: alice@example.org and bob@example.org, password "secret" (also "w\ord" for alice).
 */
#ifndef TESTS_IMAPD_BENCH_H
#define TESTS_IMAPD_BENCH_H

#include "common/store/writer.h"
#include "imapd/session.h"

enum { BENCH_CLIENTS = 4, BENCH_EVENTS = 64 };

struct bench_pending;
struct bench;

struct bench_client {
	struct bench *bench;
	struct imap_session session;
	bool is_open, is_closed; /* closed: the session has asked for it */
	bool tls_wanted;
	struct buffer input; /* not yet used by the session */
	struct buffer output; /* not yet looked at by the test */
	struct bench_pending *pending; /* the answer that is on its way */
};

struct bench {
	char dir[64];
	struct store_writer *writer;
	struct imap_core core;
	struct clock clock;
	int64_t now_ms;
	struct bench_client clients[BENCH_CLIENTS];
	struct store_event events[BENCH_EVENTS]; /* committed, not yet told */
	size_t event_count;
	uint64_t alice, bob; /* account ids */
	struct slice public_key, private_key; /* that authd gives to alice's logins by password */
	uint64_t last_call;
	bool mailboxd_is_down;
	bool scram_started;
};

struct bench_options {
	bool starttls, tls; /* offered; from the first byte */
	bool remote; /* not over loopback */
	bool plaintext;
	uint64_t size_max, memory_max; /* 0: large */
};

/* Below TMPDIR or /tmp; aborts the test program when no store can be made. */
void bench_open(struct bench *);
/* The same with a change log of so many entries per account; bench_trim makes it that short. */
void bench_open_forgetful(struct bench *, uint32_t changes_max);
void bench_trim(struct bench *);
void bench_close(struct bench *);
/* A client connects; its greeting is in the output. */
void bench_connect(struct bench *, unsigned client, const struct bench_options *);
/* Gives bytes to a client's session in pieces of at most piece bytes (0: all at once). */
void bench_send(struct bench *, unsigned client, struct slice bytes, size_t piece);
/* Runs turns and answers until nothing moves. */
void bench_run(struct bench *);
/* A message is delivered, with Return-Path and Delivered-To in front. */
void bench_deliver(struct bench *, uint64_t account, const char *mailbox, struct slice message);
/* Closes one client. */
void bench_disconnect(struct bench *, unsigned client);

#endif
