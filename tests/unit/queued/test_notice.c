/* SPDX-License-Identifier: ISC */
#include "queued/notice.h"

#include "common/ipc/payloads.h"
#include "common/mail/mime.h"
#include "tests/unit/unit.h"

static struct queue_message message;
static struct queue_recipient recipient;
static struct attempt attempt;
static struct notice_recipient item;
static struct notice notice;
static struct buffer out;
static struct notice_needs needs;

static void
prepare(void)
{
	message = (struct queue_message){.id = 1,
		.arrived_ms = 1000000,
		.sender = SLICE("s@x.example"),
		.envid = SLICE("env-1"),
		.client = SLICE("c.example [192.0.2.1]")};
	recipient = (struct queue_recipient){
		.address = SLICE("r@y.example"), .orcpt = SLICE("rfc822;R@y.example")};
	attempt = (struct attempt){.fault = FAULT_NO_SUCH_USER,
		.code = 550,
		.status = SLICE("5.1.1"),
		.text = SLICE("no such user here"),
		.host = SLICE("mx.y.example")};
	item = (struct notice_recipient){&recipient, &attempt, false};
	notice = (struct notice){.kind = NOTICE_FAILED,
		.id = 99,
		.hostname = SLICE("mail.here.example"),
		.now_ms = 2000000,
		.retry_until_ms = 9000000,
		.message = &message,
		.recipients = &item,
		.recipient_count = 1,
		.original = SLICE("Subject: hi\r\nX-A: b\r\n\r\nthe body\r\n")};
	buffer_init(&out, NOTICE_SIZE_MAX);
}

static void
format(void)
{
	buffer_reset(&out);
	ck_assert_int_eq(notice_format(&notice, &out, &needs), FAULT_OK);
}

static bool
has(const char *text)
{
	return slice_find(buffer_slice(&out), slice_text(text)) < buffer_len(&out);
}

#define ck_has(text)                                                                               \
	ck_assert_msg(has(text), "misses: %s\n%.*s", text, (int)buffer_len(&out),                  \
		buffer_slice(&out).data)

START_TEST(failure_has_the_fields_of_rfc_3464)
{
	prepare();
	format();
	ck_has("From: Mail Delivery System <MAILER-DAEMON@mail.here.example>\r\n");
	ck_has("To: <s@x.example>\r\n");
	ck_has("Auto-Submitted: auto-replied\r\n");
	ck_has("Content-Type: multipart/report; report-type=delivery-status;");
	ck_has("Reporting-MTA: dns; mail.here.example\r\n");
	ck_has("Original-Envelope-Id: env-1\r\n");
	ck_has("Received-From-MTA: dns; c.example [192.0.2.1]\r\n");
	ck_has("Arrival-Date: ");
	ck_has("\r\n\r\nOriginal-Recipient: rfc822;R@y.example\r\n");
	ck_has("Final-Recipient: rfc822; r@y.example\r\nAction: failed\r\nStatus: 5.1.1\r\n");
	ck_has("Remote-MTA: dns; mx.y.example\r\n");
	ck_has("Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\n");
	ck_has("Last-Attempt-Date: ");
	ck_assert(!has("Will-Retry-Until"));
	buffer_clear(&out);
}
END_TEST

START_TEST(notice_is_a_report_of_three_parts)
{
	struct arena arena;
	struct mime_tree tree;

	prepare();
	format();
	arena_init(&arena, 1024 * 1024);
	ck_assert_int_eq(
		mime_parse(buffer_slice(&out), &mime_limits_default, &arena, &tree), FAULT_OK);
	ck_assert(mime_type_is(&tree.parts[0], SLICE("multipart"), SLICE("report")));
	ck_assert(mime_type_is(&tree.parts[1], SLICE("text"), SLICE("plain")));
	ck_assert(mime_type_is(&tree.parts[2], SLICE("message"), SLICE("delivery-status")));
	ck_assert(mime_type_is(&tree.parts[3], SLICE("text"), SLICE("rfc822-headers")));
	ck_assert_uint_eq(tree.count, 4);
	arena_clear(&arena);
	buffer_clear(&out);
}
END_TEST

