/* SPDX-License-Identifier: ISC */
/* Ordering mail exchangers, in relayd. */
#include "relayd/mx.h"

#include <stdlib.h>

static int
compare_preference(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* RFC 5321 5.1: "the sender-SMTP MUST randomize them to spread the load". */
static void
shuffle(struct dns_record *records, uint32_t count, const struct entropy *entropy)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(entropy_u64(entropy) % i);
		struct dns_record swap = records[i - 1];

		records[i - 1] = records[j];
		records[j] = swap;
	}
}

static void
shuffle_equals(struct dns_answer *a, const struct entropy *entropy)
{
	uint32_t first = 0;

	for (uint32_t i = 1; i <= a->count; i++) {
		if (i < a->count && a->records[i].preference == a->records[first].preference)
			continue;
		shuffle(a->records + first, i - first, entropy);
		first = i;
	}
}

/* RFC 5321 5.1: hosts of our own preference and worse would send it back to us. */
static enum fault
drop_from_self(struct dns_answer *a, const char *hostname)
{
	for (uint32_t i = 0; i < a->count; i++) {
		if (!slice_equal_nocase(slice_text(a->records[i].name), slice_text(hostname)))
			continue;
		while (i > 0 && a->records[i - 1].preference == a->records[i].preference)
			i--;
		a->count = i;
		return i == 0 ? FAULT_MAIL_LOOP : FAULT_OK;
	}
	return FAULT_OK;
}

static void
drop_roots(struct dns_answer *a)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->count; i++)
		if (a->records[i].name[0] != '\0')
			a->records[kept++] = a->records[i];
	a->count = kept;
}

enum fault
mx_order(struct dns_answer *a, const char *hostname, const struct entropy *entropy)
{
	if (a->count == 1 && a->records[0].name[0] == '\0')
		return FAULT_REFUSED;
	drop_roots(a);
	qsort(a->records, a->count, sizeof *a->records, compare_preference);
	shuffle_equals(a, entropy);
	return drop_from_self(a, hostname);
}
