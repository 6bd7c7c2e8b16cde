/* SPDX-License-Identifier: ISC */
/* Owns what the made mail says. */
#include "tests/tools/store_bench/mail.h"

#include <stdio.h>

#include "tests/tools/store_bench/bench.h"

enum {
	WORDS = 6000,
	WORD_MAX = 13,
	LINE_LEN = 72,
	ATTACHMENT_FROM = 24 * 1024,
	TEXT_OF_ATTACHMENT = 5 * 1024,
	KINDS = 4,
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char boundary[] = "----=_Part_4711_0815";

static char words[WORDS][WORD_MAX + 1];

/* One of the sizes whose share of a hundred is not yet used up. */
struct share {
	unsigned below_percent;
	size_t size;
};
static const struct share mixed[] = {{20, 3072}, {40, 6144}, {62, 10240}, {80, 20480}, {92, 51200},
	{98, 204800}, {100, 1048576}};
static const struct share small[] = {{25, 2048}, {60, 4096}, {85, 6144}, {97, 12288}, {100, 20480}};

void
mail_prepare(void)
{
	uint64_t state = 88172645463325252U;

	for (unsigned w = 0; w < WORDS; w++) {
		/* Frequent words are short. */
		size_t len = 2 + draw(&state) % (w < 100 ? 3 : w < 1000 ? 7 : WORD_MAX - 2);

		for (size_t i = 0; i < len; i++)
			words[w][i] = i % 2 == 0 ? "tnshrdlcmfwypvbgk"[draw(&state) % 17]
						 : "eaoiu"[draw(&state) % 5];
		words[w][len] = '\0';
	}
}

size_t
mail_size(uint64_t size, uint64_t number)
{
	const struct share *s = size == MAIL_SIZE_SMALL ? small : mixed;
	uint64_t state = number * 2654435761U + 1;
	unsigned percent;

	if (size > MAIL_SIZE_SMALL)
		return size;
	draw(&state);
	percent = (unsigned)(draw(&state) % 100);
	while (percent >= s->below_percent)
		s++;
	return s->size;
}

/* The product of draws makes low numbers, the frequent words, likely. */
static const char *
word(uint64_t *state)
{
	uint64_t a = draw(state) % 1000, b = draw(state) % 1000;

	return words[a * b % 1000000 * WORDS / 1000000];
}

static void
add_code(struct buffer *out, uint64_t *state, size_t len)
{
	for (; len > 0; len--)
		buffer_add_byte(out, digits[draw(state) % 62]);
}

static void
add_line(struct buffer *out, uint64_t *state, size_t len)
{
	for (size_t until = buffer_len(out) + len; buffer_len(out) < until;) {
		buffer_add_text(out, word(state));
		buffer_add_text(out, draw(state) % 9 == 0 ? ", " : " ");
	}
}

/* Paragraphs; every third is a quote. */
static void
add_text(struct buffer *out, uint64_t *state, size_t size)
{
	size_t until = buffer_len(out) + size;

	for (unsigned paragraph = 0; buffer_len(out) < until; paragraph++) {
		for (uint64_t lines = 1 + draw(state) % 6; lines > 0; lines--) {
			buffer_add_text(out, paragraph % 3 == 2 ? "> " : "");
			add_line(out, state, lines == 1 ? LINE_LEN / 2 : LINE_LEN - 10);
			buffer_add_text(out, "\r\n");
		}
		buffer_add_text(out, "\r\n");
	}
}

static void
add_html(struct buffer *out, uint64_t *state, size_t size)
{
	size_t until = buffer_len(out) + size;

	buffer_add_text(out,
		"<html><head><meta charset=3D\"utf-8\"><style>td{font-family:Arial,\r\n"
		"sans-serif;font-size:14px;color:#333333}a{color:#0066cc}</style></"
		"head>\r\n<body>");
	while (buffer_len(out) < until) {
		buffer_add_text(out,
			"<tr><td style=3D\"padding:10px 20px;line-height:20px\" "
			"align=3D\"left\">=\r\n");
		for (uint64_t lines = 1 + draw(state) % 4; lines > 0; lines--) {
			add_line(out, state, LINE_LEN - 12);
			buffer_add_text(out, "=\r\n");
		}
		if (draw(state) % 2 == 0) {
			buffer_add_text(
				out, "<a href=3D\"https://click.example.com/ls/click?upn=3D=\r\n");
			add_code(out, state, 60);
			buffer_printf(out, "\" target=3D\"_blank\">%s</a>", word(state));
		}
		buffer_add_text(out, "</td></tr>\r\n");
	}
	buffer_add_text(out, "</body></html>\r\n");
}

static void
add_base64(struct buffer *out, uint64_t *state, size_t size)
{
	size_t until = buffer_len(out) + size;

	while (buffer_len(out) < until) {
		char line[LINE_LEN + 6];
		size_t at = 0;

		while (at < LINE_LEN + 4) {
			uint64_t bits = draw(state);
			for (unsigned i = 0; i < 4; i++, bits >>= 6)
				line[at++] = digits[bits & 63];
		}
		line[at++] = '\r';
		line[at++] = '\n';
		buffer_add(out, line, at);
	}
}

static void
add_trace(struct buffer *out, uint64_t *state)
{
	for (unsigned hop = 0; hop < 3; hop++) {
		buffer_printf(out,
			"Received: from mail%u.example.net (mail%u.example.net [192.0.2.%u])\r\n"
			"\tby mx%u.example.org with ESMTPS id ",
			(unsigned)(draw(state) % 90), hop, (unsigned)(draw(state) % 254), hop);
		add_code(out, state, 14);
		buffer_printf(out,
			"\r\n\tfor <user%u@example.org>; Sat, 21 Nov 2026 %02u:%02u:%02u +0100\r\n",
			(unsigned)(draw(state) % 1000), (unsigned)(draw(state) % 24),
			(unsigned)(draw(state) % 60), (unsigned)(draw(state) % 60));
	}
	buffer_add_text(out,
		"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=2026;\r\n"
		"\th=from:to:subject:date:message-id:mime-version; bh=");
	add_code(out, state, 43);
	buffer_add_text(out, "=;\r\n\tb=");
	for (unsigned line = 0; line < 5; line++) {
		add_code(out, state, 68);
		buffer_add_text(out, line < 4 ? "\r\n\t " : "\r\n");
	}
}

static void
add_header(struct buffer *out, uint64_t *state, uint64_t number)
{
	unsigned sender = (unsigned)(draw(state) % 5000);

	add_trace(out, state);
	buffer_printf(out,
		"Authentication-Results: mx0.example.org; dkim=pass header.d=example.net; "
		"spf=pass\r\n"
		"From: \"%s %s\" <person%u@example.net>\r\n"
		"To: \"%s\" <user%u@example.org>\r\n",
		word(state), words[sender], sender, word(state), (unsigned)(draw(state) % 1000));
	if (draw(state) % 3 == 0)
		buffer_printf(out, "Cc: <person%u@example.net>, <person%u@example.com>\r\n",
			(unsigned)(draw(state) % 5000), (unsigned)(draw(state) % 5000));
	buffer_printf(out, "Subject: %s", draw(state) % 2 == 0 ? "Re: " : "");
	add_line(out, state, 24);
	buffer_printf(out, "\r\nDate: Sat, %u Nov 2026 %02u:%02u:%02u +0100\r\nMessage-ID: <",
		1 + (unsigned)(draw(state) % 28), (unsigned)(draw(state) % 24),
		(unsigned)(draw(state) % 60), (unsigned)(draw(state) % 60));
	add_code(out, state, 24);
	buffer_printf(out, ".%u@example.net>\r\n", (unsigned)number);
	if (draw(state) % 2 == 0) {
		buffer_add_text(out, "In-Reply-To: <");
		add_code(out, state, 24);
		buffer_add_text(out, "@example.net>\r\n");
	}
	buffer_add_text(out, "MIME-Version: 1.0\r\n");
}

static void
add_part(struct buffer *out, const char *type)
{
	buffer_printf(out, "\r\n--%s\r\nContent-Type: %s\r\n\r\n", boundary, type);
}

static void
add_multipart(struct buffer *out, const char *kind)
{
	buffer_printf(out, "Content-Type: multipart/%s;\r\n\tboundary=\"%s\"\r\n", kind, boundary);
}

static void
add_attachment(struct buffer *out, uint64_t *state, size_t size)
{
	add_multipart(out, "mixed");
	add_part(out, "text/plain; charset=utf-8");
	add_text(out, state, TEXT_OF_ATTACHMENT);
	add_part(out,
		"application/pdf; name=\"paper.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
		"Content-Disposition: attachment; filename=\"paper.pdf\"");
	add_base64(out, state, size - TEXT_OF_ATTACHMENT);
	buffer_printf(out, "--%s--\r\n", boundary);
}

static void
add_alternative(struct buffer *out, uint64_t *state, size_t size)
{
	add_multipart(out, "alternative");
	add_part(out, "text/plain; charset=utf-8");
	add_text(out, state, size / 3);
	add_part(out, "text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable");
	add_html(out, state, size - size / 3);
	buffer_printf(out, "--%s--\r\n", boundary);
}

static void
add_hollow(struct buffer *out, const struct mail_plan *p)
{
	size_t until = buffer_len(out) + p->size;

	buffer_printf(out,
		"From: <person%u@example.net>\r\nTo: <user@example.org>\r\nSubject: Number %u\r\n"
		"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\nMessage-ID: <%u@example.net>\r\n\r\n",
		(unsigned)(p->number % 97), (unsigned)p->number, (unsigned)p->number);
	while (buffer_len(out) < until)
		buffer_add_text(out, "\r\n");
}

void
mail_make(struct buffer *out, const struct mail_plan *p)
{
	if (p->hollow) {
		add_hollow(out, p);
		return;
	}
	uint64_t state = (p->number + 1) * 0x9e3779b97f4a7c15U | 1;
	size_t had = buffer_len(out), left;

	for (unsigned i = 0; i < 4; i++)
		draw(&state);
	add_header(out, &state, p->number);
	left = p->size > buffer_len(out) - had + 300 ? p->size - (buffer_len(out) - had) - 200
						     : 100;
	if (p->size >= ATTACHMENT_FROM) {
		add_attachment(out, &state, left);
	} else if (p->number % KINDS != 0) {
		add_alternative(out, &state, left);
	} else {
		buffer_add_text(out, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		add_text(out, &state, left);
	}
}
