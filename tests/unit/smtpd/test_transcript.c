/* SPDX-License-Identifier: ISC */
/*
 * Plays the dialogues of tests/transcript/smtp against the pure core, whole and cut into pieces.
 * The language of the files is described in tests/transcript/README.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "tests/unit/smtpd/world.h"
#include "tests/unit/unit.h"

enum { TEXT_MAX = 1024 * 1024, REPEAT_MAX = 2000000 };

struct script {
	const char *file;
	unsigned line;
	size_t piece;
	struct world world;
	bool open;
	struct buffer pending; /* C lines not sent yet */
	size_t said; /* bytes of smtp.out that were expected */
	size_t shown; /* bytes of the message that were expected */
};

static void
complain(const struct script *p, const char *what, struct slice text)
{
	ck_abort_msg("%s:%u (in pieces of %zu): %s: %.*s\nthe output was:\n%.*s", p->file, p->line,
		p->piece, what, (int)text.len, text.data, (int)buffer_len(&p->world.smtp.out),
		buffer_slice(&p->world.smtp.out).data);
}

static void
send_pending(struct script *p)
{
	if (buffer_len(&p->pending) == 0)
		return;
	if (p->said != buffer_len(&p->world.smtp.out))
		complain(p, "the server said more", SLICE(""));
	buffer_reset(&p->world.smtp.out);
	p->said = 0;
	world_send(&p->world, buffer_slice(&p->pending), p->piece);
	buffer_reset(&p->pending);
}

static void
begin(struct script *p, struct slice words)
{
	struct world_options o = {.message_size = 1000000, .recipients = 100, .room = 2000000};
	struct cursor c = cursor_of(words);
	struct slice word, rest;

	while (!cursor_at_end(&c)) {
		if (!take_until(&c, ' ', &word))
			word = take_rest(&c);
		take_byte(&c, ' ');
		uint64_t number = 0;
		size_t equals = slice_find_byte(word, '=');
		rest = slice_after(word, equals + 1);
		slice_parse_u64(rest, UINT32_MAX, &number);
		word = slice_first(word, equals);
		o.submission |= slice_equal(word, SLICE("submission"));
		o.tls |= slice_equal(word, SLICE("tls"));
		o.tls_offered |= slice_equal(word, SLICE("starttls"));
		o.passwords |= slice_equal(word, SLICE("passwords"));
		o.crowded |= slice_equal(word, SLICE("crowded"));
		if (slice_equal(word, SLICE("size")))
			o.message_size = number;
		if (slice_equal(word, SLICE("recipients")))
			o.recipients = (uint32_t)number;
		if (slice_equal(word, SLICE("room")))
			o.room = number;
	}
	world_init(&p->world, &o);
	p->open = true;
	p->said = 0;
}

/* \r \n \t \0 \\ \xHH, and *N at the front: N times the rest. */
static void
add_raw(struct script *p, struct slice text)
{
	struct cursor c = cursor_of(text);
	uint64_t times = 1;
	char byte;

	if (take_byte(&c, '*'))
		ck_assert(take_u64(&c, REPEAT_MAX, &times) && take_byte(&c, ' '));
	struct cursor start = c;
	for (uint64_t i = 0; i < times; i++) {
		c = start;
		while (take_any(&c, &byte)) {
			char high, low;

			if (byte == '\\' && take_any(&c, &byte)) {
				if (byte == 'x' && take_any(&c, &high) && take_any(&c, &low))
					byte = (char)(ascii_hex_value(high) * 16 +
						ascii_hex_value(low));
				else
					byte = byte == 'r'    ? '\r'
						: byte == 'n' ? '\n'
						: byte == 't' ? '\t'
						: byte == '0' ? '\0'
							      : byte;
			}
			buffer_add_byte(&p->pending, byte);
		}
	}
}

/* The next line of the text from *at on, without CRLF. */
static bool
next_line(struct slice text, size_t *at, struct slice *line)
{
	struct slice rest = slice_after(text, *at);
	size_t end = slice_find(rest, SLICE("\r\n"));

	if (end == rest.len)
		return false;
	*line = slice_first(rest, end);
	*at += end + 2;
	return true;
}

/* A trailing "..." in what is expected stands for anything. */
static bool
matches(struct slice line, struct slice expected)
{
	if (slice_ends_nocase(expected, SLICE("...")) &&
		slice_starts(line, slice_first(expected, expected.len - 3)))
		return true;
	return slice_equal(line, expected);
}

static void
expect_said(struct script *p, struct slice expected)
{
	struct slice line;

	if (!next_line(buffer_slice(&p->world.smtp.out), &p->said, &line) ||
		!matches(line, expected))
		complain(p, "the server said something else", expected);
}

