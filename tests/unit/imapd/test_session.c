/* SPDX-License-Identifier: ISC */
/* What dialogues cannot say well: long answers in slices, memory, what is left behind. */
#include "tests/unit/imapd/bench.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static const struct bench_options under_tls = {.tls = true};

static struct bench *
open_with(size_t messages)
{
	struct bench *b = calloc(1, sizeof *b);

	ck_assert_ptr_nonnull(b);
	bench_open(b);
	for (size_t i = 0; i < messages; i++)
		bench_deliver(b, b->alice, "INBOX", SLICE("Subject: x\r\n\r\ntext\r\n"));
	bench_connect(b, 0, &under_tls);
	bench_send(b, 0, SLICE("a LOGIN alice@example.org secret\r\nb SELECT INBOX\r\n"), 0);
	buffer_reset(&b->clients[0].output);
	return b;
}

static void
close_it(struct bench *b)
{
	bench_close(b);
	free(b);
}

/* The shell's part, one call at a time; returns the most output of one call. */
static size_t
run_slices(struct bench_client *c, struct slice command, unsigned *slices)
{
	size_t most = 0;
	size_t used = session_input(&c->session, command);

	ck_assert_uint_eq(used, command.len);
	for (*slices = 1;; ++*slices) {
		struct slice out = buffer_slice(&c->session.out);
		most = out.len > most ? out.len : most;
		buffer_add_slice(&c->output, out);
		buffer_reset(&c->session.out);
		if (!session_wants_turn(&c->session))
			return most;
		ck_assert_uint_lt(*slices, 100000);
		session_turn(&c->session);
	}
}

static void
append_big(struct bench *b, size_t lines)
{
	struct buffer text, command;

	buffer_init(&text, 64 * 1024 * 1024);
	buffer_init(&command, 64 * 1024 * 1024);
	buffer_add_text(&text, "Subject: big\r\n\r\n");
	for (size_t i = 0; i < lines; i++)
		buffer_printf(&text, "line %zu of a long message, which does not repeat itself\r\n",
			i * 7919);
	buffer_add_text(&text, "the nEEdle is at the end\r\n");
	buffer_printf(&command, "x APPEND INBOX {%zu+}\r\n", buffer_len(&text));
	buffer_add_slice(&command, buffer_slice(&text));
	buffer_add_text(&command, "\r\n");
	bench_send(b, 0, buffer_slice(&command), 0);
	buffer_reset(&b->clients[0].output);
	buffer_clear(&text);
	buffer_clear(&command);
}

START_TEST(a_long_text_is_sent_in_pieces)
{
	struct bench *b = open_with(0);
	struct bench_client *c = &b->clients[0];
	unsigned slices;

	append_big(b, 100000);
	size_t most = run_slices(
		c, SLICE("c FETCH 1 (BODY.PEEK[TEXT] UID BODY.PEEK[]<1.9> FLAGS)\r\n"), &slices);
	ck_assert_uint_gt(slices, 10);
	ck_assert_uint_lt(most, 1024 * 1024);
	struct slice out = buffer_slice(&c->output);
	ck_assert_uint_gt(out.len, 5000000);
	struct slice end = SLICE("the nEEdle is at the end\r\n UID 1 BODY[]<1> {9}\r\nubject: b"
				 " FLAGS (\\Recent))\r\nc OK FETCH completed.\r\n");
	ck_assert(slice_equal(slice_after(out, out.len - end.len), end));
	close_it(b);
}
END_TEST

START_TEST(a_search_finds_what_lies_across_pieces_and_slices)
{
	struct bench *b = open_with(0);
	struct bench_client *c = &b->clients[0];
	unsigned slices;

	append_big(b, 100000);
	(void)run_slices(c, SLICE("c SEARCH BODY needle\r\n"), &slices);
	ck_assert_slice_eq(buffer_slice(&c->output), "* SEARCH 1\r\nc OK SEARCH completed.\r\n");
	buffer_reset(&c->output);
	/* Every line must be found, wherever a piece ends. */
	for (size_t i = 0; i < 100000; i += 4999) {
		struct buffer command;
		buffer_init(&command, 1024);
		buffer_printf(
			&command, "d SEARCH BODY \"itself\" BODY \"LINE %zu OF\"\r\n", i * 7919);
		(void)run_slices(c, buffer_slice(&command), &slices);
		ck_assert_slice_eq(
			buffer_slice(&c->output), "* SEARCH 1\r\nd OK SEARCH completed.\r\n");
		buffer_reset(&c->output);
		buffer_clear(&command);
	}
	close_it(b);
}
END_TEST

