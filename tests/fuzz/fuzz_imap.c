/* SPDX-License-Identifier: ISC */
/*
 * fuzz-links: imapd
 * The core of an IMAP session over a real store in memory.  The first byte chooses how it begins;
 * the rest is what the client sends: 0x01 and 0x02 in it choose between two clients of one account,
 * 0x03 delivers a message.  Each input has an account of its own, so that it finds the same state
 * every time.  Without a second client it is played twice, whole and cut up: the replies must be
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>

/* The world of the unit tests is not in an archive: it is made part of this program. */
#include "tests/unit/imapd/bench.c" /* NOLINT */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	CHOICE_LOGIN = 1,
	CHOICE_SELECT = 2,
	CHOICE_STARTTLS = 4,
	CHOICE_DOWN = 8,
	INPUT_MAX = 65536
};

static const char greeting_mail[] =
	"From: =?utf-8?Q?J=C3=B6?= <joe@example.com>\r\nTo: alice@example.org\r\n"
	"Subject: hello\r\nDate: Fri, 21 Nov 2025 09:05:00 +0900\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
	"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b--\r\n";

static struct bench the_bench;

static void
close_bench(void)
{
	bench_close(&the_bench);
}

static struct bench *
get_bench(void)
{
	static bool is_open;

	if (!is_open) {
		setenv("TMPDIR", "/dev/shm", 1);
		bench_open(&the_bench);
		(void)atexit(close_bench);
		is_open = true;
	}
	return &the_bench;
}

static void
begin(struct bench *b, uint8_t choice)
{
	static uint64_t last_account = 1000;
	struct bench_options options = {.tls = (choice & CHOICE_STARTTLS) == 0,
		.starttls = true,
		.size_max = 100000,
		.memory_max = 150000};

	b->alice = ++last_account;
	b->mailboxd_is_down = false;
	b->core.message_memory_used = 0;
	bench_deliver(b, b->alice, "INBOX", slice_text(greeting_mail));
	bench_connect(b, 0, &options);
	bench_connect(b, 1, &options);
	for (unsigned i = 0; i < 2 && (choice & CHOICE_LOGIN) != 0; i++) {
		bench_send(b, i, SLICE("a LOGIN alice@example.org secret\r\n"), 0);
		if ((choice & CHOICE_SELECT) != 0)
			bench_send(b, i, SLICE("b SELECT INBOX\r\n"), 0);
	}
	b->mailboxd_is_down = (choice & CHOICE_DOWN) != 0;
}

static bool
is_control(uint8_t byte)
{
	return byte >= 1 && byte <= 3;
}

static void
play(struct bench *b, const uint8_t *data, size_t size, size_t piece)
{
	unsigned client = 0;

	for (size_t i = 0, run; i < size; i += run) {
		run = 0;
		while (i + run < size && !is_control(data[i + run]))
			run++;
		if (!b->clients[client].is_closed)
			bench_send(b, client, slice_make(data + i, run), piece);
		if (i + run == size)
			break;
		if (data[i + run] < 3)
			client = data[i + run] - 1u;
		else if (!b->mailboxd_is_down)
			bench_deliver(b, b->alice, "INBOX", slice_text(greeting_mail));
		run++;
	}
}

static void
end(struct bench *b, struct buffer *replies)
{
	buffer_init(replies, OUTPUT_MAX);
	buffer_add_slice(replies, buffer_slice(&b->clients[0].output));
	bench_disconnect(b, 0);
	bench_disconnect(b, 1);
	check(b->core.message_memory_used == 0, "message memory is still counted");
	check(b->core.scratch.blocks == NULL, "the scratch was not cleared");
	check(b->core.piece.blocks == NULL, "the piece was not cleared");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench *b = get_bench();
	struct buffer whole, cut;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	uint8_t choice = data[0];
	begin(b, choice);
	play(b, data + 1, size - 1, 0);
	end(b, &whole);
	/* STARTTLS throws away what came with it, which depends on the pieces. */
	bool is_alone = memchr(data + 1, 1, size - 1) == NULL &&
		memchr(data + 1, 2, size - 1) == NULL && memchr(data + 1, 3, size - 1) == NULL;
	if (is_alone && (choice & CHOICE_STARTTLS) == 0 && size < 4096) {
		begin(b, choice);
		play(b, data + 1, size - 1, 1 + choice / 16);
		end(b, &cut);
		check(slice_equal(buffer_slice(&whole), buffer_slice(&cut)),
			"the replies depend on how the input was cut");
		buffer_clear(&cut);
	}
	buffer_clear(&whole);
	return 0;
}
