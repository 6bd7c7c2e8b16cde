/* SPDX-License-Identifier: ISC */
/* Ordering mail exchangers, in relayd. */
#include "relayd/mx.h"

#include <stdlib.h>

static int
compare_preference(const void *a, const void *b)
{
	const struct dns_mx *x = a, *y = b;

	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* RFC 5321 5.1: "the sender-SMTP MUST randomize them to spread the load". */
static void
shuffle(struct dns_mx *hosts, size_t count, const struct entropy *entropy)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)(entropy_u64(entropy) % i);
		struct dns_mx swap = hosts[i - 1];

		hosts[i - 1] = hosts[j];
		hosts[j] = swap;
	}
}

static void
shuffle_equals(struct mx_list *a, const struct entropy *entropy)
{
	size_t first = 0;

	for (size_t i = 1; i <= a->count; i++) {
		if (i < a->count && a->hosts[i].preference == a->hosts[first].preference)
			continue;
		shuffle(a->hosts + first, i - first, entropy);
		first = i;
	}
}

/* RFC 5321 5.1: hosts of our own preference and worse would send it back to us. */
static enum fault
drop_from_self(struct mx_list *a, const char *hostname)
{
	for (size_t i = 0; i < a->count; i++) {
		if (!slice_equal_nocase(slice_text(a->hosts[i].host), slice_text(hostname)))
			continue;
		while (i > 0 && a->hosts[i - 1].preference == a->hosts[i].preference)
			i--;
		a->count = i;
		return i == 0 ? FAULT_MAIL_LOOP : FAULT_OK;
	}
	return FAULT_OK;
}

/* Roots beside others, and names that are no host's. */
static void
drop_unusable(struct mx_list *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->count; i++)
		if (a->hosts[i].host[0] != '\0' && strcmp(a->hosts[i].host, DNS_NO_HOST) != 0)
			a->hosts[kept++] = a->hosts[i];
	a->count = kept;
}

enum fault
mx_order(struct mx_list *a, const struct dns_answer *answer, const char *hostname,
	const struct entropy *entropy)
{
	a->count = answer->host_count < DNS_HOSTS_MAX ? answer->host_count : DNS_HOSTS_MAX;
	if (a->count > 0)
		memcpy(a->hosts, answer->hosts, a->count * sizeof a->hosts[0]);
	if (a->count == 1 && a->hosts[0].host[0] == '\0')
		return FAULT_REFUSED;
	drop_unusable(a);
	qsort(a->hosts, a->count, sizeof a->hosts[0], compare_preference);
	shuffle_equals(a, entropy);
	return drop_from_self(a, hostname);
}
