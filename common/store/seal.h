/* SPDX-License-Identifier: ISC */
/*
 * Mail that is encrypted at rest ("sealed") to the public key of its account.  Sealed by those who
 * hold the mail in clear anyway (deliverd, imapd), opened by those whom authd has given the private
 * key with a login (imapd, pop3d); the writer of the store, verify, backup and salvage see bytes.
 *
 *	chain key (random) ──crypto_box_seal──► box, in every header
 *	      ├──BLAKE2b──► content key of step 0 ──XChaCha20-Poly1305──► chunks of the stored
 *	      ▼                                                           body, stored structure
 *	next chain key ──► content key of step 1 ...
 *
 *	header of 112 bytes: "PbSl" | version 2 | step 2 | key id 8 | box 80 | nonce prefix 16
 *
 * A content key serves the messages of an account for some minutes and is then gone, as is every
 * chain key once the next follows from it: whoever breaks into a process that seals learns nothing
 * of the steps before.  A reader opens one box for a chain, and hashes for its steps.  Nonces do
 *not repeat: 128 random bits per message, then the domain (structure or body) and the number of the
 *chunk.  Each chunk is bound to the header, the domain, the codec and both lengths of the whole, so
 *that none can be changed, swapped, left out or put into another message.  pabal-store(5) says why
 *it is so, and what it does not hide.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/secret.h"
#include "common/base/slice.h"

enum {
	SEAL_KEY_LEN = 32, /* of all keys */
	SEAL_KEY_ID_LEN = 8,
	SEAL_BOX_LEN = 80,
	SEAL_NONCE_LEN = 16,
	SEAL_HEADER_LEN = 8 + SEAL_KEY_ID_LEN + SEAL_BOX_LEN + SEAL_NONCE_LEN,
	SEAL_TAG_LEN = 16,
	SEAL_CHUNK_SIZE = 32 * 1024, /* of what is sealed; a tag is added to each */
	SEAL_CONTENT_MS = 5 * 60 * 1000, /* how long a content key is used */
	SEAL_CHAIN_MS = 24 * 3600 * 1000, /* how long keys are taken from one chain */
	SEAL_STEPS_MAX = 64, /* of one chain: bounds what a header can make us hash */
	SEAL_RING_MAX = 4096, /* accounts whose chains are kept */
};

/* Where time and randomness come from. */
struct seal_source {
	const struct clock *clock;
	const struct entropy *entropy;
};

/* A chain in use, and its content key of now.  Zeroed at first; wiped by seal_content_clear. */
struct seal_content {
	int64_t chain_ends_at; /* mono; 0: there is none */
	int64_t expires_at; /* of key; 0: there is none */
	uint8_t public_key[SEAL_KEY_LEN]; /* of the account */
	uint8_t key_id[SEAL_KEY_ID_LEN];
	uint8_t box[SEAL_BOX_LEN];
	uint8_t chain[SEAL_KEY_LEN]; /* from which the next key will follow */
	uint16_t next_step; /* of that */
	uint16_t step; /* of key */
	uint8_t key[SEAL_KEY_LEN];
};

/* Takes the next key when there is none or it is too old; from a new chain when there is none for
 * this account, or it has ended.  FAULT_DAMAGED: no public key. */
MUST_USE enum fault seal_content_refresh(struct seal_content *, const struct seal_source *,
	const uint8_t public_key[static SEAL_KEY_LEN]);
void seal_content_clear(struct seal_content *);

/* The chains of many accounts. */
struct seal_ring;

struct seal_ring *seal_ring_new(const struct seal_source *);
void seal_ring_free(struct seal_ring *); /* wipes; accepts NULL */
/* Valid until the next call.  FAULT_DAMAGED: no public key. */
MUST_USE enum fault seal_ring_content(
	struct seal_ring *, struct slice public_key, const struct seal_content **);
/* Wipes content keys and chains that are too old; to be called now and then. */
void seal_ring_sweep(struct seal_ring *);

/* One message, while it is sealed or read. */
struct sealing {
	uint8_t header[SEAL_HEADER_LEN];
	uint8_t key[SEAL_KEY_LEN];
};

/* A new one, with a nonce prefix of its own. */
void seal_begin(const struct seal_content *, const struct entropy *, struct sealing *);
void sealing_clear(struct sealing *);

enum seal_domain { SEAL_BODY = 1, SEAL_STRUCTURE = 2 };

/* What is sealed, as a whole: bound into every chunk. */
struct seal_part {
	enum seal_domain domain;
	uint8_t codec; /* of the body as it was before; 0 for a structure */
	uint64_t len; /* bytes that are sealed */
	uint64_t plain_len; /* of the unpacked body; len for a structure */
};

/* Bytes on the disk: header, chunks, tags.  What is empty has one chunk. */
uint64_t seal_stored_len(uint64_t len);
/* The reverse; false when no length gives this. */
bool seal_len(uint64_t stored_len, uint64_t *len);
/* Where a chunk's bytes begin, from the start of the header. */
uint64_t seal_chunk_offset(uint64_t chunk);
/* How many bytes a chunk of the part holds, without its tag. */
size_t seal_chunk_len(const struct seal_part *, uint64_t chunk);

/* Writes the chunk and its tag to out, which has room for SEAL_TAG_LEN more than it. */
void seal_chunk(const struct sealing *, const struct seal_part *, uint64_t chunk, struct slice in,
	void *out);
/* FAULT_DAMAGED unless it is exactly this chunk of this message; out has room without the tag. */
MUST_USE enum fault seal_open_chunk(const struct sealing *, const struct seal_part *,
	uint64_t chunk, struct slice in, void *out);

/* Header and sealed bytes of a stored structure, appended; true when bytes look like one. */
void seal_structure(const struct sealing *, struct slice structure, struct buffer *out);
bool seal_is_structure(struct slice bytes);

/* The key of a logged-in session, and the chains that it has opened lately. */
struct seal_opener;

/* NULL when memory is out.  Keys of SEAL_KEY_LEN bytes; public_key follows from the private one. */
struct seal_opener *seal_opener_new(struct slice private_key);
void seal_opener_free(struct seal_opener *); /* wipes; accepts NULL */
/* Can it open what is sealed to this key?  False for NULL. */
bool seal_opener_fits(const struct seal_opener *, const uint8_t public_key[static SEAL_KEY_LEN]);
/*
 * Fills sealing from a header.  FAULT_SEALED: sealed to another key, or opener is NULL;
 * FAULT_DAMAGED, FAULT_UNSUPPORTED (a newer version).
 */
MUST_USE enum fault seal_open(
	struct seal_opener *, const uint8_t header[static SEAL_HEADER_LEN], struct sealing *);
/* Replaces *out by the structure.  The faults of seal_open and seal_open_chunk, NOMEM, BUDGET. */
MUST_USE enum fault seal_open_structure(
	struct seal_opener *, struct slice bytes, struct buffer *out);

#endif
