/* SPDX-License-Identifier: ISC */
#include <stdarg.h>

#include "mailctl/sessions.h"
#include "tests/unit/unit.h"

/* main.c's, which the archive does not have. */
void
complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	va_end(args);
}

START_TEST(a_session_is_named_by_process_worker_and_number)
{
	static const char *const bad[] = {"", "imapd", "imapd/0", "ftpd/0/1", "mailctl/0/1", "/0/1",
		"imapd/00000000000000000000/1", "imapd/0/1111111111111111111111111111111111"};
	struct session_name name;

	ck_assert(session_name_parse("imapd/3/17", &name));
	ck_assert_int_eq(name.process, PROCESS_IMAPD);
	ck_assert_str_eq(name.worker, "3");
	ck_assert_str_eq(name.number, "17");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!session_name_parse(bad[i], &name), "%s", bad[i]);
}
END_TEST

UNIT(sessions)
{
	unit_add(tc, a_session_is_named_by_process_worker_and_number);
}
