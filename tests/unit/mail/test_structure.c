/* SPDX-License-Identifier: ISC */
#include "common/mail/structure.h"

#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/mail/imap_structure.h"
#include "common/mail/structure_layout.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct buffer stored, out;

static void
setup(void)
{
	arena_init(&arena, 16 << 20);
	buffer_init(&stored, 1 << 20);
	buffer_init(&out, 1 << 20);
}

static void
teardown(void)
{
	arena_clear(&arena);
	buffer_clear(&stored);
	buffer_clear(&out);
}

static struct structure
build(struct slice message)
{
	struct structure s;

	arena_clear(&arena);
	buffer_reset(&stored);
	ck_assert_int_eq(
		structure_build(message, &structure_limits_default, &arena, &stored), FAULT_OK);
	ck_assert_int_eq(structure_open(buffer_slice(&stored), &s), FAULT_OK);
	return s;
}

#define PLAIN                                                                                      \
	"Received: by x\r\nDate: Fri, 21 Nov 2025 09:05:00 +0900\r\n"                              \
	"From: \"Kim, C\" <kim@example.kr>\r\nTo: a@b, g: c@d;\r\n"                                \
	"Subject: =?utf-8?B?7JWI64WV?=\r\n  again\r\nMessage-ID: <1@example.kr>\r\n"               \
	"In-Reply-To: <0@example.kr>\r\nReferences: <a@b>\r\n <c@d>\r\n\r\nHello there\r\n"

/* A tree with everything: 1 text, 2 message (2.1 text, 2.2 message plain), 3 picture. */
static const char nested[] =
	"From: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
	"--o\r\n\r\none\r\n"
	"--o\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
	"--i\r\n\r\ntwo\r\n"
	"--i\r\nContent-Type: message/rfc822\r\n\r\nSubject: innermost\r\n\r\nthree\r\n"
	"--i--\r\n"
	"--o\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n"
	"Content-ID: <p@x>\r\nContent-Description: a \"picture\"\r\nContent-MD5: abc==\r\n"
	"Content-Disposition: attachment; filename*=utf-8''%41.png\r\n"
	"Content-Language: ko, en\r\nContent-Location: http://x/y\r\n\r\nAAAA\r\n"
	"--o--\r\n";

START_TEST(plain_message_is_small_and_whole)
{
	struct structure s = build(SLICE(PLAIN));
	struct structure_part part;
	struct slice id;

	ck_assert_uint_le(buffer_len(&stored), 600);
	ck_assert_uint_eq(s.part_count, 1);
	ck_assert_uint_eq(s.size, sizeof PLAIN - 1);
	ck_assert(s.has_sent && s.sent.seconds == 1763683500 && s.sent.zone_minutes == 540);
	ck_assert(!s.has_attachment && s.is_indexed);
	ck_assert_slice_eq(s.preview, "Hello there");
	ck_assert(structure_get_part(&s, 0, &part));
	ck_assert_slice_eq(part.type, "text");
	ck_assert_slice_eq(part.subtype, "plain");
	ck_assert_uint_eq(part.body_len, 13);
	ck_assert_uint_eq(part.lines, 1);
	ck_assert(part.encoding.data == NULL && part.id.data == NULL);
	ck_assert(!structure_get_part(&s, 1, &part));
	ck_assert(structure_take_text(&s.references, &id));
	ck_assert_slice_eq(id, "<a@b>");
	ck_assert(structure_take_text(&s.references, &id));
	ck_assert_slice_eq(id, "<c@d>");
	ck_assert(!structure_take_text(&s.references, &id));
}
END_TEST

START_TEST(envelope_is_raw_and_unfolded)
{
	struct structure s = build(SLICE(PLAIN));
	struct structure_envelope e;
	struct list_address a;

	ck_assert(structure_get_envelope(&s, 0, &e));
	ck_assert_slice_eq(e.subject, "=?utf-8?B?7JWI64WV?=  again");
	ck_assert_slice_eq(e.message_id, "<1@example.kr>");
	ck_assert(structure_take_address(&e.from, &a));
	ck_assert_slice_eq(a.name, "Kim, C");
	ck_assert_slice_eq(a.host, "example.kr");
	ck_assert(a.route.data == NULL);
	ck_assert(!structure_take_address(&e.from, &a));
	ck_assert_uint_eq(e.to.count, 4);
	ck_assert_uint_eq(e.sender.count, 0);
}
END_TEST

