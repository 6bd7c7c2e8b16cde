/* SPDX-License-Identifier: ISC */
/* The view against a naive model: an array of UIDs. */
#include "imapd/view.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

enum { MODEL_MAX = 400, ROUNDS = 2000 };

struct model {
	uint32_t uids[MODEL_MAX];
	uint32_t count;
};

static uint32_t
draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static void
compare(const struct view *view, const struct model *model, uint32_t seed)
{
	size_t hint = 0;

	ck_assert_msg(view->count == model->count, "seed %u", seed);
	for (uint32_t i = 0; i < model->count; i++) {
		ck_assert_uint_eq(view_uid(view, i + 1), model->uids[i]);
		ck_assert_uint_eq(view_seq(view, model->uids[i]), i + 1);
		ck_assert_uint_eq(view_seq_next(view, model->uids[i], &hint), i + 1);
	}
	uint32_t last = model->count > 0 ? model->uids[model->count - 1] : 0;
	ck_assert_uint_eq(view_last_uid(view), last);
	for (uint32_t uid = 1, at = 0; uid < last + 3; uid++) {
		at += at < model->count && model->uids[at] < uid;
		bool is_there = at < model->count && model->uids[at] == uid;
		if (!is_there)
			ck_assert_uint_eq(view_seq(view, uid), 0);
		ck_assert_uint_eq(view_count_between(view, uid, UINT32_MAX), model->count - at);
	}
}

static void
add(struct view *view, struct model *model, uint32_t *seed)
{
	uint32_t last = view_last_uid(view);
	struct uid_range uids = {.first = last + 1 + draw(seed, 3)};

	uids.last = uids.first + draw(seed, 4);
	if (model->count + 5 > MODEL_MAX)
		return;
	ck_assert(view_append(view, uids) == FAULT_OK);
	for (uint32_t uid = uids.first; uid <= uids.last; uid++)
		model->uids[model->count++] = uid;
}

static void
drop(struct view *view, struct model *model, uint32_t *seed)
{
	struct uid_range gone[3];
	uint32_t next = 1, kept = 0;

	for (size_t i = 0; i < 3; i++) {
		gone[i].first = next + draw(seed, 60);
		gone[i].last = gone[i].first + draw(seed, 6);
		next = gone[i].last + 2;
	}
	ck_assert(view_remove(view, gone, 3) == FAULT_OK);
	for (uint32_t i = 0; i < model->count; i++) {
		bool is_gone = false;
		for (size_t k = 0; k < 3; k++)
			is_gone |=
				model->uids[i] >= gone[k].first && model->uids[i] <= gone[k].last;
		if (!is_gone)
			model->uids[kept++] = model->uids[i];
	}
	model->count = kept;
}

START_TEST(view_agrees_with_an_array_of_uids)
{
	struct view view = {.mailbox = 1};
	struct model model = {.count = 0};
	uint32_t seed = (uint32_t)_i + 1;

	for (int round = 0; round < ROUNDS; round++) {
		if (draw(&seed, 3) > 0)
			add(&view, &model, &seed);
		else
			drop(&view, &model, &seed);
		if (round % 16 == 0)
			compare(&view, &model, (uint32_t)_i + 1);
	}
	view_clear(&view);
	ck_assert_uint_eq(view.count, 0);
}
END_TEST

START_TEST(gapless_uids_are_one_range)
{
	struct view view = {.mailbox = 1};

	ck_assert(view_append(&view, (struct uid_range){1, 1000}) == FAULT_OK);
	ck_assert(view_append(&view, (struct uid_range){1001, 100000}) == FAULT_OK);
	ck_assert_uint_eq(view.range_count, 1);
	ck_assert_uint_eq(view_uid(&view, 100000), 100000);
	/* What is there already is not added once more. */
	ck_assert(view_append(&view, (struct uid_range){99990, 100001}) == FAULT_OK);
	ck_assert_uint_eq(view.count, 100001);
	view_clear(&view);
	view_clear(&view);
}
END_TEST

START_TEST(the_highest_uid_is_no_overflow)
{
	struct view view = {.mailbox = 1};

	ck_assert(view_append(&view, (struct uid_range){UINT32_MAX - 1, UINT32_MAX}) == FAULT_OK);
	ck_assert(view_append(&view, (struct uid_range){1, 5}) == FAULT_OK);
	ck_assert_uint_eq(view.count, 2);
	ck_assert_uint_eq(view_count_between(&view, 1, UINT32_MAX), 2);
	ck_assert(view_remove(&view, &(struct uid_range){1, UINT32_MAX}, 1) == FAULT_OK);
	ck_assert_uint_eq(view.count, 0);
	view_clear(&view);
}
END_TEST

UNIT(view)
{
	tcase_add_loop_test(tc, view_agrees_with_an_array_of_uids, 0, 8);
	unit_add(tc, gapless_uids_are_one_range);
	unit_add(tc, the_highest_uid_is_no_overflow);
}
