/* SPDX-License-Identifier: ISC */
/*
 * A password or key in memory: fixed storage, wiped when cleared, never logged.  Hand it on by
 * pointer, compare it only in constant time.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "common/base/fault.h"
#include "common/base/slice.h"

enum { SECRET_MAX = 1024 }; /* bytes */

struct secret {
	char bytes[SECRET_MAX];
	size_t len;
};

/* FAULT_TOO_LONG when value is over SECRET_MAX bytes; then the secret is empty. */
MUST_USE enum fault secret_set(struct secret *, struct slice value);
void secret_clear(struct secret *);
struct slice secret_slice(const struct secret *);
/* Constant time for equal lengths. */
bool secret_equal(struct slice a, struct slice b);
/* Wipes any memory in a way that the compiler cannot leave out. */
void secret_wipe(void *at, size_t len);

#endif
