/* SPDX-License-Identifier: ISC */
/*
 * Time and randomness as values that are passed in, so that session cores can be replayed with a
 * fake of both.  Wall time is for dates, mono time for time-outs.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
	int64_t (*wall_ms)(void *arg); /* since 1970-01-01 UTC */
	int64_t (*mono_ms)(void *arg);
	void *arg;
};

struct entropy {
	void (*fill)(void *arg, void *at, size_t len);
	void *arg;
};

/* The real ones; entropy is the kernel's, by libsodium. */
extern const struct clock clock_system;
extern const struct entropy entropy_system;

static inline int64_t
clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c->arg);
}

static inline int64_t
clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->arg);
}

uint64_t entropy_u64(const struct entropy *);

enum { CLOCK_TEXT_SIZE = sizeof "-292277026596-12-04T15:30:08Z" };

/* Wall time as "2026-11-20T14:03:00Z" (RFC 3339 5.6); "" for what is no time.  Returns text. */
const char *clock_format(int64_t wall_ms, char text[static CLOCK_TEXT_SIZE]);

#endif
