/* SPDX-License-Identifier: ISC */
/*
 * Sealing and opening of stored mail: headers, chunks, structures.  Linked by deliverd and imapd to
 * seal, by imapd and pop3d to open.  What lies on the disk is trusted only as far as a tag proves
 * it.
 */
#include "common/store/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"

#define MAGIC UINT32_C(0x5062536c) /* "PbSl" */

enum {
	VERSION = 1,
	AT_VERSION = 4,
	AT_STEP = 6,
	AT_KEY_ID = 8,
	AT_BOX = AT_KEY_ID + SEAL_KEY_ID_LEN,
	AT_NONCE = AT_BOX + SEAL_BOX_LEN,
	NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	CONTEXT_LEN = SEAL_HEADER_LEN + 2 + 8 + 8,
	OPENED_MAX = 16, /* chains that an opener remembers */
};

_Static_assert((int)SEAL_BOX_LEN == crypto_box_SEALBYTES + SEAL_KEY_LEN, "a key in a sealed box");
_Static_assert(NONCE_LEN == SEAL_NONCE_LEN + 8, "prefix, domain and chunk");
_Static_assert((int)SEAL_KEY_LEN == crypto_box_PUBLICKEYBYTES, "X25519");
_Static_assert((int)SEAL_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "Poly1305");

/* Names a public key in headers, so that mail of another key is told from damaged mail. */
static void
key_id_of(const uint8_t *public_key, uint8_t id[static SEAL_KEY_ID_LEN])
{
	uint8_t sum[crypto_generichash_BYTES];

	crypto_generichash(sum, sizeof sum, public_key, SEAL_KEY_LEN, NULL, 0);
	memcpy(id, sum, SEAL_KEY_ID_LEN);
}

/* One step of a chain: what follows from a chain key, for one use. */
static void
derive(const uint8_t *chain, const char *label, uint8_t out[static SEAL_KEY_LEN])
{
	crypto_generichash_blake2b_salt_personal(
		out, SEAL_KEY_LEN, NULL, 0, chain, SEAL_KEY_LEN, NULL, (const uint8_t *)label);
}

/* 16 bytes each: BLAKE2b's personalisation. */
static const char label_next[] = "pabal seal next ", label_key[] = "pabal seal key  ";

static void
advance(uint8_t chain[static SEAL_KEY_LEN])
{
	uint8_t next[SEAL_KEY_LEN];

	derive(chain, label_next, next);
	memcpy(chain, next, sizeof next);
	secret_wipe(next, sizeof next);
}

static enum fault
draw_chain(struct seal_content *c, const struct seal_source *source, const uint8_t *public_key)
{
	seal_content_clear(c);
	source->entropy->fill(source->entropy->arg, c->chain, sizeof c->chain);
	if (crypto_box_seal(c->box, c->chain, sizeof c->chain, public_key) != 0) {
		seal_content_clear(c);
		return FAULT_DAMAGED;
	}
	memcpy(c->public_key, public_key, SEAL_KEY_LEN);
	key_id_of(public_key, c->key_id);
	c->chain_ends_at = clock_mono_ms(source->clock) + SEAL_CHAIN_MS;
	return FAULT_OK;
}

enum fault
seal_content_refresh(struct seal_content *c, const struct seal_source *source,
	const uint8_t public_key[static SEAL_KEY_LEN])
{
	int64_t now = clock_mono_ms(source->clock);
	bool is_ours = c->chain_ends_at > 0 && memcmp(c->public_key, public_key, SEAL_KEY_LEN) == 0;
	enum fault fault = FAULT_OK;

	if (is_ours && c->expires_at > now)
		return FAULT_OK;
	if (!is_ours || c->chain_ends_at <= now || c->next_step >= SEAL_STEPS_MAX)
		fault = draw_chain(c, source, public_key);
	if (fault != FAULT_OK)
		return fault;
	derive(c->chain, label_key, c->key);
	c->step = c->next_step++;
	c->expires_at = now + SEAL_CONTENT_MS;
	advance(c->chain);
	return FAULT_OK;
}