START_TEST(many_messages_are_told_in_slices)
{
	struct bench *b = open_with(1);
	struct bench_client *c = &b->clients[0];
	unsigned slices;

	for (int i = 0; i < 14; i++)
		bench_send(b, 0, SLICE("c UID COPY 1:* INBOX\r\n"), 0);
	buffer_reset(&c->output);
	ck_assert_uint_eq(c->session.view.count, 16384);
	size_t most = run_slices(c, SLICE("d FETCH 1:* (FLAGS)\r\n"), &slices);
	ck_assert_uint_gt(slices, 3);
	ck_assert_uint_lt(most, (size_t)SESSION_OUT_SLICE * 2);
	buffer_reset(&c->output);
	bench_send(b, 0, SLICE("e UID STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n"), 0);
	ck_assert_slice_eq(buffer_slice(&c->output), "e OK STORE completed.\r\n");
	buffer_reset(&c->output);
	/* Every second message only, so that the ranges are many. */
	struct buffer command;
	buffer_init(&command, 1024 * 1024);
	buffer_add_text(&command, "f UID EXPUNGE 2");
	for (unsigned uid = 4; uid < 10000; uid += 2)
		buffer_printf(&command, ",%u", uid);
	buffer_add_text(&command, "\r\n");
	bench_send(b, 0, buffer_slice(&command), 0);
	ck_assert_uint_eq(c->session.view.count, 16384 - 4999);
	buffer_reset(&c->output);
	bench_send(b, 0, SLICE("g EXPUNGE\r\n"), 0);
	ck_assert_uint_eq(c->session.view.count, 0);
	struct slice out = buffer_slice(&c->output);
	struct slice end = SLICE("* 1 EXPUNGE\r\ng OK EXPUNGE completed.\r\n");
	ck_assert(slice_equal(slice_after(out, out.len - end.len), end));
	buffer_clear(&command);
	close_it(b);
}
END_TEST

START_TEST(many_items_of_one_message_are_sent_in_slices)
{
	struct bench *b = open_with(0);
	struct bench_client *c = &b->clients[0];
	struct buffer command;
	unsigned slices;

	append_big(b, 1000);
	buffer_init(&command, 1024 * 1024);
	buffer_add_text(&command, "c FETCH 1 (UID");
	for (int i = 0; i < 300; i++)
		buffer_add_text(&command, " BODY.PEEK[TEXT]<0.50000>");
	buffer_add_text(&command, " RFC822.SIZE)\r\n");
	size_t most = run_slices(c, buffer_slice(&command), &slices);
	ck_assert_uint_lt(most, (size_t)SESSION_OUT_SLICE * 2);
	struct slice out = buffer_slice(&c->output);
	ck_assert_uint_gt(out.len, 300 * 50000);
	ck_assert(slice_find(slice_after(out, out.len - 100), SLICE(" RFC822.SIZE ")) < 100);
	buffer_clear(&command);
	close_it(b);
}
END_TEST

START_TEST(a_shutdown_waits_for_the_answer)
{
	struct bench *b = open_with(1);
	struct bench_client *c = &b->clients[0];

	ck_assert_uint_gt(session_input(&c->session, SLICE("c STORE 1 +FLAGS \\Seen\r\n")), 0);
	session_shutdown(&c->session);
	ck_assert(!c->is_closed);
	bench_run(b);
	ck_assert(c->is_closed);
	ck_assert_slice_eq(buffer_slice(&c->output),
		"* 1 FETCH (FLAGS (\\Seen \\Recent))\r\nc OK STORE completed.\r\n"
		"* BYE Server is shutting down.\r\n");
	close_it(b);
}
END_TEST

