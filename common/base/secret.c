/* SPDX-License-Identifier: ISC */
/* Wiped storage for passwords.  Linked by the processes that see one pass by. */
#include "common/base/secret.h"

#include <sodium.h>

enum fault
secret_set(struct secret *s, struct slice value)
{
	secret_clear(s);
	if (value.len > sizeof s->bytes)
		return FAULT_TOO_LONG;
	if (value.len > 0)
		memcpy(s->bytes, value.data, value.len);
	s->len = value.len;
	return FAULT_OK;
}

void
secret_clear(struct secret *s)
{
	sodium_memzero(s, sizeof *s);
}

struct slice
secret_slice(const struct secret *s)
{
	return slice_make(s->bytes, s->len);
}

bool
secret_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || sodium_memcmp(a.data, b.data, a.len) == 0);
}

void
secret_wipe(void *at, size_t len)
{
	sodium_memzero(at, len);
}
