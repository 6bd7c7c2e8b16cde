/* SPDX-License-Identifier: ISC */
#include "tests/unit/smtpd/world.h"

#include "common/ipc/codec.h"
#include "tests/unit/unit.h"

static struct world world;

static void
setup(void)
{
	const struct world_options options = {
		.message_size = 1000000, .recipients = 1000, .room = 2000000};

	world_init(&world, &options);
	world_send(&world, SLICE("HELO x\r\nMAIL FROM:<a@b.org>\r\n"), SIZE_MAX / 2);
	buffer_reset(&world.smtp.out);
}

static void
teardown(void)
{
	world_clear(&world);
}

/* What the server says to a line. */
static struct slice
say(struct slice line)
{
	buffer_reset(&world.smtp.out);
	world_send(&world, line, SIZE_MAX / 2);
	return buffer_slice(&world.smtp.out);
}

static const struct slice refused[] = {
	SLICE_LITERAL("RCPT TO:<a@elsewhere.org>\r\n"),
	SLICE_LITERAL("RCPT TO:<nobody@hamburger.edu>\r\n"),
	SLICE_LITERAL("RCPT TO:<off@hamburger.edu>\r\n"),
};

START_TEST(refused_recipients_end_the_session)
{
	for (unsigned i = 1; i < SMTP_UNKNOWN_MAX; i++)
		ck_assert(slice_starts(say(refused[_i]), SLICE("550 5.")));
	ck_assert_int_ne(world.smtp.state, SMTP_CLOSED);
	say(refused[_i]);
	ck_assert_int_eq(world.smtp.state, SMTP_CLOSED);
}
END_TEST

static const char orcpt[] = " ORCPT=rfc822;";

/* RFC 5321 4.5.3.1.10: 452 for one too many, and never a refusal of the whole at its end. */
START_TEST(an_envelope_always_fits_a_frame)
{
	char line[600] = "RCPT TO:<bob@hamburger.edu>";
	size_t len = strlen(line);

	memcpy(line + len, orcpt, sizeof orcpt - 1);
	len += sizeof orcpt - 1;
	memset(line + len, 'x', 480);
	len += 480;
	memcpy(line + len, "\r\n", 2);
	len += 2;
	unsigned taken = 0;
	while (taken < 1000 && slice_starts(say(slice_make(line, len)), SLICE("250 ")))
		taken++;
	ck_assert_uint_ge(taken, 100);
	ck_assert(slice_starts(buffer_slice(&world.smtp.out), SLICE("452 4.5.3 ")));
	const struct smtp_envelope *e = &world.smtp.envelope;
	ck_assert_uint_eq(e->recipient_count, taken);
	struct ipc_submit submit = {.sender = e->sender,
		.recipients = e->recipients,
		.recipient_count = e->recipient_count};
	struct buffer frame;
	buffer_init(&frame, IPC_PAYLOAD_MAX);
	ck_assert_int_eq(ipc_encode(ipc_row(IPC_SUBMIT)->layout, &submit, &frame), FAULT_OK);
	/* The client's name and such have room beside them. */
	ck_assert_uint_lt(buffer_len(&frame), IPC_PAYLOAD_MAX - 8192);
	buffer_clear(&frame);
}
END_TEST

START_TEST(commands_leave_nothing_in_memory_but_what_they_set)
{
	uint64_t before = smtp_held(&world.smtp);

	/* Refused in this state, or by their last word. */
	say(SLICE("MAIL FROM:<a@b.org> ENVID=abcdefghijklmnopqrstuvwxyz\r\n"));
	say(SLICE("RCPT TO:<bob@hamburger.edu> ORCPT=rfc822;abcdefghijk NOTIFY=X\r\n"));
	ck_assert_uint_eq(smtp_held(&world.smtp), before);
	ck_assert(slice_starts(say(SLICE("RCPT TO:<bob@hamburger.edu>\r\n")), SLICE("250 ")));
	ck_assert_uint_gt(smtp_held(&world.smtp), before);
	say(SLICE("RSET\r\n"));
	ck_assert_uint_eq(smtp_held(&world.smtp), 0);
}
END_TEST

START_TEST(a_header_that_is_held_counts_and_is_given_up_when_memory_is_short)
{
	say(SLICE("RCPT TO:<bob@hamburger.edu>\r\nDATA\r\n"));
	uint64_t before = smtp_held(&world.smtp);
	say(SLICE("a: b\r\nc: d\r\n"));
	ck_assert_uint_eq(smtp_held(&world.smtp), before + strlen("a: b\r\nc: d\r\n"));
	world.smtp.crowded = true;
	say(SLICE("e: f\r\n"));
	ck_assert_uint_le(smtp_held(&world.smtp), before);
	ck_assert_uint_eq(world.dropped, 1);
	ck_assert(slice_starts(say(SLICE("\r\n.\r\n")), SLICE("452 4.3.1 ")));
	ck_assert_uint_eq(world.submitted, 0);
}
END_TEST

START_TEST(a_body_goes_on_when_memory_is_short)
{
	say(SLICE("RCPT TO:<bob@hamburger.edu>\r\nDATA\r\na: b\r\n\r\n"));
	world.smtp.crowded = true;
	ck_assert(slice_starts(say(SLICE("text\r\n.\r\n")), SLICE("250 2.0.0 ")));
}
END_TEST

UNIT(limits)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, refused_recipients_end_the_session, 0,
		(int)(sizeof refused / sizeof refused[0]));
	unit_add(tc, an_envelope_always_fits_a_frame);
	unit_add(tc, commands_leave_nothing_in_memory_but_what_they_set);
	unit_add(tc, a_header_that_is_held_counts_and_is_given_up_when_memory_is_short);
	unit_add(tc, a_body_goes_on_when_memory_is_short);
}