START_TEST(header_index_has_every_field)
{
	struct slice m = SLICE(PLAIN);
	struct structure s = build(m);
	struct structure_field field;
	uint32_t offset = 0;

	ck_assert_uint_eq(s.fields.count, 8);
	ck_assert(structure_take_field(&s.fields, &offset, &field));
	ck_assert_int_eq(field.id, HEADER_RECEIVED);
	ck_assert(structure_take_field(&s.fields, &offset, &field));
	ck_assert(structure_take_field(&s.fields, &offset, &field));
	ck_assert_int_eq(field.id, HEADER_FROM);
	ck_assert_slice_eq(slice_first(slice_after(m, field.offset), field.len),
		"From: \"Kim, C\" <kim@example.kr>\r\n");
	while (structure_take_field(&s.fields, &offset, &field))
		;
	ck_assert_uint_eq(offset + 2, s.header_len);
}
END_TEST

START_TEST(in_reply_to_serves_without_references)
{
	struct structure s = build(SLICE("In-Reply-To: x <a@b> <c@d>\r\nReferences: junk\r\n\r\n"));
	struct slice id;

	ck_assert_uint_eq(s.references.count, 1);
	ck_assert(structure_take_text(&s.references, &id));
	ck_assert_slice_eq(id, "<a@b>");
}
END_TEST

/* numbers end with 0; bytes NULL: no such section. */
static const struct {
	const char *rule;
	uint32_t numbers[5];
	enum structure_text text;
	const char *bytes;
} sections[] = {
	{"TEXT of 1 is none", {1}, STRUCTURE_TEXT, NULL},
	{"1", {1}, STRUCTURE_ALL, "one"},
	{"1.1 is none", {1, 1}, STRUCTURE_ALL, NULL},
	{"1.MIME", {1}, STRUCTURE_MIME, "\r\n"},
	{"2.MIME", {2}, STRUCTURE_MIME, "Content-Type: message/rfc822\r\n\r\n"},
	{"2.HEADER", {2}, STRUCTURE_HEADER,
		"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"},
	{"2.1", {2, 1}, STRUCTURE_ALL, "two"},
	{"2.2", {2, 2}, STRUCTURE_ALL, "Subject: innermost\r\n\r\nthree"},
	{"2.2.HEADER", {2, 2}, STRUCTURE_HEADER, "Subject: innermost\r\n\r\n"},
	{"2.2.TEXT", {2, 2}, STRUCTURE_TEXT, "three"},
	{"2.2.1 is the body of a message that is no multipart", {2, 2, 1}, STRUCTURE_ALL, "three"},
	{"2.2.1.1 is none", {2, 2, 1, 1}, STRUCTURE_ALL, NULL},
	{"2.2.2 is none", {2, 2, 2}, STRUCTURE_ALL, NULL},
	{"2.3 is none", {2, 3}, STRUCTURE_ALL, NULL},
	{"3", {3}, STRUCTURE_ALL, "AAAA"},
	{"4 is none", {4}, STRUCTURE_ALL, NULL},
	{"MIME needs numbers", {0}, STRUCTURE_MIME, NULL},
	{"HEADER", {0}, STRUCTURE_HEADER,
		"From: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"},
	{"all", {0}, STRUCTURE_ALL, nested},
};

static size_t
count_numbers(const uint32_t *numbers)
{
	size_t count = 0;

	while (numbers[count] != 0)
		count++;
	return count;
}

static void
check_section(const struct structure *s, struct slice message, size_t row)
{
	struct structure_section section = {
		sections[row].numbers, count_numbers(sections[row].numbers), sections[row].text};
	struct structure_range range;
	bool found = structure_find_range(s, &section, &range);

	ck_assert_msg(found == (sections[row].bytes != NULL), "%s", sections[row].rule);
	if (found)
		ck_assert_slice_eq(slice_first(slice_after(message, range.offset), range.len),
			sections[row].bytes);
}

START_TEST(sections_of_rfc_3501_6_4_5)
{
	struct structure s = build(slice_text(nested));

	check_section(&s, slice_text(nested), (size_t)_i);
}
END_TEST

