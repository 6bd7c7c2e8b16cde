/* SPDX-License-Identifier: ISC */
/*
 * Slowing of password guessing: a table of weights that decay.  Runs in authd.  Its memory is
 * fixed; names are found by a keyed hash, so that nobody can aim at a bucket.
 */
#include "authd/guard.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/net/address.h"

enum {
	WAYS = 8, /* entries of a bucket */
	BUCKETS = GUARD_ENTRIES / WAYS,
	FIRST_BLOCK_MS = 1000,
	OVER_MAX = 16, /* weight never grows further over its limit: it must decay in time */
};

struct entry {
	uint64_t tag; /* keyed hash of kind, network and name; 0: free */
	enum guard_kind kind;
	unsigned weight;
	int64_t forgiven_at; /* until when the weight has decayed */
	int64_t closed_until;
	uint8_t network[GUARD_NETWORK_LEN];
	char name[GUARD_NAME_MAX];
	size_t name_len;
	uint64_t name_tag; /* of the whole name, for unblocking */
};

struct guard {
	const struct clock *clock;
	unsigned limit;
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct entry entries[GUARD_ENTRIES];
};

enum fault
guard_new(const struct clock *clock, const struct entropy *entropy, unsigned limit,
	struct guard **guard)
{
	/* calloc: pages that are never touched cost nothing. */
	struct guard *g = calloc(1, sizeof *g);

	if (g == NULL)
		return FAULT_NOMEM;
	g->clock = clock;
	entropy->fill(entropy->arg, g->key, sizeof g->key);
	guard_set_limit(g, limit);
	*guard = g;
	return FAULT_OK;
}

void
guard_free(struct guard *g)
{
	free(g);
}

void
guard_set_limit(struct guard *g, unsigned limit)
{
	g->limit = limit > 0 ? limit : 1;
}

void
guard_network(struct slice remote, struct guard_who *who)
{
	struct peer_address peer;

	memset(who->network, 0, sizeof who->network);
	who->network_exempt = true;
	if (!peer_address_parse(remote, &peer) || peer.family == PEER_LOCAL)
		return;
	who->network_exempt = peer_address_is_loopback(&peer);
	struct peer_address network = peer_address_network(&peer);
	if (network.family == PEER_IPV4) {
		/* As IPv4-mapped IPv6 (RFC 4291 2.5.5.2). */
		who->network[10] = who->network[11] = 0xff;
		memcpy(who->network + 12, network.bytes, 4);
	} else {
		memcpy(who->network, network.bytes, sizeof who->network);
	}
}

const char *
guard_format_network(
	const uint8_t network[static GUARD_NETWORK_LEN], char text[static GUARD_NETWORK_TEXT])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct peer_address peer = {.family = PEER_IPV6};
	char bare[PEER_TEXT_SIZE];
	bool ipv4 = memcmp(network, mapped, sizeof mapped) == 0;

	if (ipv4) {
		peer.family = PEER_IPV4;
		memcpy(peer.bytes, network + 12, 4);
	} else {
		memcpy(peer.bytes, network, sizeof peer.bytes);
	}
	peer_address_format(&peer, bare);
	snprintf(text, GUARD_NETWORK_TEXT, "%s%s", bare, ipv4 ? "" : "/64");
	return text;
}

static uint64_t
hash(const struct guard *g, const void *data, size_t len)
{
	uint64_t value;

	_Static_assert(sizeof value == crypto_shorthash_BYTES, "a tag is one short hash");
	crypto_shorthash((unsigned char *)&value, data, len, g->key);
	return value != 0 ? value : 1;
}

static uint64_t
tag_of(const struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	uint8_t bytes[8 + GUARD_NETWORK_LEN + 8] = {(uint8_t)kind};
	uint64_t name = hash(g, who->name.data, who->name.len);

	if (kind != GUARD_NAME)
		memcpy(bytes + 8, who->network, GUARD_NETWORK_LEN);
	if (kind != GUARD_NETWORK)
		memcpy(bytes + 8 + GUARD_NETWORK_LEN, &name, sizeof name);
	return hash(g, bytes, sizeof bytes);
}

static unsigned
limit_of(const struct guard *g, enum guard_kind kind)
{
	return kind == GUARD_NAME ? 2 * g->limit : g->limit;
}

static int64_t
longest_block(enum guard_kind kind)
{
	switch (kind) {
	case GUARD_NETWORK:
		return GUARD_NETWORK_BLOCK_MS;
	case GUARD_NAME:
		return GUARD_NAME_BLOCK_MS;
	default:
		return 0;
	}
}

static void
decay(struct entry *e, int64_t now)
{
	int64_t steps = (now - e->forgiven_at) / GUARD_FORGIVE_MS;

	if (steps <= 0)
		return;
	if (steps >= (int64_t)e->weight) {
		e->weight = 0;
		e->forgiven_at = now;
		return;
	}
	e->weight -= (unsigned)steps;
	e->forgiven_at += steps * GUARD_FORGIVE_MS;
}

static struct entry *
bucket_of(struct guard *g, uint64_t tag)
{
	return &g->entries[tag % BUCKETS * WAYS];
}

