/* SPDX-License-Identifier: ISC */
/*
 * Dialogues of the client core.  A script is a list of lines:
 *
 *	"S: ..."  the server says it        "T"  the TLS handshake is done
 *	"C: ..."  the client must say it    "B"  the client must want the body, and it is sent
 *	"M"       the client must be ready; it gets the message
 *	"X"       the client must want to close
 */
#include "relayd/smtp_client.h"

#include "common/net/line.h"
#include "tests/unit/unit.h"

enum { RECIPIENTS = 3 };

static struct smtp_client client;
static struct smtp_recipient recipients[RECIPIENTS];
static struct smtp_message message;
static struct smtp_client_options options;
static size_t split; /* bytes that the server sends at once; 0: a line */

static void
prepare(uint32_t count)
{
	memset(recipients, 0, sizeof recipients);
	for (uint32_t i = 0; i < RECIPIENTS; i++)
		recipients[i].address = i == 0 ? SLICE("a@y")
			: i == 1	       ? SLICE("b@y")
					       : SLICE("c@y");
	message = (struct smtp_message){.sender = SLICE("s@x"),
		.size = 100,
		.recipients = recipients,
		.recipient_count = count};
	options = (struct smtp_client_options){.hostname = SLICE("me")};
}

/* What the shell does: lines out of bytes that come in pieces. */
static void
feed(struct line_reader *reader, struct buffer *in, const char *text)
{
	buffer_add_text(in, text);
	buffer_add_text(in, "\r\n");
	for (size_t end = split > 0 ? split : buffer_len(in);; end += split > 0 ? split : 1) {
		struct slice line;
		size_t used = 0, have = buffer_len(in);
		enum line_status status =
			line_read(reader, slice_first(buffer_slice(in), end), &line, &used);

		if (status == LINE_READY) {
			smtp_client_line(&client, line);
			buffer_consume(in, used);
			return;
		}
		ck_assert_msg(end <= have, "no line in %s", text);
	}
}

static void
expect_said(const char *text, size_t at)
{
	struct slice out = buffer_slice(&client.out);
	size_t end = slice_find(out, SLICE("\r\n"));
	struct slice line = slice_first(out, end);

	ck_assert_msg(end < out.len && slice_equal(line, slice_text(text)),
		"line %zu: said \"%.*s\", not \"%s\"", at, (int)line.len, line.data, text);
	buffer_consume(&client.out, end + 2);
}

static void
perform(struct line_reader *reader, struct buffer *in, const char *row, size_t at)
{
	switch (row[0]) {
	case 'S':
		feed(reader, in, row + 3);
		break;
	case 'C':
		expect_said(row + 3, at);
		break;
	case 'T':
		ck_assert_msg(client.want == SMTP_WANT_TLS, "line %zu: no TLS wanted", at);
		smtp_client_tls_started(&client);
		break;
	case 'B':
		ck_assert_msg(client.want == SMTP_WANT_BODY, "line %zu: no body wanted", at);
		smtp_client_body_sent(&client);
		break;
	case 'M':
		ck_assert_msg(client.want == SMTP_WANT_MESSAGE, "line %zu: not ready", at);
		smtp_client_send(&client, &message);
		break;
	default:
		ck_assert_msg(client.want == SMTP_WANT_CLOSE, "line %zu: goes on", at);
	}
}

static void
play(const char *const *script)
{
	struct line_reader reader;
	struct buffer in;

	smtp_client_clear(&client);
	smtp_client_init(&client, &options);
	line_reader_init(&reader, SMTP_REPLY_LINE_MAX);
	buffer_init(&in, 65536);
	for (size_t i = 0; script[i] != NULL; i++)
		perform(&reader, &in, script[i], i);
	ck_assert_msg(buffer_len(&client.out) == 0, "said too much: %.*s",
		(int)buffer_len(&client.out), buffer_slice(&client.out).data);
	buffer_clear(&in);
}

#define PLAY(...) play((const char *const[]){__VA_ARGS__, NULL})
#define HELLO "S: 220 hi", "C: EHLO me"
#define PLAIN HELLO, "S: 250 y"
#define PIPED HELLO, "S: 250-y", "S: 250 PIPELINING"

