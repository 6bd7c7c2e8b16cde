/* SPDX-License-Identifier: ISC */
/* What destinations bear, in queued.  Pure but for memory. */
#include "queued/destination.h"

#include <sodium.h>
#include <stdlib.h>

void
destinations_init(struct destinations *d, uint32_t window_max)
{
	*d = (struct destinations){.window_max = window_max};
	randombytes_buf(d->key, sizeof d->key);
}

void
destinations_clear(struct destinations *d)
{
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++) {
		while (d->buckets[i] != NULL) {
			struct destination *gone = d->buckets[i];

			d->buckets[i] = gone->next;
			free(gone);
		}
	}
	d->count = 0;
}

static struct destination **
bucket_of(struct destinations *d, const char *name)
{
	unsigned char hash[crypto_shorthash_BYTES];

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof d->key, "key of SipHash");
	crypto_shorthash(hash, (const unsigned char *)name, strlen(name), d->key);
	return &d->buckets[(hash[0] | (unsigned)hash[1] << 8) % DESTINATION_BUCKETS];
}

struct destination *
destination_find(struct destinations *d, const char *name)
{
	struct destination *at = *bucket_of(d, name);

	while (at != NULL && strcmp(at->name, name) != 0)
		at = at->next;
	return at;
}

/* Forgetting a bad record costs one attempt too many; forgetting a request must not be. */
static void
forget_idle(struct destinations *d)
{
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++) {
		struct destination **at = &d->buckets[i];

		while (*at != NULL) {
			struct destination *gone = *at;

			if (gone->in_flight > 0) {
				at = &gone->next;
				continue;
			}
			*at = gone->next;
			free(gone);
			d->count--;
		}
	}
}

struct destination *
destination_get(struct destinations *d, const char *name)
{
	struct destination *found = destination_find(d, name), **bucket;
	size_t len = strlen(name);

	if (found != NULL)
		return found;
	if (d->count >= DESTINATIONS_MAX)
		forget_idle(d);
	if (d->count >= DESTINATIONS_MAX || len > RECORD_DESTINATION_MAX)
		return NULL;
	found = calloc(1, sizeof *found);
	if (found == NULL)
		return NULL;
	memcpy(found->name, name, len + 1);
	found->window_max = len == 0 ? WINDOW_LOCAL : d->window_max;
	found->window = len == 0 ? WINDOW_LOCAL : WINDOW_FIRST;
	if (found->window > found->window_max)
		found->window = found->window_max;
	bucket = bucket_of(d, name);
	found->next = *bucket;
	*bucket = found;
	d->count++;
	return found;
}

void
destinations_resume(struct destinations *d)
{
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++)
		for (struct destination *at = d->buckets[i]; at != NULL; at = at->next)
			at->paused_until_ms = 0;
}

bool
destination_has_room(const struct destination *d, int64_t now_ms)
{
	return d->in_flight < d->window && now_ms >= d->paused_until_ms;
}

void
destination_started(struct destination *d)
{
	d->in_flight++;
}

void
destination_dropped(struct destination *d)
{
	if (d->in_flight > 0)
		d->in_flight--;
}

static void
grow_window(struct destination *d)
{
	d->failures = 0;
	d->paused_until_ms = 0;
	/* By one for each full window of successes at first, as TCP does after its slow start. */
	if (++d->successes < d->window / 4 + 1 || d->window >= d->window_max)
		return;
	d->window++;
	d->successes = 0;
}

static void
shrink_window(struct destination *d, int64_t now_ms, int64_t pause_ms)
{
	d->successes = 0;
	d->window = d->window > 1 ? d->window / 2 : 1;
	if (d->in_flight > 0)
		return;
	for (uint32_t i = 0; i < d->failures && pause_ms < PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	d->failures++;
	d->paused_until_ms = now_ms + (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
}

void
destination_ended(struct destination *d, bool reached, int64_t now_ms, int64_t pause_ms)
{
	destination_dropped(d);
	if (d->name[0] == '\0')
		return;
	if (reached)
		grow_window(d);
	else
		shrink_window(d, now_ms, pause_ms);
}
