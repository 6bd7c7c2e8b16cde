/* SPDX-License-Identifier: ISC */
#include "common/mail/date.h"

#include "tests/unit/unit.h"

enum { NONE = -9999 };

static const struct {
	const char *rule, *value;
	int64_t seconds;
	int zone;
} dates[] = {
	{"date-time", "Fri, 21 Nov 2025 09:05:00 +0900", 1763683500, 540},
	{"without day of week", "21 Nov 2025 09:05:00 +0900", 1763683500, 540},
	{"without seconds", "21 Nov 2025 09:05 +0900", 1763683500, 540},
	{"comments and folds", " Fri (x), 21\r\n Nov 2025\t09:05:00 +0900 (KST)", 1763683500, 540},
	{"one digit", "Sat, 1 Feb 2025 00:00:00 +0000", 1738368000, 0},
	{"two-digit year, 20xx", "21 Nov 25 00:05:00 GMT", 1763683500, 0},
	{"two-digit year, 19xx", "21 Nov 97 09:55:06 -0600", 880127706, -360},
	{"three-digit year", "21 Nov 125 00:05:00 GMT", 1763683500, 0},
	{"EST", "Thu, 20 Nov 2025 19:05:00 EST", 1763683500, -300},
	{"PDT", "Thu, 20 Nov 2025 17:05:00 PDT", 1763683500, -420},
	{"UT", "21 Nov 2025 00:05:00 UT", 1763683500, 0},
	{"military zone", "21 Nov 2025 00:05:00 K", 1763683500, 0},
	{"missing zone", "21 Nov 2025 00:05:00", 1763683500, 0},
	{"GMT with offset", "21 Nov 2025 09:05:00 GMT+0900", 1763683500, 540},
	{"zone with colon", "21 Nov 2025 09:05:00 +09:00", 1763683500, 540},
	{"senseless zone", "21 Nov 2025 00:05:00 +9999", 1763683500, 0},
	{"-0000", "21 Nov 2025 00:05:00 -0000", 1763683500, 0},
	{"asctime", "Fri Nov 21 00:05:00 2025", 1763683500, 0},
	{"hyphens", "21-Nov-2025 00:05:00 +0000", 1763683500, 0},
	{"leap second", "31 Dec 2016 23:59:60 +0000", 1483228800, 0},
	{"29 February", "29 Feb 2000 00:00:00 +0000", 951782400, 0},
	{"before 1970", "31 Dec 1969 23:59:59 +0000", -1, 0},
	{"year 1", "1 Jan 0001 00:00:00 +0000", -62135596800, 0},
	{"date alone", "21 Nov 2025", 1763683200, 0},
	{"long month", "21 November 2025 00:05:00 +0000", 1763683500, 0},
	{"lower case", "fri, 21 nov 2025 00:05:00 gmt", 1763683500, 0},
	{"no 29 February", "29 Feb 2001 00:00:00 +0000", 0, NONE},
	{"1900 was no leap year", "29 Feb 1900 00:00:00 +0000", 0, NONE},
	{"day 0", "0 Nov 2025 00:00:00 +0000", 0, NONE},
	{"day 31 of November", "31 Nov 2025 00:00:00 +0000", 0, NONE},
	{"hour 24", "21 Nov 2025 24:00:00 +0000", 0, NONE},
	{"minute 60", "21 Nov 2025 00:60:00 +0000", 0, NONE},
	{"unknown month", "21 Nox 2025 00:00:00 +0000", 0, NONE},
	{"empty", "", 0, NONE},
	{"text", "yesterday", 0, NONE},
	{"one-digit year", "21 Nov 5 00:00:00 +0000", 0, NONE},
};

START_TEST(rfc_5322_3_3_and_4_3)
{
	struct date d;
	enum fault fault = date_parse(slice_text(dates[_i].value), &d);

	ck_assert_msg((fault == FAULT_OK) == (dates[_i].zone != NONE), "%s", dates[_i].rule);
	if (fault != FAULT_OK)
		return;
	ck_assert_msg(
		d.seconds == dates[_i].seconds, "%s: %lld", dates[_i].rule, (long long)d.seconds);
	ck_assert_int_eq(d.zone_minutes, dates[_i].zone);
}
END_TEST

