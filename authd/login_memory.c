/* SPDX-License-Identifier: ISC */
/* The memory of password checks: a fixed table of keyed hashes.  Runs in authd. */
#include "authd/login_memory.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/secret.h"

enum { WAYS = 8, BUCKETS = LOGIN_MEMORY_ENTRIES / WAYS };

struct entry {
	struct login_tag tag;
	enum login_outcome outcome;
	uint32_t slot; /* of its key, plus 1; 0: none */
	int64_t expires_at; /* mono */
};

/* Whose a key is.  Slots are given in turn, and all live equally long: the oldest goes first. */
struct slot {
	struct entry *entry; /* NULL: the slot is free */
	uint64_t account;
};

struct login_memory {
	const struct clock *clock;
	int64_t lifetime_ms;
	uint8_t key[crypto_generichash_KEYBYTES];
	uint8_t *keys; /* sodium_malloc: locked, not dumped; NULL before the first */
	struct slot slots[LOGIN_MEMORY_KEYS];
	size_t next_slot;
	struct entry entries[LOGIN_MEMORY_ENTRIES];
};

enum fault
login_memory_new(const struct clock *clock, const struct entropy *entropy, int64_t lifetime_ms,
	struct login_memory **memory)
{
	/* calloc: pages that are never touched cost nothing. */
	struct login_memory *m = calloc(1, sizeof *m);

	if (m == NULL)
		return FAULT_NOMEM;
	m->clock = clock;
	m->lifetime_ms = lifetime_ms;
	entropy->fill(entropy->arg, m->key, sizeof m->key);
	*memory = m;
	return FAULT_OK;
}

void
login_memory_free(struct login_memory *m)
{
	if (m == NULL)
		return;
	secret_wipe(m->key, sizeof m->key);
	sodium_free(m->keys); /* wipes */
	free(m);
}

void
login_memory_set_lifetime(struct login_memory *m, int64_t lifetime_ms)
{
	m->lifetime_ms = lifetime_ms;
	login_memory_clear(m);
}

/* Length before bytes, so that no two tries have the same input. */
static void
hash_text(crypto_generichash_state *state, struct slice text)
{
	uint8_t len[8];

	put_u64(len, text.len);
	crypto_generichash_update(state, len, sizeof len);
	crypto_generichash_update(state, (const unsigned char *)text.data, text.len);
}

void
login_memory_tag(const struct login_memory *m, const struct login_try *try, struct login_tag *tag)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, m->key, sizeof m->key, sizeof tag->bytes);
	hash_text(&state, try->name);
	hash_text(&state, try->verifier);
	hash_text(&state, try->password);
	crypto_generichash_final(&state, tag->bytes, sizeof tag->bytes);
	secret_wipe(&state, sizeof state);
}

static struct entry *
bucket_of(struct login_memory *m, const struct login_tag *tag)
{
	return &m->entries[get_u64(tag->bytes) % BUCKETS * WAYS];
}

static bool
is_of(const struct entry *e, const struct login_tag *tag)
{
	return e->outcome != LOGIN_UNKNOWN &&
		sodium_memcmp(e->tag.bytes, tag->bytes, sizeof tag->bytes) == 0;
}

static struct entry *
find_entry(struct login_memory *m, const struct login_tag *tag)
{
	struct entry *bucket = bucket_of(m, tag);
	int64_t now = clock_mono_ms(m->clock);

	for (size_t i = 0; i < WAYS; i++)
		if (is_of(&bucket[i], tag) && bucket[i].expires_at > now)
			return &bucket[i];
	return NULL;
}

static uint8_t *
key_of(struct login_memory *m, size_t slot)
{
	return m->keys + slot * LOGIN_KEY_LEN;
}

/* The entry is free, and its key is wiped. */
static void
forget(struct login_memory *m, struct entry *e)
{
	if (e->slot != 0) {
		secret_wipe(key_of(m, e->slot - 1), LOGIN_KEY_LEN);
		m->slots[e->slot - 1] = (struct slot){NULL, 0};
	}
	*e = (struct entry){.outcome = LOGIN_UNKNOWN};
}

