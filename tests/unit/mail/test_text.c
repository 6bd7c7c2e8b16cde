/* SPDX-License-Identifier: ISC */
/* What turns bytes into text: charset.h, utf8.h, mutf7.h, encoded_word.h, subject.h, body_text.h.
 */
#include "common/mail/body_text.h"
#include "common/mail/charset.h"
#include "common/mail/encoded_word.h"
#include "common/mail/mutf7.h"
#include "common/mail/subject.h"
#include "common/mail/utf8.h"
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
	const char *charset, *in, *out;
} charsets[] = {
	{"EUC-KR", "\xbe\xc8\xb3\xe7", "안녕"},
	{"ks_c_5601-1987", "\xbe\xc8\xb3\xe7", "안녕"},
	{"\"cp949\"", "\x8c\x63", "똠"},
	{"iso-2022-kr", "\x1b$)C\x0e\x3e\x48\x33\x67\x0f", "안녕"},
	{"Shift_JIS", "\x93\xfa\x96\x7b", "日本"},
	{"ISO-2022-JP", "\x1b$BF|K\\\x1b(B", "日本"},
	{"GB2312", "\xc4\xe3\xba\xc3", "你好"},
	{"big5", "\xa7\x41\xa6\x6e", "你好"},
	{"iso-8859-1", "caf\xe9", "café"},
	{"windows-1252", "\x80 \x93x\x94 \x81", "€ “x” \xef\xbf\xbd"},
	{"iso-8859-15", "\xa4", "€"},
	{"koi8-r", "\xf0\xd2\xc9", "При"},
	{"utf-8", "a\xff\xc3\xa9\xed\xa0\x80",
		"a\xef\xbf\xbdé\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	{"EUC-KR", "a\xbe", "a\xef\xbf\xbd"},
	{"EUC-KR", "a\xff\xff z", "a\xef\xbf\xbd\xef\xbf\xbd z"},
	{"utf-16", "\xfe\xff\xac\x00", NULL},
	{"", "abc", "abc"},
};

START_TEST(charsets_become_utf8)
{
	struct slice in = slice_text(charsets[_i].in);
	const char *expected = charsets[_i].out;

	if (expected == NULL) {
		in = slice_make("\xfe\xff\xac\x00", 4);
		expected = "가";
	}
	ck_assert_int_eq(charset_to_utf8(slice_text(charsets[_i].charset), in, &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), expected);
}
END_TEST

START_TEST(unknown_charsets_are_a_fault_or_guessed)
{
	struct slice name = SLICE("x-klingon");

	ck_assert(!charset_is_known(name));
	ck_assert(!charset_is_known(SLICE("UTF-8//IGNORE")));
	ck_assert(!charset_is_known(SLICE("../../tmp/x")));
	ck_assert(!charset_is_known(SLICE("utf-8 utf8")));
	ck_assert_int_eq(charset_to_utf8(name, SLICE("a"), &out), FAULT_CHARSET);
	ck_assert_uint_eq(buffer_len(&out), 0);
	ck_assert_int_eq(charset_to_utf8_lossy(name, SLICE("\xec\x95\x88"), &out), FAULT_OK);
	ck_assert_int_eq(charset_to_utf8_lossy(name, SLICE("\xe9"), &out), FAULT_OK);
	ck_assert_int_eq(charset_to_utf8_lossy(SLICE("us-ascii"), SLICE("한"), &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), "안é한");
}
END_TEST

static const struct {
	const char *rule, *in, *out;
} folds[] = {
	{"ASCII", "Hello WORLD", "hello world"},
	{"beside the letters", "@AZ[`az{ ~AZ@[\x7f", "@az[`az{ ~az@[\x7f"},
	{"longer than a block, then not ASCII",
		"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF-É",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-é"},
	{"Latin", "ÀÉÎ Straße", "àéî strasse"},
	{"Greek sigma", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
	{"Cyrillic", "ПРИВЕТ Ёж", "привет ёж"},
	{"Hangul", "안녕 ABC", "안녕 abc"},
	{"decomposed Hangul", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "한"},
	{"Hangul syllable and a final", "\xed\x95\x98\xe1\x86\xab", "한"},
	{"full width", "ＡＢＣ１", "abc1"},
	{"compatibility then case", "℃", "°c"},
	{"combining after ASCII", "E\xcc\x81t\xc3\x89", "été"},
	{"combining after Kana", "か\xe3\x82\x99", "が"},
	{"ligature", "oﬃce", "office"},
	{"Turkish dotted I", "İ", "i\xcc\x87"},
	{"broken byte",
		"A\xff"
		"B",
		"a\xef\xbf\xbd"
		"b"},
	{"empty", "", ""},
};

START_TEST(fold_makes_equal_what_reads_equal)
{
	struct buffer again;

	buffer_init(&again, 1000);
	ck_assert_int_eq(utf8_fold(slice_text(folds[_i].in), &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), folds[_i].out);
	ck_assert_int_eq(utf8_fold(buffer_slice(&out), &again), FAULT_OK);
	ck_assert(slice_equal(buffer_slice(&out), buffer_slice(&again)));
	buffer_clear(&again);
}
END_TEST

START_TEST(validity_of_rfc_3629)
{
	static const struct {
		const char *text;
		bool is_valid;
	} rows[] = {
		{"", true},
		{"abcdefghijk", true},
		{"abcdefgh\xc3\xa9", true},
		{"\xf4\x8f\xbf\xbf", true},
		{"\xf4\x90\x80\x80", false},
		{"\xed\xa0\x80", false},
		{"\xc0\xaf", false},
		{"\xc1\x81", false},
		{"\xe0\x80\xaf", false},
		{"\xf0\x80\x80\xaf", false},
		{"\x80", false},
		{"\xc3", false},
		{"abcdefghijk\xe2\x82", false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_int_eq(utf8_is_valid(slice_text(rows[i].text)), rows[i].is_valid);
	ck_assert_slice_eq(utf8_first(SLICE("a한글"), 5), "a한");
	ck_assert_slice_eq(utf8_first(SLICE("a한글"), 4), "a한");
	ck_assert_slice_eq(utf8_first(SLICE("a한글"), 3), "a");
	ck_assert_slice_eq(utf8_first(SLICE("a한글"), 7), "a한글");
	ck_assert_uint_eq(utf8_count(SLICE("a한글")), 3);
	ck_assert_int_eq(utf8_to_nfc(SLICE("e\xcc\x81"), &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), "é");
	ck_assert_int_eq(utf8_to_nfc(SLICE("\xff"), &out), FAULT_SYNTAX);
}
END_TEST

/* in is modified UTF-7; out NULL: refused. */
static const struct {
	const char *rule, *in, *out;
} names[] = {
	{"ASCII", "INBOX/Sent Mail", "INBOX/Sent Mail"},
	{"ampersand", "a&-b", "a&b"},
	{"RFC 3501 5.1.3", "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
	{"Hangul", "&vBvHQA-", "받은"},
	{"pair", "&2D3eAA-", "\xf0\x9f\x98\x80"},
	{"superfluous shift (RFC 3501 5.1.3)", "&U,BTFw-&ZeVnLIqe-", NULL},
	{"ampersand between shifts", "&U,A-&-&U,A-", "台&台"},
	{"ASCII in base64", "&AGE-", NULL},
	{"ampersand in base64", "&ACY-", NULL},
	{"lone high surrogate", "&2D0-", NULL},
	{"lone low surrogate", "&3gA-", NULL},
	{"open shift", "&U,A", NULL},
	{"bits in the padding", "&U,B-", NULL},
	{"a sextet too many", "&U,AA-", NULL},
	{"slash of base64", "&U/A-", NULL},
	{"8-bit", "\xc3\xa9", NULL},
	{"control", "a\x01", NULL},
};

START_TEST(mailbox_names_have_one_spelling)
{
	enum fault fault = mutf7_decode(slice_text(names[_i].in), &out);
	struct buffer back;

	ck_assert_msg((fault == FAULT_OK) == (names[_i].out != NULL), "%s", names[_i].rule);
	ck_assert_slice_eq(buffer_slice(&out), names[_i].out != NULL ? names[_i].out : "");
	if (fault != FAULT_OK)
		return;
	buffer_init(&back, 1000);
	ck_assert_int_eq(mutf7_encode(buffer_slice(&out), &back), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&back), names[_i].in);
	buffer_clear(&back);
}
END_TEST

START_TEST(mutf7_encode_refuses_broken_utf8)
{
	ck_assert_int_eq(mutf7_encode(SLICE("a\xff"), &out), FAULT_SYNTAX);
}
END_TEST

static const struct {
	const char *rule, *in, *out;
} words[] = {
	{"plain", "Hello there", "Hello there"},
	{"Q", "=?iso-8859-1?q?Andr=E9_x?=", "André x"},
	{"B", "=?UTF-8?B?7JWI64WV?=", "안녕"},
	{"EUC-KR", "=?euc-kr?B?vsiz5w==?=", "안녕"},
	{"RFC 2047 8: space between words goes", "(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
	{"fold between words goes", "=?utf-8?Q?a?=\r\n  =?utf-8?Q?b?=", "ab"},
	{"space before text stays", "=?utf-8?Q?a?= b", "a b"},
	{"space after text stays", "a =?utf-8?Q?b?= c", "a b c"},
	{"underscore is space", "=?utf-8?Q?a_b?= =?utf-8?Q?_c?=", "a b c"},
	{"character cut in two", "=?utf-8?B?7JWI6w==?= =?utf-8?B?hZU=?=", "안녕"},
	{"two charsets", "=?utf-8?Q?=C3=A9?= =?iso-8859-1?Q?=E9?=", "éé"},
	{"language (RFC 2231 5)", "=?utf-8*en?Q?x?=", "x"},
	{"unknown charset", "a =?x-no?Q?b?= c", "a =?x-no?Q?b?= c"},
	{"unknown encoding", "=?utf-8?X?b?=", "=?utf-8?X?b?="},
	{"open word", "=?utf-8?Q?abc", "=?utf-8?Q?abc"},
	{"starts with an escape", "=?utf-8?Q?=EC=95=88?=", "안"},
	{"spaces in the text", "=?utf-8?Q?a b?=", "a b"},
	{"missing padding", "=?utf-8?B?YQ?=", "a"},
	{"raw UTF-8", "안녕 =?utf-8?Q?x?=", "안녕 x"},
	{"raw latin", "caf\xe9", "café"},
	{"folded", "a\r\n b\r\n\tc", "a b c"},
	{"encoded line end", "=?utf-8?Q?a=0D=0Ab?=", "a  b"},
	{"empty word", "=?utf-8?Q?\?=x", "x"},
	{"empty", "", ""},
};

START_TEST(encoded_words_are_decoded)
{
	ck_assert_int_eq(encoded_word_decode(slice_text(words[_i].in), &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), words[_i].out);
}
END_TEST

START_TEST(encoded_words_are_short_and_come_back)
{
	static const char *const texts[] = {
		"plain text",
		"안녕하세요, 오늘 회의는 세 시에 시작합니다. 자료를 읽어 주시기 바랍니다.",
		"=?looks like one?=",
		"tab\tinside",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buffer back;
		buffer_init(&back, 1000);
		buffer_reset(&out);
		encoded_word_encode(slice_text(texts[i]), &out);
		struct slice rest = buffer_slice(&out);
		for (size_t at; rest.len > 0; rest = slice_after(rest, at + 1)) {
			at = slice_find_byte(rest, '\n');
			ck_assert_uint_le(at, 77);
		}
		ck_assert_int_eq(encoded_word_decode(buffer_slice(&out), &back), FAULT_OK);
		ck_assert_slice_eq(buffer_slice(&back), i == 3 ? "tab inside" : texts[i]);
		buffer_clear(&back);
	}
}
END_TEST

static const struct {
	const char *in, *out;
	bool is_reply;
} subjects[] = {
	{"Re: Hello", "hello", true},
	{"RE: re:  Fwd: [list] Hello", "hello", true},
	{"Hello (fwd) (FWD) ", "hello", true},
	{"[fwd: Re: Hello]", "hello", true},
	{"[list] Re[2]: Hello", "hello", true},
	{"[list] Hello", "hello", false},
	{"[all]", "[all]", false},
	{"Re : x", "x", true},
	{"Reply: x", "reply: x", false},
	{"  a \t b\r\n c", "a b c", false},
	{"=?utf-8?B?UmU6IOyViOuFlQ==?=", "안녕", true},
	{"Re:", "", true},
	{"", "", false},
};

START_TEST(base_subject_of_rfc_5256)
{
	bool is_reply;

	ck_assert_int_eq(
		subject_extract_base(slice_text(subjects[_i].in), &out, &is_reply), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), subjects[_i].out);
	ck_assert_int_eq(is_reply, subjects[_i].is_reply);
}
END_TEST

static const struct {
	const char *rule, *in, *out;
} previews[] = {
	{"white space", "a  b\r\n\r\n\tc", "a b c"},
	{"quoted lines", "> old\r\nnew\r\n", "new"},
	{"only quoted lines", "> old\r\n", "> old"},
	{"rulers", "-----\r\nnew\r\n", "new"},
	{"signature", "new\r\n-- \r\nme\r\n", "new"},
	{"empty", "", ""},
	{"blank", "\r\n \r\n", ""},
};

START_TEST(preview_is_readable)
{
	struct body_text t = {.bytes = slice_text(previews[_i].in)};

	ck_assert_int_eq(body_text_preview(&t, 256, &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), previews[_i].out);
}
END_TEST

START_TEST(preview_does_not_cut_characters)
{
	struct body_text t = {.bytes = SLICE("한글 한글"), .charset = SLICE_LITERAL("utf-8")};

	ck_assert_int_eq(body_text_preview(&t, 8, &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), "한글");
}
END_TEST

START_TEST(html_is_stripped)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"<p>Hello <b>wor</b>ld</p>", "Hello world"},
		{"<style>p {x}</style>a<script>if (a<b) x()</script>b", "a b"},
		{"<!-- <p> -->a&amp;b &lt;x&gt; &#54620;&#xAE00; &nbsp; &unknown; &",
			"a&b <x> 한글 &unknown; &"},
		{"a<br>b<br/>c", "a b c"},
		{"1 < 2", "1 < 2"},
		{"<p unclosed", ""},
		{"<style>never closed", ""},
		{"&#xffffffffff; &#99999999;", "&#xffffffffff; &#99999999;"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct body_text t = {.bytes = slice_text(rows[i].in), .is_html = true};
		buffer_reset(&out);
		ck_assert_int_eq(body_text_preview(&t, 256, &out), FAULT_OK);
		ck_assert_slice_eq(buffer_slice(&out), rows[i].out);
	}
}
END_TEST

START_TEST(body_text_decodes_encoding_and_charset)
{
	struct body_text t = {.bytes = SLICE("vsiz5w=="),
		.encoding = ENCODING_BASE64,
		.charset = SLICE_LITERAL("euc-kr")};

	ck_assert_int_eq(body_text_decode(&t, &out), FAULT_OK);
	ck_assert_slice_eq(buffer_slice(&out), "안녕");
}
END_TEST

#define add_rows(tc, test, table) tcase_add_loop_test(tc, test, 0, sizeof(table) / sizeof(table)[0])

UNIT(text)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	add_rows(tc, charsets_become_utf8, charsets);
	unit_add(tc, unknown_charsets_are_a_fault_or_guessed);
	add_rows(tc, fold_makes_equal_what_reads_equal, folds);
	unit_add(tc, validity_of_rfc_3629);
	add_rows(tc, mailbox_names_have_one_spelling, names);
	unit_add(tc, mutf7_encode_refuses_broken_utf8);
	add_rows(tc, encoded_words_are_decoded, words);
	unit_add(tc, encoded_words_are_short_and_come_back);
	add_rows(tc, base_subject_of_rfc_5256, subjects);
	add_rows(tc, preview_is_readable, previews);
	unit_add(tc, preview_does_not_cut_characters);
	unit_add(tc, html_is_stripped);
	unit_add(tc, body_text_decodes_encoding_and_charset);
}
