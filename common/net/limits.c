/* SPDX-License-Identifier: ISC */
/* Connections per peer network.  Linked by every process that accepts. */
#include "common/net/limits.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/base/clock.h"

enum { BUCKETS_FIRST = 64 };

struct entry {
	struct entry *next;
	struct peer_address network;
	unsigned count;
};

struct limits {
	struct entry **buckets;
	size_t bucket_count; /* a power of two */
	size_t entry_count;
	unsigned char key[crypto_shorthash_KEYBYTES];
};

struct limits *
limits_new(void)
{
	struct limits *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->bucket_count = BUCKETS_FIRST;
	l->buckets = calloc(l->bucket_count, sizeof(struct entry *));
	if (l->buckets == NULL) {
		free(l);
		return NULL;
	}
	entropy_system.fill(entropy_system.arg, l->key, sizeof l->key);
	return l;
}

void
limits_free(struct limits *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->bucket_count; i++) {
		struct entry *e = l->buckets[i];

		while (e != NULL) {
			struct entry *next = e->next;

			free(e);
			e = next;
		}
	}
	free(l->buckets);
	free(l);
}

/* The link that points to the network's entry, or to the NULL where it would go. */
static struct entry **
locate(const struct limits *l, const struct peer_address *network)
{
	unsigned char hash[crypto_shorthash_BYTES];
	size_t bucket = 0;

	crypto_shorthash(hash, network->bytes, sizeof network->bytes, l->key);
	memcpy(&bucket, hash, sizeof hash < sizeof bucket ? sizeof hash : sizeof bucket);
	struct entry **at = &l->buckets[bucket & (l->bucket_count - 1)];
	while (*at != NULL && !peer_address_equal(&(*at)->network, network))
		at = &(*at)->next;
	return at;
}

/* Doubles the table; when memory is out the chains just get longer. */
static void
grow(struct limits *l)
{
	struct limits bigger = *l;

	bigger.bucket_count = l->bucket_count * 2;
	bigger.buckets = calloc(bigger.bucket_count, sizeof(struct entry *));
	if (bigger.buckets == NULL)
		return;
	for (size_t i = 0; i < l->bucket_count; i++) {
		struct entry *e = l->buckets[i];

		while (e != NULL) {
			struct entry *next = e->next;
			struct entry **at = locate(&bigger, &e->network);

			e->next = NULL;
			*at = e;
			e = next;
		}
	}
	free(l->buckets);
	*l = bigger;
}

bool
limits_take(struct limits *l, const struct peer_address *address, unsigned most)
{
	struct peer_address network = peer_address_network(address);
	struct entry **at = locate(l, &network);

	if (*at == NULL) {
		struct entry *e = calloc(1, sizeof *e);

		if (e == NULL || most == 0) {
			free(e);
			return false;
		}
		e->network = network;
		e->count = 1;
		*at = e;
		if (++l->entry_count > l->bucket_count)
			grow(l);
		return true;
	}
	if ((*at)->count >= most)
		return false;
	(*at)->count++;
	return true;
}

void
limits_release(struct limits *l, const struct peer_address *address)
{
	struct peer_address network = peer_address_network(address);
	struct entry **at = locate(l, &network);
	struct entry *e = *at;

	if (e == NULL || --e->count > 0)
		return;
	*at = e->next;
	l->entry_count--;
	free(e);
}

unsigned
limits_count(const struct limits *l, const struct peer_address *address)
{
	struct peer_address network = peer_address_network(address);
	const struct entry *e = *locate(l, &network);

	return e != NULL ? e->count : 0;
}
