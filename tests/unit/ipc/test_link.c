/* SPDX-License-Identifier: ISC */
#include "common/ipc/link.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/memfd.h"
#include "tests/unit/unit.h"

/* Two ends in one event loop: queued asks deliverd. */
static struct event_base *base;
static struct ipc_link *asker, *server;
static int raw = -1; /* the far descriptor, when a test speaks raw bytes */

static unsigned asked, answered, lost, up;
static enum fault answer_fault, lost_fault;
static char body[64];
static struct ipc_origin origin;
static bool answer_at_once;

static void
send_answer(void)
{
	struct ipc_delivery_result result = {3, FAULT_OVER_QUOTA, SLICE("full")};
	struct ipc_delivered delivered = {FAULT_OK, &result, 1, NULL, 0};

	ipc_answer_DELIVERED(origin, &delivered, -1);
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct slice bytes;

	(void)arg;
	ck_assert_int_eq(message->type, IPC_DELIVER);
	const struct ipc_deliver *deliver = message->payload;
	ck_assert_slice_eq(deliver->sender, "alice@a.org");
	ck_assert_int_eq(memfd_map(message->fd, 1000, &bytes), FAULT_OK);
	memcpy(body, bytes.data, bytes.len);
	memfd_unmap(&bytes);
	asked++;
	origin = ipc_origin_of(link, message);
	if (answer_at_once)
		send_answer();
}

static void
on_up(void *arg, struct ipc_link *link)
{
	(void)arg;
	(void)link;
	up++;
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	(void)arg;
	lost++;
	lost_fault = fault;
	if (link == asker)
		asker = NULL;
	else
		server = NULL;
	ipc_link_free(link);
}

static void
on_answer(void *arg, const struct ipc_answer *answer)
{
	(void)arg;
	answered++;
	answer_fault = answer->fault;
	if (answer->payload != NULL) {
		const struct ipc_delivered *delivered = answer->payload;
		ck_assert_uint_eq(delivered->result_count, 1);
		ck_assert_slice_eq(delivered->results[0].text, "full");
	}
}

static const struct ipc_link_events events = {on_up, on_message, on_lost, NULL, NULL};

static void
setup(void)
{
	int pair[2];

	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	asker = ipc_link_new(base, pair[0], PROCESS_QUEUED, PROCESS_DELIVERD, &events);
	server = ipc_link_new(base, pair[1], PROCESS_DELIVERD, PROCESS_QUEUED, &events);
	ck_assert(asker != NULL && server != NULL);
	answer_at_once = true;
}

static void
teardown(void)
{
	ipc_link_free(asker);
	ipc_link_free(server);
	if (raw >= 0)
		close(raw);
	raw = -1;
	event_base_free(base);
}