void
seal_content_clear(struct seal_content *c)
{
	secret_wipe(c, sizeof *c);
}

enum { WAYS = 8, BUCKETS = SEAL_RING_MAX / WAYS };

struct seal_ring {
	struct seal_source source;
	struct seal_content contents[SEAL_RING_MAX];
};

struct seal_ring *
seal_ring_new(const struct seal_source *source)
{
	/* calloc: pages that are never touched cost nothing. */
	struct seal_ring *ring = calloc(1, sizeof *ring);

	if (ring != NULL)
		ring->source = *source;
	return ring;
}

void
seal_ring_free(struct seal_ring *ring)
{
	if (ring == NULL)
		return;
	for (size_t i = 0; i < SEAL_RING_MAX; i++)
		if (ring->contents[i].chain_ends_at > 0)
			seal_content_clear(&ring->contents[i]);
	free(ring);
}

/* The account's place, or one in its bucket that is free or ends first. */
static struct seal_content *
ring_find(struct seal_ring *ring, const void *public_key)
{
	struct seal_content *bucket = &ring->contents[get_u64(public_key) % BUCKETS * WAYS];
	struct seal_content *first = bucket;

	for (size_t i = 0; i < WAYS; i++) {
		if (bucket[i].chain_ends_at > 0 &&
			memcmp(bucket[i].public_key, public_key, SEAL_KEY_LEN) == 0)
			return &bucket[i];
		if (bucket[i].chain_ends_at < first->chain_ends_at)
			first = &bucket[i];
	}
	return first;
}

enum fault
seal_ring_content(
	struct seal_ring *ring, struct slice public_key, const struct seal_content **content)
{
	if (public_key.len != SEAL_KEY_LEN)
		return FAULT_DAMAGED;
	struct seal_content *c = ring_find(ring, public_key.data);
	enum fault fault = seal_content_refresh(c, &ring->source, (const uint8_t *)public_key.data);
	*content = c;
	return fault;
}

void
seal_ring_sweep(struct seal_ring *ring)
{
	int64_t now = clock_mono_ms(ring->source.clock);

	for (size_t i = 0; i < SEAL_RING_MAX; i++) {
		struct seal_content *c = &ring->contents[i];
		if (c->chain_ends_at > 0 && c->chain_ends_at <= now) {
			seal_content_clear(c);
		} else if (c->expires_at > 0 && c->expires_at <= now) {
			secret_wipe(c->key, sizeof c->key);
			c->expires_at = 0;
		}
	}
}

void
seal_begin(const struct seal_content *c, const struct entropy *entropy, struct sealing *s)
{
	put_u32(s->header, MAGIC);
	put_u16(s->header + AT_VERSION, VERSION);
	put_u16(s->header + AT_STEP, c->step);
	memcpy(s->header + AT_KEY_ID, c->key_id, SEAL_KEY_ID_LEN);
	memcpy(s->header + AT_BOX, c->box, SEAL_BOX_LEN);
	entropy->fill(entropy->arg, s->header + AT_NONCE, SEAL_NONCE_LEN);
	memcpy(s->key, c->key, SEAL_KEY_LEN);
}

void
sealing_clear(struct sealing *s)
{
	secret_wipe(s, sizeof *s);
}

uint64_t
seal_chunk_offset(uint64_t chunk)
{
	return SEAL_HEADER_LEN + chunk * (SEAL_CHUNK_SIZE + SEAL_TAG_LEN);
}

uint64_t
seal_stored_len(uint64_t len)
{
	uint64_t chunks = len == 0 ? 1 : (len - 1) / SEAL_CHUNK_SIZE + 1;

	return SEAL_HEADER_LEN + len + chunks * SEAL_TAG_LEN;
}

bool
seal_len(uint64_t stored_len, uint64_t *len)
{
	if (stored_len < SEAL_HEADER_LEN + SEAL_TAG_LEN || stored_len > INT64_MAX)
		return false;
	uint64_t rest = stored_len - SEAL_HEADER_LEN;
	uint64_t full = rest / (SEAL_CHUNK_SIZE + SEAL_TAG_LEN);
	uint64_t left = rest % (SEAL_CHUNK_SIZE + SEAL_TAG_LEN);

	*len = full * SEAL_CHUNK_SIZE + (left > SEAL_TAG_LEN ? left - SEAL_TAG_LEN : 0);
	return seal_stored_len(*len) == stored_len;
}

