/* SPDX-License-Identifier: ISC */
#include "common/mail/parameter.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct arena arena;
static struct buffer out;

static void
setup(void)
{
	arena_init(&arena, 1 << 20);
	buffer_init(&out, 1 << 20);
}

static void
teardown(void)
{
	arena_clear(&arena);
	buffer_clear(&out);
}

/* Printed as type/subtype;name=value;... */
static const struct {
	const char *rule, *value, *parsed;
} rows[] = {
	{"RFC 2045 5.1", "text/plain; charset=us-ascii (Plain text)",
		"text/plain;charset=us-ascii"},
	{"quotes", "text/plain; charset=\"us-ascii\"", "text/plain;charset=us-ascii"},
	{"escapes", "a/b; x=\"a\\\"b\\\\\"", "a/b;x=a\"b\\"},
	{"folds", "multipart/mixed;\r\n\tboundary=\"a\r\n b\"", "multipart/mixed;boundary=a b"},
	{"comments", "(x) text (y) / (z) plain ; a (b) = c", "text/plain;a=c"},
	{"equals signs without quotes", "multipart/mixed; boundary=--=_x=1",
		"multipart/mixed;boundary=--=_x=1"},
	{"spaces without quotes", "a/b; name=my file.txt; x=y", "a/b;name=my file.txt;x=y"},
	{"forgotten semicolon", "text/plain; charset=utf-8 format=flowed",
		"text/plain;charset=utf-8;format=flowed"},
	{"forgotten first semicolon", "text/plain charset=utf-8", "text/plain;charset=utf-8"},
	{"open quote", "a/b; name=\"x", "a/b;name=x"},
	{"trailing semicolon", "text/plain;", "text/plain"},
	{"double semicolon", "text/plain;; a=b;;", "text/plain;a=b"},
	{"empty value", "a/b; x=; y=\"\"", "a/b;x=;y="},
	{"no value", "a/b; x; y=z", "a/b;y=z"},
	{"no subtype", "text", "text/"},
	{"no type", "; a=b", "/;a=b"},
	{"disposition", "attachment; filename=x.txt", "attachment/;filename=x.txt"},
	{"junk", "a/b; =x; []; c=d", "a/b;c=d"},
	{"8-bit", "a/b; name=\"\xbe\xc8\"", "a/b;name=\xbe\xc8"},
	{"empty", "", "/"},
};

START_TEST(values_are_read_as_they_are_meant)
{
	struct parameter_value v;

	ck_assert_int_eq(parameter_parse(slice_text(rows[_i].value), 10, &arena, &v), FAULT_OK);
	buffer_add_slice(&out, v.type);
	buffer_add_byte(&out, '/');
	buffer_add_slice(&out, v.subtype);
	for (size_t i = 0; i < v.parameters.count; i++) {
		buffer_add_byte(&out, ';');
		buffer_add_slice(&out, v.parameters.items[i].name);
		buffer_add_byte(&out, '=');
		buffer_add_slice(&out, v.parameters.items[i].value);
	}
	ck_assert_msg(slice_equal(buffer_slice(&out), slice_text(rows[_i].parsed)), "%s: %.*s",
		rows[_i].rule, SLICE_ARG(buffer_slice(&out)));
}
END_TEST

static const struct {
	const char *rule, *value, *decoded;
} extended[] = {
	{"plain", "x; filename=a.txt", "a.txt"},
	{"RFC 2231 4", "x; filename*=utf-8'ko'%ED%9A%8C%EC%9D%98.pdf", "회의.pdf"},
	{"RFC 2231 3", "x; filename*0=\"a b\"; filename*1=c", "a bc"},
	{"RFC 2231 3, out of order", "x; filename*1=c; filename*0=ab", "abc"},
	{"RFC 2231 4.1", "x; filename*0*=euc-kr''%C8%B8; filename*1*=%C0%C7; filename*2=.pdf",
		"회의.pdf"},
	{"gap", "x; filename*0=a; filename*2=c", "a"},
	{"no charset", "x; filename*=a%20b", "a b"},
	{"broken percent", "x; filename*=utf-8''a%2", "a%2"},
	{"percent at the end", "x; filename*=utf-8''a%41", "aA"},
	{"extended before plain", "x; filename=b; filename*=utf-8''c", "c"},
	{"encoded word (against RFC 2047 5)", "x; filename=\"=?utf-8?B?7JWI64WV?=\"", "안녕"},
	{"raw UTF-8", "x; filename=\"안녕\"", "안녕"},
	{"missing", "x; name=y", NULL},
};

START_TEST(parameters_are_decoded)
{
	struct parameter_value v;

	ck_assert_int_eq(parameter_parse(slice_text(extended[_i].value), 10, &arena, &v), FAULT_OK);
	enum fault fault = parameter_decode(&v.parameters, SLICE("filename"), &out);
	ck_assert_int_eq(fault, extended[_i].decoded != NULL ? FAULT_OK : FAULT_NOT_FOUND);
	ck_assert_slice_eq(
		buffer_slice(&out), extended[_i].decoded != NULL ? extended[_i].decoded : "");
}
END_TEST

START_TEST(hostile_values_are_read_in_linear_time)
{
	static const char *const patterns[] = {
		"(;", "\"", ";a=\"\\", "=", "a b", "a=(", "[", "; a="};
	const size_t len = 200000;
	char *value = malloc(len);

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		struct parameter_value v;
		for (size_t at = 0; at < len; at++)
			value[at] = patterns[i][at % strlen(patterns[i])];
		ck_assert_int_eq(parameter_parse(slice_make(value, len), 64, &arena, &v), FAULT_OK);
		ck_assert_uint_le(v.parameters.count, 64);
		arena_clear(&arena);
	}
	free(value);
}
END_TEST

UNIT(parameter)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, values_are_read_as_they_are_meant, 0, sizeof rows / sizeof rows[0]);
	tcase_add_loop_test(tc, parameters_are_decoded, 0, sizeof extended / sizeof extended[0]);
	unit_add(tc, hostile_values_are_read_in_linear_time);
}
