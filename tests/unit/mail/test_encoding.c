/* SPDX-License-Identifier: ISC */
#include "common/mail/encoding.h"

#include "common/mail/base64.h"
#include "tests/unit/unit.h"

static struct buffer out;

static void
setup(void)
{
	buffer_init(&out, 1 << 20);
}

static void
teardown(void)
{
	buffer_clear(&out);
}

static const struct {
	const char *rule;
	enum encoding encoding;
	const char *in, *out;
} rows[] = {
	{"RFC 4648 10", ENCODING_BASE64, "Zm9vYmFy", "foobar"},
	{"padding 1", ENCODING_BASE64, "Zm9vYmE=", "fooba"},
	{"padding 2", ENCODING_BASE64, "Zm9vYg==", "foob"},
	{"missing padding", ENCODING_BASE64, "Zm9vYg", "foob"},
	{"one sextet too many", ENCODING_BASE64, "Zm9vY", "foo"},
	{"lines and noise", ENCODING_BASE64, "Zm\r\n9v Y*mF\ny\r\n", "foobar"},
	{"nothing after padding", ENCODING_BASE64, "Zm9vYg==Zm9v", "foob"},
	{"padding without data", ENCODING_BASE64, "=Zm9v", "foo"},
	{"8-bit noise", ENCODING_BASE64,
		"Zm\377"
		"9v",
		"foo"},
	{"escape", ENCODING_QUOTED_PRINTABLE, "a=3Db=C3=A9", "a=b\xc3\xa9"},
	{"lower-case escape", ENCODING_QUOTED_PRINTABLE, "=c3=a9", "\xc3\xa9"},
	{"soft line break", ENCODING_QUOTED_PRINTABLE, "a=\r\nb=\nc", "abc"},
	{"soft line break with blanks", ENCODING_QUOTED_PRINTABLE, "a= \t\r\nb", "ab"},
	{"blanks at line ends", ENCODING_QUOTED_PRINTABLE, "a \t\r\nb \nc ", "a\r\nb\nc"},
	{"blanks inside", ENCODING_QUOTED_PRINTABLE, "a  b", "a  b"},
	{"broken escape", ENCODING_QUOTED_PRINTABLE, "a=xb=4=3D=", "a=xb=4="},
	{"8-bit", ENCODING_QUOTED_PRINTABLE, "\xc3\xa9", "\xc3\xa9"},
	{"identity", ENCODING_8BIT, "a=\r\n", "a=\r\n"},
	{"unknown", ENCODING_UNKNOWN, "a=\r\n", "a=\r\n"},
};

START_TEST(decoding_is_lenient)
{
	struct slice in = slice_text(rows[_i].in);

	ck_assert_int_eq(encoding_decode(rows[_i].encoding, in, &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), rows[_i].out);
}
END_TEST

START_TEST(cutting_the_input_anywhere_changes_nothing)
{
	struct slice in = slice_text(rows[_i].in);
	struct buffer whole;

	buffer_init(&whole, 1000);
	ck_assert_int_eq(encoding_decode(rows[_i].encoding, in, &whole), FAULT_OK);
	for (size_t cut = 0; cut <= in.len; cut++) {
		struct decoder d;
		buffer_reset(&out);
		decoder_init(&d, rows[_i].encoding);
		decoder_feed(&d, slice_first(in, cut), &out);
		decoder_feed(&d, slice_after(in, cut), &out);
		decoder_finish(&d, &out);
		ck_assert_msg(slice_equal(buffer_slice(&out), buffer_slice(&whole)), "%s at %zu",
			rows[_i].rule, cut);
	}
	buffer_clear(&whole);
}
END_TEST

START_TEST(encode_and_decode_agree)
{
	char bytes[700];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	for (size_t len = 0; len <= sizeof bytes; len += 13) {
		struct buffer back;
		buffer_init(&back, 1000);
		buffer_reset(&out);
		encoding_encode_base64(slice_make(bytes, len), &out);
		ck_assert_int_eq(
			encoding_decode(ENCODING_BASE64, buffer_slice(&out), &back), FAULT_OK);
		ck_assert(slice_equal(buffer_slice(&back), slice_make(bytes, len)));
		buffer_clear(&back);
	}
}
END_TEST

