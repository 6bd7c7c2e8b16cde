/* SPDX-License-Identifier: ISC */
/*
 * Messages ready for the writer, made and packed beforehand as deliverd does it: the store's
 * writer never packs.  Each is used many times over; the store does not look at what it stores.
 */
#ifndef STORE_BENCH_POOL_H
#define STORE_BENCH_POOL_H

#include "tests/tools/store_bench/bench.h"

struct pool_message {
	struct slice structure;
	struct slice body; /* as stored */
	struct body_info info;
};

struct pool {
	struct pool_message *messages;
	size_t count;
};

/* As the bench says: size, see mail_size(), and hollow. */
void pool_make(struct pool *, const struct bench *);
void pool_clear(struct pool *);
/* What making it cost, parted: for the mode "pack". */
struct pool_cost {
	double pack_us, structure_us; /* of CPU */
	double plain, stored, structures; /* bytes */
};
void pool_make_measured(struct pool *, const struct bench *, struct pool_cost *);

#endif
