/* SPDX-License-Identifier: ISC */
/* Ids as text.  Linked by every process. */
#include "common/base/id.h"

#include "common/base/ascii.h"

/* The extended-hex alphabet of RFC 4648 7 keeps the order of the numbers. */
static const char digits[] = "0123456789abcdefghijklmnopqrstuv";

const char *
id_format(uint64_t id, char text[static ID_TEXT_SIZE])
{
	for (size_t i = ID_TEXT_LEN; i > 0; i--) {
		text[i - 1] = digits[id & 31];
		id >>= 5;
	}
	text[ID_TEXT_LEN] = '\0';
	return text;
}

bool
id_parse(struct slice text, uint64_t *id)
{
	uint64_t sum = 0;

	if (text.len != ID_TEXT_LEN)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		const char *digit = memchr(digits, ascii_lower(text.data[i]), 32);
		if (digit == NULL || sum > UINT64_MAX >> 5)
			return false;
		sum = sum << 5 | (uint64_t)(digit - digits);
	}
	*id = sum;
	return true;
}