static struct entry *
find(struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	uint64_t tag = tag_of(g, kind, who);
	struct entry *bucket = bucket_of(g, tag);

	for (size_t i = 0; i < WAYS; i++) {
		if (bucket[i].tag != tag)
			continue;
		decay(&bucket[i], clock_mono_ms(g->clock));
		return &bucket[i];
	}
	return NULL;
}

static bool
is_lighter(const struct entry *a, const struct entry *b)
{
	if (a->weight != b->weight)
		return a->weight < b->weight;
	return a->forgiven_at < b->forgiven_at;
}

/* A new entry takes the place of a free one or of the lightest: spraying evicts nothing heavy. */
static struct entry *
make(struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	uint64_t tag = tag_of(g, kind, who);
	struct entry *bucket = bucket_of(g, tag), *e = &bucket[0];
	int64_t now = clock_mono_ms(g->clock);

	for (size_t i = 0; i < WAYS; i++) {
		decay(&bucket[i], now);
		if (is_lighter(&bucket[i], e))
			e = &bucket[i];
	}
	*e = (struct entry){.tag = tag, .kind = kind, .forgiven_at = now};
	if (kind != GUARD_NAME)
		memcpy(e->network, who->network, sizeof e->network);
	if (kind != GUARD_NETWORK) {
		e->name_len = who->name.len < sizeof e->name ? who->name.len : sizeof e->name;
		if (e->name_len > 0)
			memcpy(e->name, who->name.data, e->name_len);
		e->name_tag = hash(g, who->name.data, who->name.len);
	}
	return e;
}

static bool
is_closed(struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	struct entry *e = find(g, kind, who);

	return e != NULL && e->closed_until > clock_mono_ms(g->clock);
}

bool
guard_allows(struct guard *g, const struct guard_who *who)
{
	if (who->known)
		return true;
	return !(is_closed(g, GUARD_NAME, who) ||
		(!who->network_exempt && is_closed(g, GUARD_NETWORK, who)));
}

static void
charge(struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	struct entry *e = find(g, kind, who);
	unsigned limit = limit_of(g, kind);
	int64_t now = clock_mono_ms(g->clock);

	if (e == NULL)
		e = make(g, kind, who);
	if (e->weight == 0)
		e->forgiven_at = now;
	if (e->weight < limit + OVER_MAX)
		e->weight++;
	if (e->weight <= limit)
		return;
	int64_t block = FIRST_BLOCK_MS << (e->weight - limit - 1);
	if (block > longest_block(kind))
		block = longest_block(kind);
	e->closed_until = now + block;
}

void
guard_charge(struct guard *g, const struct guard_who *who)
{
	if (who->known) {
		charge(g, GUARD_PAIR, who);
		return;
	}
	charge(g, GUARD_NAME, who);
	if (!who->network_exempt)
		charge(g, GUARD_NETWORK, who);
}

static void
refund(struct guard *g, enum guard_kind kind, const struct guard_who *who)
{
	struct entry *e = find(g, kind, who);

	if (e == NULL)
		return;
	if (e->weight > 0)
		e->weight--;
	if (e->weight <= limit_of(g, kind))
		e->closed_until = 0;
}

void
guard_refund(struct guard *g, const struct guard_who *who)
{
	if (who->known) {
		refund(g, GUARD_PAIR, who);
		return;
	}
	refund(g, GUARD_NAME, who);
	if (!who->network_exempt)
		refund(g, GUARD_NETWORK, who);
}

int64_t
guard_delay_ms(struct guard *g, const struct guard_who *who)
{
	struct entry *e = who->known ? find(g, GUARD_PAIR, who) : NULL;

	return e != NULL && e->weight > g->limit ? GUARD_DELAY_MS : 0;
}

void
guard_list(struct guard *g, guard_each *each, void *arg)
{
	int64_t now = clock_mono_ms(g->clock);

	for (size_t i = 0; i < GUARD_ENTRIES; i++) {
		struct entry *e = &g->entries[i];
		if (e->tag == 0)
			continue;
		decay(e, now);
		if (e->weight <= limit_of(g, e->kind) && e->closed_until <= now)
			continue;
		each(arg,
			&(struct guard_block){
				.kind = e->kind,
				.name = slice_make(e->name, e->name_len),
				.network = e->kind != GUARD_NAME ? e->network : NULL,
				.guesses = e->weight,
				.closed_ms = e->closed_until > now ? e->closed_until - now : 0,
			});
	}
}

static bool
is_about(const struct entry *e, const uint8_t *network, uint64_t name_tag)
{
	if (e->tag == 0)
		return false;
	if (network != NULL)
		return e->kind != GUARD_NAME && memcmp(e->network, network, sizeof e->network) == 0;
	return e->kind != GUARD_NETWORK && e->name_tag == name_tag;
}

static unsigned
unblock(struct guard *g, const uint8_t *network, uint64_t name_tag)
{
	unsigned count = 0;

	for (size_t i = 0; i < GUARD_ENTRIES; i++) {
		if (!is_about(&g->entries[i], network, name_tag))
			continue;
		g->entries[i] = (struct entry){0};
		count++;
	}
	return count;
}

unsigned
guard_unblock_network(struct guard *g, const uint8_t network[static GUARD_NETWORK_LEN])
{
	return unblock(g, network, 0);
}

unsigned
guard_unblock_name(struct guard *g, struct slice name)
{
	return unblock(g, NULL, hash(g, name.data, name.len));
}