START_TEST(part_numbers_of_messages_without_multipart)
{
	struct structure s = build(SLICE(PLAIN));

	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1}, 1), 0);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1, 1}, 2), STRUCTURE_NO_PART);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){2}, 1), STRUCTURE_NO_PART);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){0}, 1), STRUCTURE_NO_PART);
	/* The message is a message: 1 is all of its body, 1.1 the body of the inner one. */
	s = build(SLICE("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody"));
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1}, 1), 0);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1, 1}, 2), 1);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1, 1, 1}, 3), STRUCTURE_NO_PART);
	/* A multipart in which no part was found shows its body as part 1. */
	s = build(SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts"));
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1}, 1), 0);
	ck_assert_uint_eq(structure_find_part(&s, (uint32_t[]){1, 1}, 2), STRUCTURE_NO_PART);
}
END_TEST

static const struct {
	const char *rule, *message, *envelope, *body, *bodystructure;
} formats[] = {
	{"plain", PLAIN,
		"(\"Fri, 21 Nov 2025 09:05:00 +0900\" \"=?utf-8?B?7JWI64WV?=  again\" "
		"((\"Kim, C\" NIL \"kim\" \"example.kr\")) ((\"Kim, C\" NIL \"kim\" "
		"\"example.kr\")) ((\"Kim, C\" NIL \"kim\" \"example.kr\")) "
		"((NIL NIL \"a\" \"b\")(NIL NIL \"g\" NIL)(NIL NIL \"c\" \"d\")(NIL NIL NIL NIL)) "
		"NIL NIL \"<0@example.kr>\" \"<1@example.kr>\")",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 13 1)",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 13 1 NIL NIL NIL "
		"NIL)"},
	{"nested", nested,
		"(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
		"NIL "
		"NIL NIL NIL NIL)",
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0)"
		"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 144 "
		"(NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL) "
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0)"
		"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 27 "
		"(NIL \"innermost\" NIL NIL NIL NIL NIL NIL NIL NIL) "
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 0) 2) "
		"\"mixed\") 12)"
		"(\"image\" \"png\" (\"name\" \"x.png\") \"<p@x>\" \"a \\\"picture\\\"\" "
		"\"base64\" 4) "
		"\"mixed\")",
		NULL},
	{"extension data",
		"Content-Type: image/png\r\nContent-MD5: abc==\r\n"
		"Content-Disposition: attachment; filename*=utf-8''%41.png\r\n"
		"Content-Language: ko, en\r\nContent-Location: http://x/y\r\n\r\n",
		NULL, "(\"image\" \"png\" NIL NIL NIL \"7bit\" 0)",
		"(\"image\" \"png\" NIL NIL NIL \"7bit\" 0 \"abc==\" "
		"(\"attachment\" (\"filename*\" \"utf-8''%41.png\")) (\"ko\" \"en\") "
		"\"http://x/y\")"},
	{"one language", "Content-Type: a/b\r\nContent-Language: ko\r\n\r\n", NULL, NULL,
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL NIL (\"ko\") NIL)"},
	{"multipart without parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n", NULL,
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1) \"mixed\")",
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL "
		"NIL) "
		"\"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"},
	{"encoded message",
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==",
		NULL,
		"(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 4 "
		"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4 0) 0)",
		NULL},
	{"message/global is a leaf for IMAP4rev1", "Content-Type: message/global\r\n\r\n\r\nx",
		NULL, "(\"message\" \"global\" NIL NIL NIL \"7bit\" 3)", NULL},
	{"text without charset is US-ASCII", "Content-Type: text/html; format=x\r\n\r\n", NULL,
		"(\"text\" \"html\" (\"format\" \"x\" \"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 "
		"0)",
		NULL},
	{"charset of RFC 2231", "Content-Type: text/html; charset*=''x\r\n\r\n", NULL,
		"(\"text\" \"html\" (\"charset*\" \"''x\") NIL NIL \"7bit\" 0 0)", NULL},
	{"fields that come twice", "To: a@b\r\nCc: c@d\r\nTo: e@f,\r\n\r\n",
		"(NIL NIL NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"e\" \"f\")) "
		"((NIL NIL \"c\" \"d\")) NIL NIL NIL)",
		NULL, NULL},
	{"8-bit becomes a literal", "Subject: \xec\x95\x88\r\n\r\n",
		"(NIL {3}\r\n\xec\x95\x88 NIL NIL NIL NIL NIL NIL NIL NIL)", NULL, NULL},
	{"empty subject is no NIL", "Subject:\r\n\r\n",
		"(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)", NULL, NULL},
};

