/* SPDX-License-Identifier: ISC */
#include "common/mail/mime.h"

#include <stdlib.h>

#include "common/base/buffer.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct buffer out;

static void
setup(void)
{
	arena_init(&arena, 16 << 20);
	buffer_init(&out, 1 << 20);
}

static void
teardown(void)
{
	arena_clear(&arena);
	buffer_clear(&out);
}

/* subtype, and of leaves the body and its lines: mixed(plain[one]1 html[two]1); ~ is a line end */
static size_t
print_part(struct slice message, const struct mime_tree *tree, size_t index)
{
	const struct mime_part *part = &tree->parts[index];
	size_t child = index + 1;

	buffer_add_slice(&out, part->type.subtype);
	if (part->kind == MIME_LEAF || part->next == child) {
		struct slice body =
			slice_first(slice_after(message, part->body_offset), part->body_len);
		buffer_add_byte(&out, '[');
		for (size_t i = 0; i < body.len; i++) {
			if (body.data[i] != '\r')
				buffer_add_byte(&out, body.data[i] == '\n' ? '~' : body.data[i]);
		}
		buffer_add_byte(&out, ']');
		buffer_add_u64(&out, part->lines);
		return child;
	}
	buffer_add_byte(&out, part->kind == MIME_MESSAGE ? '{' : '(');
	while (child < part->next) {
		if (child > index + 1)
			buffer_add_byte(&out, ' ');
		child = print_part(message, tree, child);
	}
	buffer_add_byte(&out, part->kind == MIME_MESSAGE ? '}' : ')');
	return child;
}

#define MIXED(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\n\n"
#define TYPED(type) "Content-Type: " type "\n\n"

static const struct {
	const char *rule, *message, *tree;
} rows[] = {
	{"no header at all", "\nhello\nworld\n", "plain[hello~world~]2"},
	{"no body", "Subject: x\n", "plain[]0"},
	{"empty", "", "plain[]0"},
	{"last line without line end is not counted", "\nhello", "plain[hello]0"},
	{"unreadable type is text/plain (RFC 2045 5.2)", "Content-Type: x y z\n\na", "plain[a]0"},
	{"type without subtype", "Content-Type: text\n\na", "plain[a]0"},
	{"two parts", MIXED("b") "pre\n--b\n\none\n--b\n" TYPED("text/html") "two\n--b--\npost\n",
		"mixed(plain[one]0 html[two]0)"},
	{"the line end before a boundary is the boundary's", MIXED("b") "--b\n\none\n\n--b--",
		"mixed(plain[one~]1)"},
	{"quoted boundary with specials", MIXED("\"a:b c?\"") "--a:b c?\n\none\n--a:b c?--\n",
		"mixed(plain[one]0)"},
	{"trailing space in parameter and line", MIXED("\"b \"") "--b  \n\none\n--b-- \n",
		"mixed(plain[one]0)"},
	{"missing close delimiter", MIXED("b") "--b\n\none\n--b\n\ntwo\n",
		"mixed(plain[one]0 plain[two~]1)"},
	{"boundary at once", MIXED("b") "--b\n--b\n\ntwo\n--b--", "mixed(plain[]0 plain[two]0)"},
	{"part without empty line", MIXED("b") "--b\nX-A: b\n--b--", "mixed(plain[]0)"},
	{"empty body", MIXED("b") "--b\nX-A: b\n\n--b--", "mixed(plain[]0)"},
	{"no part", MIXED("b") "nothing\n", "mixed[nothing~]1"},
	{"only a close delimiter", MIXED("b") "x\n--b--\n", "mixed[x~--b--~]2"},
	{"boundary missing", "Content-Type: multipart/mixed\n\n--b\n\nx", "mixed[--b~~x]2"},
	{"boundary is a prefix of a line", MIXED("b") "--b\n\n--bc\n--b x\n--b--",
		"mixed(plain[--bc~--b x]1)"},
	{"nested, inner prefix of outer",
		MIXED("bc") "--bc\n" MIXED("b") "--b\n\none\n--b--\n--bc\n\ntwo\n--bc--",
		"mixed(mixed(plain[one]0) plain[two]0)"},
	{"nested, outer prefix of inner",
		MIXED("b") "--b\n" MIXED("bc") "--bc\n\none\n--bc--\n--b\n\ntwo\n--b--",
		"mixed(mixed(plain[one]0) plain[two]0)"},
	{"outer boundary ends an open inner multipart",
		MIXED("a") "--a\n" MIXED("b") "--b\n\none\n--a\n\ntwo\n--a--",
		"mixed(mixed(plain[one]0) plain[two]0)"},
	{"the same boundary twice",
		MIXED("b") "--b\n" MIXED("b") "--b\n\none\n--b--\n--b\n\ntwo\n--b--",
		"mixed(mixed(plain[one]0) plain[two]0)"},
	{"inner boundary after its close is text",
		MIXED("a") "--a\n" MIXED("b") "--b\n\none\n--b--\n--b\n\nx\n--a--",
		"mixed(mixed(plain[one]0))"},
	{"message/rfc822", TYPED("message/rfc822") "Subject: in\n\nbody\n",
		"rfc822{plain[body~]1}"},
	{"message/global", TYPED("message/global") "Subject: in\n\nbody\n",
		"global{plain[body~]1}"},
	{"message in a multipart",
		MIXED("a") "--a\n" TYPED("message/rfc822")
			MIXED("b") "--b\n\none\n--b--\n--a\n\ntwo\n--a--",
		"mixed(rfc822{mixed(plain[one]0)} plain[two]0)"},
	{"message without a body", MIXED("a") "--a\n" TYPED("message/rfc822") "--a--",
		"mixed(rfc822{plain[]0})"},
	{"encoded message is opaque",
		"Content-Transfer-Encoding: base64\n" TYPED("message/rfc822") "QQ==",
		"rfc822[QQ==]0"},
	{"digest (RFC 2046 5.1.5)",
		"Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: "
		"x\n\none\n--d\n" TYPED("text/plain") "two\n--d--",
		"digest(rfc822{plain[one]0} plain[two]0)"},
	{"RFC 2231 boundary",
		"Content-Type: multipart/mixed; boundary*=us-ascii''b%3D\n\n--b=\n\none\n--b=--",
		"mixed(plain[one]0)"},
	{"signed",
		"Content-Type: multipart/signed; boundary=s\n\n--s\n\none\n--s\n" TYPED(
			"application/pgp-signature") "sig\n--s--",
		"signed(plain[one]0 pgp-signature[sig]0)"},
	{"line like a boundary in the top header",
		"Subject: x\n--b\n" MIXED("b") "--b\n\none\n--b--", "mixed(plain[one]0)"},
	{"first Content-Type counts", "Content-Type: text/html\n" TYPED("text/plain") "x",
		"html[x]0"},
};

