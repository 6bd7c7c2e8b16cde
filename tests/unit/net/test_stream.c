/* SPDX-License-Identifier: ISC */
#include "common/net/stream.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/peer.h"
#include "tests/unit/unit.h"

static struct event_base *base;
static struct peer a, b;

static void
setup(void)
{
	base = event_base_new();
	peer_open(base, &a, &b);
}

static void
teardown(void)
{
	peer_clear(&a);
	peer_clear(&b);
	event_base_free(base);
}

static bool
b_has_hello(void *arg)
{
	(void)arg;
	return buffer_len(&b.got) >= 5;
}

START_TEST(bytes_arrive_and_idle_memory_is_freed)
{
	setup();
	stream_write(a.stream, SLICE("hel"));
	stream_write(a.stream, SLICE("lo"));
	run_until(base, b_has_hello, NULL);
	ck_assert_slice_eq(buffer_slice(&b.got), "hello");
	ck_assert_uint_eq(b.inputs, 1); /* two writes of one turn go out together */
	teardown();
}
END_TEST

START_TEST(finish_sends_what_waits_and_both_ends_close_in_order)
{
	setup();
	static char big[3 * 1024 * 1024];
	stream_write(a.stream, slice_make(big, sizeof big));
	stream_finish(a.stream);
	stream_write(a.stream, SLICE("too late"));
	run_until(base, peer_is_closed, &a);
	run_until(base, peer_is_closed, &b);
	ck_assert_uint_eq(buffer_len(&b.got), sizeof big);
	ck_assert(a.why == FAULT_OK && b.why == FAULT_OK);
	ck_assert(a.closes == 1 && b.closes == 1 && b.ends == 1);
	teardown();
}
END_TEST

START_TEST(abort_comes_later_and_once)
{
	setup();
	stream_abort(a.stream, FAULT_DENIED);
	stream_abort(a.stream, FAULT_IO);
	ck_assert_uint_eq(a.closes, 0);
	run_until(base, peer_is_closed, &a);
	ck_assert(a.closes == 1 && a.why == FAULT_DENIED);
	teardown();
}
END_TEST

static bool
b_has_ten(void *arg)
{
	(void)arg;
	return buffer_len(&b.got) >= 10;
}

static bool
one_turn_more(void *arg)
{
	unsigned *turns = arg;

	return (*turns)-- == 0;
}

