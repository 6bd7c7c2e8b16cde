/* SPDX-License-Identifier: ISC */
#include "common/net/line.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

enum { MAX = 16, EVENTS_MAX = 256 };

/* Reads text in pieces of the given size and writes down what came out: "[line]" or "!". */
static void
read_in_pieces(const char *text, size_t piece, bool bare_lf, char *out)
{
	struct line_reader r;
	struct slice all = slice_text(text);
	size_t seen = 0, dropped = 0, n = 0;

	line_reader_init(&r, MAX);
	r.bare_lf = bare_lf;
	while (seen < all.len) {
		seen = seen + piece < all.len ? seen + piece : all.len;
		enum line_status status;
		do {
			struct slice line, input = slice_make(all.data + dropped, seen - dropped);
			size_t used;

			status = line_read(&r, input, &line, &used);
			dropped += used;
			if (status == LINE_TOO_LONG)
				out[n++] = '!';
			if (status != LINE_READY)
				continue;
			out[n++] = '[';
			memcpy(out + n, line.data, line.len);
			n += line.len;
			out[n++] = ']';
		} while (status != LINE_MORE);
	}
	out[n] = '\0';
}

static const struct {
	const char *rule, *text;
	bool bare_lf;
	const char *expected;
} rows[] = {
	{"a line ends with CRLF", "NOOP\r\nQUIT\r\n", false, "[NOOP][QUIT]"},
	{"a bare LF ends no line", "a\nb\r\n", false, "[a\nb]"},
	{"a bare CR ends no line", "a\rb\r\r\n", false, "[a\rb\r]"},
	{"an empty line is a line", "\r\n\r\n", false, "[][]"},
	{"the longest line fits", "12345678901234\r\n", false, "[12345678901234]"},
	{"one byte more does not", "123456789012345\r\nok\r\n", false, "![ok]"},
	{"far too long counts once", "1234567890123456789012345678901234567890\r\nok\r\n", false,
		"![ok]"},
	{"a CR inside a line too long", "1234567890\r23456789\r0\r\r\nok\r\n", false, "![ok]"},
	{"LF may be allowed", "a\nb\r\n\n", true, "[a][b][]"},
};

START_TEST(splitting_at_any_byte_changes_nothing)
{
	char out[EVENTS_MAX];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t piece = 1; piece <= 64; piece++) {
			read_in_pieces(rows[i].text, piece, rows[i].bare_lf, out);
			ck_assert_msg(strcmp(out, rows[i].expected) == 0, "%s (by %zu): %s",
				rows[i].rule, piece, out);
		}
	}
}
END_TEST

START_TEST(literal_is_found_at_the_end_only)
{
	struct line_literal l;

	ck_assert(line_find_literal(SLICE("a LOGIN {5}"), &l));
	ck_assert(l.size == 5 && l.synchronising && !l.binary && l.at == 8);
	ck_assert(line_find_literal(SLICE("a APPEND x ~{12+}"), &l));
	ck_assert(l.size == 12 && !l.synchronising && l.binary && l.at == 11);
	ck_assert(!line_find_literal(SLICE("a {5} b"), &l));
	ck_assert(!line_find_literal(SLICE("a {}"), &l));
	ck_assert(!line_find_literal(SLICE("a {+}"), &l));
	ck_assert(!line_find_literal(SLICE("a {5-}"), &l));
	ck_assert(!line_find_literal(SLICE("a 5}"), &l));
	ck_assert(!line_find_literal(SLICE("{18446744073709551616}"), &l));
	ck_assert(!line_find_literal(SLICE(""), &l));
}
END_TEST

UNIT(line)
{
	unit_add(tc, splitting_at_any_byte_changes_nothing);
	unit_add(tc, literal_is_found_at_the_end_only);
}
