/* SPDX-License-Identifier: ISC */
/*
 * Two streams that talk to each other over a socketpair in one event loop, and certificates made
 * on the spot whose keys answer a loop turn later.
 */
#ifndef TESTS_UNIT_NET_PEER_H
#define TESTS_UNIT_NET_PEER_H

#include <event2/event.h>
#include <openssl/evp.h>

#include "common/base/buffer.h"
#include "common/net/stream.h"
#include "common/net/tls.h"

/* One end, with what happened to it. */
struct peer {
	struct stream *stream; /* NULL once closed */
	struct buffer got;
	size_t take; /* input() consumes at most so many bytes */
	bool echo;
	bool close_before_consuming; /* as a session does that says good-bye */
	unsigned inputs, drains, timeouts, ends, tls_starts, closes, connects;
	enum fault why;
	const char *say_after_tls;
};

extern const struct stream_calls peer_calls;

void peer_open(struct event_base *, struct peer *a, struct peer *b);
void peer_attach(struct event_base *, struct peer *, int fd);
void peer_clear(struct peer *);

/* Runs the loop until the condition holds; fails after two seconds. */
void run_until(struct event_base *, bool (*holds)(void *arg), void *arg);
bool peer_is_closed(void *peer);
bool peer_has_tls(void *peer);

/* A signer with real keys behind it, which answers later, or never. */
struct fake_signer {
	struct event_base *base;
	struct tls_signer signer;
	EVP_PKEY *keys[4]; /* by key id */
	unsigned asked;
	bool fail, withhold, at_once;
	struct tls_sign *held[512];
	unsigned held_count;
};

void fake_signer_init(struct fake_signer *, struct event_base *);
/* Answers what was withheld. */
void fake_signer_release(struct fake_signer *);
void fake_signer_clear(struct fake_signer *);
/* Makes key and self-signed certificate for the name and adds it to the server. */
enum fake_key { FAKE_RSA, FAKE_EC };
void fake_signer_add(struct fake_signer *, struct tls_server *, enum fake_key, const char *name);

#endif
