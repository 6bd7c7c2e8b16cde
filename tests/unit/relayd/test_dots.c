/* SPDX-License-Identifier: ISC */
#include "relayd/dots.h"

#include "tests/unit/unit.h"

static const struct {
	const char *rule, *in, *out;
} rows[] = {
	{"nothing to do", "a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
	{"first line", ".a\r\n", "..a\r\n.\r\n"},
	{"later line", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	{"two dots", "..\r\n", "...\r\n.\r\n"},
	{"dot within a line", "a.b\r\n", "a.b\r\n.\r\n"},
	{"open last line", "a", "a\r\n.\r\n"},
	{"open after CR", "a\r", "a\r\n.\r\n"},
	{"empty", "", ".\r\n"},
	{"bare LF is made a line end, so that no end is smuggled in", "a\n.\nb\r\n",
		"a\r\n..\r\nb\r\n.\r\n"},
	{"bare CR stays", "a\r.\rb\r\n", "a\r.\rb\r\n.\r\n"},
	{"LF CR", "\n\r\n", "\r\n\r\n.\r\n"},
};

START_TEST(dots_by_table_split_at_every_byte)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t cut = 0; cut <= strlen(rows[i].in); cut++) {
			struct slice in = slice_text(rows[i].in);
			struct dots d = {0};
			struct buffer out;

			buffer_init(&out, 1024);
			dots_add(&d, slice_first(in, cut), &out);
			dots_add(&d, slice_after(in, cut), &out);
			dots_finish(&d, &out);
			ck_assert_msg(slice_equal(buffer_slice(&out), slice_text(rows[i].out)),
				"%s, cut at %zu: \"%.*s\"", rows[i].rule, cut,
				(int)buffer_len(&out), buffer_slice(&out).data);
			buffer_clear(&out);
		}
	}
}
END_TEST

UNIT(dots)
{
	unit_add(tc, dots_by_table_split_at_every_byte);
}
