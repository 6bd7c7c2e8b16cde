/* SPDX-License-Identifier: ISC */
#include "mailctl/when.h"

#include <stdio.h>
#include <time.h>

#include "common/base/cursor.h"

bool
when_parse(const char *text, int64_t *at)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y%m%dT%H%M%S"};
	uint64_t seconds;

	if (text[0] == '@') {
		if (!slice_parse_u64(slice_text(text + 1), INT64_MAX, &seconds))
			return false;
		*at = (int64_t)seconds;
		return true;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &tm);
		if (end == NULL || (*end != '\0' && !(end[0] == 'Z' && end[1] == '\0')))
			continue;
		*at = (int64_t)(*end == 'Z' ? timegm(&tm) : mktime(&tm));
		return true;
	}
	return false;
}

const char *
when_format(int64_t at, char text[static WHEN_SIZE])
{
	time_t seconds = (time_t)at;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
		strftime(text, WHEN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(text, WHEN_SIZE, "@%lld", (long long)at);
	return text;
}

bool
when_parse_age(const char *text, int64_t *seconds)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'m', 60}, {'h', 3600}, {'d', 86400}, {'w', INT64_C(7) * 86400}};
	struct slice all = slice_text(text);
	uint64_t count;

	if (all.len < 2 || !slice_parse_u64(slice_first(all, all.len - 1), 100000, &count))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].unit == all.data[all.len - 1]) {
			*seconds = (int64_t)count * units[i].seconds;
			return *seconds > 0;
		}
	}
	return false;
}