static void
wake_up(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void
run_turns(unsigned turns)
{
	struct timeval soon = {.tv_usec = 1000};
	struct event *tick = event_new(base, -1, EV_PERSIST, wake_up, NULL);

	event_add(tick, &soon);
	run_until(base, one_turn_more, &turns);
	event_free(tick);
}

START_TEST(paused_stream_reads_on_but_offers_nothing)
{
	setup();
	stream_pause(b.stream);
	stream_write(a.stream, SLICE("0123456789"));
	stream_finish(a.stream);
	run_turns(20);
	ck_assert_uint_eq(b.inputs, 0);
	ck_assert_uint_eq(b.ends, 0);
	ck_assert_uint_eq(stream_input(b.stream).len, 10);
	stream_resume(b.stream);
	run_until(base, b_has_ten, NULL);
	run_until(base, peer_is_closed, &b);
	ck_assert_uint_eq(b.ends, 1);
	teardown();
}
END_TEST

static bool
a_is_full(void *arg)
{
	(void)arg;
	return stream_is_full(a.stream);
}

static bool
a_got_all(void *arg)
{
	(void)arg;
	return buffer_len(&a.got) >= 2 * 1024 * 1024;
}

/* A client that sends much before it reads (mbsync) must not end in a deadlock. */
START_TEST(full_output_stops_input_and_draining_resumes_it)
{
	setup();
	static char big[2 * 1024 * 1024];
	static char question[100 * 1024];

	stream_pause(b.stream);
	stream_write(a.stream, slice_make(big, sizeof big));
	run_until(base, a_is_full, NULL);
	stream_write(b.stream, slice_make(question, sizeof question));
	stream_write(b.stream, slice_make(question, sizeof question));
	run_turns(50);
	ck_assert_uint_eq(a.inputs, 0);
	/* It was read all the same. */
	ck_assert_uint_eq(stream_input(a.stream).len, 2 * sizeof question);
	/* b's input is bounded. */
	ck_assert_uint_le(stream_input(b.stream).len, STREAM_INPUT_MAX + 64 * 1024);
	ck_assert_uint_gt(stream_pending(a.stream), 0);
	stream_resume(b.stream);
	b.echo = true;
	run_until(base, a_got_all, NULL);
	ck_assert_uint_eq(a.drains, 1);
	ck_assert_uint_eq(buffer_len(&b.got), sizeof big);
	teardown();
}
END_TEST

static unsigned released;

static void
on_release(void *arg)
{
	(void)arg;
	released++;
}

START_TEST(borrowed_bytes_are_released_once_when_sent_or_closed)
{
	setup();
	static char big[1024 * 1024];
	released = 0;
	stream_write_borrowed(a.stream, SLICE("hello"), on_release, NULL);
	run_until(base, b_has_hello, NULL);
	ck_assert_uint_eq(released, 1);
	stream_pause(b.stream);
	stream_write_borrowed(a.stream, slice_make(big, sizeof big), on_release, NULL);
	stream_write_borrowed(a.stream, slice_make(big, sizeof big), on_release, NULL);
	stream_abort(a.stream, FAULT_IO);
	run_until(base, peer_is_closed, &a);
	ck_assert_uint_eq(released, 3);
	teardown();
}
END_TEST

static bool
a_timed_out_twice(void *arg)
{
	(void)arg;
	return a.timeouts >= 2;
}

START_TEST(idle_time_repeats_and_deadline_does_not)
{
	setup();
	stream_set_idle(a.stream, 20);
	run_until(base, a_timed_out_twice, NULL);
	stream_set_idle(a.stream, 0);
	stream_set_deadline(b.stream, 10);
	unsigned before = a.timeouts;
	run_turns(60);
	ck_assert_uint_eq(b.timeouts, 1);
	ck_assert_uint_eq(a.timeouts, before);
	teardown();
}
END_TEST

START_TEST(paused_stream_is_not_idle)
{
	setup();
	stream_set_idle(a.stream, 5);
	stream_pause(a.stream);
	run_turns(30);
	ck_assert_uint_eq(a.timeouts, 0);
	teardown();
}
END_TEST

START_TEST(vanished_peer_closes)
{
	setup();
	stream_set_idle(a.stream, 5000);
	int fd = dup(stream_fd(b.stream));
	struct linger reset = {1, 0};
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	stream_abort(b.stream, FAULT_OK);
	run_until(base, peer_is_closed, &b);
	close(fd);
	run_until(base, peer_is_closed, &a);
	ck_assert_uint_eq(a.closes, 1);
	teardown();
}
END_TEST

START_TEST(consuming_in_pieces_keeps_the_rest)
{
	setup();
	b.take = 3;
	stream_write(a.stream, SLICE("hello"));
	run_turns(10);
	ck_assert_slice_eq(buffer_slice(&b.got), "hel");
	ck_assert_slice_eq(stream_input(b.stream), "lo");
	stream_write(a.stream, SLICE("!"));
	run_turns(10);
	ck_assert_slice_eq(buffer_slice(&b.got), "hello!");
	teardown();
}
END_TEST

START_TEST(consuming_after_finish_is_harmless)
{
	setup();
	b.close_before_consuming = true;
	stream_write(a.stream, SLICE("LOGOUT"));
	run_until(base, peer_is_closed, &b);
	ck_assert_slice_eq(buffer_slice(&b.got), "LOGOUT");
	teardown();
}
END_TEST

START_TEST(connecting_tells_success_and_refusal)
{
	setup();
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof to;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct peer c = {.take = SIZE_MAX};
	struct stream_setup s = {base, &peer_calls, &c};

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&to, &len), 0);
	c.stream = stream_connect(&s, (struct sockaddr *)&to, len);
	run_until(base, peer_is_closed, &c); /* not listening yet */
	ck_assert(c.why == FAULT_IO && c.connects == 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	c.stream = stream_connect(&s, (struct sockaddr *)&to, len);
	stream_write(c.stream, SLICE("x"));
	run_turns(10);
	ck_assert_uint_eq(c.connects, 1);
	ck_assert_uint_eq(stream_pending(c.stream), 0);
	peer_clear(&c);
	close(fd);
	teardown();
}
END_TEST

UNIT(stream)
{
	unit_add(tc, bytes_arrive_and_idle_memory_is_freed);
	unit_add(tc, finish_sends_what_waits_and_both_ends_close_in_order);
	unit_add(tc, abort_comes_later_and_once);
	unit_add(tc, paused_stream_reads_on_but_offers_nothing);
	unit_add(tc, full_output_stops_input_and_draining_resumes_it);
	unit_add(tc, borrowed_bytes_are_released_once_when_sent_or_closed);
	unit_add(tc, idle_time_repeats_and_deadline_does_not);
	unit_add(tc, paused_stream_is_not_idle);
	unit_add(tc, vanished_peer_closes);
	unit_add(tc, consuming_in_pieces_keeps_the_rest);
	unit_add(tc, consuming_after_finish_is_harmless);
	unit_add(tc, connecting_tells_success_and_refusal);
}