size_t
seal_chunk_len(const struct seal_part *part, uint64_t chunk)
{
	uint64_t left = part->len - chunk * SEAL_CHUNK_SIZE;

	return part->domain == SEAL_BODY && left > SEAL_CHUNK_SIZE ? SEAL_CHUNK_SIZE : (size_t)left;
}

/* Everything that a chunk must belong to, beside its nonce. */
static void
fill_context(
	const struct sealing *s, const struct seal_part *part, uint8_t context[static CONTEXT_LEN])
{
	uint8_t *at = context + SEAL_HEADER_LEN;

	memcpy(context, s->header, SEAL_HEADER_LEN);
	at[0] = (uint8_t)part->domain;
	at[1] = part->codec;
	put_u64(at + 2, part->len);
	put_u64(at + 10, part->plain_len);
}

/* The domain stands in the top byte of the number: no chunk count reaches it. */
static void
fill_nonce(const struct sealing *s, const struct seal_part *part, uint64_t chunk,
	uint8_t nonce[static NONCE_LEN])
{
	memcpy(nonce, s->header + AT_NONCE, SEAL_NONCE_LEN);
	put_u64(nonce + SEAL_NONCE_LEN, (uint64_t)part->domain << 56 | chunk);
}

void
seal_chunk(const struct sealing *s, const struct seal_part *part, uint64_t chunk, struct slice in,
	void *out)
{
	uint8_t context[CONTEXT_LEN], nonce[NONCE_LEN];

	fill_context(s, part, context);
	fill_nonce(s, part, chunk, nonce);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, (const uint8_t *)in.data, in.len,
		context, sizeof context, NULL, nonce, s->key);
}

enum fault
seal_open_chunk(const struct sealing *s, const struct seal_part *part, uint64_t chunk,
	struct slice in, void *out)
{
	uint8_t context[CONTEXT_LEN], nonce[NONCE_LEN];

	fill_context(s, part, context);
	fill_nonce(s, part, chunk, nonce);
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, (const uint8_t *)in.data,
		       in.len, context, sizeof context, nonce, s->key) == 0
		? FAULT_OK
		: FAULT_DAMAGED;
}

static struct seal_part
structure_part(uint64_t len)
{
	return (struct seal_part){SEAL_STRUCTURE, 0, len, len};
}

void
seal_structure(const struct sealing *s, struct slice structure, struct buffer *out)
{
	struct seal_part part = structure_part(structure.len);

	buffer_add(out, s->header, sizeof s->header);
	void *room = buffer_reserve(out, structure.len + SEAL_TAG_LEN);
	if (room == NULL)
		return;
	seal_chunk(s, &part, 0, structure, room);
	buffer_added(out, structure.len + SEAL_TAG_LEN);
}

bool
seal_is_structure(struct slice bytes)
{
	return bytes.len >= SEAL_HEADER_LEN + SEAL_TAG_LEN && get_u32(bytes.data) == MAGIC;
}

/* A box that was opened, and how far its chain was walked. */
struct opened {
	bool is_set;
	uint8_t box[SEAL_BOX_LEN];
	uint8_t chain[SEAL_KEY_LEN]; /* of step 0 */
	uint8_t walked[SEAL_KEY_LEN];
	uint16_t step; /* of walked */
};

struct seal_opener {
	struct secret private_key;
	uint8_t public_key[SEAL_KEY_LEN];
	uint8_t key_id[SEAL_KEY_ID_LEN];
	struct opened opened[OPENED_MAX];
	size_t next;
};

struct seal_opener *
seal_opener_new(struct slice private_key)
{
	struct seal_opener *o = private_key.len == SEAL_KEY_LEN ? calloc(1, sizeof *o) : NULL;

	if (o == NULL || secret_set(&o->private_key, private_key) != FAULT_OK) {
		free(o);
		return NULL;
	}
	crypto_scalarmult_base(o->public_key, (const uint8_t *)o->private_key.bytes);
	key_id_of(o->public_key, o->key_id);
	return o;
}

