/* SPDX-License-Identifier: ISC */
/*
 * fuzz-links: pop3d
 * The core of a POP3 session.  The first byte chooses TLS and how the shell answers, the second the
 * pieces; the rest is what the client sends, and what the messages consist of.  Played twice, whole
 * and cut up: the replies and the state must be the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "pop3d/pop3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_MAX = 16 * 1024 * 1024, MESSAGES = 5, STEPS_MAX = 100000 };

struct play {
	struct pop3 pop3;
	struct buffer replies;
	struct slice input;
	size_t piece;
	uint32_t answers; /* a small generator: the same for both plays */
};

static enum fault
next_answer(struct play *p)
{
	static const enum fault faults[] = {FAULT_OK, FAULT_OK, FAULT_OK, FAULT_OK, FAULT_OK,
		FAULT_NOT_FOUND, FAULT_BUSY, FAULT_DAMAGED};

	p->answers = p->answers * 1103515245 + 12345;
	return faults[p->answers >> 16 & 7];
}

static enum fault
fill(struct maildrop *d, size_t size)
{
	enum fault fault = FAULT_OK;

	d->uidvalidity = 1;
	for (uint32_t i = 1; i <= MESSAGES && fault == FAULT_OK; i++)
		fault = maildrop_add(d, i * i, size);
	return fault;
}

static void
give_content(struct play *p)
{
	struct pop3_transfer *t = &p->pop3.transfer;
	struct slice rest = slice_after(p->input, (size_t)t->offset);

	pop3_on_content(&p->pop3, FAULT_OK, slice_first(rest, p->piece));
}

static void
check_deleted(const struct maildrop *d)
{
	struct buffer ranges;

	buffer_init(&ranges, 4096);
	maildrop_format_deleted(d, &ranges);
	if (buffer_len(&ranges) == 0 || buffer_len(&ranges) % 8 != 0)
		abort();
	buffer_clear(&ranges);
}

static void
perform(struct play *p, enum pop3_effect effect)
{
	struct pop3 *pop3 = &p->pop3;
	struct pop3_login login = {.account = 7};
	enum fault fault;

	switch (effect) {
	case POP3_NOTHING:
	case POP3_CLOSE:
		break;
	case POP3_START_TLS:
		pop3_on_tls(pop3);
		break;
	case POP3_CHECK_PASSWORD:
	case POP3_ASK_SASL:
		login.fault = next_answer(p);
		login.scram.fault = login.fault;
		login.scram.message = SLICE("r=abc,s=AAAA,i=4096");
		login.scram.is_final = pop3->sasl != NULL && sasl_is_final(pop3->sasl);
		pop3_on_login(pop3, &login);
		break;
	case POP3_OPEN_MAILDROP:
		fault = next_answer(p);
		if (fault == FAULT_OK)
			fault = fill(&pop3->drop, p->input.len);
		pop3_on_maildrop(pop3, fault);
		break;
	case POP3_OPEN_MESSAGE:
		pop3_on_message(pop3, next_answer(p), p->input.len);
		break;
	case POP3_UPDATE:
		check_deleted(&pop3->drop);
		pop3_on_update(pop3, next_answer(p));
		break;
	}
}

static void
settle(struct play *p)
{
	for (unsigned n = 0; n < STEPS_MAX; n++) {
		enum pop3_effect effect = pop3_take_effect(&p->pop3);

		if (effect != POP3_NOTHING)
			perform(p, effect);
		else if (p->pop3.state == POP3_SENDING_MESSAGE)
			give_content(p);
		else if (p->pop3.state == POP3_SENDING_LIST)
			pop3_list_more(&p->pop3);
		else
			break;
		buffer_add_slice(&p->replies, buffer_slice(&p->pop3.out));
		buffer_reset(&p->pop3.out);
	}
	buffer_add_slice(&p->replies, buffer_slice(&p->pop3.out));
	buffer_reset(&p->pop3.out);
}

static void
play(struct play *p, uint8_t choice, struct slice input, size_t piece)
{
	struct pop3_setup setup = {
		.hostname = "dewey.example",
		.tls = (choice & 1) != 0,
		.tls_offered = (choice & 2) != 0,
		.passwords = (choice & 4) != 0,
		.login_failures = 5,
	};
	size_t at = 0, seen = 0;

	*p = (struct play){.input = input, .piece = piece, .answers = choice};
	buffer_init(&p->replies, FUZZ_MAX);
	pop3_init(&p->pop3, &setup);
	if ((choice & 8) != 0 && fill(&p->pop3.drop, input.len) == FAULT_OK) {
		p->pop3.account = 7;
		p->pop3.state = POP3_AWAIT_COMMAND;
		line_reader_limit(&p->pop3.lines, POP3_LINE_MAX);
	}
	settle(p);
	while (seen < input.len) {
		size_t used;

		seen = piece < input.len - seen ? seen + piece : input.len;
		do {
			used = pop3_input(&p->pop3, slice_make(input.data + at, seen - at));
			at += used;
			settle(p);
		} while (used > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play whole, pieces;

	if (size < 2 || size > 65536)
		return 0;
	struct slice input = slice_make(data + 2, size - 2);
	play(&whole, data[0], input, SIZE_MAX / 2);
	play(&pieces, data[0], input, 1 + (size_t)data[1]);
	if (buffer_fault(&whole.replies) == FAULT_OK &&
		(!slice_equal(buffer_slice(&whole.replies), buffer_slice(&pieces.replies)) ||
			whole.pop3.state != pieces.pop3.state))
		abort();
	pop3_clear(&whole.pop3);
	pop3_clear(&pieces.pop3);
	buffer_clear(&whole.replies);
	buffer_clear(&pieces.replies);
	return 0;
}