/* IDLE has no end of its own that the good-bye could wait for. */
START_TEST(a_shutdown_while_idle_begins_ends_it)
{
	struct bench *b = open_with(4000);
	struct bench_client *c = &b->clients[0];

	bench_connect(b, 1, &under_tls);
	bench_send(b, 1,
		SLICE("a LOGIN alice@example.org secret\r\nb SELECT INBOX\r\n"
		      "c STORE 1:* +FLAGS.SILENT \\Seen\r\n"),
		0);
	ck_assert_uint_gt(session_input(&c->session, SLICE("c IDLE\r\n")), 0);
	ck_assert_int_eq(c->session.await, IMAP_AWAIT_TURN);
	session_shutdown(&c->session);
	bench_run(b);
	ck_assert(c->is_closed);
	close_it(b);
}
END_TEST

START_TEST(a_hint_while_idle_is_being_told_is_not_lost)
{
	struct bench *b = open_with(1);
	struct bench_client *c = &b->clients[0];

	bench_send(b, 0, SLICE("c IDLE\r\n"), 0);
	buffer_reset(&c->output);
	session_changed(&c->session, 0);
	ck_assert(session_wants_turn(&c->session));
	session_turn(&c->session);
	ck_assert(!session_wants_turn(&c->session));
	session_changed(&c->session, c->session.view.mailbox + 1);
	ck_assert(!session_wants_turn(&c->session));
	close_it(b);
}
END_TEST

START_TEST(what_comes_with_starttls_in_the_clear_does_not_count)
{
	struct bench *b = calloc(1, sizeof *b);
	struct bench_options options = {.starttls = true, .remote = true};

	bench_open(b);
	bench_connect(b, 0, &options);
	buffer_reset(&b->clients[0].output);
	bench_send(b, 0, SLICE("a STARTTLS\r\nb NOOP\r\n"), 0);
	ck_assert_slice_eq(
		buffer_slice(&b->clients[0].output), "a OK Begin TLS negotiation now.\r\n");
	close_it(b);
}
END_TEST

START_TEST(an_idle_session_keeps_little)
{
	struct bench *b = open_with(100);
	struct imap_session *s = &b->clients[0].session;

	bench_send(b, 0, SLICE("c UID FETCH 1:* (FLAGS BODY.PEEK[])\r\nd IDLE\r\n"), 0);
	ck_assert_ptr_null(s->fetch);
	ck_assert_ptr_null(s->command.arena.blocks);
	ck_assert_uint_le(s->text.size, 1024);
	ck_assert_uint_le(s->view.range_size * sizeof *s->view.ranges, 256);
	ck_assert_uint_le(sizeof *s, 1024);
	close_it(b);
}
END_TEST

START_TEST(a_late_answer_is_dropped)
{
	struct bench *b = open_with(1);
	struct imap_session *s = &b->clients[0].session;
	struct ipc_answer answer = {.fault = FAULT_OK};

	session_answer(s, 12345, &answer);
	ck_assert_uint_eq(b->core.dropped_answers, 1);
	ck_assert_int_eq(s->await, IMAP_AWAIT_COMMAND);
	close_it(b);
}
END_TEST

static int64_t
hour(void *arg)
{
	(void)arg;
	return 3600000;
}

/* Whoever asks again, in the same turn, must hear the same. */
START_TEST(a_turn_that_is_over_stays_over)
{
	static const struct clock clock = {hour, hour, NULL};
	struct imap_core core = {.clock = &clock};
	struct imap_session s = {.core = &core};
	unsigned asked = 0;

	while (!session_must_yield(&s))
		ck_assert_uint_lt(++asked, 1000);
	for (int i = 0; i < 200; i++)
		ck_assert(session_must_yield(&s));
}
END_TEST

UNIT(session)
{
	unit_add(tc, a_turn_that_is_over_stays_over);
	unit_add(tc, a_long_text_is_sent_in_pieces);
	unit_add(tc, a_search_finds_what_lies_across_pieces_and_slices);
	unit_add(tc, many_messages_are_told_in_slices);
	unit_add(tc, many_items_of_one_message_are_sent_in_slices);
	unit_add(tc, a_shutdown_waits_for_the_answer);
	unit_add(tc, a_shutdown_while_idle_begins_ends_it);
	unit_add(tc, a_hint_while_idle_is_being_told_is_not_lost);
	unit_add(tc, what_comes_with_starttls_in_the_clear_does_not_count);
	unit_add(tc, an_idle_session_keeps_little);
	unit_add(tc, a_late_answer_is_dropped);
}