static void
expect_result(uint32_t i, enum fault fault, uint32_t code, const char *status)
{
	const struct smtp_result *r = &recipients[i].result;

	ck_assert_msg(recipients[i].settled, "recipient %u is not settled", i);
	ck_assert_msg(r->fault == fault && r->code == code && strcmp(r->status, status) == 0,
		"recipient %u: %s %u \"%s\" %s", i, fault_name(r->fault), r->code, r->status,
		r->text);
}

START_TEST(lockstep_without_pipelining)
{
	prepare(2);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>", "S: 250 ok",
		"C: RCPT TO:<b@y>", "S: 550 5.1.1 no", "C: DATA", "S: 354 go", "B",
		"S: 250 2.0.0 taken", "M", "C: MAIL FROM:<s@x>");
	expect_result(0, FAULT_OK, 250, "2.0.0");
	expect_result(1, FAULT_REFUSED, 550, "5.1.1");
	ck_assert_str_eq(recipients[1].result.text, "no");
}
END_TEST

START_TEST(pipelining_sends_the_envelope_at_once)
{
	prepare(2);
	PLAY(PIPED, "M", "C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: RCPT TO:<b@y>", "C: DATA",
		"S: 250 ok", "S: 450 4.2.1 busy", "S: 250 ok", "S: 354 go", "B", "S: 250 done");
	expect_result(0, FAULT_REFUSED_NOW, 450, "4.2.1");
	expect_result(1, FAULT_OK, 250, "");
}
END_TEST

START_TEST(pipelined_data_without_recipients_ends_in_a_dot)
{
	prepare(1);
	PLAY(PIPED, "M", "C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: DATA", "S: 250 ok",
		"S: 550 no", "S: 354 go", "C: .", "S: 554 no valid recipients", "M",
		"C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: DATA");
	expect_result(0, FAULT_REFUSED, 550, "");
}
END_TEST

START_TEST(refused_sender_refuses_all_and_resets)
{
	prepare(2);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 553 5.7.1 not you", "C: RSET", "S: 250 ok");
	expect_result(0, FAULT_REFUSED, 553, "5.7.1");
	expect_result(1, FAULT_REFUSED, 553, "5.7.1");
	prepare(1);
	PLAY(PIPED, "M", "C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: DATA", "S: 451 later",
		"S: 503 bad sequence", "S: 503 bad sequence", "C: RSET", "S: 250 ok");
	expect_result(0, FAULT_REFUSED_NOW, 451, "");
}
END_TEST

START_TEST(all_recipients_refused_without_pipelining_resets)
{
	prepare(1);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>", "S: 550 no",
		"C: RSET", "S: 250 ok");
	expect_result(0, FAULT_REFUSED, 550, "");
}
END_TEST

START_TEST(reply_to_the_dot_decides)
{
	prepare(1);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>", "S: 250 ok",
		"C: DATA", "S: 354 go", "B", "S: 554-5.7.1 spam", "S: 554 5.7.1 really");
	expect_result(0, FAULT_REFUSED, 554, "5.7.1");
	ck_assert_str_eq(recipients[0].result.text, "spam really");
}
END_TEST

START_TEST(old_server_gets_helo)
{
	prepare(1);
	PLAY(HELLO, "S: 502 what", "C: HELO me", "S: 250 y", "M", "C: MAIL FROM:<s@x>");
}
END_TEST

START_TEST(greetings)
{
	static const struct {
		const char *rule, *line;
		enum fault fault;
	} rows[] = {
		{"RFC 5321 3.1: no service", "S: 554 no mail here", FAULT_REFUSED},
		{"RFC 7504: no service", "S: 521 no mail here", FAULT_REFUSED},
		{"temporary", "S: 421 busy", FAULT_REFUSED_NOW},
		{"another 5yz is taken for temporary", "S: 550 go away", FAULT_REFUSED_NOW},
		{"no reply at all", "S: SSH-2.0-x", FAULT_REFUSED_NOW},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		prepare(1);
		PLAY(rows[i].line, "X");
		ck_assert_msg(client.fault.fault == rows[i].fault, "%s", rows[i].rule);
	}
}
END_TEST

START_TEST(starttls_when_offered)
{
	prepare(1);
	PLAY(HELLO, "S: 250-y", "S: 250-PIPELINING", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go",
		"T", "C: EHLO me", "S: 250 y", "M", "C: MAIL FROM:<s@x>");
	ck_assert(client.is_tls);
	ck_assert_msg(client.extensions == 0, "RFC 3207 4.2: nothing said before TLS counts");
}
END_TEST

