/* SPDX-License-Identifier: ISC */
/*
 * How many connections each peer network has open.  A hash table with a secret key, so that no
 * peer can choose addresses that collide; it is as big as the connections that are open.
 */
#ifndef NET_LIMITS_H
#define NET_LIMITS_H

#include "common/net/address.h"

struct limits;

struct limits *limits_new(void); /* NULL: no memory */
void limits_free(struct limits *);
/* Counts one more for the address's network; false when it has most already, or memory is out. */
bool limits_take(struct limits *, const struct peer_address *, unsigned most);
/* The opposite of a limits_take that gave true. */
void limits_release(struct limits *, const struct peer_address *);
unsigned limits_count(const struct limits *, const struct peer_address *);

#endif
