/* SPDX-License-Identifier: ISC */
#include "queued/destination.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct destinations table;

START_TEST(window_grows_with_success_and_stops_at_its_maximum)
{
	struct destination *d;

	destinations_init(&table, 20);
	d = destination_get(&table, "x.example");
	ck_assert_uint_eq(d->window, WINDOW_FIRST);
	for (int i = 0; i < 1000; i++) {
		destination_started(d);
		destination_ended(d, true, 0, 1000);
	}
	ck_assert_uint_eq(d->window, 20);
	destinations_clear(&table);
}
END_TEST

START_TEST(window_halves_with_failure_and_pauses_when_nothing_is_left)
{
	struct destination *d;

	destinations_init(&table, 20);
	d = destination_get(&table, "x.example");
	destination_started(d);
	destination_started(d);
	destination_ended(d, false, 500, 1000);
	ck_assert_uint_eq(d->window, WINDOW_FIRST / 2);
	ck_assert(destination_has_room(d, 500));
	destination_ended(d, false, 500, 1000);
	ck_assert_uint_eq(d->window, 1);
	ck_assert(!destination_has_room(d, 1499));
	ck_assert(destination_has_room(d, 1500));
	destinations_clear(&table);
}
END_TEST

START_TEST(pause_doubles_up_to_its_maximum_and_success_ends_it)
{
	struct destination *d;
	int64_t last = 0;

	destinations_init(&table, 20);
	d = destination_get(&table, "x.example");
	for (int i = 0; i < 30; i++) {
		destination_started(d);
		destination_ended(d, false, 0, 1000);
		ck_assert_int_ge(d->paused_until_ms, last);
		ck_assert_int_le(d->paused_until_ms, PAUSE_MAX_MS);
		last = d->paused_until_ms;
	}
	ck_assert_int_eq(last, PAUSE_MAX_MS);
	destination_started(d);
	destination_ended(d, true, 0, 1000);
	ck_assert(destination_has_room(d, 0));
	destinations_clear(&table);
}
END_TEST

START_TEST(local_delivery_has_a_fixed_window_and_no_pause)
{
	struct destination *d;

	destinations_init(&table, 2);
	d = destination_get(&table, "");
	destination_started(d);
	destination_ended(d, false, 0, 1000);
	ck_assert_uint_eq(d->window, WINDOW_LOCAL);
	ck_assert(destination_has_room(d, 0));
	destinations_clear(&table);
}
END_TEST

START_TEST(resume_ends_all_pauses)
{
	struct destination *d;

	destinations_init(&table, 20);
	d = destination_get(&table, "x.example");
	destination_started(d);
	destination_ended(d, false, 0, 1000);
	destinations_resume(&table);
	ck_assert(destination_has_room(d, 0));
	destinations_clear(&table);
}
END_TEST

START_TEST(table_forgets_idle_destinations_but_never_busy_ones)
{
	struct destination *busy;

	destinations_init(&table, 20);
	busy = destination_get(&table, "busy.example");
	destination_started(busy);
	for (int i = 0; i < 2 * DESTINATIONS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof name, "d%d.example", i);
		ck_assert_ptr_nonnull(destination_get(&table, name));
		ck_assert_uint_le(table.count, DESTINATIONS_MAX);
	}
	ck_assert_ptr_eq(destination_find(&table, "busy.example"), busy);
	destinations_clear(&table);
}
END_TEST

UNIT(destination)
{
	unit_add(tc, window_grows_with_success_and_stops_at_its_maximum);
	unit_add(tc, window_halves_with_failure_and_pauses_when_nothing_is_left);
	unit_add(tc, pause_doubles_up_to_its_maximum_and_success_ends_it);
	unit_add(tc, local_delivery_has_a_fixed_window_and_no_pause);
	unit_add(tc, resume_ends_all_pauses);
	unit_add(tc, table_forgets_idle_destinations_but_never_busy_ones);
}