START_TEST(ret_decides_how_much_comes_back)
{
	prepare();
	format();
	ck_has("X-A: b");
	ck_assert_msg(!has("the body"), "headers only unless RET=FULL");
	message.ret = IPC_RET_FULL;
	format();
	ck_has("Content-Type: message/rfc822\r\n");
	ck_has("the body");
	notice.kind = NOTICE_DELAYED;
	format();
	ck_assert_msg(!has("the body"), "RFC 3461 4.3: FULL is about failures");
	buffer_clear(&out);
}
END_TEST

START_TEST(kinds_have_their_actions)
{
	static const struct {
		enum notice_kind kind;
		const char *action;
	} rows[] = {
		{NOTICE_FAILED, "Action: failed\r\n"},
		{NOTICE_DELAYED, "Action: delayed\r\n"},
		{NOTICE_DELIVERED, "Action: delivered\r\n"},
		{NOTICE_RELAYED, "Action: relayed\r\n"},
	};

	prepare();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		notice.kind = rows[i].kind;
		format();
		ck_has(rows[i].action);
	}
	notice.kind = NOTICE_DELAYED;
	format();
	ck_has("Will-Retry-Until: ");
	buffer_clear(&out);
}
END_TEST

START_TEST(success_without_reply_has_status_and_no_diagnostic)
{
	prepare();
	notice.kind = NOTICE_DELIVERED;
	attempt = (struct attempt){.fault = FAULT_OK};
	format();
	ck_has("Status: 2.0.0\r\n");
	ck_assert(!has("Diagnostic-Code"));
	buffer_clear(&out);
}
END_TEST

START_TEST(texts_of_other_hosts_cannot_forge_fields)
{
	prepare();
	attempt.text = SLICE("no\r\nAction: delivered\r\n\r\n--x");
	format();
	ck_assert(!has("\nAction: delivered"));
	attempt.text = SLICE("caf\xc3\xa9");
	format();
	ck_has("550 5.1.1 caf??\r\n");
	ck_assert(!needs.is_8bit && !needs.is_utf8);
	buffer_clear(&out);
}
END_TEST

START_TEST(eight_bit_original_needs_8bitmime)
{
	prepare();
	message.ret = IPC_RET_FULL;
	notice.original = SLICE("Subject: hi\r\n\r\ncaf\xc3\xa9\r\n");
	format();
	ck_assert(needs.is_8bit && !needs.is_utf8);
	ck_has("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n");
	notice.original = SLICE("Subject: caf\xc3\xa9\r\n\r\nx\r\n");
	format();
	ck_has("Content-Type: message/global\r\n");
	buffer_clear(&out);
}
END_TEST

START_TEST(utf8_recipient_needs_smtputf8)
{
	prepare();
	recipient.address = SLICE("r\xc3\xa9@y.example");
	format();
	ck_assert(needs.is_utf8 && needs.is_8bit);
	ck_has("Content-Type: message/global-delivery-status\r\n");
	ck_has("Final-Recipient: utf-8; r\xc3\xa9@y.example\r\n");
	buffer_clear(&out);
}
END_TEST

START_TEST(expired_one_says_so)
{
	prepare();
	item.expired = true;
	attempt = (struct attempt){.fault = FAULT_TIMEOUT, .text = SLICE("connect: timed out")};
	format();
	ck_has("Status: 4.4.7\r\n");
	ck_has("Diagnostic-Code: x-pabal; connect: timed out\r\n");
	ck_has("time for delivery is over");
	buffer_clear(&out);
}
END_TEST

START_TEST(message_that_cannot_be_read_still_gets_a_notice)
{
	prepare();
	notice.original = SLICE("");
	format();
	ck_has("Action: failed\r\n");
	ck_has("\r\n--pabal-0000000000033--\r\n");
	buffer_clear(&out);
}
END_TEST

UNIT(notice)
{
	unit_add(tc, failure_has_the_fields_of_rfc_3464);
	unit_add(tc, notice_is_a_report_of_three_parts);
	unit_add(tc, ret_decides_how_much_comes_back);
	unit_add(tc, kinds_have_their_actions);
	unit_add(tc, success_without_reply_has_status_and_no_diagnostic);
	unit_add(tc, texts_of_other_hosts_cannot_forge_fields);
	unit_add(tc, eight_bit_original_needs_8bitmime);
	unit_add(tc, utf8_recipient_needs_smtputf8);
	unit_add(tc, expired_one_says_so);
	unit_add(tc, message_that_cannot_be_read_still_gets_a_notice);
}
