/* SPDX-License-Identifier: ISC */
/*
 * Bytes to text: encoded words, transfer encodings, charsets, modified UTF-7, folding, html.  The
 * first byte chooses charset and encoding.  All that comes out is valid UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/body_text.h"
#include "common/mail/charset.h"
#include "common/mail/encoded_word.h"
#include "common/mail/mutf7.h"
#include "common/mail/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const charsets[] = {"utf-8", "euc-kr", "iso-2022-kr", "johab", "shift_jis",
	"euc-jp", "iso-2022-jp", "gb18030", "big5", "utf-7", "utf-16", "iso-8859-1", "koi8-r",
	"us-ascii", "x-unknown", "euc-tw"};

static void
must_be_utf8(const struct buffer *b)
{
	if (buffer_fault(b) != FAULT_OK || !utf8_is_valid(buffer_slice(b)))
		abort();
}

static void
check_mailbox_name(struct slice text, struct buffer *out, struct buffer *again)
{
	buffer_reset(out);
	buffer_reset(again);
	if (mutf7_decode(text, out) == FAULT_OK) {
		must_be_utf8(out);
		if (mutf7_encode(buffer_slice(out), again) != FAULT_OK ||
			!slice_equal(buffer_slice(again), text))
			abort();
	}
	buffer_reset(out);
	buffer_reset(again);
	if (mutf7_encode(text, out) == FAULT_OK &&
		(mutf7_decode(buffer_slice(out), again) != FAULT_OK ||
			!slice_equal(buffer_slice(again), text)))
		abort();
}

static void
check_body(uint8_t choice, struct slice bytes, struct buffer *out)
{
	struct body_text t = {
		.bytes = bytes,
		.charset = slice_text(charsets[choice & 15]),
		.encoding = (enum encoding)((choice >> 4) % (ENCODING_UNKNOWN + 1)),
		.is_html = choice & 128,
	};

	buffer_reset(out);
	if (body_text_decode(&t, out) != FAULT_OK)
		abort();
	must_be_utf8(out);
	buffer_reset(out);
	if (body_text_preview(&t, 200, out) != FAULT_OK || buffer_len(out) > 200)
		abort();
	must_be_utf8(out);
}

/* Feeding in two pieces gives the same as all at once. */
static void
check_cut(uint8_t choice, struct slice bytes, struct buffer *whole, struct buffer *pieces)
{
	enum encoding encoding = choice & 16 ? ENCODING_BASE64 : ENCODING_QUOTED_PRINTABLE;
	struct decoder d;

	buffer_reset(whole);
	buffer_reset(pieces);
	if (encoding_decode(encoding, bytes, whole) != FAULT_OK)
		abort();
	decoder_init(&d, encoding);
	decoder_feed(&d, slice_first(bytes, bytes.len / 3), pieces);
	decoder_feed(&d, slice_after(bytes, bytes.len / 3), pieces);
	decoder_finish(&d, pieces);
	if (!slice_equal(buffer_slice(whole), buffer_slice(pieces)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer out, again;

	if (size == 0)
		return 0;
	struct slice text = slice_make(data + 1, size - 1);
	buffer_init(&out, 64 << 20);
	buffer_init(&again, 64 << 20);
	if (encoded_word_decode(text, &out) != FAULT_OK)
		abort();
	must_be_utf8(&out);
	buffer_reset(&out);
	if (utf8_fold(text, &out) != FAULT_OK)
		abort();
	must_be_utf8(&out);
	check_mailbox_name(text, &out, &again);
	check_body(data[0], text, &out);
	check_cut(data[0], text, &out, &again);
	buffer_clear(&out);
	buffer_clear(&again);
	return 0;
}
