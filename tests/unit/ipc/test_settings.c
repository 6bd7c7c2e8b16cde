/* SPDX-License-Identifier: ISC */
#include "common/ipc/settings.h"

#include "tests/unit/unit.h"

START_TEST(every_default_reads_back_from_its_own_text)
{
	struct settings s;
	struct buffer text, again;

	ck_assert(settings_init(&s));
	for (unsigned i = 0; i < setting_count(); i++) {
		const struct setting *row = setting_row(i);
		buffer_init(&text, 1024);
		buffer_init(&again, 1024);
		settings_format(&s, i, &text);
		ck_assert_msg(
			settings_set(&s, slice_text(row->name), buffer_slice(&text)) == FAULT_OK,
			"%s", row->name);
		settings_format(&s, i, &again);
		ck_assert(slice_equal(buffer_slice(&text), buffer_slice(&again)));
		if (row->kind != SETTING_TEXT)
			ck_assert_msg(row->preset >= row->min && row->preset <= row->max, "%s",
				row->name);
		buffer_clear(&text);
		buffer_clear(&again);
	}
	settings_clear(&s);
}
END_TEST

static const struct {
	const char *rule, *name, *value;
	enum fault fault;
	int64_t result; /* of message-size or retry-first */
} rows[] = {
	{"size with unit", "message-size", "10M", FAULT_OK, 10485760},
	{"size in bytes", "message-size", "2048", FAULT_OK, 2048},
	{"size too small", "message-size", "1", FAULT_LIMIT, 0},
	{"size too large for 64 bits", "message-size", "99999999999999G", FAULT_SYNTAX, 0},
	{"time needs a unit", "retry-first", "90", FAULT_SYNTAX, 0},
	{"time in seconds", "retry-first", "90s", FAULT_OK, 90000},
	{"time in milliseconds", "retry-first", "90ms", FAULT_OK, 90},
	{"unit of another kind", "retry-first", "90M", FAULT_SYNTAX, 0},
	{"negative", "retry-first", "-1s", FAULT_SYNTAX, 0},
	{"empty", "retry-first", "", FAULT_SYNTAX, 0},
	{"flag", "plaintext-login", "maybe", FAULT_SYNTAX, 0},
	{"unknown name", "retry_first", "90s", FAULT_NOT_FOUND, 0},
};

START_TEST(values_are_checked_by_kind_and_limits)
{
	struct settings s;

	ck_assert(settings_init(&s));
	enum fault fault = settings_set(&s, slice_text(rows[_i].name), slice_text(rows[_i].value));
	ck_assert_msg(fault == rows[_i].fault, "%s: %s", rows[_i].rule, fault_text(fault));
	if (fault == FAULT_OK)
		ck_assert_msg(rows[_i].result ==
				(rows[_i].name[0] == 'm' ? s.message_size : s.retry_first),
			"%s", rows[_i].rule);
	settings_clear(&s);
}
END_TEST

UNIT(settings)
{
	unit_add(tc, every_default_reads_back_from_its_own_text);
	tcase_add_loop_test(
		tc, values_are_checked_by_kind_and_limits, 0, (int)(sizeof rows / sizeof rows[0]));
}