enum login_outcome
login_memory_find(struct login_memory *m, const struct login_tag *tag)
{
	const struct entry *e = find_entry(m, tag);

	return e != NULL ? e->outcome : LOGIN_UNKNOWN;
}

/* What an entry is worth: right ones most, so that a flood of guesses only evicts guesses. */
static int
worth(const struct entry *e, int64_t now)
{
	if (e->outcome == LOGIN_UNKNOWN || e->expires_at <= now)
		return 0;
	return e->outcome == LOGIN_WRONG ? 1 : 2;
}

void
login_memory_add(struct login_memory *m, const struct login_tag *tag, enum login_outcome outcome)
{
	struct entry *bucket = bucket_of(m, tag), *e = &bucket[0];
	int64_t now = clock_mono_ms(m->clock);

	if (m->lifetime_ms <= 0)
		return;
	for (size_t i = 0; i < WAYS; i++) {
		if (is_of(&bucket[i], tag)) {
			e = &bucket[i];
			break;
		}
		int less = worth(&bucket[i], now) - worth(e, now);
		if (less < 0 || (less == 0 && bucket[i].expires_at < e->expires_at))
			e = &bucket[i];
	}
	if (outcome == LOGIN_RIGHT || worth(e, now) < 2) {
		forget(m, e);
		*e = (struct entry){*tag, outcome, 0, now + m->lifetime_ms};
	}
}

static bool
has_room_for_keys(struct login_memory *m)
{
	static const size_t size = (size_t)LOGIN_MEMORY_KEYS * LOGIN_KEY_LEN;

	/* Free when it has been called before; sodium_malloc relies on it. */
	if (m->keys != NULL || sodium_init() < 0)
		return m->keys != NULL;
	m->keys = sodium_malloc(size);
	/* It locks, but does not tell when it could not: RLIMIT_MEMLOCK. */
	if (m->keys != NULL && sodium_mlock(m->keys, size) != 0) {
		sodium_free(m->keys);
		m->keys = NULL;
	}
	return m->keys != NULL;
}

void
login_memory_add_key(struct login_memory *m, const struct login_tag *tag, uint64_t account,
	const uint8_t key[static LOGIN_KEY_LEN])
{
	size_t slot = m->next_slot;
	struct entry *e;

	login_memory_sweep(m);
	if (!has_room_for_keys(m))
		return;
	login_memory_add(m, tag, LOGIN_RIGHT);
	e = find_entry(m, tag);
	if (e == NULL)
		return;
	if (m->slots[slot].entry != NULL)
		forget(m, m->slots[slot].entry);
	m->slots[slot] = (struct slot){e, account};
	memcpy(key_of(m, slot), key, LOGIN_KEY_LEN);
	e->slot = (uint32_t)slot + 1;
	m->next_slot = (slot + 1) % LOGIN_MEMORY_KEYS;
}

bool
login_memory_key(
	struct login_memory *m, const struct login_tag *tag, uint8_t key[static LOGIN_KEY_LEN])
{
	const struct entry *e = find_entry(m, tag);

	if (e == NULL || e->slot == 0)
		return false;
	memcpy(key, key_of(m, e->slot - 1), LOGIN_KEY_LEN);
	return true;
}

void
login_memory_forget_keys(struct login_memory *m, uint64_t account)
{
	for (size_t i = 0; i < LOGIN_MEMORY_KEYS; i++)
		if (m->slots[i].entry != NULL && m->slots[i].account == account)
			forget(m, m->slots[i].entry);
}

void
login_memory_sweep(struct login_memory *m)
{
	int64_t now = clock_mono_ms(m->clock);

	for (size_t i = 0; i < LOGIN_MEMORY_KEYS; i++)
		if (m->slots[i].entry != NULL && m->slots[i].entry->expires_at <= now)
			forget(m, m->slots[i].entry);
}

void
login_memory_clear(struct login_memory *m)
{
	for (size_t i = 0; i < LOGIN_MEMORY_ENTRIES; i++)
		if (m->entries[i].outcome != LOGIN_UNKNOWN)
			forget(m, &m->entries[i]);
}
