/* SPDX-License-Identifier: ISC */
/* The system's clock and randomness.  Linked by every process. */
#include "common/base/clock.h"

#include <sodium.h>
#include <time.h>

static int64_t
read_clock(clockid_t id)
{
	struct timespec now = {0};

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t
system_wall_ms(void *arg)
{
	(void)arg;
	return read_clock(CLOCK_REALTIME);
}

static int64_t
system_mono_ms(void *arg)
{
	(void)arg;
	return read_clock(CLOCK_MONOTONIC);
}

static void
system_fill(void *arg, void *at, size_t len)
{
	(void)arg;
	randombytes_buf(at, len);
}

const struct clock clock_system = {system_wall_ms, system_mono_ms, NULL};
const struct entropy entropy_system = {system_fill, NULL};

uint64_t
entropy_u64(const struct entropy *e)
{
	uint64_t value;

	e->fill(e->arg, &value, sizeof value);
	return value;
}
