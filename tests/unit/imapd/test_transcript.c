/* SPDX-License-Identifier: ISC */
/*
 * Plays the dialogues of tests/transcript/imap against the session core and a real store:
 *
 *	# text        a comment
 *	@ words       options of the clients that connect from here on: tls, starttls, remote,
 *	              plaintext, size=N, memory=N, down (mailboxd), up
 *	C2: text      client 2 sends the line with CRLF (C: is client 1; a new one connects)
 *	C2+ text      the same without CRLF, with \r \n \t \0 \\ \xHH; "*N text" sends it N times
 *	C2!           client 2 goes away
 *	S2: text      the next line that client 2 gets; "..." stands for anything in it
 *	S2* text      lines are passed over up to this one
 *	L2: a | b     lines a and b come next, in any order
 *	D: box text   a message with that subject is delivered to alice
 *	X2: T2:       the server shuts down; nothing was heard for long
 *
 * Lines that one client sends one after the other go out together.  Each dialogue is played whole
 * and in pieces of several sizes: nothing may depend on that.  Whatever is not expected is wrong.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/ascii.h"
#include "tests/unit/imapd/bench.h"
#include "tests/unit/unit.h"

#define FOLDER "tests/transcript/imap"
enum { FILES_MAX = 200, FILE_MAX = 1024 * 1024, ALICE_ID = 11 };

struct player {
	struct bench bench;
	struct bench_options options;
	size_t piece;
	const char *file;
	unsigned line;
	struct buffer gathered; /* what a client is to send */
	unsigned gathered_client;
};

static void
complain(struct player *p, const char *what, struct slice wanted, struct slice got)
{
	ck_abort_msg("%s:%u (pieces of %zu): %s\n wanted: %.*s\n    got: %.*s", p->file, p->line,
		p->piece, what, (int)wanted.len, wanted.data, (int)(got.len < 600 ? got.len : 600),
		got.data);
}

static void
send_gathered(struct player *p)
{
	if (buffer_len(&p->gathered) == 0)
		return;
	struct bench_client *c = &p->bench.clients[p->gathered_client];
	if (buffer_len(&c->output) > 0)
		complain(p, "before the client speaks", SLICE("nothing"), buffer_slice(&c->output));
	bench_send(&p->bench, p->gathered_client, buffer_slice(&p->gathered), p->piece);
	buffer_reset(&p->gathered);
}

/* "..." stands for any run of bytes. */
static bool
fits(struct slice pattern, struct slice line)
{
	struct slice dots = SLICE("...");
	size_t at = slice_find(pattern, dots);

	if (at == pattern.len)
		return slice_equal(pattern, line);
	if (!slice_starts(line, slice_first(pattern, at)))
		return false;
	struct slice rest = slice_after(pattern, at + dots.len);
	for (size_t i = at; i <= line.len; i++)
		if (fits(rest, slice_after(line, i)))
			return true;
	return false;
}

static bool
take_output_line(struct bench_client *c, struct slice *line)
{
	struct slice out = buffer_slice(&c->output);
	size_t at = slice_find(out, SLICE("\r\n"));

	if (at == out.len)
		return false;
	*line = slice_first(out, at);
	return true;
}

static void
expect(struct player *p, unsigned client, struct slice wanted)
{
	struct bench_client *c = &p->bench.clients[client];
	struct slice line = {"", 0};

	send_gathered(p);
	if (!take_output_line(c, &line) || !fits(wanted, line))
		complain(p, "the server says", wanted, buffer_slice(&c->output));
	buffer_consume(&c->output, line.len + 2);
}

static void
skip_to(struct player *p, unsigned client, struct slice wanted)
{
	struct bench_client *c = &p->bench.clients[client];
	struct slice line;
	bool found = false;

	send_gathered(p);
	while (!found) {
		if (!take_output_line(c, &line))
			complain(p, "never came", wanted, buffer_slice(&c->output));
		found = fits(wanted, line);
		buffer_consume(&c->output, line.len + 2);
	}
}

