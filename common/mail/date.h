/* SPDX-License-Identifier: ISC */
/* Dates of RFC 5322 3.3 (with the obsolete forms of 4.3) and of IMAP (RFC 3501 9). */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "common/base/buffer.h"
#include "common/base/cursor.h"
#include "common/base/fault.h"

/* A moment and the zone that it was written in.  Years 1-9999. */
struct date {
	int64_t seconds; /* since 1970-01-01 UTC, without leap seconds */
	int zone_minutes; /* east of UTC; -0000 is 0 */
};

/*
 * A raw Date value: leniently, with comments, folds, without day of week or seconds, years of two
 * or three digits, zones by name or missing (then UTC).  FAULT_SYNTAX when there is no date in it.
 */
enum fault date_parse(struct slice value, struct date *) MUST_USE;
/* "Fri, 21 Nov 2025 09:05:00 +0900". */
void date_format(const struct date *, struct buffer *);

/* date of RFC 3501 9, "1-Feb-1994" with or without quotes: midnight of that day as if UTC. */
bool take_imap_date(struct cursor *, int64_t *day_seconds);
/* date-time of RFC 3501 9, with its quotes: "17-Jul-1996 02:44:25 -0700". */
bool take_imap_date_time(struct cursor *, struct date *);
/* The same, with quotes. */
void imap_date_time_format(const struct date *, struct buffer *);

/*
 * The calendar day on which it was for the writer, as midnight UTC of that day: SEARCH SENTON,
 * SENTBEFORE and SENTSINCE disregard time and zone (RFC 3501 6.4.4).
 */
int64_t date_day(const struct date *);

#endif
