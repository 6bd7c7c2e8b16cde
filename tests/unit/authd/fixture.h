/* SPDX-License-Identifier: ISC */
/* What the tests of authd share: a directory in a throw-away folder, a clock to turn by hand. */
#ifndef TESTS_UNIT_AUTHD_FIXTURE_H
#define TESTS_UNIT_AUTHD_FIXTURE_H

#include "authd/directory.h"
#include "tests/unit/unit.h"

struct fixture {
	char dir[64];
	struct directory *directory;
	struct arena arena;
};

extern const struct clock fixture_clock;
extern int64_t fixture_wall_ms, fixture_mono_ms;

/* A password record whose hash is this text and whose keys are made from it. */
struct password_record fixture_password(const char *hash);

void fixture_open(struct fixture *);
/* Closes and opens the same folder again, as after a restart. */
void fixture_reopen(struct fixture *);
void fixture_close(struct fixture *);

/* These must succeed. */
void fixture_domain(struct fixture *, const char *name);
uint64_t fixture_account(struct fixture *, const char *address);
void fixture_alias(struct fixture *, const char *alias, const char *target);

/* "a@x b@y": what an address expands to, in order, accounts with +detail; or "! fault name". */
const char *fixture_expand(struct fixture *, const char *address);

#endif
