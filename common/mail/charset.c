/* SPDX-License-Identifier: ISC */
/*
 * Character sets.  Linked by deliverd and imapd.  The name comes out of the mail: only names of
 * this table ever reach iconv_open, which would load a file by that name.
 */
#include "common/mail/charset.h"

#include <errno.h>
#include <iconv.h>

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

enum { CHUNK = 4096 };

/* Those without iconv's name are done here. */
enum charset_kind { CHARSET_UTF8, CHARSET_LATIN, CHARSET_ICONV };

struct charset {
	enum charset_kind kind;
	const char *iconv_name; /* often a superset, since senders are careless */
	const char *aliases; /* lower case, each between spaces */
};

static const struct charset charsets[] = {
	{CHARSET_UTF8, NULL, " utf-8 utf8 unicode-1-1-utf-8 x-unicode-2-0-utf-8 utf-8mb4 "},
	{CHARSET_LATIN, NULL,
		" us-ascii ascii ansi_x3.4-1968 iso646-us 646 us iso-8859-1 iso8859-1 iso_8859-1 "
		"iso88591 8859-1 latin1 latin-1 l1 windows-1252 cp1252 cp-1252 x-ansi "},
	{CHARSET_ICONV, "UHC",
		" euc-kr euckr ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 ks_c_5601 korean "
		"cp949 ms949 uhc windows-949 x-windows-949 "},
	{CHARSET_ICONV, "ISO-2022-KR", " iso-2022-kr csiso2022kr "},
	{CHARSET_ICONV, "JOHAB", " johab cp1361 ks_c_5601-1992 "},
	{CHARSET_ICONV, "CP932",
		" shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932 ms932 "},
	{CHARSET_ICONV, "EUC-JP-MS", " euc-jp eucjp x-euc-jp euc-jp-ms "},
	{CHARSET_ICONV, "ISO-2022-JP-2",
		" iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-ms csiso2022jp "},
	{CHARSET_ICONV, "GB18030",
		" gb18030 gbk gb2312 gb_2312-80 x-gbk cp936 ms936 windows-936 euc-cn "},
	{CHARSET_ICONV, "BIG5-HKSCS", " big5 big5-hkscs big-5 cn-big5 x-x-big5 cp950 windows-950 "},
	{CHARSET_ICONV, "EUC-TW", " euc-tw "},
	{CHARSET_ICONV, "ISO-8859-2", " iso-8859-2 iso8859-2 iso_8859-2 latin2 l2 "},
	{CHARSET_ICONV, "ISO-8859-3", " iso-8859-3 iso8859-3 latin3 "},
	{CHARSET_ICONV, "ISO-8859-4", " iso-8859-4 iso8859-4 latin4 "},
	{CHARSET_ICONV, "ISO-8859-5", " iso-8859-5 iso8859-5 cyrillic "},
	{CHARSET_ICONV, "ISO-8859-6", " iso-8859-6 iso8859-6 iso-8859-6-i arabic "},
	{CHARSET_ICONV, "ISO-8859-7", " iso-8859-7 iso8859-7 greek "},
	{CHARSET_ICONV, "ISO-8859-8", " iso-8859-8 iso8859-8 iso-8859-8-i iso-8859-8-e hebrew "},
	{CHARSET_ICONV, "ISO-8859-9", " iso-8859-9 iso8859-9 latin5 "},
	{CHARSET_ICONV, "ISO-8859-10", " iso-8859-10 iso8859-10 latin6 "},
	{CHARSET_ICONV, "CP874", " iso-8859-11 tis-620 windows-874 cp874 "},
	{CHARSET_ICONV, "ISO-8859-13", " iso-8859-13 iso8859-13 latin7 "},
	{CHARSET_ICONV, "ISO-8859-14", " iso-8859-14 iso8859-14 latin8 "},
	{CHARSET_ICONV, "ISO-8859-15", " iso-8859-15 iso8859-15 iso_8859-15 latin9 latin-9 "},
	{CHARSET_ICONV, "ISO-8859-16", " iso-8859-16 iso8859-16 latin10 "},
	{CHARSET_ICONV, "CP1250", " windows-1250 cp1250 cp-1250 "},
	{CHARSET_ICONV, "CP1251", " windows-1251 cp1251 cp-1251 win-1251 "},
	{CHARSET_ICONV, "CP1253", " windows-1253 cp1253 cp-1253 "},
	{CHARSET_ICONV, "CP1254", " windows-1254 cp1254 cp-1254 "},
	{CHARSET_ICONV, "CP1255", " windows-1255 cp1255 cp-1255 "},
	{CHARSET_ICONV, "CP1256", " windows-1256 cp1256 cp-1256 "},
	{CHARSET_ICONV, "CP1257", " windows-1257 cp1257 cp-1257 "},
	{CHARSET_ICONV, "CP1258", " windows-1258 cp1258 cp-1258 "},
	{CHARSET_ICONV, "KOI8-R", " koi8-r koi8r koi8 "},
	{CHARSET_ICONV, "KOI8-U", " koi8-u koi8u "},
	{CHARSET_ICONV, "IBM437", " cp437 ibm437 "},
	{CHARSET_ICONV, "IBM850", " cp850 ibm850 cp-850 "},
	{CHARSET_ICONV, "CP866", " cp866 ibm866 "},
	{CHARSET_ICONV, "MACINTOSH", " macintosh mac macroman x-mac-roman "},
	{CHARSET_ICONV, "UTF-7", " utf-7 utf7 unicode-1-1-utf-7 "},
	{CHARSET_ICONV, "UTF-16", " utf-16 utf16 unicode "},
	{CHARSET_ICONV, "UTF-16LE", " utf-16le "},
	{CHARSET_ICONV, "UTF-16BE", " utf-16be "},
	{CHARSET_ICONV, "UTF-32", " utf-32 "},
};

