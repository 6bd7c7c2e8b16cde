/* SPDX-License-Identifier: ISC */
/* Which hosts take a domain's mail, in which order (RFC 5321 5.1).  Pure. */
#ifndef RELAYD_MX_H
#define RELAYD_MX_H

#include "common/base/clock.h"
#include "relayd/dns.h"

struct mx_list {
	struct dns_mx hosts[DNS_HOSTS_MAX];
	size_t count;
};

/*
 * Copies the hosts of the answer in the order in which to try them: by preference, equals in random
 * order.
 * FAULT_REFUSED: a null MX, the domain takes no mail (RFC 7505).
 * FAULT_MAIL_LOOP: hostname, we ourselves, is the best host: the mail must not go anywhere.
 * Else hosts that are not better than ourselves are dropped.  No host at all: none is usable.
 */
MUST_USE enum fault mx_order(
	struct mx_list *, const struct dns_answer *, const char *hostname, const struct entropy *);

#endif
