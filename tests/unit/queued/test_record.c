/* SPDX-License-Identifier: ISC */
#include "queued/record.h"

#include "common/ipc/payloads.h"
#include "tests/unit/unit.h"

static const struct queue_recipient recipient = {
	.id = 7,
	.number = 3,
	.state = RECIPIENT_WAITING,
	.local = true,
	.delay_told = true,
	.notify = IPC_NOTIFY_FAILURE | IPC_NOTIFY_DELAY,
	.attempts = 9,
	.next_ms = 123456789012,
	.fault = FAULT_TIMEOUT,
	.code = 450,
	.address = SLICE_LITERAL("u@x.example"),
	.orcpt = SLICE_LITERAL("rfc822;u@x.example"),
	.destination = SLICE_LITERAL("x.example"),
	.status = SLICE_LITERAL("4.2.0"),
	.text = SLICE_LITERAL("450 later"),
	.host = SLICE_LITERAL("mx.x.example"),
};

static const struct queue_message message = {
	.id = 7,
	.arrived_ms = 123456789,
	.account = 5,
	.body = IPC_BODY_8BITMIME,
	.ret = IPC_RET_HDRS,
	.smtputf8 = true,
	.next_number = 4,
	.left = 2,
	.place = {3, 4096, 800},
	.size = 600,
	.checksum = {1, 2, 3},
	.sender = SLICE_LITERAL("s@y.example"),
	.client = SLICE_LITERAL("host [192.0.2.1]"),
	.envid = SLICE_LITERAL("e1"),
};

START_TEST(recipient_round_trip)
{
	struct buffer b;
	struct queue_recipient r = {.id = 7, .number = 3};

	buffer_init(&b, 8192);
	queue_recipient_encode(&recipient, &b);
	ck_assert_int_eq(queue_recipient_decode(buffer_slice(&b), &r), FAULT_OK);
	ck_assert_int_eq(r.state, RECIPIENT_WAITING);
	ck_assert(r.local && r.delay_told);
	ck_assert_uint_eq(r.notify, recipient.notify);
	ck_assert_uint_eq(r.attempts, 9);
	ck_assert_int_eq(r.next_ms, recipient.next_ms);
	ck_assert_uint_eq(r.code, 450);
	ck_assert_slice_eq(r.address, "u@x.example");
	ck_assert_slice_eq(r.host, "mx.x.example");
	buffer_clear(&b);
}
END_TEST

START_TEST(message_round_trip)
{
	struct buffer b;
	struct queue_message m = {.id = 7};

	buffer_init(&b, 8192);
	queue_message_encode(&message, &b);
	ck_assert_int_eq(queue_message_decode(buffer_slice(&b), &m), FAULT_OK);
	ck_assert_int_eq(m.arrived_ms, message.arrived_ms);
	ck_assert_uint_eq(m.place.offset, 4096);
	ck_assert_uint_eq(m.left, 2);
	ck_assert(m.smtputf8);
	ck_assert_mem_eq(m.checksum, message.checksum, sizeof m.checksum);
	ck_assert_slice_eq(m.envid, "e1");
	buffer_clear(&b);
}
END_TEST

START_TEST(every_shorter_record_is_damaged)
{
	struct buffer b;
	struct queue_recipient r;
	struct queue_message m;

	buffer_init(&b, 8192);
	queue_recipient_encode(&recipient, &b);
	for (size_t len = 0; len < buffer_len(&b); len++)
		ck_assert_int_eq(queue_recipient_decode(slice_first(buffer_slice(&b), len), &r),
			FAULT_DAMAGED);
	buffer_reset(&b);
	queue_message_encode(&message, &b);
	for (size_t len = 0; len < buffer_len(&b); len++)
		ck_assert_int_eq(queue_message_decode(slice_first(buffer_slice(&b), len), &m),
			FAULT_DAMAGED);
	buffer_clear(&b);
}
END_TEST

START_TEST(newer_record_is_unsupported_and_longer_one_damaged)
{
	struct buffer b;
	struct queue_recipient r;

	buffer_init(&b, 8192);
	queue_recipient_encode(&recipient, &b);
	buffer_add_byte(&b, 0);
	ck_assert_int_eq(queue_recipient_decode(buffer_slice(&b), &r), FAULT_DAMAGED);
	ck_assert_int_eq(queue_recipient_decode(SLICE("\x02"), &r), FAULT_UNSUPPORTED);
	buffer_clear(&b);
}
END_TEST

START_TEST(long_reply_is_cut)
{
	static char long_text[RECORD_TEXT_MAX * 2];
	struct buffer b;
	struct queue_recipient r = recipient;

	memset(long_text, 'x', sizeof long_text);
	r.text = slice_make(long_text, sizeof long_text);
	buffer_init(&b, 16384);
	queue_recipient_encode(&r, &b);
	ck_assert_int_eq(queue_recipient_decode(buffer_slice(&b), &r), FAULT_OK);
	ck_assert_uint_eq(r.text.len, RECORD_TEXT_MAX);
	buffer_clear(&b);
}
END_TEST

UNIT(record)
{
	unit_add(tc, recipient_round_trip);
	unit_add(tc, message_round_trip);
	unit_add(tc, every_shorter_record_is_damaged);
	unit_add(tc, newer_record_is_unsupported_and_longer_one_damaged);
	unit_add(tc, long_reply_is_cut);
}
