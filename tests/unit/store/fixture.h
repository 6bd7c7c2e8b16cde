/* SPDX-License-Identifier: ISC */
/* A store in a directory of its own, for the tests of this folder. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "common/store/compact.h"
#include "common/store/reader.h"
#include "common/store/verify.h"
#include "common/store/writer.h"
#include "tests/unit/unit.h"

enum { ALICE = 1001, BOB = 1002 }; /* accounts, made by fixture_open */

struct fixture {
	char dir[64];
	int64_t now_ms; /* what the store's clock says */
	struct clock clock;
	struct store_options options;
	struct store_writer *writer;
	struct store_reader *reader;
	struct body_packer *packer;
};

/* Makes a directory below TMPDIR or /tmp that is removed by fixture_dir_remove. */
void fixture_dir(char dir[static 64]);
void fixture_dir_remove(const char *dir);

/* A new store with ALICE and BOB. */
void fixture_open(struct fixture *);
/* Closes and opens the writer, as after a restart. */
void fixture_reopen(struct fixture *);
void fixture_close(struct fixture *);

void fixture_begin(struct fixture *);
void fixture_commit(struct fixture *);
/* No finding by verify, bodies included. */
void fixture_verify(struct fixture *);

/* Compacts until nothing is left to do now; what it did. */
struct compact_slice fixture_compact(struct fixture *, const struct compact_options *);
/* The log alone, in whatever segments are there, tells what the carried tables hold. */
void fixture_log_check(struct fixture *);

/* Appends one message with this body in a batch of its own; returns its UID. */
uint32_t fixture_append(struct fixture *, uint64_t account, uint32_t mailbox, struct slice body);
/* Fills request and one target per account (INBOX); commits nothing. */
struct fixture_message {
	struct writer_append request;
	struct writer_target targets[8];
	int memfd;
	struct slice map;
};
void fixture_message(struct fixture *, struct fixture_message *, struct slice body);
void fixture_message_clear(struct fixture_message *);

/* Reads one message in full and compares; the body without prefix. */
void fixture_expect(
	struct fixture *, uint64_t account, uint32_t mailbox, uint32_t uid, struct slice content);
struct store_mailbox fixture_mailbox(struct fixture *, uint64_t account, const char *name);
struct store_message fixture_load(
	struct fixture *, uint64_t account, uint32_t mailbox, uint32_t uid);
/* Where its body lies. */
struct body_handle fixture_body(struct fixture *, uint64_t account, uint32_t mailbox, uint32_t uid);
/* Pseudo-random numbers that a seed repeats. */
uint32_t fixture_random(uint64_t *state, uint32_t below);

/* Like ck_assert, but silent when true: libcheck writes a mark for each, which is slow, and which
 * a forked child must not do. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)
#define ck_assert_fault(actual, expected)                                                          \
	do {                                                                                       \
		enum fault ck_a = (actual), ck_e = (expected);                                     \
		if (ck_a != ck_e)                                                                  \
			ck_abort_msg(                                                              \
				"%s is %s, not %s", #actual, fault_name(ck_a), fault_name(ck_e));  \
	} while (0)
#define ck_assert_ok(actual) ck_assert_fault(actual, FAULT_OK)

#endif
