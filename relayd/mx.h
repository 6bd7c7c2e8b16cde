/* SPDX-License-Identifier: ISC */
/* Which hosts take a domain's mail, in which order (RFC 5321 5.1).  Pure. */
#ifndef RELAYD_MX_H
#define RELAYD_MX_H

#include "common/base/clock.h"
#include "relayd/dns_packet.h"

/*
 * Sorts by preference, equals in random order.
 * FAULT_MAIL_LOOP: we are the best host ourselves (then the mail must not go anywhere).
 * FAULT_REFUSED: a null MX, the domain takes no mail (RFC 7505).
 * Else hosts that are not better than ourselves are dropped.
 */
MUST_USE enum fault mx_order(struct dns_answer *, const char *hostname, const struct entropy *);

#endif