enum { CHARSET_COUNT = sizeof charsets / sizeof charsets[0], NAME_MAX_BYTES = 40 };

/* One per charset, opened at first use and kept; mail is parsed by one thread. */
static struct converter {
	bool is_tried;
	bool is_open;
	iconv_t iconv;
} converters[CHARSET_COUNT];

/* Lower case between two spaces, as the aliases are; false for what cannot be a name. */
static bool
make_key(struct slice name, char key[NAME_MAX_BYTES + 3])
{
	size_t n = 0;

	name = slice_trim(name);
	while (name.len > 0 && strchr("\"'", name.data[0]) != NULL)
		name = slice_after(name, 1);
	while (name.len > 0 && strchr("\"'", name.data[name.len - 1]) != NULL)
		name.len--;
	if (name.len > NAME_MAX_BYTES)
		return false;
	key[n++] = ' ';
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_is_graphic(name.data[i]))
			return false;
		key[n++] = ascii_lower(name.data[i]);
	}
	key[n++] = ' ';
	key[n] = '\0';
	return true;
}

/* The row of the table, or CHARSET_COUNT. */
static size_t
find_row(struct slice name)
{
	char key[NAME_MAX_BYTES + 3];

	if (!make_key(slice_trim(name).len > 0 ? name : SLICE("us-ascii"), key))
		return CHARSET_COUNT;
	for (size_t row = 0; row < CHARSET_COUNT; row++) {
		if (strstr(charsets[row].aliases, key) != NULL)
			return row;
	}
	return CHARSET_COUNT;
}

static bool
open_converter(size_t row)
{
	struct converter *c = &converters[row];

	if (charsets[row].kind != CHARSET_ICONV)
		return true;
	if (!c->is_tried) {
		c->is_tried = true;
		c->iconv = iconv_open("UTF-8", charsets[row].iconv_name);
		c->is_open = c->iconv != (iconv_t)-1;
	}
	return c->is_open;
}

void
charset_preload(void)
{
	for (size_t row = 0; row < CHARSET_COUNT; row++)
		open_converter(row);
}

bool
charset_is_known(struct slice name)
{
	size_t row = find_row(name);

	return row < CHARSET_COUNT && open_converter(row);
}

/* windows-1252, of which ISO-8859-1 and US-ASCII are parts. */
static void
add_latin(struct buffer *out, struct slice in)
{
	static const uint16_t upper_controls[32] = {0x20ac, 0, 0x201a, 0x192, 0x201e, 0x2026,
		0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0, 0x17d, 0, 0, 0x2018, 0x2019,
		0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0,
		0x17e, 0x178};

	for (size_t i = 0; i < in.len; i++) {
		uint32_t c = (unsigned char)in.data[i];
		if (c >= 0x80 && c < 0xa0) {
			c = upper_controls[c - 0x80];
			c = c == 0 ? UTF8_REPLACEMENT : c;
		}
		utf8_add(out, c);
	}
}

/* Steps over what iconv did not like; false when there is nothing more to do. */
static bool
step_over(int error, struct slice *in, struct buffer *out)
{
	if (error == E2BIG)
		return true;
	if (in->len == 0)
		return false;
	utf8_add(out, UTF8_REPLACEMENT);
	*in = error == EILSEQ ? slice_after(*in, 1) : slice_after(*in, in->len);
	return in->len > 0;
}

/* iconv's own output is looked at once more: its modules are many, and not all are careful. */
static void
add_converted(struct converter *c, struct slice in, struct buffer *out)
{
	bool more = true;

	iconv(c->iconv, NULL, NULL, NULL, NULL);
	while (more && buffer_fault(out) == FAULT_OK) {
		char chunk[CHUNK];
		char *from = (char *)(uintptr_t)in.data, *to = chunk;
		size_t from_len = in.len, to_len = sizeof chunk;
		size_t result = iconv(c->iconv, &from, &from_len, &to, &to_len);
		int error = errno;
		/* A module that neither takes nor gives is stuck: treat it as a broken byte. */
		if (result == (size_t)-1 && error == E2BIG && from_len == in.len &&
			to_len == sizeof chunk)
			error = EILSEQ;
		utf8_add_repaired(out, slice_make(chunk, sizeof chunk - to_len));
		in = slice_after(in, in.len - from_len);
		more = result == (size_t)-1 && step_over(error, &in, out);
	}
}

static void
add_by_row(size_t row, struct slice in, struct buffer *out)
{
	if (charsets[row].kind == CHARSET_UTF8)
		utf8_add_repaired(out, in);
	else if (charsets[row].kind == CHARSET_LATIN && utf8_is_ascii(in))
		buffer_add_slice(out, in);
	else if (charsets[row].kind == CHARSET_LATIN)
		add_latin(out, in);
	else
		add_converted(&converters[row], in, out);
}

enum fault
charset_to_utf8(struct slice name, struct slice in, struct buffer *out)
{
	size_t row = find_row(name);

	if (row == CHARSET_COUNT || !open_converter(row))
		return FAULT_CHARSET;
	add_by_row(row, in, out);
	return buffer_fault(out);
}

static bool
is_vague(size_t row)
{
	return row == CHARSET_COUNT || charsets[row].kind == CHARSET_LATIN || !open_converter(row);
}

enum fault
charset_to_utf8_lossy(struct slice name, struct slice in, struct buffer *out)
{
	size_t row = find_row(name);

	if (!is_vague(row))
		add_by_row(row, in, out);
	else if (utf8_is_valid(in))
		buffer_add_slice(out, in);
	else
		add_latin(out, in);
	return buffer_fault(out);
}
