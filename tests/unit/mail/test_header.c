/* SPDX-License-Identifier: ISC */
#include "common/mail/header.h"

#include "common/mail/message_id.h"
#include "tests/unit/unit.h"

static const char crlf[] = "Received: a\r\nreceived: b\r\nSubject: one\r\n two\r\nX-Odd : c\r\n"
			   "no field here\r\nEmpty:\r\n\r\nSubject: body\r\n";

START_TEST(fields_are_walked_with_their_folds)
{
	struct cursor c = cursor_of(slice_text(crlf));
	struct header_field f;

	ck_assert(take_header_field(&c, &f));
	ck_assert_slice_eq(f.whole, "Received: a\r\n");
	ck_assert_slice_eq(f.value, " a");
	ck_assert(take_header_field(&c, &f));
	ck_assert(take_header_field(&c, &f));
	ck_assert_slice_eq(f.whole, "Subject: one\r\n two\r\n");
	ck_assert_slice_eq(f.value, " one\r\n two");
	ck_assert(take_header_field(&c, &f));
	ck_assert_slice_eq(f.name, "X-Odd");
	ck_assert_slice_eq(f.value, " c");
	ck_assert(take_header_field(&c, &f));
	ck_assert_slice_eq(f.name, "");
	ck_assert_slice_eq(f.value, "no field here");
	ck_assert(take_header_field(&c, &f));
	ck_assert_slice_eq(f.value, "");
	ck_assert(!take_header_field(&c, &f));
	ck_assert_slice_eq(c.rest, "\r\nSubject: body\r\n");
}
END_TEST

START_TEST(section_ends_with_its_empty_line)
{
	static const struct {
		const char *rule, *message;
		size_t len;
	} rows[] = {
		{"CRLF", "A: b\r\n\r\nbody", 8},
		{"LF", "A: b\n\nbody", 6},
		{"mixed", "A: b\r\n\nbody", 7},
		{"no body", "A: b\r\n", 6},
		{"no line end", "A: b", 4},
		{"no header", "\r\nbody", 2},
		{"empty", "", 0},
		{"blank fold is no empty line", "A: b\r\n \r\nC: d\r\n\r\nx", 17},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(header_section_len(slice_text(rows[i].message)) == rows[i].len, "%s",
			rows[i].rule);
}
END_TEST

START_TEST(find_and_count_stop_at_the_body)
{
	struct header_field f;

	ck_assert(header_find(slice_text(crlf), SLICE("SUBJECT"), &f));
	ck_assert_slice_eq(f.value, " one\r\n two");
	ck_assert(!header_find(slice_text(crlf), SLICE("X"), &f));
	ck_assert(!header_find(slice_text(crlf), SLICE(""), &f));
	ck_assert_uint_eq(header_received_count(slice_text(crlf)), 2);
	ck_assert_uint_eq(header_count(slice_text(crlf), SLICE("subject")), 1);
}
END_TEST

START_TEST(unfold_removes_line_ends_only)
{
	struct arena arena;
	struct slice text, value = SLICE(" a\r\n b\n\tc \r\n");

	arena_init(&arena, 100);
	ck_assert_int_eq(header_unfold(value, &arena, &text), FAULT_OK);
	ck_assert_slice_eq(text, "a b\tc");
	ck_assert_int_eq(header_unfold(SLICE(" a "), &arena, &text), FAULT_OK);
	ck_assert_slice_eq(text, "a");
	arena_clear(&arena);
	arena_init(&arena, 2);
	ck_assert_int_eq(header_unfold(value, &arena, &text), FAULT_BUDGET);
	arena_clear(&arena);
}
END_TEST

START_TEST(ids_and_names_agree)
{
	for (int id = HEADER_OTHER + 1; id < HEADER_ID_COUNT; id++)
		ck_assert_int_eq(header_identify(header_name((enum header_id)id)), id);
	ck_assert_int_eq(header_identify(SLICE("from")), HEADER_FROM);
	ck_assert_int_eq(header_identify(SLICE("")), HEADER_OTHER);
	ck_assert_int_eq(header_identify(SLICE("Frog")), HEADER_OTHER);
	/* The numbers are stored: these must never change. */
	ck_assert_int_eq(HEADER_FROM, 1);
	ck_assert_int_eq(HEADER_CONTENT_TYPE, 16);
	ck_assert_int_eq(HEADER_RESENT_MESSAGE_ID, 41);
}
END_TEST

START_TEST(cfws_takes_nested_comments)
{
	static const struct {
		const char *text, *rest;
	} rows[] = {
		{" (a (b) \\) c)\r\n x", "x"},
		{"x", "x"},
		{"(open", ""},
		{"(a)(b)c", "c"},
		{"(\\", ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cursor c = cursor_of(slice_text(rows[i].text));
		take_cfws(&c);
		ck_assert_slice_eq(c.rest, rows[i].rest);
	}
}
END_TEST

START_TEST(message_ids_are_found_among_noise)
{
	struct cursor c =
		cursor_of(SLICE(" <a@b>\r\n\t<c@d>garbage <<e@f> <> <with space@x> \"q\" <g@h"));
	struct slice id;

	ck_assert(take_message_id(&c, &id));
	ck_assert_slice_eq(id, "<a@b>");
	ck_assert(take_message_id(&c, &id));
	ck_assert_slice_eq(id, "<c@d>");
	ck_assert(take_message_id(&c, &id));
	ck_assert_slice_eq(id, "<e@f>");
	ck_assert(!take_message_id(&c, &id));
	ck_assert(cursor_at_end(&c));
}
END_TEST

UNIT(header)
{
	unit_add(tc, fields_are_walked_with_their_folds);
	unit_add(tc, section_ends_with_its_empty_line);
	unit_add(tc, find_and_count_stop_at_the_body);
	unit_add(tc, unfold_removes_line_ends_only);
	unit_add(tc, ids_and_names_agree);
	unit_add(tc, cfws_takes_nested_comments);
	unit_add(tc, message_ids_are_found_among_noise);
}
