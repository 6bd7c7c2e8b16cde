/* SPDX-License-Identifier: ISC */
/* Times on the command line. */
#ifndef MAILCTL_WHEN_H
#define MAILCTL_WHEN_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEN_SIZE = 40 };

/*
 * "2026-11-21T04:12:00Z", "2026-11-21 04:12" (local time without the Z; seconds and time of day may
 * be left out), "20261121T041200Z", or "@1795239120".
 */
bool when_parse(const char *text, int64_t *at);
/* "2026-11-21T04:12:00Z"; returns text. */
const char *when_format(int64_t at, char text[static WHEN_SIZE]);
/* "90m", "12h", "30d", "8w" in seconds. */
bool when_parse_age(const char *text, int64_t *seconds);

#endif
