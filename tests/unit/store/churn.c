/* SPDX-License-Identifier: ISC */
#include "tests/unit/store/churn.h"

#include <stdio.h>
#include <unistd.h>

enum { UNDELETE_S = 14 * 86400 };

const struct compact_options churn_all = {100, 4096, 1 << 20, 0};
const struct compact_options churn_usual = {COMPACT_PERCENT, 64 << 10, 1 << 20, 0};

struct churn_message churn_known[CHURN_MAX];

/* A body that its number repeats; some kilobytes as a rule, as mail is. */
size_t
churn_body(uint32_t number, char body[static CHURN_BODY_MAX])
{
	uint64_t state = number;
	size_t len = 300 + fixture_random(&state, number % 10 == 0 ? CHURN_BODY_MAX - 300 : 6000);

	for (size_t i = 0; i < len; i++)
		body[i] = (char)fixture_random(&state, 256);
	return len;
}

void
churn_append(struct fixture *f, uint32_t first, uint32_t count)
{
	static char body[CHURN_BODY_MAX];

	fixture_begin(f);
	for (uint32_t number = first; number < first + count; number++) {
		struct fixture_message m;
		fixture_message(f, &m, slice_make(body, churn_body(number, body)));
		writer_append(f->writer, &m.request);
		ck_assert_ok(m.targets[0].fault);
		churn_known[number] = (struct churn_message){m.targets[0].uid, false};
		fixture_message_clear(&m);
	}
	fixture_commit(f);
}

void
churn_append_all(struct fixture *f, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i += 50)
		churn_append(f, first + i, count - i < 50 ? count - i : 50);
}

void
churn_expunge(struct fixture *f, uint32_t number)
{
	struct uid_range range = {churn_known[number].uid, churn_known[number].uid};
	struct writer_expunge e = {.uids = {ALICE, STORE_INBOX, &range, 1}};

	ck_assert_ok(writer_expunge(f->writer, &e));
	uid_set_clear(&e.expunged);
	churn_known[number].expunged = true;
}

/* Every n-th of the messages from first on. */
void
churn_expunge_some(struct fixture *f, uint32_t first, uint32_t end, uint32_t n)
{
	fixture_begin(f);
	for (uint32_t number = first; number < end; number += n)
		churn_expunge(f, number);
	fixture_commit(f);
}

static void
churn_housekeep(struct fixture *f)
{
	for (bool more = true; more;)
		ck_assert_ok(writer_housekeep(f->writer, &more));
}

void
churn_undelete_time_passes(struct fixture *f)
{
	f->now_ms += (UNDELETE_S + 1) * INT64_C(1000);
	churn_housekeep(f);
}

void
churn_grace_passes(struct fixture *f)
{
	f->now_ms += COMPACT_GRACE_S * INT64_C(1000);
}

void
churn_expect_all(struct fixture *f, uint32_t first, uint32_t end)
{
	static char body[CHURN_BODY_MAX];

	for (uint32_t n = first; n < end; n++)
		if (churn_known[n].uid != 0 && !churn_known[n].expunged)
			fixture_expect(f, ALICE, STORE_INBOX, churn_known[n].uid,
				slice_make(body, churn_body(n, body)));
}

struct store_space
churn_space(struct fixture *f)
{
	struct store_space s;

	ck_assert_ok(writer_space(f->writer, &s));
	return s;
}

bool
churn_has_segment(struct fixture *f, uint32_t segment)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/segments/%08u.seg", f->dir, segment);
	return access(path, F_OK) == 0;
}