void
seal_opener_free(struct seal_opener *o)
{
	if (o == NULL)
		return;
	secret_wipe(o, sizeof *o);
	free(o);
}

bool
seal_opener_fits(const struct seal_opener *o, const uint8_t public_key[static SEAL_KEY_LEN])
{
	return o != NULL && memcmp(o->public_key, public_key, SEAL_KEY_LEN) == 0;
}

static struct opened *
find_opened(struct seal_opener *o, const uint8_t *box)
{
	for (size_t i = 0; i < OPENED_MAX; i++)
		if (o->opened[i].is_set && memcmp(o->opened[i].box, box, SEAL_BOX_LEN) == 0)
			return &o->opened[i];
	return NULL;
}

/* Opens the box, in the place of the one that was opened the longest time ago. */
static struct opened *
open_box(struct seal_opener *o, const uint8_t *box)
{
	struct opened *made = &o->opened[o->next];

	made->is_set = crypto_box_seal_open(made->chain, box, SEAL_BOX_LEN, o->public_key,
			       (const uint8_t *)o->private_key.bytes) == 0;
	if (!made->is_set) {
		secret_wipe(made, sizeof *made);
		return NULL;
	}
	memcpy(made->box, box, SEAL_BOX_LEN);
	memcpy(made->walked, made->chain, SEAL_KEY_LEN);
	made->step = 0;
	o->next = (o->next + 1) % OPENED_MAX;
	return made;
}

/* The content key of a step.  Mail is mostly read in the order in which it came: on from there. */
static void
walk_to(struct opened *opened, uint16_t step, uint8_t key[static SEAL_KEY_LEN])
{
	if (step < opened->step) {
		memcpy(opened->walked, opened->chain, SEAL_KEY_LEN);
		opened->step = 0;
	}
	for (; opened->step < step; opened->step++)
		advance(opened->walked);
	derive(opened->walked, label_key, key);
}

enum fault
seal_open(struct seal_opener *o, const uint8_t header[static SEAL_HEADER_LEN], struct sealing *s)
{
	uint16_t version = get_u16(header + AT_VERSION), step = get_u16(header + AT_STEP);

	if (get_u32(header) != MAGIC || version == 0)
		return FAULT_DAMAGED;
	if (version > VERSION)
		return FAULT_UNSUPPORTED;
	if (o == NULL || memcmp(o->key_id, header + AT_KEY_ID, SEAL_KEY_ID_LEN) != 0)
		return FAULT_SEALED;
	struct opened *opened = find_opened(o, header + AT_BOX);
	if (opened == NULL)
		opened = open_box(o, header + AT_BOX);
	if (opened == NULL || step >= SEAL_STEPS_MAX)
		return FAULT_DAMAGED;
	memcpy(s->header, header, SEAL_HEADER_LEN);
	walk_to(opened, step, s->key);
	return FAULT_OK;
}

enum fault
seal_open_structure(struct seal_opener *o, struct slice bytes, struct buffer *out)
{
	struct sealing s;

	if (!seal_is_structure(bytes))
		return FAULT_DAMAGED;
	struct slice sealed = slice_after(bytes, SEAL_HEADER_LEN);
	struct seal_part part = structure_part(sealed.len - SEAL_TAG_LEN);
	enum fault fault = seal_open(o, (const uint8_t *)bytes.data, &s);
	if (fault != FAULT_OK)
		return fault;
	/* What was opened before must not stay where the buffer grows out of. */
	if (buffer_len(out) > 0)
		secret_wipe(out->data + out->start, buffer_len(out));
	buffer_reset(out);
	void *room = buffer_reserve(out, (size_t)part.len + 1);
	fault = room != NULL ? seal_open_chunk(&s, &part, 0, sealed, room) : FAULT_NOMEM;
	if (fault == FAULT_OK)
		buffer_added(out, (size_t)part.len);
	sealing_clear(&s);
	return fault;
}
