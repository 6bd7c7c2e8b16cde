/* SPDX-License-Identifier: ISC */
/*
 * The load generator of the benchmarks: many blocking sessions, a thread each, so that the client
 * stays simple and cheap beside the servers that it measures.  Any surprise ends the program with
 * a message: a measurement is right or it is none.  Times are in milliseconds of the monotonic
 * clock.
 */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cursor.h"
#include "common/base/slice.h"

enum { SESSIONS_MAX = 20000, ACCOUNTS_MAX = 10000, ROOTS_MAX = 8, TRIES_MAX = 1000 };

struct account {
	char *address;
	char *password;
};

struct load {
	const char *host;
	unsigned port, smtp_port, imap_port;
	bool tls; /* from the first byte */
	bool is_submission; /* SMTP with AUTH PLAIN as account 0 */
	unsigned sessions; /* at the same time */
	unsigned count; /* messages, logins or rounds in all */
	unsigned mailboxes; /* the first accounts, round robin */
	unsigned window; /* POP3 commands in flight */
	size_t size; /* of a message; 0: a mix with a median of 10 KiB */
	const char *recipient; /* instead of the accounts */
	const char *mailbox; /* to append to */
	struct account *accounts;
	unsigned account_count;
	unsigned roots[ROOTS_MAX]; /* the servers' first processes */
	unsigned root_count;
	char **words; /* what follows the options */
	unsigned word_count;
	atomic_uint taken; /* pieces of work given out */
	atomic_uint deferred; /* temporary refusals, tried again */
	atomic_uint received; /* by the sink */
};

/* One session's thread. */
struct worker {
	struct load *load;
	unsigned index;
	double *latencies; /* ms, one per piece of work it did */
	unsigned done;
	uint64_t bytes;
};

/* What a timed stretch took; cpu_s is 0 without roots. */
struct stretch {
	double wall_ms;
	double cpu_s;
};

_Noreturn void load_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
double load_now_ms(void);
void load_pause_ms(unsigned ms);
/* The next piece of work, counted from 0; false when all are given out. */
bool load_take(struct load *, unsigned *index);
/* The account whose turn it is. */
const struct account *load_account(const struct load *, unsigned index);
/* A process's memory that must be there. */
void *load_alloc(size_t count, size_t size);

void stretch_start(struct stretch *, const struct load *);
void stretch_end(struct stretch *, const struct load *);

/* CPU seconds that the process trees of the roots, and what died in them, have used. */
double cpu_of_roots(const struct load *);

/* Runs `sessions` threads of a function and waits for all of them. */
struct worker *workers_run(struct load *, void (*work)(struct worker *));
void worker_add_latency(struct worker *, double ms);
/* Prints the members "count", "seconds", "rate", "p50_ms"... of all workers; frees them. */
void workers_print(struct worker *, const struct load *, const struct stretch *);

/* The modes; each prints one JSON object. */
void mode_smtp(struct load *);
void mode_idle(struct load *);
void mode_relay(struct load *);
void mode_imap(struct load *);
void mode_login(struct load *);
void mode_append(struct load *);
void mode_mixed(struct load *);
void mode_hold(struct load *);
void mode_pop3(struct load *);

#endif
