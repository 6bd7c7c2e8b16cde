/* SPDX-License-Identifier: ISC */
/* Runs the test cases that the files of one folder registered; exit status 1 when one failed. */
#include "tests/unit/unit.h"

#include <stdlib.h>

enum { UNITS_MAX = 64, TIMEOUT_S = 60 };

static struct {
	const char *name;
	unit_fill *fill;
} units[UNITS_MAX];
static size_t unit_count;

void
unit_register(const char *name, unit_fill *fill)
{
	if (unit_count == UNITS_MAX)
		abort();
	units[unit_count].name = name;
	units[unit_count].fill = fill;
	unit_count++;
}

int
main(int argc, char **argv)
{
	Suite *suite = suite_create(argv[0]);

	for (size_t i = 0; i < unit_count; i++) {
		if (argc > 1 && strcmp(argv[1], units[i].name) != 0)
			continue;
		TCase *tc = tcase_create(units[i].name);
		tcase_set_timeout(tc, TIMEOUT_S);
		units[i].fill(tc);
		suite_add_tcase(suite, tc);
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