static void
expect_message(struct script *p, struct slice expected)
{
	struct slice line;

	if (!next_line(buffer_slice(&p->world.message), &p->shown, &line) ||
		!matches(line, expected))
		complain(p, "the message is something else", expected);
}

static void
check(struct script *p, bool good, const char *what, struct slice text)
{
	if (!good)
		complain(p, what, text);
}

static void
play_directive(struct script *p, char kind, struct slice text)
{
	struct world *w = &p->world;

	send_pending(p);
	switch (kind) {
	case 'S':
		expect_said(p, text);
		break;
	case 'E':
		check(p, slice_equal(buffer_slice(&w->envelope), text), "another envelope",
			buffer_slice(&w->envelope));
		p->shown = 0;
		break;
	case 'M':
		expect_message(p, text);
		break;
	case 'N':
		check(p, p->shown == buffer_len(&w->message), "the message goes on", text);
		break;
	case 'K':
		check(p, w->smtp.state == SMTP_CLOSED, "still open", text);
		break;
	case 'O':
		check(p, w->smtp.state != SMTP_CLOSED, "closed", text);
		break;
	case 'T':
		smtp_on_timeout(&w->smtp);
		break;
	case 'X':
		smtp_on_shutdown(&w->smtp);
		break;
	case 'Q': {
		uint64_t n;
		check(p, slice_parse_u64(text, 1000, &n) && n == w->submitted,
			"another number of messages", text);
		break;
	}
	default:
		complain(p, "no such directive", text);
	}
}

static void
play_line(struct script *p, struct slice line)
{
	struct slice text = slice_after(line, 3);

	if (line.len == 0 || line.data[0] == '#')
		return;
	if (line.data[0] == '@') {
		begin(p, slice_after(line, 2));
	} else if (slice_starts(line, SLICE("C:"))) {
		buffer_add_slice(&p->pending, text);
		buffer_add_text(&p->pending, "\r\n");
	} else if (slice_starts(line, SLICE("C+"))) {
		add_raw(p, text);
	} else if (line.len >= 2 && line.data[1] == ':') {
		play_directive(p, line.data[0], text);
	} else {
		complain(p, "cannot read this line", line);
	}
}

static void
play(const char *file, struct slice text, size_t piece)
{
	struct script p = {.file = file, .piece = piece};
	struct cursor c = cursor_of(text);
	struct slice line;

	buffer_init(&p.pending, 8 * TEXT_MAX);
	while (take_until(&c, '\n', &line)) {
		take_byte(&c, '\n');
		p.line++;
		play_line(&p, line);
	}
	ck_assert_msg(p.open && cursor_at_end(&c), "%s: no @ line, or no newline at its end", file);
	send_pending(&p);
	if (p.said != buffer_len(&p.world.smtp.out))
		complain(&p, "the server said more", SLICE(""));
	/* Vanished peers leave nothing. */
	bool was_open = p.world.sink_open;
	smtp_clear(&p.world.smtp);
	ck_assert(!was_open || p.world.dropped > 0);
	world_clear(&p.world);
	buffer_clear(&p.pending);
}

static void
play_file(const char *file)
{
	static const size_t pieces[] = {1000000, 1, 2, 3, 7, 64, 1000};
	static char text[TEXT_MAX];
	FILE *f = fopen(file, "r");

	ck_assert_msg(f != NULL, "%s", file);
	size_t len = fread(text, 1, sizeof text, f);
	fclose(f);
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		/* Megabytes byte by byte prove nothing more. */
		if (pieces[i] < 64 && slice_find(slice_make(text, len), SLICE("C+ *")) < len)
			continue;
		play(file, slice_make(text, len), pieces[i]);
	}
}

static unsigned
play_folder(const char *folder)
{
	unsigned played = 0;
	DIR *d = opendir(folder);

	ck_assert_msg(d != NULL, "%s: run from the top of the tree", folder);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char file[512];

		if (!slice_ends_nocase(slice_text(e->d_name), SLICE(".txt")))
			continue;
		snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
		play_file(file);
		played++;
	}
	closedir(d);
	return played;
}

START_TEST(dialogues_go_as_written)
{
	ck_assert_uint_ge(play_folder("tests/transcript/smtp"), 10);
}
END_TEST

START_TEST(attacks_fail_as_written)
{
	ck_assert_uint_ge(play_folder("tests/transcript/smtp/attack"), 5);
}
END_TEST

UNIT(transcript)
{
	unit_add(tc, dialogues_go_as_written);
	unit_add(tc, attacks_fail_as_written);
}
