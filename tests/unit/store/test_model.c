/* SPDX-License-Identifier: ISC */
/*
 * The store against a naive model: random operations in random batches, some aborted, some
 * followed by a restart.  After each batch every message of the model is in the store with its
 * UID, flags and body, and nothing else is; then the store verifies itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/store/fixture.h"

enum { MODEL_BOXES = 4, MODEL_MESSAGES = 600, ROUNDS = 250 };

struct model_message {
	uint32_t uid;
	uint8_t flags;
	bool keyword;
	uint32_t number; /* tells the body */
	uint64_t modseq;
};

/* Mailboxes 1..4 of ALICE: INBOX, Drafts, Sent, Junk. */
struct model {
	struct model_message messages[MODEL_BOXES][MODEL_MESSAGES];
	uint32_t count[MODEL_BOXES];
	uint32_t uidnext[MODEL_BOXES];
	uint64_t modseq;
	uint32_t next_number;
};

struct play {
	struct fixture f;
	struct model model, before;
	uint64_t state;
	struct fixture_message message; /* reused; the body's first bytes are the number */
};

static size_t
body_of(uint32_t number, char body[static 64])
{
	return (size_t)snprintf(body, 64, "message %u %*s", number, (int)(number % 23), "");
}

static struct model_message *
find(struct model *m, unsigned box, uint32_t uid)
{
	for (uint32_t i = 0; i < m->count[box]; i++)
		if (m->messages[box][i].uid == uid)
			return &m->messages[box][i];
	return NULL;
}

static void
add(struct model *m, unsigned box, struct model_message message)
{
	message.uid = m->uidnext[box]++;
	m->messages[box][m->count[box]++] = message;
}

static void
drop(struct model *m, unsigned box, uint32_t at)
{
	memmove(&m->messages[box][at], &m->messages[box][at + 1],
		(m->count[box] - at - 1) * sizeof(m->messages[box][0]));
	m->count[box]--;
}

/* A random set of UIDs: one or two ranges. */
static size_t
ranges_draw(struct play *p, unsigned box, struct uid_range ranges[2])
{
	uint32_t top = p->model.uidnext[box] + 2;

	for (int i = 0; i < 2; i++) {
		ranges[i].first = 1 + fixture_random(&p->state, top);
		ranges[i].last = ranges[i].first + fixture_random(&p->state, 6);
	}
	return uid_ranges_normalize(ranges, 1 + fixture_random(&p->state, 2));
}

static bool
is_in(const struct uid_range *ranges, size_t count, uint32_t uid)
{
	for (size_t i = 0; i < count; i++)
		if (uid >= ranges[i].first && uid <= ranges[i].last)
			return true;
	return false;
}

static void
play_append(struct play *p, unsigned box)
{
	struct model *m = &p->model;
	char body[64];

	if (m->count[box] >= MODEL_MESSAGES / 2)
		return;
	uint32_t number = m->next_number++;
	size_t len = body_of(number, body);
	struct fixture_message f;
	fixture_message(&p->f, &f, slice_make(body, len));
	f.targets[0].mailbox = box + 1;
	f.targets[0].flags = (uint8_t)fixture_random(&p->state, 32);
	writer_append(p->f.writer, &f.request);
	ck_assert_ok(f.targets[0].fault);
	ck_assert_uint_eq(f.targets[0].uid, m->uidnext[box]);
	m->modseq++;
	add(m, box, (struct model_message){0, f.targets[0].flags, false, number, m->modseq});
	fixture_message_clear(&f);
}

static uint8_t
flags_after(uint8_t old, enum writer_flags_verb verb, uint8_t flags)
{
	if (verb == WRITER_FLAGS_SET)
		return flags;
	return verb == WRITER_FLAGS_ADD ? old | flags : old & (uint8_t)~flags;
}

static void
play_flags(struct play *p, unsigned box)
{
	struct model *m = &p->model;
	struct uid_range ranges[2];
	struct slice keyword = SLICE("Important");
	struct writer_flags f = {
		.uids = {ALICE, box + 1, ranges, ranges_draw(p, box, ranges)},
		.verb = (enum writer_flags_verb)fixture_random(&p->state, 3),
		.flags = (uint8_t)fixture_random(&p->state, 32),
		.keywords = &keyword,
		.keyword_count = fixture_random(&p->state, 2),
	};
	bool any = false;

	ck_assert_ok(writer_flags_store(p->f.writer, &f));
	for (uint32_t i = 0; i < m->count[box]; i++) {
		struct model_message *x = &m->messages[box][i], old = *x;
		if (!is_in(ranges, f.uids.range_count, x->uid))
			continue;
		x->flags = flags_after(x->flags, f.verb, f.flags);
		x->keyword = flags_after(old.keyword, f.verb, (uint8_t)f.keyword_count) != 0;
		if (x->flags == old.flags && x->keyword == old.keyword)
			continue;
		x->modseq = m->modseq + 1;
		any = true;
	}
	m->modseq += any;
	ck_assert_uint_eq(f.modseq, any ? m->modseq : 0);
	uid_set_clear(&f.changed);
	uid_set_clear(&f.failed);
}