START_TEST(opportunistic_tls_does_without)
{
	prepare(1);
	PLAY(HELLO, "S: 250-y", "S: 250 STARTTLS", "C: STARTTLS", "S: 454 not now", "M",
		"C: MAIL FROM:<s@x>");
	options.no_tls = true;
	PLAY(HELLO, "S: 250-y", "S: 250 STARTTLS", "M", "C: MAIL FROM:<s@x>");
}
END_TEST

START_TEST(tls_that_must_be_is_never_left_out)
{
	prepare(1);
	options.tls = ROUTE_TLS_MUST;
	PLAY(PLAIN, "X");
	ck_assert_int_eq(client.fault.fault, FAULT_TLS);
	PLAY(HELLO, "S: 250-y", "S: 250 STARTTLS", "C: STARTTLS", "S: 454 not now", "X");
	ck_assert_int_eq(client.fault.fault, FAULT_TLS);
	PLAY(HELLO, "S: 502 what", "C: HELO me", "S: 250 y", "X");
	ck_assert_int_eq(client.fault.fault, FAULT_TLS);
}
END_TEST

START_TEST(auth_plain_and_login)
{
	prepare(1);
	options.tls = ROUTE_TLS_AT_ONCE;
	options.user = SLICE("tim");
	options.password = SLICE("tanstaaftanstaaf");
	PLAY(HELLO, "S: 250-y", "S: 250 AUTH LOGIN PLAIN",
		"C: AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm", "S: 235 ok", "M",
		"C: MAIL FROM:<s@x>");
	PLAY(HELLO, "S: 250-y", "S: 250 AUTH LOGIN", "C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6",
		"C: dGlt", "S: 334 UGFzc3dvcmQ6", "C: dGFuc3RhYWZ0YW5zdGFhZg==", "S: 235 ok", "M",
		"C: MAIL FROM:<s@x>");
}
END_TEST

START_TEST(refused_password_is_temporary)
{
	prepare(1);
	options.tls = ROUTE_TLS_AT_ONCE;
	options.user = SLICE("u");
	options.password = SLICE("p");
	PLAY(HELLO, "S: 250-y", "S: 250 AUTH PLAIN",
		"C: AUTH PLAIN AHUAcA==", "S: 535 5.7.8 bad password", "X");
	ck_assert_int_eq(client.fault.fault, FAULT_REFUSED_NOW);
}
END_TEST

START_TEST(password_is_not_sent_in_the_clear)
{
	prepare(1);
	options.user = SLICE("u");
	options.password = SLICE("p");
	PLAY(HELLO, "S: 250-y", "S: 250 AUTH PLAIN", "X");
	ck_assert_int_eq(client.fault.fault, FAULT_TLS);
}
END_TEST

START_TEST(extensions_become_parameters)
{
	prepare(1);
	message.body = IPC_BODY_8BITMIME;
	message.ret = IPC_RET_HDRS;
	message.envid = SLICE("a+b c");
	recipients[0].notify = IPC_NOTIFY_SUCCESS | IPC_NOTIFY_DELAY;
	recipients[0].orcpt = SLICE("rfc822;a=b@y");
	PLAY(HELLO, "S: 250-y", "S: 250-SIZE 1000", "S: 250-8bitmime", "S: 250 DSN", "M",
		"C: MAIL FROM:<s@x> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+20c", "S: 250 ok",
		"C: RCPT TO:<a@y> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+3Db@y");
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>");
	message.needs_utf8 = true;
	PLAY(HELLO, "S: 250-y", "S: 250 SMTPUTF8", "M", "C: MAIL FROM:<s@x> SMTPUTF8");
}
END_TEST

START_TEST(what_the_host_cannot_take_is_not_sent)
{
	prepare(1);
	message.size = 1001;
	PLAY(HELLO, "S: 250-y", "S: 250 SIZE 1000", "M");
	expect_result(0, FAULT_TOO_BIG, 0, "5.3.4");
	ck_assert_int_eq(client.want, SMTP_WANT_MESSAGE);
	prepare(1);
	message.size = 1001;
	PLAY(HELLO, "S: 250-y", "S: 250 SIZE 0", "M", "C: MAIL FROM:<s@x> SIZE=1001");
	prepare(1);
	message.needs_utf8 = true;
	PLAY(PLAIN, "M");
	expect_result(0, FAULT_UNSUPPORTED, 0, "5.6.7");
}
END_TEST

