/* SPDX-License-Identifier: ISC */
/*
 * Plays the dialogues of tests/transcript/pop3 against the pure core, whole and cut into pieces.
 * The language of the files is described in tests/transcript/README.
 */
#include <dirent.h>
#include <stdio.h>

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "tests/unit/pop3d/world.h"
#include "tests/unit/unit.h"

enum { TEXT_MAX = 1024 * 1024, REPEAT_MAX = 2000000 };

struct script {
	const char *file;
	unsigned line;
	size_t piece;
	struct world world;
	bool open;
	struct buffer pending; /* C lines not sent yet */
	size_t said; /* bytes of the output that were expected */
};

static void
complain(const struct script *p, const char *what, struct slice text)
{
	struct slice out = buffer_slice(&p->world.out);

	ck_abort_msg("%s:%u (in pieces of %zu): %s: %.*s\nthe output was:\n%.*s", p->file, p->line,
		p->piece, what, (int)text.len, text.data, (int)out.len, out.data);
}

static void
expect_all_said(struct script *p)
{
	if (p->said != buffer_len(&p->world.out))
		complain(p, "the server said more",
			slice_after(buffer_slice(&p->world.out), p->said));
}

static void
send_pending(struct script *p)
{
	if (buffer_len(&p->pending) == 0)
		return;
	expect_all_said(p);
	buffer_reset(&p->world.out);
	p->said = 0;
	world_send(&p->world, buffer_slice(&p->pending), p->piece);
	buffer_reset(&p->pending);
}

static void
begin(struct script *p, struct slice words)
{
	struct world_options o = {.failures = 5, .piece = p->piece};
	struct cursor c = cursor_of(words);
	struct slice word;

	while (!cursor_at_end(&c)) {
		uint64_t number = 0;

		if (!take_until(&c, ' ', &word))
			word = take_rest(&c);
		take_byte(&c, ' ');
		o.tls |= slice_equal(word, SLICE("tls"));
		o.tls_offered |= slice_equal(word, SLICE("stls"));
		o.passwords |= slice_equal(word, SLICE("passwords"));
		if (slice_starts(word, SLICE("failures=")) &&
			slice_parse_u64(slice_after(word, 9), 1000, &number))
			o.failures = (uint32_t)number;
	}
	world_init(&p->world, &o);
	p->open = true;
	p->said = 0;
}

static char
take_escape(struct cursor *c)
{
	static const char names[] = "rnt0", bytes[] = "\r\n\t";
	char byte = '\\', high, low;

	if (!take_any(c, &byte))
		return '\\';
	if (byte == 'x' && take_any(c, &high) && take_any(c, &low))
		return (char)(ascii_hex_value(high) * 16 + ascii_hex_value(low));
	const char *at = strchr(names, byte);
	return at != NULL && byte != '\0' ? bytes[at - names] : byte;
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
		while (take_any(&c, &byte))
			buffer_add_byte(&p->pending, byte == '\\' ? take_escape(&c) : byte);
	}
}

/* A trailing "..." in what is expected stands for anything. */
static bool
matches(struct slice line, struct slice expected)
{
	if (slice_ends_nocase(expected, SLICE("....")))
		return slice_equal(line, expected);
	if (slice_ends_nocase(expected, SLICE("...")))
		return slice_starts(line, slice_first(expected, expected.len - 3));
	return slice_equal(line, expected);
}

static void
expect_said(struct script *p, struct slice expected)
{
	struct slice rest = slice_after(buffer_slice(&p->world.out), p->said);
	size_t end = slice_find(rest, SLICE("\r\n"));

	if (end == rest.len || !matches(slice_first(rest, end), expected))
		complain(p, "the server said something else", expected);
	p->said += end + 2;
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
		check(p, slice_equal(buffer_slice(&w->expunged), text), "other messages went",
			buffer_slice(&w->expunged));
		break;
	case 'A':
		p->said = buffer_len(&w->out);
		break;
	case 'K':
		check(p, w->pop3.state == POP3_CLOSED, "still open", text);
		break;
	case 'O':
		check(p, w->pop3.state != POP3_CLOSED, "closed", text);
		break;
	case 'X':
		pop3_on_shutdown(&w->pop3);
		world_settle(w);
		break;
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
	expect_all_said(&p);
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
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
		play(file, slice_make(text, len), pieces[i]);
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
	ck_assert_uint_ge(play_folder("tests/transcript/pop3"), 8);
}
END_TEST

START_TEST(attacks_fail_as_written)
{
	ck_assert_uint_ge(play_folder("tests/transcript/pop3/attack"), 4);
}
END_TEST

UNIT(transcript)
{
	unit_add(tc, dialogues_go_as_written);
	unit_add(tc, attacks_fail_as_written);
}
