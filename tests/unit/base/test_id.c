/* SPDX-License-Identifier: ISC */
#include "common/base/id.h"

#include "tests/unit/unit.h"

static const struct {
	uint64_t id;
	const char *text;
} ids[] = {
	{0, "0000000000000"},
	{1, "0000000000001"},
	{31, "000000000000v"},
	{32, "0000000000010"},
	{UINT64_MAX, "fvvvvvvvvvvvv"},
};

START_TEST(ids_are_thirteen_digits_and_read_back)
{
	char text[ID_TEXT_SIZE];
	uint64_t id = 99;

	ck_assert_str_eq(id_format(ids[_i].id, text), ids[_i].text);
	ck_assert(id_parse(slice_text(ids[_i].text), &id));
	ck_assert_uint_eq(id, ids[_i].id);
}
END_TEST

START_TEST(case_is_ignored)
{
	uint64_t id;

	ck_assert(id_parse(SLICE("FVVVVVVVVVVVV"), &id));
	ck_assert_uint_eq(id, UINT64_MAX);
}
END_TEST

static const char *const wrong[] = {"", "0", "00000000000000", "000000000000w", "g000000000000",
	"vvvvvvvvvvvvv", "000000000000 ", "-000000000001"};

START_TEST(other_texts_are_no_ids)
{
	uint64_t id = 7;

	ck_assert_msg(!id_parse(slice_text(wrong[_i]), &id), "%s", wrong[_i]);
	ck_assert_uint_eq(id, 7);
}
END_TEST

START_TEST(a_nul_is_no_digit)
{
	uint64_t id;

	ck_assert(!id_parse(SLICE("000000000000\0"), &id));
}
END_TEST

START_TEST(texts_sort_like_their_numbers)
{
	char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];

	for (unsigned i = 0; i < 63; i++)
		ck_assert_int_lt(
			strcmp(id_format(UINT64_C(1) << i, a), id_format(UINT64_C(2) << i, b)), 0);
}
END_TEST

UNIT(id)
{
	tcase_add_loop_test(
		tc, ids_are_thirteen_digits_and_read_back, 0, (int)(sizeof ids / sizeof ids[0]));
	unit_add(tc, case_is_ignored);
	tcase_add_loop_test(tc, other_texts_are_no_ids, 0, (int)(sizeof wrong / sizeof wrong[0]));
	unit_add(tc, a_nul_is_no_digit);
	unit_add(tc, texts_sort_like_their_numbers);
}