static void
expect_any_order(struct player *p, unsigned client, struct slice list)
{
	struct slice wanted[16];
	size_t count = 0;

	for (size_t at; list.len > 0; list = slice_after(list, at + 1)) {
		at = slice_find_byte(list, '|');
		ck_assert(count < 16);
		wanted[count++] = slice_trim(slice_first(list, at));
	}
	send_gathered(p);
	while (count > 0) {
		struct bench_client *c = &p->bench.clients[client];
		struct slice line = {"", 0};
		size_t i = 0;
		if (!take_output_line(c, &line))
			complain(p, "missing", wanted[0], buffer_slice(&c->output));
		while (i < count && !fits(wanted[i], line))
			i++;
		if (i == count)
			complain(p, "none of the expected", wanted[0], line);
		wanted[i] = wanted[--count];
		buffer_consume(&c->output, line.len + 2);
	}
}

static void
add_escaped(struct buffer *out, struct slice text)
{
	uint64_t times = 1;
	struct cursor c = cursor_of(text);

	if (take_byte(&c, '*')) {
		ck_assert(take_u64(&c, 10000000, &times) && take_byte(&c, ' '));
		text = c.rest;
	}
	struct buffer one;
	buffer_init(&one, FILE_MAX);
	for (size_t i = 0; i < text.len; i++) {
		static const char names[] = "rnt0\\";
		static const char bytes[] = "\r\n\t\0\\";
		char byte = text.data[i];
		if (byte == '\\' && i + 3 < text.len && text.data[i + 1] == 'x') {
			byte = (char)(ascii_hex_value(text.data[i + 2]) * 16 +
				ascii_hex_value(text.data[i + 3]));
			i += 3;
		} else if (byte == '\\' && i + 1 < text.len) {
			const char *at = strchr(names, text.data[++i]);
			ck_assert(at != NULL && *at != '\0');
			byte = bytes[at - names];
		}
		buffer_add_byte(&one, byte);
	}
	while (times-- > 0)
		buffer_add_slice(out, buffer_slice(&one));
	buffer_clear(&one);
}

static void
set_option(struct player *p, struct slice word)
{
	struct bench_options *o = &p->options;
	struct cursor c = cursor_of(word);

	if (slice_equal(word, SLICE("tls")))
		o->tls = true;
	else if (slice_equal(word, SLICE("starttls")))
		o->starttls = true;
	else if (slice_equal(word, SLICE("remote")))
		o->remote = true;
	else if (slice_equal(word, SLICE("plaintext")))
		o->plaintext = true;
	else if (take_text(&c, SLICE("size=")))
		ck_assert(take_u64(&c, UINT64_MAX, &o->size_max));
	else if (take_text(&c, SLICE("memory=")))
		ck_assert(take_u64(&c, UINT64_MAX, &o->memory_max));
	else if (slice_equal(word, SLICE("down")))
		p->bench.mailboxd_is_down = true;
	else if (slice_equal(word, SLICE("up")))
		p->bench.mailboxd_is_down = false;
	else
		complain(p, "unknown option", word, word);
}

static void
set_options(struct player *p, struct slice words)
{
	send_gathered(p);
	while (words.len > 0) {
		size_t at = slice_find_byte(words, ' ');
		if (at > 0)
			set_option(p, slice_first(words, at));
		words = slice_after(words, at + 1);
	}
}

static void
gather(struct player *p, unsigned client, struct slice bytes, bool is_escaped)
{
	if (p->gathered_client != client)
		send_gathered(p);
	p->gathered_client = client;
	if (is_escaped) {
		add_escaped(&p->gathered, bytes);
	} else {
		buffer_add_slice(&p->gathered, bytes);
		buffer_add_text(&p->gathered, "\r\n");
	}
}

static void
deliver(struct player *p, struct slice words)
{
	size_t at = slice_find_byte(words, ' ');
	char box[64], message[512];

	send_gathered(p);
	snprintf(box, sizeof box, "%.*s", (int)at, words.data);
	snprintf(message, sizeof message,
		"From: Joe <joe@example.com>\r\nTo: alice@example.org\r\nSubject: %.*s\r\n"
		"Date: Fri, 21 Nov 2025 09:05:00 +0900\r\nMessage-ID: <%.*s@example.com>\r\n"
		"\r\nHello, this is %.*s.\r\n",
		(int)(words.len - at - 1), words.data + at + 1, (int)(words.len - at - 1),
		words.data + at + 1, (int)(words.len - at - 1), words.data + at + 1);
	bench_deliver(&p->bench, ALICE_ID, box, slice_text(message));
}

