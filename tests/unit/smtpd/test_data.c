/* SPDX-License-Identifier: ISC */
/* The decoder of DATA against a naive model, over every short input of the interesting bytes. */
#include "smtpd/data.h"

#include <stdint.h>

#include "common/base/buffer.h"
#include "tests/unit/unit.h"

enum { LEN = 8, OUT_MAX = 64 };

static const char alphabet[] = {'\r', '\n', '.', 'x'};

struct outcome {
	char out[OUT_MAX];
	size_t len, used;
	bool ended, bare;
};

/*
 * RFC 5321 4.1.1.4 and 4.5.2 word for word: cut into lines at CRLF; a line of one dot ends; of a
 * line that begins with a dot that dot is removed.  What is left is an unfinished line.
 */
static void
decode_naively(struct slice all, struct outcome *o)
{
	size_t at = 0;

	*o = (struct outcome){0};
	while (at < all.len) {
		struct slice rest = slice_after(all, at);
		size_t end = slice_find(rest, SLICE("\r\n"));
		bool whole = end < rest.len;
		struct slice line = slice_first(rest, end);

		if (whole && slice_equal(line, SLICE("."))) {
			o->ended = true;
			o->used = at + 3;
			return;
		}
		for (size_t i = 0; i < line.len; i++) {
			bool last = !whole && i + 1 == line.len;

			/* A CR at the very end may still become a CRLF. */
			if (line.data[i] == '\n' || (line.data[i] == '\r' && !last))
				o->bare = true;
		}
		if (slice_starts(line, SLICE(".")))
			line = slice_after(line, 1);
		if (line.len > 0)
			memcpy(o->out + o->len, line.data, line.len);
		o->len += line.len;
		if (whole) {
			memcpy(o->out + o->len, "\r\n", 2);
			o->len += 2;
		}
		at += end + (whole ? 2 : 0);
	}
	o->used = all.len;
}

static void
keep(void *arg, struct slice bytes)
{
	struct outcome *o = arg;

	memcpy(o->out + o->len, bytes.data, bytes.len);
	o->len += bytes.len;
}

static void
decode_in_two(struct slice all, size_t cut, struct outcome *o)
{
	struct data d;

	*o = (struct outcome){0};
	data_init(&d, keep, o);
	o->used = data_decode(&d, slice_first(all, cut));
	if (d.state != DATA_END)
		o->used += data_decode(&d, slice_after(all, cut));
	o->ended = d.state == DATA_END;
	/* What is still looked at belongs to the unfinished line. */
	if (d.state == DATA_CR || (d.state == DATA_DOT_CR))
		keep(o, SLICE("\r"));
	o->bare = d.bare;
}

START_TEST(decoding_equals_the_model_however_it_is_cut)
{
	char text[LEN];
	struct outcome expected, real;
	uint32_t inputs = 1;

	for (int i = 0; i < LEN; i++)
		inputs *= 4;
	for (uint32_t n = 0; n < inputs; n++) {
		for (int i = 0; i < LEN; i++)
			text[i] = alphabet[n >> 2 * i & 3];
		struct slice all = slice_make(text, LEN);
		decode_naively(all, &expected);
		for (size_t cut = 0; cut <= LEN; cut++) {
			decode_in_two(all, cut, &real);
			ck_assert_msg(real.ended == expected.ended && real.bare == expected.bare &&
					real.used == expected.used && real.len == expected.len &&
					memcmp(real.out, expected.out, real.len) == 0,
				"input %u, cut at %zu", n, cut);
		}
	}
}
END_TEST

START_TEST(passing_keeps_every_byte)
{
	char text[LEN];
	struct outcome real;

	for (uint32_t n = 0; n < 65536; n++) {
		for (int i = 0; i < LEN; i++)
			text[i] = alphabet[n >> 2 * i & 3];
		for (size_t cut = 0; cut <= LEN; cut++) {
			struct data d;
			bool bare = false;

			real = (struct outcome){0};
			data_init(&d, keep, &real);
			data_pass(&d, slice_make(text, cut));
			data_pass(&d, slice_make(text + cut, LEN - cut));
			data_finish(&d);
			for (int i = 0; i < LEN; i++) {
				bool lf_next = i + 1 < LEN && text[i + 1] == '\n';
				bool cr_before = i > 0 && text[i - 1] == '\r';

				bare |= text[i] == '\r' && !lf_next;
				bare |= text[i] == '\n' && !cr_before;
			}
			ck_assert_msg(d.bare == bare && real.len == LEN &&
					memcmp(real.out, text, LEN) == 0,
				"input %u, cut at %zu", n, cut);
		}
	}
}
END_TEST

START_TEST(eight_bit_and_nul_are_seen)
{
	struct outcome o = {0};
	struct data d;

	data_init(&d, keep, &o);
	data_decode(&d, SLICE("plain text of some length\r\n"));
	ck_assert(!d.has_8bit && !d.bare);
	data_decode(&d, SLICE("gr\xc3\xbc\xc3\x9f"));
	ck_assert(d.has_8bit && !d.bare);
	data_decode(&d, SLICE("\0"));
	ck_assert(d.bare);
}
END_TEST

UNIT(data)
{
	unit_add(tc, decoding_equals_the_model_however_it_is_cut);
	unit_add(tc, passing_keeps_every_byte);
	unit_add(tc, eight_bit_and_nul_are_seen);
}