static void
play_copy(struct play *p, unsigned box, bool moving)
{
	struct model *m = &p->model;
	unsigned to = fixture_random(&p->state, MODEL_BOXES);
	struct uid_range ranges[2];
	struct writer_copy c = {
		.uids = {ALICE, box + 1, ranges, ranges_draw(p, box, ranges)}, .to = to + 1};
	uint32_t end = m->count[box], copied = 0;

	if (m->count[to] >= MODEL_MESSAGES / 2 || (moving && to == box))
		return;
	ck_assert_ok(moving ? writer_move(p->f.writer, &c) : writer_copy(p->f.writer, &c));
	for (uint32_t i = 0; i < end; i++) {
		struct model_message x = m->messages[box][i];
		if (!is_in(ranges, c.uids.range_count, x.uid))
			continue;
		ck_assert(uid_set_has(&c.copied, x.uid));
		x.modseq = m->modseq + 1;
		add(m, to, x);
		if (moving) {
			drop(m, box, i--);
			end--;
		}
		copied++;
	}
	m->modseq += copied > 0;
	ck_assert_uint_eq(uid_set_total(&c.copied), copied);
	uid_set_clear(&c.copied);
}

static void
play_expunge(struct play *p, unsigned box)
{
	struct model *m = &p->model;
	struct uid_range ranges[2];
	struct writer_expunge e = {
		.uids = {ALICE, box + 1, ranges, ranges_draw(p, box, ranges)},
		.only_deleted = fixture_random(&p->state, 2) != 0,
	};
	uint32_t gone = 0;

	ck_assert_ok(writer_expunge(p->f.writer, &e));
	for (uint32_t i = 0; i < m->count[box]; i++) {
		struct model_message *x = &m->messages[box][i];
		if (!is_in(ranges, e.uids.range_count, x->uid) ||
			(e.only_deleted && (x->flags & STORE_DELETED) == 0))
			continue;
		drop(m, box, i--);
		gone++;
	}
	m->modseq += gone > 0;
	ck_assert_uint_eq(uid_set_total(&e.expunged), gone);
	uid_set_clear(&e.expunged);
}

static void
play_one(struct play *p)
{
	unsigned box = fixture_random(&p->state, MODEL_BOXES);

	switch (fixture_random(&p->state, 8)) {
	case 0:
	case 1:
	case 2:
		play_append(p, box);
		break;
	case 3:
	case 4:
		play_flags(p, box);
		break;
	case 5:
		play_copy(p, box, false);
		break;
	case 6:
		play_copy(p, box, true);
		break;
	default:
		play_expunge(p, box);
	}
}

static void
box_compare(struct play *p, unsigned box)
{
	struct reader_walk walk;
	struct store_message m;
	struct store_mailbox record;
	uint32_t seen = 0;

	ck_assert_ok(reader_mailbox(p->f.reader, ALICE, box + 1, &record));
	ck_assert_uint_eq(record.exists, p->model.count[box]);
	ck_assert_uint_eq(record.uidnext, p->model.uidnext[box]);
	reader_walk_open(p->f.reader, ALICE, box + 1, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &m); more;
		more = reader_walk_next(&walk, &m), seen++) {
		const struct model_message *x = find(&p->model, box, m.uid);
		char body[64], stored[64];
		struct store_content content;
		ck_assert_ptr_nonnull(x);
		ck_assert_uint_eq(m.flags, x->flags);
		ck_assert_uint_eq(store_keywords_has(&m.keywords, 0), x->keyword);
		ck_assert_uint_eq(m.modseq, x->modseq);
		size_t len = body_of(x->number, body);
		ck_assert_ok(reader_content(p->f.reader, &m, &content));
		ck_assert_uint_eq(content.body.plain_len, len);
		ck_assert_ok(reader_read(p->f.reader, &content, content.prefix_len,
			(struct body_span){stored, len}));
		ck_assert(memcmp(stored, body, len) == 0);
	}
	ck_assert_ok(reader_walk_close(&walk));
	ck_assert_uint_eq(seen, p->model.count[box]);
}

static void
play_batch(struct play *p)
{
	unsigned operations = 1 + fixture_random(&p->state, 12);
	bool more = false;

	p->before = p->model;
	fixture_begin(&p->f);
	for (unsigned i = 0; i < operations; i++)
		play_one(p);
	if (fixture_random(&p->state, 6) == 0) {
		writer_abort(p->f.writer);
		p->before.next_number = p->model.next_number;
		p->model = p->before;
	} else {
		fixture_commit(&p->f);
	}
	p->f.now_ms += fixture_random(&p->state, 100000000);
	if (fixture_random(&p->state, 4) == 0)
		ck_assert_ok(writer_housekeep(p->f.writer, &more));
	if (fixture_random(&p->state, 10) == 0)
		fixture_reopen(&p->f);
	ck_assert_ok(reader_begin(p->f.reader));
	for (unsigned box = 0; box < MODEL_BOXES; box++)
		box_compare(p, box);
	reader_end(p->f.reader);
	fixture_verify(&p->f);
}

START_TEST(random_operations_match_a_naive_model)
{
	static struct play p;
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

	p = (struct play){.state = seed, .f.options.segment_size_max = 20000};
	printf("store against its model: SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	fixture_open(&p.f);
	for (unsigned box = 0; box < MODEL_BOXES; box++)
		p.model.uidnext[box] = 1;
	ck_assert_ok(reader_begin(p.f.reader));
	struct store_account account;
	ck_assert_ok(reader_account(p.f.reader, ALICE, &account));
	reader_end(p.f.reader);
	p.model.modseq = account.modseq;
	for (unsigned i = 0; i < ROUNDS; i++)
		play_batch(&p);
	fixture_close(&p.f);
}
END_TEST

UNIT(model)
{
	/* Hundreds of syncs, on whatever disk there is. */
	tcase_set_timeout(tc, 600);
	unit_add(tc, random_operations_match_a_naive_model);
}