static void
client_event(struct player *p, unsigned client, char event)
{
	struct bench_client *c = &p->bench.clients[client];

	send_gathered(p);
	if (event == '!')
		bench_disconnect(&p->bench, client);
	else if (event == 'X')
		session_shutdown(&c->session);
	else
		session_timed_out(&c->session);
	bench_run(&p->bench);
}

static void
play_line(struct player *p, struct slice line)
{
	char kind = line.data[0];
	struct slice rest = slice_after(line, 1);
	unsigned client = 0;

	if (kind == '#')
		return;
	if (kind == '@') {
		set_options(p, slice_trim(rest));
		return;
	}
	if (rest.len > 0 && ascii_is_digit(rest.data[0])) {
		client = (unsigned)(rest.data[0] - '1');
		rest = slice_after(rest, 1);
	}
	ck_assert_msg(client < BENCH_CLIENTS && rest.len > 0, "%s:%u", p->file, p->line);
	char mark = rest.data[0];
	rest = slice_after(rest, rest.len > 1 && rest.data[1] == ' ' ? 2 : 1);
	if (!p->bench.clients[client].is_open)
		bench_connect(&p->bench, client, &p->options);
	if (kind == 'C' && mark == '!')
		client_event(p, client, '!');
	else if (kind == 'C')
		gather(p, client, rest, mark == '+');
	else if (kind == 'S' && mark == '*')
		skip_to(p, client, rest);
	else if (kind == 'S')
		expect(p, client, rest);
	else if (kind == 'L')
		expect_any_order(p, client, rest);
	else if (kind == 'D')
		deliver(p, rest);
	else if (kind == 'X' || kind == 'T')
		client_event(p, client, kind);
	else
		complain(p, "unknown line", line, line);
}

static void
expect_silence(struct player *p)
{
	send_gathered(p);
	for (unsigned i = 0; i < BENCH_CLIENTS; i++)
		if (p->bench.clients[i].is_open && buffer_len(&p->bench.clients[i].output) > 0)
			complain(p, "at the end", SLICE("nothing"),
				buffer_slice(&p->bench.clients[i].output));
}

static void
play(const char *file, struct slice text, size_t piece)
{
	struct player *p = calloc(1, sizeof *p);

	ck_assert_ptr_nonnull(p);
	bench_open(&p->bench);
	p->file = file;
	p->piece = piece;
	buffer_init(&p->gathered, (size_t)64 * FILE_MAX);
	while (text.len > 0) {
		size_t at = slice_find_byte(text, '\n');
		p->line++;
		if (at > 0)
			play_line(p, slice_first(text, at));
		text = slice_after(text, at + 1);
	}
	expect_silence(p);
	buffer_clear(&p->gathered);
	bench_close(&p->bench);
	free(p);
}

static char files[FILES_MAX][256];
static int file_count;

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
find_files(void)
{
	DIR *dir = opendir(FOLDER);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (slice_ends_nocase(slice_text(entry->d_name), SLICE(".txt")) &&
			file_count < FILES_MAX)
			snprintf(files[file_count++], sizeof files[0], "%s", entry->d_name);
	if (dir != NULL)
		closedir(dir);
	qsort(files, (size_t)file_count, sizeof files[0], compare_names);
}

static void
play_file(const char *name)
{
	static char text[FILE_MAX];
	static const size_t pieces[] = {0, 1, 2, 7, 100};
	char path[512];

	snprintf(path, sizeof path, FOLDER "/%s", name);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s", path);
	size_t len = fread(text, 1, sizeof text, f);
	fclose(f);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		play(name, slice_make(text, len), pieces[i]);
}

START_TEST(transcripts_of_imap)
{
	play_file(files[_i]);
}
END_TEST

UNIT(transcript)
{
	find_files();
	if (getenv("TRANSCRIPT") != NULL) {
		snprintf(files[0], sizeof files[0], "%s", getenv("TRANSCRIPT"));
		file_count = 1;
	}
	tcase_add_loop_test(tc, transcripts_of_imap, 0, file_count);
}
