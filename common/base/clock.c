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

const char *
clock_format(int64_t wall_ms, char text[static CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc;

	if (gmtime_r(&seconds, &utc) == NULL ||
		strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		text[0] = '\0';
	return text;
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