/* The text with CRLF for LF. */
static char *
with_crlf(const char *text)
{
	char *to = calloc(2, strlen(text) + 1), *at = to;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			*at++ = '\r';
		*at++ = *text;
	}
	return to;
}

static void
check_tree(const char *rule, struct slice message, const char *expected)
{
	struct mime_tree tree;

	buffer_reset(&out);
	arena_clear(&arena);
	ck_assert_int_eq(mime_parse(message, &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(print_part(message, &tree, 0), tree.count);
	ck_assert_msg(slice_equal(buffer_slice(&out), slice_text(expected)), "%s: %.*s", rule,
		SLICE_ARG(buffer_slice(&out)));
}

START_TEST(tree_is_the_same_for_lf_and_crlf)
{
	char *crlf = with_crlf(rows[_i].message);

	check_tree(rows[_i].rule, slice_text(rows[_i].message), rows[_i].tree);
	check_tree(rows[_i].rule, slice_text(crlf), rows[_i].tree);
	free(crlf);
}
END_TEST

START_TEST(offsets_point_into_the_message)
{
	struct slice m =
		SLICE("Subject: x\r\n" MIXED("b") "--b\r\nX-A: b\r\n\r\nbody\r\n--b--\r\n");
	struct mime_tree tree;

	ck_assert_int_eq(mime_parse(m, &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, 2);
	ck_assert(tree.parts[0].is_message && !tree.parts[1].is_message);
	const struct mime_part *p = &tree.parts[1];
	ck_assert_slice_eq(
		slice_first(slice_after(m, p->header_offset), p->header_len), "X-A: b\r\n\r\n");
	ck_assert_slice_eq(slice_first(slice_after(m, p->body_offset), p->body_len), "body");
	ck_assert_uint_eq(tree.parts[0].body_offset + tree.parts[0].body_len, m.len);
}
END_TEST

static struct slice
nested(size_t depth)
{
	buffer_reset(&out);
	for (size_t i = 0; i < depth; i++)
		buffer_printf(
			&out, "Content-Type: multipart/mixed; boundary=b%zu\n\n--b%zu\n", i, i);
	buffer_add_text(&out, "\nend\n");
	return buffer_slice(&out);
}

START_TEST(depth_is_limited)
{
	struct mime_tree tree;

	ck_assert_int_eq(mime_parse(nested(50), &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, 51);
	ck_assert_int_eq(mime_parse(nested(5000), &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, MIME_DEPTH_MAX);
	ck_assert_uint_eq(tree.parts[tree.count - 1].depth, MIME_DEPTH_MAX - 1);
	struct mime_limits five = {5, 10000};
	ck_assert_int_eq(mime_parse(nested(50), &five, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, 5);
}
END_TEST

START_TEST(parts_are_limited)
{
	struct mime_limits limits = {100, 20};
	struct mime_tree tree;

	buffer_add_text(&out, MIXED("b"));
	for (size_t i = 0; i < 11000; i++)
		buffer_add_text(&out, "--b\n\nx\n");
	ck_assert_int_eq(mime_parse(buffer_slice(&out), &limits, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, 20);
	ck_assert_int_eq(
		mime_parse(buffer_slice(&out), &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert_uint_eq(tree.count, MIME_PARTS_MAX);
}
END_TEST

START_TEST(a_full_arena_is_a_fault)
{
	struct arena tiny;
	struct mime_tree tree;

	arena_init(&tiny, 100);
	ck_assert_int_eq(
		mime_parse(SLICE("\nx"), &mime_limits_default, &tiny, &tree), FAULT_BUDGET);
	arena_clear(&tiny);
}
END_TEST

UNIT(mime)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, tree_is_the_same_for_lf_and_crlf, 0, sizeof rows / sizeof rows[0]);
	unit_add(tc, offsets_point_into_the_message);
	unit_add(tc, depth_is_limited);
	unit_add(tc, parts_are_limited);
	unit_add(tc, a_full_arena_is_a_fault);
}