START_TEST(imap_forms)
{
	struct imap_structure_style style = {0};
	struct structure s = build(slice_text(formats[_i].message));

	if (formats[_i].envelope != NULL) {
		imap_envelope_format(&s, 0, &style, &out);
		ck_assert_slice_eq(buffer_slice(&out), formats[_i].envelope);
	}
	buffer_reset(&out);
	imap_bodystructure_format(&s, 0, &style, &out);
	if (formats[_i].body != NULL)
		ck_assert_slice_eq(buffer_slice(&out), formats[_i].body);
	buffer_reset(&out);
	style.is_extensible = true;
	imap_bodystructure_format(&s, 0, &style, &out);
	if (formats[_i].bodystructure != NULL)
		ck_assert_slice_eq(buffer_slice(&out), formats[_i].bodystructure);
}
END_TEST

START_TEST(imap_strings)
{
	imap_string_format(slice_make("a\0b\r\n", 5), false, &out);
	imap_string_format(SLICE("a\"\\"), false, &out);
	imap_string_format(SLICE("\xec\x95\x88"), true, &out);
	imap_string_format(SLICE("\xff"), true, &out);
	imap_nstring_format(slice_make(NULL, 0), false, &out);
	ck_assert_slice_eq(
		buffer_slice(&out), "{4}\r\nab\r\n\"a\\\"\\\\\"\"\xec\x95\x88\"{1}\r\n\xffNIL");
}
END_TEST

/* ---- any bytes ---- */

/* Everything that readers do, so that sanitizers see it. */
static void
use_all(const struct structure *s)
{
	struct imap_structure_style style = {true, true, true};
	struct structure_part part;
	struct structure_range range;
	uint32_t numbers[] = {1, 2, 1, 1};

	for (uint32_t i = 0; i < s->part_count; i++) {
		ck_assert(structure_get_part(s, i, &part));
		ck_assert_uint_le((uint64_t)part.body_offset + part.body_len, s->size);
		ck_assert_uint_le((uint64_t)part.header_offset + part.header_len, s->size);
	}
	for (size_t count = 0; count <= 4; count++) {
		struct structure_section section = {numbers, count, STRUCTURE_ALL};
		if (structure_find_range(s, &section, &range))
			ck_assert_uint_le((uint64_t)range.offset + range.len, s->size);
	}
	buffer_reset(&out);
	imap_envelope_format(s, 0, &style, &out);
	imap_bodystructure_format(s, 0, &style, &out);
}

static uint32_t seed = 12345;

static uint32_t
next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

START_TEST(any_message_has_a_structure)
{
	static const char *const words[] = {"Content-Type: ", "multipart/mixed", "; boundary=", "b",
		"\r\n", "\n", "--", "--b", "--b--", "message/rfc822", "\r\n\r\n", "From: ", "<a@b>",
		"\"", "(", "x", ":", "=?utf-8?Q?=C3?=", "Date: Fri, 21 Nov 2025 09:05:00 +0900",
		"\0", "\xff", "References: "};
	struct buffer message;

	buffer_init(&message, 1 << 20);
	for (int round = 0; round < 3000; round++) {
		buffer_reset(&message);
		for (uint32_t n = next_random() % 60; n > 0; n--)
			buffer_add_text(
				&message, words[next_random() % (sizeof words / sizeof words[0])]);
		struct structure s = build(buffer_slice(&message));
		ck_assert_uint_eq(s.size, buffer_len(&message));
		use_all(&s);
	}
	buffer_clear(&message);
}
END_TEST

START_TEST(damage_is_found_or_harmless)
{
	build(slice_text(nested));
	size_t len = buffer_len(&stored);

	for (int round = 0; round < 20000; round++) {
		/* On the heap in its exact size, so that a step too far is seen. */
		char *copy = malloc(len);
		struct structure s;
		memcpy(copy, stored.data + stored.start, len);
		for (uint32_t n = 1 + next_random() % 3; n > 0; n--)
			copy[next_random() % len] = (char)next_random();
		if (structure_open(slice_make(copy, len), &s) == FAULT_OK)
			use_all(&s);
		free(copy);
	}
}
END_TEST

START_TEST(every_cut_is_damage)
{
	struct structure s;

	build(slice_text(nested));
	struct slice whole = buffer_slice(&stored);
	for (size_t len = 0; len < whole.len; len++)
		ck_assert_int_eq(structure_open(slice_first(whole, len), &s), FAULT_DAMAGED);
}
END_TEST