START_TEST(quoted_text_survives_and_has_short_lines)
{
	struct slice text = SLICE("From here\r\n.\r\n--x\r\na = b \r\n\ttab\t\r\n\xea\xb9\x80 "
				  "a long line that goes on and on and on and on and on and on and "
				  "on and on and on and on\r\n\r\nend");
	struct buffer back;

	buffer_init(&back, 1000);
	encoding_encode_quoted(text, &out);
	struct slice rest = buffer_slice(&out);
	while (rest.len > 0) {
		struct slice line = slice_first(rest, slice_find_byte(rest, '\n'));
		ck_assert_uint_le(line.len, 77);
		ck_assert(!slice_starts(line, SLICE(".")) && !slice_starts(line, SLICE("From ")));
		rest = slice_after(rest, line.len + 1);
	}
	ck_assert_int_eq(
		encoding_decode(ENCODING_QUOTED_PRINTABLE, buffer_slice(&out), &back), FAULT_OK);
	ck_assert(slice_equal(buffer_slice(&back), text));
	buffer_clear(&back);
}
END_TEST

START_TEST(name_of_the_encoding)
{
	ck_assert_int_eq(encoding_parse(SLICE(" BASE64\r\n")), ENCODING_BASE64);
	ck_assert_int_eq(
		encoding_parse(SLICE("(x) quoted-printable (y)")), ENCODING_QUOTED_PRINTABLE);
	ck_assert_int_eq(encoding_parse(SLICE("")), ENCODING_7BIT);
	ck_assert_int_eq(encoding_parse(slice_make(NULL, 0)), ENCODING_7BIT);
	ck_assert_int_eq(encoding_parse(SLICE("8Bit;")), ENCODING_8BIT);
	ck_assert_int_eq(encoding_parse(SLICE("x-uuencode")), ENCODING_UNKNOWN);
}
END_TEST

START_TEST(strict_base64_has_one_spelling)
{
	static const struct {
		const char *in, *out;
	} strict[] = {
		{"", ""},
		{"Zg==", "f"},
		{"Zm8=", "fo"},
		{"Zm9v", "foo"},
		{"Zh==", NULL},
		{"Zm9=", NULL},
		{"Zg=", NULL},
		{"Zg", NULL},
		{"Z===", NULL},
		{"====", NULL},
		{"Zm9v\r\n", NULL},
		{"Zm=v", NULL},
		{"Zm-v", NULL},
		{"Zg==Zg==", NULL},
	};

	for (size_t i = 0; i < sizeof strict / sizeof strict[0]; i++) {
		buffer_reset(&out);
		enum fault fault = base64_decode(slice_text(strict[i].in), &out);
		ck_assert_msg((fault == FAULT_OK) == (strict[i].out != NULL), "%s", strict[i].in);
		ck_assert_slice_eq(buffer_slice(&out), strict[i].out != NULL ? strict[i].out : "");
	}
}
END_TEST

START_TEST(budget_is_a_fault)
{
	struct buffer small;

	buffer_init(&small, 4);
	ck_assert_int_eq(encoding_decode(ENCODING_BASE64, SLICE("Zm9vYmFy"), &small), FAULT_BUDGET);
	buffer_clear(&small);
}
END_TEST

UNIT(encoding)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, decoding_is_lenient, 0, sizeof rows / sizeof rows[0]);
	tcase_add_loop_test(
		tc, cutting_the_input_anywhere_changes_nothing, 0, sizeof rows / sizeof rows[0]);
	unit_add(tc, encode_and_decode_agree);
	unit_add(tc, quoted_text_survives_and_has_short_lines);
	unit_add(tc, name_of_the_encoding);
	unit_add(tc, strict_base64_has_one_spelling);
	unit_add(tc, budget_is_a_fault);
}
