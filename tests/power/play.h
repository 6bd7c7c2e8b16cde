/* SPDX-License-Identifier: ISC */
/*
 * The workload: a seeded random mix of all that a writer of the store does, and a naive model that
 * says what must be there afterwards.  The same seed plays the same steps; a step that failed
 * is played again and must come out as if it had not.
 */
#ifndef TESTS_POWER_PLAY_H
#define TESTS_POWER_PLAY_H

#include "common/store/reader.h"
#include "common/store/writer.h"

enum {
	PLAY_ACCOUNTS = 3,
	PLAY_FIRST_ACCOUNT = 101,
	PLAY_MESSAGES = 1500,
	PLAY_BOXES = 120,
	PLAY_DELIVERIES = 4,
	PLAY_BODY_MAX = 1100 * 1024,
};

struct play_message {
	uint8_t account; /* 0 .. PLAY_ACCOUNTS - 1 */
	uint8_t flags;
	bool keyword;
	uint32_t mailbox;
	uint32_t uid;
	uint32_t number; /* tells the body */
	uint64_t email;
};

struct play_box {
	uint8_t account;
	uint32_t id;
	uint32_t uidnext;
	char name[32];
};

/* A delivery whose repetition must be known as such. */
struct play_delivery {
	uint32_t number;
	uint32_t mailbox;
	uint32_t uid;
	int64_t at_ms;
	uint8_t account;
};

/* All that a step may change; copied before it. */
struct play_world {
	uint64_t random;
	int64_t now_ms;
	uint32_t numbers; /* bodies so far */
	uint32_t names; /* mailboxes so far */
	uint32_t message_count;
	uint32_t gone_count;
	uint32_t box_count;
	struct play_message messages[PLAY_MESSAGES];
	struct play_message gone[PLAY_MESSAGES]; /* expunged, without a copy left */
	struct play_box boxes[PLAY_BOXES];
	struct play_delivery deliveries[PLAY_DELIVERIES]; /* the last ones */
};

struct play {
	const char *dir;
	struct store_options options;
	struct clock clock;
	struct store_writer *writer; /* NULL: closed */
	struct body_packer *packer;
	bool early; /* a writer that lies: acknowledges before it commits */
	void (*early_ack)(struct play *);
	struct play_world world, before;
};

void play_init(struct play *, const char *dir, uint64_t seed);
void play_clear(struct play *);
/* The options of every opening; boot tells one start of the machine from another. */
void play_options(struct play *, uint8_t boot);
MUST_USE enum fault play_open(struct play *);
void play_close(struct play *);

enum play_kind { PLAY_BATCH, PLAY_HOUSEKEEP, PLAY_REOPEN, PLAY_CHECKPOINT };
/* Draws what the next step is. */
enum play_kind play_next(struct play *);
/*
 * One batch or slice of housekeeping.  A fault: the store's host failed it, the world is as before.
 * Anything that the store should not have answered ends the process with status 3.
 */
MUST_USE enum fault play_batch(struct play *);
MUST_USE enum fault play_housekeep(struct play *);
/* The model against what readers see. */
MUST_USE enum fault play_compare(struct play *);

/* The body of a number; returns its length. */
size_t play_body(uint32_t number, char body[static PLAY_BODY_MAX]);
/* A request for one target; clear it after use. */
struct play_mail {
	struct writer_append request;
	struct writer_target targets[PLAY_ACCOUNTS];
	int memfd;
	struct slice map;
};
void play_mail_make(struct play *, struct play_mail *, uint32_t number);
void play_mail_clear(struct play_mail *);
void play_delivery_id(uint32_t number, uint8_t id[static STORE_DELIVERY_ID_SIZE]);

uint32_t play_random(uint64_t *state, uint32_t below);
/* Ends the process with status 3: the store has done something wrong. */
_Noreturn void play_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