START_TEST(a_newer_version_is_unsupported)
{
	struct structure s;

	build(SLICE(PLAIN));
	put_u16(stored.data + stored.start + AT_VERSION, STRUCTURE_VERSION + 1);
	ck_assert_int_eq(structure_open(buffer_slice(&stored), &s), FAULT_UNSUPPORTED);
}
END_TEST

/* ---- too much of everything ---- */

static void
add_repeated(struct buffer *to, const char *text, size_t count)
{
	while (count-- > 0)
		buffer_add_text(to, text);
}

START_TEST(too_much_is_cut_not_refused)
{
	static const struct {
		const char *before, *repeated, *after;
		size_t count;
	} rows[] = {
		{"Subject: ", "x y ", "\r\n\r\n", 100000},
		{"Subject: ", "x\r\n ", "\r\n\r\n", 100000},
		{"To: ", "\"a b\" <c@example.org>, ", "\r\n\r\n", 20000},
		{"References: ", "<a@b> ", "\r\n\r\n", 100000},
		{"", "X-A: b\r\n", "\r\n", 100000},
		{"Content-Type: a/b", "; x=y", "\r\n\r\n", 100000},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
			"--b\r\nContent-Description: some words to take up room\r\n\r\nx\r\n", "",
			12000},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
			"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\nx\r\n", "",
			6000},
		{"Content-Disposition: x", "; =====", "\r\n\r\n", 100000},
		{"", "To: a@b\r\nCc: c@d\r\n", "\r\n", 100000},
	};
	struct buffer message;

	buffer_init(&message, 8 << 20);
	buffer_add_text(&message, rows[_i].before);
	add_repeated(&message, rows[_i].repeated, rows[_i].count);
	buffer_add_text(&message, rows[_i].after);
	ck_assert_int_eq(buffer_fault(&message), FAULT_OK);
	struct structure s = build(buffer_slice(&message));
	ck_assert_uint_le(buffer_len(&stored), structure_limits_default.total);
	use_all(&s);
	buffer_clear(&message);
}
END_TEST

START_TEST(little_scratch_narrows_the_limits)
{
	struct structure s;
	struct buffer message;

	buffer_init(&message, 8 << 20);
	buffer_add_text(&message, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	add_repeated(&message, "--b\r\n\r\nx\r\n", 9000);
	arena_init(&arena, 1 << 20);
	ck_assert_int_eq(
		structure_build(buffer_slice(&message), &structure_limits_default, &arena, &stored),
		FAULT_OK);
	ck_assert_int_eq(structure_open(buffer_slice(&stored), &s), FAULT_OK);
	ck_assert_uint_eq(s.part_count, 500);
	buffer_clear(&message);
}
END_TEST

START_TEST(attachments_are_told_from_text)
{
	static const struct {
		const char *header;
		bool is_attachment;
	} rows[] = {
		{"Content-Type: text/plain\r\n\r\n", false},
		{"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n", true},
		{"Content-Type: application/pdf\r\n\r\n", true},
		{"Content-Type: image/png\r\nContent-Disposition: inline\r\n\r\n", false},
		{"Content-Type: image/png\r\nContent-ID: <a@b>\r\n\r\n", false},
		{"Content-Type: application/pgp-signature\r\n\r\n", false},
		{"Content-Type: message/rfc822\r\n\r\n", true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(
			build(slice_text(rows[i].header)).has_attachment == rows[i].is_attachment,
			"%s", rows[i].header);
}
END_TEST

#define add_rows(tc, test, table) tcase_add_loop_test(tc, test, 0, sizeof(table) / sizeof(table)[0])

UNIT(structure)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, plain_message_is_small_and_whole);
	unit_add(tc, envelope_is_raw_and_unfolded);
	unit_add(tc, header_index_has_every_field);
	unit_add(tc, in_reply_to_serves_without_references);
	add_rows(tc, sections_of_rfc_3501_6_4_5, sections);
	unit_add(tc, part_numbers_of_messages_without_multipart);
	add_rows(tc, imap_forms, formats);
	unit_add(tc, imap_strings);
	unit_add(tc, any_message_has_a_structure);
	unit_add(tc, damage_is_found_or_harmless);
	unit_add(tc, every_cut_is_damage);
	unit_add(tc, a_newer_version_is_unsupported);
	tcase_add_loop_test(tc, too_much_is_cut_not_refused, 0, 10);
	unit_add(tc, little_scratch_narrows_the_limits);
	unit_add(tc, attachments_are_told_from_text);
}