static void
turns(unsigned count)
{
	while (count-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static uint64_t
ask(int64_t timeout_ms)
{
	struct ipc_deliver deliver = {.id = 1, .sender = SLICE("alice@a.org")};
	enum fault fault;
	int fd = memfd_open("test", &fault);

	ck_assert_int_eq(memfd_append(fd, SLICE("hello")), FAULT_OK);
	ck_assert_int_eq(memfd_seal(fd), FAULT_OK);
	uint64_t call =
		ipc_call(base, asker, IPC_DELIVER, &deliver, fd, timeout_ms, on_answer, NULL);
	close(fd);
	ck_assert_uint_eq(answered, 0);
	return call;
}

START_TEST(a_call_carries_a_descriptor_and_gets_its_answer)
{
	ask(1000);
	turns(4);
	ck_assert_uint_eq(up, 2);
	ck_assert_uint_eq(asked, 1);
	ck_assert_str_eq(body, "hello");
	ck_assert_uint_eq(answered, 1);
	ck_assert_int_eq(answer_fault, FAULT_OK);
}
END_TEST

START_TEST(a_lost_link_ends_its_calls_once)
{
	answer_at_once = false;
	ask(1000);
	turns(3);
	ck_assert_uint_eq(asked, 1);
	ipc_link_free(server);
	server = NULL;
	turns(4);
	ck_assert_uint_eq(lost, 1);
	ck_assert_int_eq(lost_fault, FAULT_PEER_LOST);
	ck_assert_uint_eq(answered, 1);
	ck_assert_int_eq(answer_fault, FAULT_PEER_LOST);
	send_answer(); /* to a link that is gone: nothing happens */
}
END_TEST

START_TEST(a_call_without_a_link_ends_in_a_later_turn)
{
	struct ipc_address address = {SLICE("a@b.org")};

	ipc_call(base, NULL, IPC_EXPAND, &address, -1, 1000, on_answer, NULL);
	ck_assert_uint_eq(answered, 0);
	turns(2);
	ck_assert_uint_eq(answered, 1);
	ck_assert_int_eq(answer_fault, FAULT_PEER_LOST);
}
END_TEST

START_TEST(a_cancelled_call_is_silent_and_its_late_answer_dropped)
{
	answer_at_once = false;
	uint64_t call = ask(1000);
	turns(3);
	ipc_cancel(call);
	ipc_cancel(call);
	send_answer();
	turns(4);
	ck_assert_uint_eq(answered, 0);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(a_call_past_its_deadline_ends_with_timeout)
{
	answer_at_once = false;
	ask(1);
	for (unsigned i = 0; i < 1000 && answered == 0; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(answered, 1);
	ck_assert_int_eq(answer_fault, FAULT_TIMEOUT);
}
END_TEST

START_TEST(a_message_against_its_direction_is_not_sent)
{
	struct ipc_deliver deliver = {.id = 1};
	struct ipc_address address = {SLICE("a@b.org")};

	ck_assert_int_eq(ipc_send(server, IPC_DELIVER, 1, &deliver, -1), FAULT_DENIED);
	ck_assert_int_eq(ipc_send(asker, IPC_EXPAND, 1, &address, -1), FAULT_DENIED);
	/* DELIVER must carry a descriptor. */
	ck_assert_int_eq(ipc_send(asker, IPC_DELIVER, 1, &deliver, -1), FAULT_DENIED);
}
END_TEST

/* What a broken-into peer could send instead of frames. */
static const struct {
	const char *rule;
	unsigned char bytes[IPC_HEADER_LEN + 4];
	size_t len;
} attacks[] = {
	{"a length over the limit", {0xff, 0xff, 0xff, 0xff, 0, 1}, 16},
	{"an unknown type", {0, 0, 0, 0, 0xff, 0xff}, 16},
	{"type 0", {0}, 16},
	{"a first frame that is no HELLO", {0, 0, 0, 4, 0, IPC_SUBMITTED, 0, 0}, 20},
	{"an unknown flag", {0, 0, 0, 0, 0, IPC_HELLO, 0x80, 0}, 16},
	{"a HELLO that is too short", {0, 0, 0, 4, 0, IPC_HELLO, 0, 0}, 20},
};

START_TEST(rule_breakers_lose_the_link)
{
	int pair[2];

	ipc_link_free(asker);
	ipc_link_free(server);
	asker = NULL;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	server = ipc_link_new(base, pair[1], PROCESS_DELIVERD, PROCESS_QUEUED, &events);
	raw = pair[0];
	ck_assert_int_eq(write(raw, attacks[_i].bytes, attacks[_i].len), (ssize_t)attacks[_i].len);
	turns(3);
	ck_assert_msg(lost == 1, "%s", attacks[_i].rule);
	ck_assert_int_eq(lost_fault, FAULT_PEER_PROTOCOL);
}
END_TEST

START_TEST(many_frames_with_descriptors_arrive_in_order)
{
	for (unsigned i = 0; i < 300; i++)
		ask(10000);
	for (unsigned i = 0; i < 2000 && answered < 300; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(asked, 300);
	ck_assert_uint_eq(answered, 300);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

static void
on_hard_work(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	int64_t until = clock_mono_ms(&clock_system) + 15;

	(void)arg;
	(void)link;
	(void)message;
	while (clock_mono_ms(&clock_system) < until)
		continue;
	asked++;
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	++*(unsigned *)arg;
}

/* Others wait for the descriptors to be looked at, which libevent does between turns only. */
START_TEST(hard_work_for_one_link_leaves_turns_to_others)
{
	const struct ipc_link_events hard = {NULL, on_hard_work, on_lost, NULL, NULL};
	struct ipc_address address = {SLICE("a@b.org")};
	unsigned polls = 0;
	int pair[2], other[2];

	ipc_link_free(asker);
	ipc_link_free(server);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pipe(other), 0);
	ck_assert_int_eq(write(other[1], "x", 1), 1);
	asker = ipc_link_new(base, pair[0], PROCESS_SMTPD, PROCESS_AUTHD, &events);
	server = ipc_link_new(base, pair[1], PROCESS_AUTHD, PROCESS_SMTPD, &hard);
	struct event *poll = event_new(base, other[0], EV_READ | EV_PERSIST, on_poll, &polls);
	event_add(poll, NULL);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(ipc_send_RECIPIENT_CHECK(asker, i + 1, &address, -1), FAULT_OK);
	for (unsigned i = 0; i < 100 && asked < 8; i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_uint_eq(asked, 8);
	ck_assert_uint_ge(polls, 7);
	event_free(poll);
	close(other[0]);
	close(other[1]);
}
END_TEST

UNIT(link)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	unit_add(tc, a_call_carries_a_descriptor_and_gets_its_answer);
	unit_add(tc, a_lost_link_ends_its_calls_once);
	unit_add(tc, a_call_without_a_link_ends_in_a_later_turn);
	unit_add(tc, a_cancelled_call_is_silent_and_its_late_answer_dropped);
	unit_add(tc, a_call_past_its_deadline_ends_with_timeout);
	unit_add(tc, a_message_against_its_direction_is_not_sent);
	tcase_add_loop_test(
		tc, rule_breakers_lose_the_link, 0, (int)(sizeof attacks / sizeof attacks[0]));
	unit_add(tc, many_frames_with_descriptors_arrive_in_order);
	unit_add(tc, hard_work_for_one_link_leaves_turns_to_others);
}
