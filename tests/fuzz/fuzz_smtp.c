/* SPDX-License-Identifier: ISC */
/*
 * fuzz-links: smtpd
 * The core of an SMTP session.  The first byte chooses port, TLS and how the shell answers; the
 * rest is what the client sends.  Played twice, whole and cut up: replies and messages must be the
 * same, and every message must be whole lines without a bare CR or LF.
 */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_MAX = 4 * 1024 * 1024 };

struct play {
	struct smtp smtp;
	struct buffer message, replies, messages;
	uint8_t choice;
	uint32_t answers; /* a small generator: the same for both plays */
};

static int64_t
stopped_clock(void *arg)
{
	(void)arg;
	return 1763715900000;
}

static void
no_entropy(void *arg, void *at, size_t len)
{
	(void)arg;
	memset(at, 7, len);
}

static enum fault
open_sink(void *arg)
{
	struct play *p = arg;

	buffer_reset(&p->message);
	return FAULT_OK;
}

static enum fault
write_sink(void *arg, struct slice bytes)
{
	struct play *p = arg;

	buffer_add_slice(&p->message, bytes);
	return buffer_fault(&p->message);
}

static void
drop_sink(void *arg)
{
	struct play *p = arg;

	buffer_reset(&p->message);
}

static enum fault
next_answer(struct play *p)
{
	static const enum fault faults[] = {FAULT_OK, FAULT_OK, FAULT_OK, FAULT_OK, FAULT_OK,
		FAULT_NOT_LOCAL, FAULT_NO_SUCH_USER, FAULT_PEER_LOST};

	p->answers = p->answers * 1103515245 + 12345;
	return faults[p->answers >> 16 & 7];
}

static void
check_lines(struct slice message)
{
	for (size_t i = 0; i < message.len; i++) {
		char c = message.data[i];

		if (c == '\n' && (i == 0 || message.data[i - 1] != '\r'))
			abort();
		if (c == '\r' && (i + 1 == message.len || message.data[i + 1] != '\n'))
			abort();
	}
}

static void
perform(struct play *p, enum smtp_effect effect)
{
	struct smtp_login login = {.fault = next_answer(p), .account = 7};

	switch (effect) {
	case SMTP_START_TLS:
		smtp_on_tls(&p->smtp, SLICE("TLSv1.3 X"));
		break;
	case SMTP_LOGIN:
		login.scram.fault = login.fault;
		login.scram.message = SLICE("r=abc,s=AAAA,i=4096");
		login.scram.is_final = sasl_is_final(p->smtp.sasl);
		smtp_on_login(&p->smtp, &login);
		break;
	case SMTP_CHECK_SENDER:
		smtp_on_sender(&p->smtp, login.fault);
		break;
	case SMTP_CHECK_RECIPIENT:
		smtp_on_recipient(&p->smtp, login.fault);
		break;
	case SMTP_SUBMIT:
		check_lines(buffer_slice(&p->message));
		buffer_add_slice(&p->messages, buffer_slice(&p->message));
		smtp_on_commit(&p->smtp, login.fault, SLICE(""));
		break;
	case SMTP_NOTHING:
	case SMTP_CLOSE:
		break;
	}
}

static void
feed(struct play *p, struct slice input, size_t piece)
{
	size_t at = 0, seen = 0;

	while (at < input.len) {
		seen = seen + piece < input.len ? seen + piece : input.len;
		size_t used;
		do {
			used = smtp_input(&p->smtp, slice_make(input.data + at, seen - at));
			at += used;
			while (p->smtp.effect != SMTP_NOTHING) {
				enum smtp_effect effect = p->smtp.effect;

				p->smtp.effect = SMTP_NOTHING;
				perform(p, effect);
			}
			buffer_add_slice(&p->replies, buffer_slice(&p->smtp.out));
			buffer_reset(&p->smtp.out);
		} while (used > 0);
		if (seen == input.len)
			break;
	}
}

static void
play(struct play *p, uint8_t choice, struct slice input, size_t piece)
{
	static const struct clock clock = {stopped_clock, stopped_clock, NULL};
	static const struct entropy entropy = {no_entropy, NULL};
	static const struct smtp_sink sink = {open_sink, write_sink, drop_sink};
	struct smtp_setup setup = {
		.hostname = "hamburger.edu",
		.submission = (choice & 1) != 0,
		.tls = (choice & 2) != 0,
		.tls_offered = true,
		.passwords = (choice & 4) != 0,
		.peer = {.family = PEER_IPV4, .bytes = {192, 0, 2, 1}},
		.message_size = 200000,
		.recipients = 5,
		.login_failures = 5,
		.clock = &clock,
		.entropy = &entropy,
		.sink = &sink,
		.sink_arg = p,
	};

	*p = (struct play){.choice = choice, .answers = choice};
	buffer_init(&p->message, FUZZ_MAX);
	buffer_init(&p->replies, FUZZ_MAX);
	buffer_init(&p->messages, FUZZ_MAX);
	smtp_init(&p->smtp, &setup);
	if ((choice & 8) != 0)
		p->smtp.account = 7;
	feed(p, input, piece);
}

static void
clear(struct play *p)
{
	smtp_clear(&p->smtp);
	buffer_clear(&p->message);
	buffer_clear(&p->replies);
	buffer_clear(&p->messages);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play whole, pieces;

	if (size < 1)
		return 0;
	struct slice input = slice_make(data + 1, size - 1);
	play(&whole, data[0], input, SIZE_MAX / 2);
	play(&pieces, data[0], input, 1 + (data[0] >> 4));
	if (!slice_equal(buffer_slice(&whole.replies), buffer_slice(&pieces.replies)) ||
		!slice_equal(buffer_slice(&whole.messages), buffer_slice(&pieces.messages)) ||
		whole.smtp.state != pieces.smtp.state)
		abort();
	clear(&whole);
	clear(&pieces);
	return 0;
}