START_TEST(format_and_parse_agree)
{
	struct buffer out;

	buffer_init(&out, 100);
	for (int64_t day = -719162; day < 2932896; day += 997) {
		struct date date = {day * 86400 + 86399, (int)(day % 720)}, back;
		buffer_reset(&out);
		date_format(&date, &out);
		if (day > -719160 && day < 2932894) {
			ck_assert_int_eq(date_parse(buffer_slice(&out), &back), FAULT_OK);
			ck_assert(back.seconds == date.seconds);
		}
	}
	buffer_reset(&out);
	date_format(&(struct date){1763683500, 540}, &out);
	ck_assert_slice_eq(buffer_slice(&out), "Fri, 21 Nov 2025 09:05:00 +0900");
	buffer_reset(&out);
	imap_date_time_format(&(struct date){-1, -90}, &out);
	ck_assert_slice_eq(buffer_slice(&out), "\"31-Dec-1969 22:29:59 -0130\"");
	buffer_reset(&out);
	date_format(&(struct date){INT64_MAX / 2, 0}, &out);
	ck_assert_slice_eq(buffer_slice(&out), "Fri, 31 Dec 9999 23:59:59 +0000");
	buffer_clear(&out);
}
END_TEST

START_TEST(imap_date_time_is_strict)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} rows[] = {
		{"\"17-Jul-1996 02:44:25 -0700\"", 837596665},
		{"\" 7-Jul-1996 02:44:25 -0700\"", 836732665},
		{"\"07-jul-1996 02:44:25 -0700\"", 836732665},
		{"\"17-Jul-1996 02:44:25\"", NONE},
		{"\"17-Jul-1996 2:44:25 -0700\"", NONE},
		{"\"17-July-1996 02:44:25 -0700\"", NONE},
		{"\"17-Jul-96 02:44:25 -0700\"", NONE},
		{"\"17-Jul-1996 02:44:25 -07:00\"", NONE},
		{"\"32-Jul-1996 02:44:25 -0700\"", NONE},
		{"17-Jul-1996 02:44:25 -0700", NONE},
		{"\"17-Jul-1996 02:44:25 -0700", NONE},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cursor c = cursor_of(slice_text(rows[i].text));
		struct date d = {0};
		bool taken = take_imap_date_time(&c, &d);
		ck_assert_msg(taken == (rows[i].seconds != NONE), "%s", rows[i].text);
		ck_assert(!taken || d.seconds == rows[i].seconds);
		ck_assert(taken == cursor_at_end(&c));
	}
}
END_TEST

START_TEST(imap_date_with_and_without_quotes)
{
	struct cursor c = cursor_of(SLICE("1-Feb-1994 \"12-Dec-2025\" \"1-Feb-1994"));
	int64_t day;

	ck_assert(take_imap_date(&c, &day));
	ck_assert_int_eq(day, 760060800);
	take_byte(&c, ' ');
	ck_assert(take_imap_date(&c, &day));
	ck_assert_int_eq(day, 1765497600);
	take_byte(&c, ' ');
	ck_assert(!take_imap_date(&c, &day));
	ck_assert_slice_eq(c.rest, "\"1-Feb-1994");
}
END_TEST

START_TEST(day_is_that_of_the_writer)
{
	struct date d;

	ck_assert_int_eq(date_parse(SLICE("1 Feb 1994 00:10:00 +0900"), &d), FAULT_OK);
	ck_assert_int_eq(date_day(&d), 760060800);
	ck_assert_int_eq(date_parse(SLICE("1 Feb 1994 23:50:00 -0800"), &d), FAULT_OK);
	ck_assert_int_eq(date_day(&d), 760060800);
}
END_TEST

UNIT(date)
{
	tcase_add_loop_test(tc, rfc_5322_3_3_and_4_3, 0, sizeof dates / sizeof dates[0]);
	unit_add(tc, format_and_parse_agree);
	unit_add(tc, imap_date_time_is_strict);
	unit_add(tc, imap_date_with_and_without_quotes);
	unit_add(tc, day_is_that_of_the_writer);
}
