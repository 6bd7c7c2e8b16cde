/* SPDX-License-Identifier: ISC */
/* Owns packed messages. */
#include "tests/tools/store_bench/pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/mail/structure.h"
#include "tests/tools/store_bench/bench.h"
#include "tests/tools/store_bench/mail.h"
#include "tests/tools/store_bench/measure.h"

enum {
	POOL_BYTES = 32 * 1024 * 1024,
	POOL_LEAST = 16,
	POOL_MOST = 1000,
	MESSAGE_MAX = 64 * 1024 * 1024,
	SCRATCH = 4 * 1024 * 1024,
	MEAN_OF_MIX = 46 * 1024,
};

struct maker {
	struct body_packer *packer;
	struct arena scratch;
	struct buffer plain, structure;
	struct pool_cost *cost;
};

static void
pack(struct maker *k, struct pool_message *m)
{
	enum fault fault;
	int fd = memfd_open("bench", &fault);

	must(fault, "memfd");
	k->cost->pack_us -= cpu_us();
	must(body_pack(k->packer, buffer_slice(&k->plain), fd, &m->info), "pack");
	k->cost->pack_us += cpu_us();
	must(memfd_seal(fd), "seal");
	must(memfd_map(fd, SIZE_MAX, &m->body), "map");
	close(fd);
}

static void
describe(struct maker *k, struct pool_message *m)
{
	buffer_reset(&k->structure);
	k->cost->structure_us -= cpu_us();
	must(structure_build(buffer_slice(&k->plain), &structure_limits_default, &k->scratch,
		     &k->structure),
		"structure");
	k->cost->structure_us += cpu_us();
	m->structure =
		slice_make(slice_dup(buffer_slice(&k->structure)), buffer_len(&k->structure));
	if (m->structure.data == NULL)
		bench_die("out of memory");
}

static size_t
pool_count(uint64_t size)
{
	size_t mean = size > MAIL_SIZE_SMALL ? size : MEAN_OF_MIX;
	size_t count = POOL_BYTES / mean;

	return count < POOL_LEAST ? POOL_LEAST : count > POOL_MOST ? POOL_MOST : count;
}

void
pool_make_measured(struct pool *p, const struct bench *b, struct pool_cost *cost)
{
	struct maker k = {.packer = body_packer_new(), .cost = cost};

	*cost = (struct pool_cost){0};
	if (k.packer == NULL)
		bench_die("out of memory");
	arena_init(&k.scratch, SCRATCH);
	buffer_init(&k.plain, MESSAGE_MAX);
	buffer_init(&k.structure, MESSAGE_MAX);
	mail_prepare();
	p->count = pool_count(b->size);
	p->messages = bench_alloc(p->count, sizeof(p->messages[0]));
	for (size_t i = 0; i < p->count; i++) {
		struct mail_plan plan = {i, mail_size(b->size, i), b->hollow};

		buffer_reset(&k.plain);
		mail_make(&k.plain, &plan);
		must(buffer_fault(&k.plain), "mail");
		pack(&k, &p->messages[i]);
		describe(&k, &p->messages[i]);
		cost->plain += (double)p->messages[i].info.plain_len;
		cost->stored += (double)p->messages[i].info.stored_len;
		cost->structures += (double)p->messages[i].structure.len;
	}
	arena_clear(&k.scratch);
	buffer_clear(&k.plain);
	buffer_clear(&k.structure);
	body_packer_free(k.packer);
}

void
pool_make(struct pool *p, const struct bench *b)
{
	struct pool_cost cost;

	pool_make_measured(p, b, &cost);
}

void
pool_clear(struct pool *p)
{
	for (size_t i = 0; i < p->count; i++) {
		memfd_unmap(&p->messages[i].body);
		free((void *)(uintptr_t)p->messages[i].structure.data);
	}
	free(p->messages);
	*p = (struct pool){0};
}

void
mode_pack(const struct bench *b)
{
	struct pool_cost cost;
	struct pool pool;

	pool_make_measured(&pool, b, &cost);
	result_begin();
	result_number("count", (double)pool.count);
	result_number("plain", cost.plain / (double)pool.count);
	result_number("stored_ratio", cost.stored / cost.plain);
	result_number("structure", cost.structures / (double)pool.count);
	result_number("pack_us", cost.pack_us / (double)pool.count);
	result_number("pack_mb_s", cost.plain / cost.pack_us);
	result_number("structure_us", cost.structure_us / (double)pool.count);
	result_end();
	pool_clear(&pool);
}
