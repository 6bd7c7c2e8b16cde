/* SPDX-License-Identifier: ISC */
/*
 * Owns what the messages say.  Texts repeat words as a language does (a few words often, many
 * seldom); attachments are random bytes.  The same index gives the same message in every run, but
 * for the Message-ID.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/load/message.h"

enum {
	POOL_SIZE = 2097152,
	WORDS = 4096,
	WORD_MAX = 12,
	LINE_LEN = 72,
	TEXT_PART = 6144,
	ATTACHMENT_FROM = 24576
};

/* Sizes of a mailbox as people have them: median 10 KiB, a few of a MiB. */
static const struct {
	unsigned below_percent;
	size_t size;
} mix[] = {{20, 3072}, {40, 6144}, {62, 10240}, {80, 20480}, {92, 51200}, {98, 204800},
	{100, 1048576}};

static char words_pool[POOL_SIZE], base64_pool[POOL_SIZE];
static long run_number;

/* A xorshift generator: quick, and the same in every run. */
static uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
prepare_words(uint64_t *state)
{
	char words[WORDS][WORD_MAX + 1];
	size_t line = 0;

	for (unsigned w = 0; w < WORDS; w++) {
		size_t len = 2 + draw(state) % (WORD_MAX - 2);

		for (size_t i = 0; i < len; i++)
			words[w][i] = "etaoinshrdluetaoinetaocmfwypvbgk"[draw(state) % 32];
		words[w][len] = '\0';
	}
	for (size_t at = 0; at < POOL_SIZE;) {
		/* The product of two draws makes low numbers, the frequent words, likely. */
		const char *word = words[(draw(state) % WORDS) * (draw(state) % WORDS) / WORDS];

		for (; *word != '\0' && at < POOL_SIZE; line++)
			words_pool[at++] = *word++;
		if (at + 2 > POOL_SIZE)
			break;
		words_pool[at++] = line < LINE_LEN - WORD_MAX ? ' ' : '\r';
		line++;
		if (words_pool[at - 1] == '\r') {
			words_pool[at++] = '\n';
			line = 0;
		}
	}
}

static void
prepare_base64(uint64_t *state)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < POOL_SIZE; at++) {
		size_t column = at % (LINE_LEN + 2);

		base64_pool[at] = column == LINE_LEN ? '\r'
			: column == LINE_LEN + 1     ? '\n'
						     : digits[draw(state) % 64];
	}
}

void
message_prepare(void)
{
	uint64_t state = 88172645463325252U;

	run_number = (long)time(NULL) * 100000 + getpid();
	prepare_words(&state);
	prepare_base64(&state);
}

static size_t
drawn_size(unsigned index)
{
	uint64_t state = index * 2654435761U + 1;
	unsigned percent;

	draw(&state);
	percent = (unsigned)(draw(&state) % 100);
	for (size_t i = 0;; i++)
		if (percent < mix[i].below_percent)
			return mix[i].size;
}

/* Whole lines of a pool, from a place that depends on the index, about `size` bytes. */
static void
add_lines(struct buffer *out, const char *pool, unsigned index, size_t size)
{
	struct slice all = slice_make(pool, POOL_SIZE);
	size_t start = (index * 7919U) % (POOL_SIZE / 2);

	if (size > POOL_SIZE / 2 - 4096)
		size = POOL_SIZE / 2 - 4096;
	all = slice_after(all, start);
	all = slice_after(all, slice_find_byte(all, '\n') + 1);
	size += slice_find_byte(slice_after(all, size), '\n') + 1;
	buffer_add_slice(out, slice_first(all, size));
}

static void
add_header(struct buffer *out, const struct message_plan *p)
{
	unsigned index = p->index;

	buffer_printf(out,
		"Received: from relay.example.net (relay.example.net [192.0.2.25])\r\n"
		"\tby mx.example.com with ESMTPS id 4XyZ%06u\r\n"
		"\tfor <%s>; Sat, 21 Nov 2026 10:%02u:%02u +0100\r\n"
		"From: \"Sender %u\" <%s>\r\n"
		"To: <%s>, \"A second person\" <second@example.com>\r\n"
		"Cc: Third Person <third@example.com>\r\n"
		"Subject: Message %u about the matter of %.*s\r\n"
		"Date: Sat, 21 Nov 2026 10:%02u:%02u +0100\r\n"
		"Message-ID: <%u.%ld@example.net>\r\n"
		"In-Reply-To: <%u.parent@example.net>\r\n"
		"User-Agent: load\r\nMIME-Version: 1.0\r\n",
		index, p->recipient, index / 60 % 60, index % 60, index % 97, p->sender,
		p->recipient, index, 20, "correspondence today", index / 60 % 60, index % 60, index,
		run_number, index / 5);
}

void
message_format(struct buffer *out, const struct message_plan *p)
{
	static const char text_type[] = "Content-Type: text/plain; charset=utf-8\r\n\r\n";
	static const char boundary[] = "=_next_part_of_the_message";
	size_t had = buffer_len(out), size = p->size, text, left;

	if (size == 0)
		size = drawn_size(p->index);
	add_header(out, p);
	if (size >= ATTACHMENT_FROM)
		buffer_printf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n",
			boundary, boundary);
	buffer_add_text(out, text_type);
	left = size > buffer_len(out) - had + 400 ? size - (buffer_len(out) - had) : 100;
	text = size >= ATTACHMENT_FROM ? TEXT_PART : left;
	add_lines(out, words_pool, p->index, text);
	if (size < ATTACHMENT_FROM)
		return;
	buffer_printf(out,
		"\r\n--%s\r\nContent-Type: application/pdf; name=\"paper.pdf\"\r\n"
		"Content-Disposition: attachment; filename=\"paper.pdf\"\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n",
		boundary);
	add_lines(out, base64_pool, p->index, left - text);
	buffer_printf(out, "--%s--\r\n", boundary);
}