START_TEST(farewell_at_any_time_settles_what_is_open)
{
	prepare(2);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>", "S: 550 no",
		"C: RCPT TO:<b@y>", "S: 421 4.3.2 bye", "X");
	expect_result(0, FAULT_REFUSED, 550, "");
	expect_result(1, FAULT_REFUSED_NOW, 421, "4.3.2");
	ck_assert(!client.untouched);
}
END_TEST

START_TEST(kept_connection_that_is_gone_leaves_the_message_untouched)
{
	prepare(1);
	PLAY(PIPED, "M", "C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: DATA");
	smtp_client_lost(&client, FAULT_UNREACHABLE, "gone");
	ck_assert(client.untouched);
	prepare(1);
	PLAY(PIPED, "M", "C: MAIL FROM:<s@x>", "C: RCPT TO:<a@y>", "C: DATA", "S: 250 ok",
		"S: 250 ok", "S: 354 go", "B");
	smtp_client_lost(&client, FAULT_UNREACHABLE, "gone");
	ck_assert(!client.untouched);
	expect_result(0, FAULT_UNREACHABLE, 0, "4.4.2");
}
END_TEST

START_TEST(reply_before_the_end_of_the_body_ends_the_session)
{
	prepare(1);
	PLAY(PLAIN, "M", "C: MAIL FROM:<s@x>", "S: 250 ok", "C: RCPT TO:<a@y>", "S: 250 ok",
		"C: DATA", "S: 354 go", "S: 552 5.3.4 too much", "X");
	expect_result(0, FAULT_REFUSED, 552, "5.3.4");
}
END_TEST

START_TEST(quit_waits_for_its_reply)
{
	prepare(1);
	PLAY(PLAIN);
	smtp_client_quit(&client);
	ck_assert_slice_eq(buffer_slice(&client.out), "QUIT\r\n");
	smtp_client_line(&client, SLICE("221 bye"));
	ck_assert_int_eq(client.want, SMTP_WANT_CLOSE);
}
END_TEST

START_TEST(splitting_the_input_changes_nothing)
{
	for (split = 1; split < 12; split++) {
		prepare(2);
		PLAY(HELLO, "S: 250-y hello there", "S: 250-SIZE 5000", "S: 250 PIPELINING", "M",
			"C: MAIL FROM:<s@x> SIZE=100", "C: RCPT TO:<a@y>", "C: RCPT TO:<b@y>",
			"C: DATA", "S: 250 2.1.0 ok", "S: 250-2.1.5 two", "S: 250 2.1.5 lines",
			"S: 551 5.1.6 moved", "S: 354 go", "B", "S: 250 2.6.0 taken");
		expect_result(0, FAULT_OK, 250, "2.6.0");
		expect_result(1, FAULT_REFUSED, 551, "5.1.6");
	}
	split = 0;
}
END_TEST

static void
teardown(void)
{
	smtp_client_clear(&client);
}

UNIT(smtp_client)
{
	tcase_add_checked_fixture(tc, NULL, teardown);
	unit_add(tc, lockstep_without_pipelining);
	unit_add(tc, pipelining_sends_the_envelope_at_once);
	unit_add(tc, pipelined_data_without_recipients_ends_in_a_dot);
	unit_add(tc, refused_sender_refuses_all_and_resets);
	unit_add(tc, all_recipients_refused_without_pipelining_resets);
	unit_add(tc, reply_to_the_dot_decides);
	unit_add(tc, old_server_gets_helo);
	unit_add(tc, greetings);
	unit_add(tc, starttls_when_offered);
	unit_add(tc, opportunistic_tls_does_without);
	unit_add(tc, tls_that_must_be_is_never_left_out);
	unit_add(tc, auth_plain_and_login);
	unit_add(tc, refused_password_is_temporary);
	unit_add(tc, password_is_not_sent_in_the_clear);
	unit_add(tc, extensions_become_parameters);
	unit_add(tc, what_the_host_cannot_take_is_not_sent);
	unit_add(tc, farewell_at_any_time_settles_what_is_open);
	unit_add(tc, kept_connection_that_is_gone_leaves_the_message_untouched);
	unit_add(tc, reply_before_the_end_of_the_body_ends_the_session);
	unit_add(tc, quit_waits_for_its_reply);
	unit_add(tc, splitting_the_input_changes_nothing);
}
