/* SPDX-License-Identifier: ISC */
/* Dates, by our own calendar arithmetic: no locale, no time zone of this machine. */
#include "common/mail/date.h"

#include "common/base/ascii.h"
#include "common/mail/header.h"

enum { DAY_SECONDS = 86400, ZONE_MAX_MINUTES = 24 * 60 };

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

/* A date as a calendar and a clock on the wall show it. */
struct civil {
	uint32_t year, month, day; /* month and day from 1 */
	uint32_t hour, minute, second;
};

/* ---- calendar ---- */

static bool
is_leap(uint32_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t
month_days(uint32_t year, uint32_t month)
{
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

static int64_t
days_before_year(uint32_t year)
{
	int64_t before = (int64_t)year - 1;

	return before * 365 + before / 4 - before / 100 + before / 400;
}

/* Since 1970-01-01, as if in UTC. */
static int64_t
civil_to_seconds(const struct civil *c)
{
	int64_t number = days_before_year(c->year) - days_before_year(1970) + c->day - 1;

	for (uint32_t month = 1; month < c->month; month++)
		number += month_days(c->year, month);
	return number * DAY_SECONDS + c->hour * 3600 + c->minute * 60 + c->second;
}

static int64_t
floor_day(int64_t seconds)
{
	return seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0);
}

/* Years 1-9999; what is outside is brought to the nearest end.  *weekday: 0 is Sunday. */
static struct civil
civil_from_seconds(int64_t seconds, uint32_t *weekday)
{
	static const struct civil first = {1, 1, 1, 0, 0, 0}, last = {9999, 12, 31, 23, 59, 59};
	struct civil c = {.month = 1};

	if (seconds < civil_to_seconds(&first))
		seconds = civil_to_seconds(&first);
	if (seconds > civil_to_seconds(&last))
		seconds = civil_to_seconds(&last);
	int64_t number = floor_day(seconds) + days_before_year(1970);
	uint32_t clock = (uint32_t)(seconds - floor_day(seconds) * DAY_SECONDS);
	*weekday = (uint32_t)((number + 1) % 7);
	c.year = (uint32_t)(number * 400 / 146097) + 1;
	while (days_before_year(c.year) > number)
		c.year--;
	while (days_before_year(c.year + 1) <= number)
		c.year++;
	uint32_t rest = (uint32_t)(number - days_before_year(c.year));
	for (; rest >= month_days(c.year, c.month); c.month++)
		rest -= month_days(c.year, c.month);
	c.day = rest + 1;
	c.hour = clock / 3600;
	c.minute = clock / 60 % 60;
	c.second = clock % 60;
	return c;
}

static bool
civil_is_valid(const struct civil *c)
{
	return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
		c->day <= month_days(c->year, c->month) && c->hour <= 23 && c->minute <= 59 &&
		c->second <= 60;
}

/* ---- RFC 5322 ---- */

/* The first three letters of the word decide: "Sept" and "September" are September. */
static bool
take_month(struct cursor *c, uint32_t *month)
{
	struct cursor probe = *c;
	struct slice word;

	if (!take_while(&probe, ascii_is_alpha, &word) || word.len < 3)
		return false;
	for (uint32_t i = 0; i < 12; i++) {
		if (slice_equal_nocase(slice_first(word, 3), slice_make(months + 3 * i, 3))) {
			*month = i + 1;
			*c = probe;
			return true;
		}
	}
	return false;
}

static bool
take_number(struct cursor *c, size_t max_digits, uint32_t *value, size_t *digits)
{
	struct cursor probe = *c;
	struct slice run;
	uint64_t wide;

	if (!take_while(&probe, ascii_is_digit, &run) || run.len > max_digits ||
		!slice_parse_u64(run, UINT32_MAX, &wide))
		return false;
	*value = (uint32_t)wide;
	*digits = run.len;
	*c = probe;
	return true;
}

/* CFWS, and the hyphens that some write between day, month and year. */
static void
take_gap(struct cursor *c)
{
	take_cfws(c);
	take_byte(c, '-');
	take_cfws(c);
}

/* RFC 5322 4.3: two digits are 1950-2049, three count from 1900. */
static bool
take_year(struct cursor *c, uint32_t *year)
{
	size_t digits;
	uint32_t value;

	if (!take_number(c, 4, &value, &digits) || digits < 2)
		return false;
	if (digits == 2)
		value += value < 50 ? 2000 : 1900;
	else if (digits == 3)
		value += 1900;
	*year = value;
	return true;
}

static bool
take_time_of_day(struct cursor *c, struct civil *civil)
{
	struct cursor probe = *c;
	struct civil taken = *civil;
	size_t digits;

	if (!take_number(&probe, 2, &taken.hour, &digits))
		return false;
	take_cfws(&probe);
	if (!take_byte(&probe, ':') && !take_byte(&probe, '.'))
		return false;
	take_cfws(&probe);
	if (!take_number(&probe, 2, &taken.minute, &digits))
		return false;
	*c = probe;
	*civil = taken;
	take_cfws(&probe);
	if (!take_byte(&probe, ':') && !take_byte(&probe, '.'))
		return true;
	take_cfws(&probe);
	if (take_number(&probe, 2, &civil->second, &digits))
		*c = probe;
	return true;
}

/* "+0900", "-08:00". */
static bool
take_numeric_zone(struct cursor *c, int *minutes)
{
	struct cursor probe = *c;
	uint32_t hours, rest;
	size_t digits;
	int sign = take_byte(&probe, '-') ? -1 : 1;

	if (sign == 1 && !take_byte(&probe, '+'))
		return false;
	if (!take_number(&probe, 4, &hours, &digits))
		return false;
	if (digits <= 2) {
		if (!take_byte(&probe, ':') || !take_number(&probe, 2, &rest, &digits))
			rest = 0;
	} else {
		rest = hours % 100;
		hours /= 100;
	}
	*minutes = sign * (int)(hours * 60 + rest);
	/* No place on Earth: such a zone tells nothing. */
	if (rest > 59 || hours * 60 + rest > ZONE_MAX_MINUTES)
		*minutes = 0;
	*c = probe;
	return true;
}

/* Hours east of UTC; the military letters and what is unknown mean -0000 (RFC 5322 4.3). */
static int
named_zone_minutes(struct slice name)
{
	static const struct {
		struct slice name;
		int hours;
	} table[] = {
		{SLICE_LITERAL("EST"), -5},
		{SLICE_LITERAL("EDT"), -4},
		{SLICE_LITERAL("CST"), -6},
		{SLICE_LITERAL("CDT"), -5},
		{SLICE_LITERAL("MST"), -7},
		{SLICE_LITERAL("MDT"), -6},
		{SLICE_LITERAL("PST"), -8},
		{SLICE_LITERAL("PDT"), -7},
		{SLICE_LITERAL("KST"), 9},
		{SLICE_LITERAL("JST"), 9},
		{SLICE_LITERAL("CET"), 1},
		{SLICE_LITERAL("CEST"), 2},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (slice_equal_nocase(name, table[i].name))
			return table[i].hours * 60;
	}
	return 0;
}

static int
take_zone(struct cursor *c)
{
	struct slice name;
	int minutes = 0;

	take_cfws(c);
	if (take_numeric_zone(c, &minutes))
		return minutes;
	if (!take_while(c, ascii_is_alpha, &name))
		return 0;
	/* "GMT+0900" means +0900. */
	if (take_numeric_zone(c, &minutes))
		return minutes;
	return named_zone_minutes(name);
}

/* "Fri," or "Fri"; a month is no day. */
static void
take_day_of_week(struct cursor *c)
{
	struct cursor probe = *c;
	struct slice word;
	uint32_t month;

	take_cfws(&probe);
	struct cursor at_word = probe;
	if (!take_month(&at_word, &month))
		take_while(&probe, ascii_is_alpha, &word);
	take_cfws(&probe);
	take_byte(&probe, ',');
	take_cfws(&probe);
	*c = probe;
}

/* day month year time zone */
static bool
take_rfc_form(struct cursor *c, struct civil *civil, int *zone)
{
	struct cursor probe = *c;
	struct civil taken = {0};
	size_t digits;

	if (!take_number(&probe, 2, &taken.day, &digits))
		return false;
	take_gap(&probe);
	if (!take_month(&probe, &taken.month))
		return false;
	take_byte(&probe, '.');
	take_gap(&probe);
	if (!take_year(&probe, &taken.year))
		return false;
	take_cfws(&probe);
	take_byte(&probe, ',');
	take_cfws(&probe);
	if (take_time_of_day(&probe, &taken))
		*zone = take_zone(&probe);
	*civil = taken;
	*c = probe;
	return true;
}

/* C's asctime: month day time [zone] year. */
static bool
take_asctime_form(struct cursor *c, struct civil *civil, int *zone)
{
	struct cursor probe = *c;
	struct civil taken = {0};
	size_t digits;

	if (!take_month(&probe, &taken.month))
		return false;
	take_cfws(&probe);
	if (!take_number(&probe, 2, &taken.day, &digits))
		return false;
	take_cfws(&probe);
	take_byte(&probe, ',');
	take_cfws(&probe);
	if (!take_time_of_day(&probe, &taken))
		return false;
	*zone = take_zone(&probe);
	take_cfws(&probe);
	if (!take_year(&probe, &taken.year))
		return false;
	*civil = taken;
	*c = probe;
	return true;
}

static void
set_date(struct date *date, const struct civil *civil, int zone)
{
	date->zone_minutes = zone;
	date->seconds = civil_to_seconds(civil) - (int64_t)zone * 60;
}

enum fault
date_parse(struct slice value, struct date *date)
{
	struct cursor c = cursor_of(value);
	struct civil civil;
	int zone = 0;

	take_day_of_week(&c);
	if (!take_rfc_form(&c, &civil, &zone) && !take_asctime_form(&c, &civil, &zone))
		return FAULT_SYNTAX;
	if (!civil_is_valid(&civil))
		return FAULT_SYNTAX;
	set_date(date, &civil, zone);
	return FAULT_OK;
}

int64_t
date_day(const struct date *date)
{
	return floor_day(date->seconds + (int64_t)date->zone_minutes * 60) * DAY_SECONDS;
}

static struct civil
civil_of(const struct date *date, uint32_t *weekday)
{
	return civil_from_seconds(date->seconds + (int64_t)date->zone_minutes * 60, weekday);
}

static void
add_zone(struct buffer *out, int minutes)
{
	unsigned east = (unsigned)(minutes < 0 ? -minutes : minutes);

	buffer_printf(out, "%c%02u%02u", minutes < 0 ? '-' : '+', east / 60 % 100, east % 60);
}

void
date_format(const struct date *date, struct buffer *out)
{
	uint32_t weekday;
	struct civil c = civil_of(date, &weekday);

	buffer_printf(out, "%.3s, %02u %.3s %04u %02u:%02u:%02u ", days + 3 * weekday, c.day,
		months + 3 * (c.month - 1), c.year, c.hour, c.minute, c.second);
	add_zone(out, date->zone_minutes);
}

/* ---- IMAP ---- */

/* date-day "-" date-month "-" date-year; the day may be padded by a space. */
static bool
take_imap_day(struct cursor *c, struct civil *civil)
{
	struct cursor probe = *c;
	struct civil taken = {0};
	size_t digits;

	if (!take_number(&probe, 2, &taken.day, &digits) || !take_byte(&probe, '-'))
		return false;
	struct cursor mark = probe;
	if (!take_month(&probe, &taken.month))
		return false;
	if (cursor_since(&probe, mark).len != 3 || !take_byte(&probe, '-') ||
		!take_number(&probe, 4, &taken.year, &digits) || digits != 4)
		return false;
	*civil = taken;
	*c = probe;
	return true;
}

bool
take_imap_date(struct cursor *c, int64_t *day_seconds)
{
	struct cursor probe = *c;
	struct civil civil;
	bool is_quoted = take_byte(&probe, '"');

	if (!take_imap_day(&probe, &civil) || !civil_is_valid(&civil))
		return false;
	if (is_quoted && !take_byte(&probe, '"'))
		return false;
	*day_seconds = civil_to_seconds(&civil);
	*c = probe;
	return true;
}

static bool
take_two(struct cursor *c, uint32_t *value)
{
	size_t digits;

	return take_number(c, 2, value, &digits) && digits == 2;
}

static bool
take_imap_time(struct cursor *c, struct civil *civil)
{
	return take_two(c, &civil->hour) && take_byte(c, ':') && take_two(c, &civil->minute) &&
		take_byte(c, ':') && take_two(c, &civil->second);
}

/* ("+" / "-") 4DIGIT */
static bool
take_imap_zone(struct cursor *c, int *minutes)
{
	struct cursor mark = *c;

	return take_numeric_zone(c, minutes) && cursor_since(c, mark).len == 5;
}

bool
take_imap_date_time(struct cursor *c, struct date *date)
{
	struct cursor probe = *c;
	struct civil civil;
	int zone;

	if (!take_byte(&probe, '"'))
		return false;
	take_byte(&probe, ' ');
	if (!take_imap_day(&probe, &civil) || !take_byte(&probe, ' ') ||
		!take_imap_time(&probe, &civil) || !take_byte(&probe, ' ') ||
		!take_imap_zone(&probe, &zone) || !take_byte(&probe, '"') ||
		!civil_is_valid(&civil))
		return false;
	set_date(date, &civil, zone);
	*c = probe;
	return true;
}

void
imap_date_time_format(const struct date *date, struct buffer *out)
{
	uint32_t weekday;
	struct civil c = civil_of(date, &weekday);

	buffer_printf(out, "\"%2u-%.3s-%04u %02u:%02u:%02u ", c.day, months + 3 * (c.month - 1),
		c.year, c.hour, c.minute, c.second);
	add_zone(out, date->zone_minutes);
	buffer_add_byte(out, '"');
}
