/* SPDX-License-Identifier: ISC */
#include "common/base/slice.h"
#include "pop3d/dots.h"
#include "tests/unit/unit.h"

struct row {
	const char *rule;
	const char *message;
	int64_t lines;
	const char *sent;
};

static const struct row rows[] = {
	{"a whole message ends with the dot line", "a\r\n\r\nb\r\n", DOTS_ALL_LINES,
		"a\r\n\r\nb\r\n.\r\n"},
	{"a dot at the start of a line is doubled", ".\r\n..\r\n.a\r\na.\r\n", DOTS_ALL_LINES,
		"..\r\n...\r\n..a\r\na.\r\n.\r\n"},
	{"a dot after a bare LF too", "a\n.\nb\r\n", DOTS_ALL_LINES, "a\n..\nb\r\n.\r\n"},
	{"a dot after a bare CR is inside the line", "a\r.\r\n", DOTS_ALL_LINES, "a\r.\r\n.\r\n"},
	{"a missing last CRLF is added", "a", DOTS_ALL_LINES, "a\r\n.\r\n"},
	{"a last CR alone is no line end", "a\r", DOTS_ALL_LINES, "a\r\r\n.\r\n"},
	{"a last LF alone is none either", "a\n", DOTS_ALL_LINES, "a\n\r\n.\r\n"},
	{"an empty message is the dot line", "", DOTS_ALL_LINES, ".\r\n"},
	{"TOP 0 is the header and the empty line", "h\r\n\r\na\r\nb\r\n", 0, "h\r\n\r\n.\r\n"},
	{"TOP 1 has one line more", "h\r\n\r\na\r\nb\r\n", 1, "h\r\n\r\na\r\n.\r\n"},
	{"TOP of more lines than there are is all", "h\r\n\r\na\r\n", 9, "h\r\n\r\na\r\n.\r\n"},
	{"TOP counts empty lines of the body", "h\r\n\r\n\r\na\r\n", 1, "h\r\n\r\n\r\n.\r\n"},
	{"TOP of a message without a body", "h\r\ni\r\n", 0, "h\r\ni\r\n.\r\n"},
	{"TOP of a message without a header", "\r\na\r\nb\r\n", 1, "\r\na\r\n.\r\n"},
	{"a header line of CR and more is not empty", "h\r\n\rx\r\n\r\na\r\n", 0,
		"h\r\n\rx\r\n\r\n.\r\n"},
};

static void
check_row(const struct row *row, size_t piece)
{
	struct slice rest = slice_text(row->message);
	struct buffer out;
	struct dots dots;
	bool more = true;

	buffer_init(&out, 4096);
	dots_init(&dots, row->lines);
	while (rest.len > 0 && more) {
		more = dots_add(&dots, slice_first(rest, piece), &out);
		rest = slice_after(rest, piece);
	}
	dots_end(&dots, &out);
	struct slice sent = buffer_slice(&out);
	ck_assert_msg(slice_equal(sent, slice_text(row->sent)),
		"%s, in pieces of %zu: \"%.*s\" instead of \"%s\"", row->rule, piece, (int)sent.len,
		sent.data, row->sent);
	buffer_clear(&out);
}

START_TEST(messages_become_responses)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t piece = 1; piece < 30; piece++)
			check_row(&rows[i], piece);
	}
}
END_TEST

UNIT(dots)
{
	unit_add(tc, messages_become_responses);
}
