/* SPDX-License-Identifier: ISC */
/*
 * Measures the store by itself, for tests/bench/store.  One mode a run, one line of JSON as its
 * result.  Any surprise ends the program with a message: a measurement is right or it is none.
 */
#ifndef STORE_BENCH_BENCH_H
#define STORE_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/store/writer.h"

/* What the command line says; every mode takes what it needs. */
struct bench {
	const char *dir; /* the store's, or where the mode makes what it needs */
	const char *to; /* a second directory: where a backup goes */
	const char *what; /* read: select, flags, envelope or bodies */
	uint64_t writers; /* requests that wait at the same time */
	uint64_t count; /* messages */
	uint64_t size; /* of a message; 0: a mix with a median of 10 KiB; 1: small mail */
	uint64_t accounts;
	uint64_t account; /* the first of them */
	uint64_t rounds;
	uint64_t milliseconds; /* of one stretch */
	uint64_t segment_size; /* 0: the store's default */
	uint64_t seed;
	bool cold; /* reads from the disk, not from the page cache */
	bool hollow; /* mail that takes as little of the disk as there is */
	bool once; /* deliveries carry an id */
	bool apart; /* checkpoints run beside the commits, as in mailboxd */
	bool power_cut; /* open as after one: the index goes back to its last checkpoint */
	bool crash; /* end without closing the store */
};

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program on any fault. */
void must(enum fault, const char *what);
void *bench_alloc(size_t count, size_t size);
/* dir/name on the heap; never freed. */
const char *bench_path(const char *dir, const char *name);

/* A xorshift generator: quick, and the same in every run; the state is never 0. */
uint64_t draw(uint64_t *state);

/* A clock that goes on with the real one, and that days can be added to. */
extern struct clock bench_clock;
void bench_clock_skip(int64_t milliseconds);

/* ---- the modes ---- */

void mode_append(const struct bench *);
void mode_pack(const struct bench *);
void mode_fill(const struct bench *);
void mode_open(const struct bench *);
void mode_read(const struct bench *);
void mode_change(const struct bench *);
void mode_churn(const struct bench *);
void mode_verify(const struct bench *);
void mode_backup(const struct bench *);
void mode_salvage(const struct bench *);
void mode_size(const struct bench *);

#endif
