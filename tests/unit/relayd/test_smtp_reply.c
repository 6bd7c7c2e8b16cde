/* SPDX-License-Identifier: ISC */
#include "relayd/smtp_reply.h"

#include "tests/unit/unit.h"

START_TEST(one_line_replies)
{
	static const struct {
		const char *line;
		bool good;
		uint32_t code;
		bool final;
		const char *status, *text;
	} rows[] = {
		{"250 ok", true, 250, true, "", "ok"},
		{"250", true, 250, true, "", ""},
		{"250-more", true, 250, false, "", "more"},
		{"550 5.1.1 no such user", true, 550, true, "5.1.1", "no such user"},
		{"550 5.1.1", true, 550, true, "5.1.1", ""},
		{"550 4.1.1 class differs", true, 550, true, "", "class differs"},
		{"250 2.1 no status", true, 250, true, "", "2.1 no status"},
		{"250 1.2.3.4 an address", true, 250, true, "", "1.2.3.4 an address"},
		{"299 odd but in range", true, 299, true, "", "odd but in range"},
		{"250 tab\there", true, 250, true, "", "tab here"},
		{"199 too low", false, 0, false, "", ""},
		{"600 too high", false, 0, false, "", ""},
		{"25", false, 0, false, "", ""},
		{"", false, 0, false, "", ""},
		{"+OK pop", false, 0, false, "", ""},
		{"250x", false, 0, false, "", ""},
		{" 250 x", false, 0, false, "", ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct smtp_reply r;

		smtp_reply_start(&r);
		ck_assert_msg(smtp_reply_add(&r, slice_text(rows[i].line)) == rows[i].good, "%s",
			rows[i].line);
		if (!rows[i].good)
			continue;
		ck_assert_msg(
			r.code == rows[i].code && r.final == rows[i].final, "%s", rows[i].line);
		ck_assert_str_eq(r.status, rows[i].status);
		ck_assert_str_eq(r.text, rows[i].text);
	}
}
END_TEST

START_TEST(lines_of_one_reply_have_one_code)
{
	struct smtp_reply r;

	smtp_reply_start(&r);
	ck_assert(smtp_reply_add(&r, SLICE("250-a")));
	ck_assert(!smtp_reply_add(&r, SLICE("251 b")));
}
END_TEST

START_TEST(long_replies_are_bounded)
{
	static char line[SMTP_REPLY_LINE_MAX];
	struct smtp_reply r;
	int taken = 0;

	memset(line, 'x', sizeof line);
	memcpy(line, "250-", 4);
	smtp_reply_start(&r);
	while (smtp_reply_add(&r, slice_make(line, sizeof line)))
		taken++;
	ck_assert_int_eq(taken, SMTP_REPLY_LINES_MAX);
	ck_assert_uint_eq(r.text_len, SMTP_REPLY_TEXT_MAX);
}
END_TEST

UNIT(smtp_reply)
{
	unit_add(tc, one_line_replies);
	unit_add(tc, lines_of_one_reply_have_one_code);
	unit_add(tc, long_replies_are_bounded);
}
