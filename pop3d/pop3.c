/* SPDX-License-Identifier: ISC */
/* The core's way from line to line, and through the answers that it waits for. */
#include "pop3d/pop3.h"

#include <stdlib.h>

#include "pop3d/commands.h"

/* Before the login a line may be a SASL response (RFC 5034 4 lifts the limit for those). */
enum { LOGIN_LINE_MAX = SASL_LINE_MAX + 64 };

void
pop3_init(struct pop3 *p, const struct pop3_setup *setup)
{
	*p = (struct pop3){.setup = *setup, .state = POP3_AWAIT_LOGIN, .tls = setup->tls};
	buffer_init(&p->out, POP3_OUT_MAX);
	line_reader_init(&p->lines, LOGIN_LINE_MAX);
	/* Some clients end lines with LF alone; no reply depends on the difference. */
	p->lines.bare_lf = true;
	buffer_printf(&p->out, "+OK %s POP3 server ready.\r\n", setup->hostname);
}

static void
forget_password(struct pop3 *p)
{
	if (p->password != NULL)
		secret_clear(p->password);
	free(p->password);
	p->password = NULL;
}

void
pop3_end_sasl(struct pop3 *p)
{
	if (p->sasl != NULL)
		sasl_clear(p->sasl);
	free(p->sasl);
	p->sasl = NULL;
	p->account = 0; /* SCRAM's, which the client has not yet confirmed */
}

void
pop3_clear(struct pop3 *p)
{
	forget_password(p);
	pop3_end_sasl(p);
	maildrop_clear(&p->drop);
	buffer_clear(&p->out);
}

void
pop3_close(struct pop3 *p)
{
	p->state = POP3_CLOSED;
	p->effect = POP3_CLOSE;
}

enum pop3_effect
pop3_take_effect(struct pop3 *p)
{
	enum pop3_effect effect = p->effect;

	p->effect = POP3_NOTHING;
	return effect;
}

bool
pop3_is_waiting(const struct pop3 *p)
{
	return p->state > POP3_AWAIT_COMMAND;
}

static void
take_line(struct pop3 *p, struct slice line)
{
	if (p->state == POP3_AWAIT_SASL)
		pop3_sasl_step(p, sasl_line(p->sasl, line));
	else
		pop3_command(p, line);
}

size_t
pop3_input(struct pop3 *p, struct slice input)
{
	size_t total = 0;

	while (!pop3_is_waiting(p)) {
		struct slice line;
		size_t used = 0;
		enum line_status status =
			line_read(&p->lines, slice_after(input, total), &line, &used);

		total += used;
		if (status == LINE_MORE)
			break;
		if (status == LINE_READY) {
			take_line(p, line);
			continue;
		}
		if (p->state == POP3_AWAIT_SASL) {
			pop3_end_sasl(p);
			p->state = POP3_AWAIT_LOGIN;
		}
		pop3_say_error(p, POP3_SAY_TOO_LONG);
	}
	return total;
}

void
pop3_on_tls(struct pop3 *p)
{
	if (p->state != POP3_AWAIT_TLS)
		return;
	/* RFC 2595 4: nothing that was said before counts. */
	p->tls = true;
	p->user_len = 0;
	p->state = POP3_AWAIT_LOGIN;
}

static void
fail_login(struct pop3 *p, enum pop3_reply reply)
{
	p->state = POP3_AWAIT_LOGIN;
	p->account = 0;
	pop3_say(p, reply);
	if (++p->failures >= p->setup.login_failures)
		pop3_close(p);
}

static void
open_maildrop(struct pop3 *p, uint64_t account)
{
	p->account = account;
	p->state = POP3_AWAIT_MAILDROP;
	p->effect = POP3_OPEN_MAILDROP;
}

static void
finish_scram(struct pop3 *p)
{
	uint64_t account = p->account;

	pop3_end_sasl(p);
	open_maildrop(p, account);
}

void
pop3_sasl_step(struct pop3 *p, enum sasl_step step)
{
	p->state = POP3_AWAIT_LOGIN;
	switch (step) {
	case SASL_CHALLENGE:
		buffer_add_text(&p->out, "+ ");
		buffer_add_slice(&p->out, sasl_challenge(p->sasl));
		buffer_add_text(&p->out, "\r\n");
		p->state = POP3_AWAIT_SASL;
		return;
	case SASL_CHECK_PASSWORD:
	case SASL_ASK_SCRAM:
		p->sasl_step = step;
		p->state = POP3_AWAIT_AUTHD;
		p->effect = POP3_ASK_SASL;
		return;
	case SASL_DONE:
		finish_scram(p);
		return;
	case SASL_CANCELLED:
		pop3_end_sasl(p);
		pop3_say(p, POP3_SAY_CANCELLED);
		return;
	case SASL_MALFORMED:
		pop3_end_sasl(p);
		pop3_say_error(p, POP3_SAY_MALFORMED);
		return;
	case SASL_FAILED:
		pop3_end_sasl(p);
		fail_login(p, POP3_SAY_AUTH_FAILED);
		return;
	}
}

void
pop3_on_login(struct pop3 *p, const struct pop3_login *login)
{
	bool is_scram = p->sasl != NULL && p->sasl_step == SASL_ASK_SCRAM;

	forget_password(p);
	if (p->state != POP3_AWAIT_AUTHD)
		return; /* closed meanwhile */
	if (is_scram && login->fault == FAULT_OK) {
		/* The client still has to see the server's signature. */
		p->account = login->account;
		pop3_sasl_step(p, sasl_answer_scram(p->sasl, &login->scram));
		return;
	}
	pop3_end_sasl(p);
	if (login->fault == FAULT_OK)
		open_maildrop(p, login->account);
	else
		fail_login(p, pop3_reply_of(login->fault));
}

/* The end of something that took its time. */
static void
await_command(struct pop3 *p)
{
	p->state = POP3_AWAIT_COMMAND;
	if (p->closing)
		pop3_close(p);
}

void
pop3_on_maildrop(struct pop3 *p, enum fault fault)
{
	if (p->state != POP3_AWAIT_MAILDROP)
		return;
	if (fault != FAULT_OK) {
		maildrop_clear(&p->drop);
		p->account = 0;
		p->state = POP3_AWAIT_LOGIN;
		/* RFC 2449 8.1.2: the password was right. */
		pop3_say(p, fault == FAULT_BUSY ? POP3_SAY_IN_USE : pop3_reply_of(fault));
		return;
	}
	line_reader_limit(&p->lines, POP3_LINE_MAX);
	buffer_printf(&p->out, "+OK %u messages, %llu octets.\r\n", p->drop.count,
		(unsigned long long)p->drop.octets);
	await_command(p);
}

static enum pop3_reply
message_reply(enum fault fault)
{
	if (fault == FAULT_NOT_FOUND)
		return POP3_SAY_MESSAGE_GONE;
	return fault == FAULT_DAMAGED ? POP3_SAY_MESSAGE_DAMAGED : pop3_reply_of(fault);
}

static void
end_message(struct pop3 *p)
{
	dots_end(&p->transfer.dots, &p->out);
	await_command(p);
}

void
pop3_on_message(struct pop3 *p, enum fault fault, uint64_t size)
{
	if (fault != FAULT_OK) {
		pop3_say(p, message_reply(fault));
		await_command(p);
		return;
	}
	p->transfer.size = size;
	/* "+OK" waits for the first bytes: until then a fault can still be told. */
	if (size == 0) {
		pop3_say(p, POP3_SAY_MESSAGE);
		end_message(p);
	}
}

void
pop3_on_content(struct pop3 *p, enum fault fault, struct slice bytes)
{
	struct pop3_transfer *t = &p->transfer;

	if (fault != FAULT_OK && t->offset == 0) {
		pop3_say(p, message_reply(fault));
		await_command(p);
		return;
	}
	if (fault != FAULT_OK) {
		/* Half a message must not look like a whole one. */
		pop3_close(p);
		return;
	}
	if (t->offset == 0)
		buffer_printf(&p->out, "+OK %llu octets\r\n", (unsigned long long)t->size);
	t->offset += bytes.len;
	if (!dots_add(&t->dots, bytes, &p->out) || t->offset >= t->size)
		end_message(p);
}

static void
add_row(struct pop3 *p, uint32_t number, const struct maildrop_message *message)
{
	buffer_add_u64(&p->out, number);
	buffer_add_byte(&p->out, ' ');
	if (p->transfer.listing == POP3_LIST) {
		buffer_add_u64(&p->out, message->size);
	} else {
		buffer_add_u64(&p->out, p->drop.uidvalidity);
		buffer_add_byte(&p->out, '.');
		buffer_add_u64(&p->out, message->uid);
	}
	buffer_add_text(&p->out, "\r\n");
}

void
pop3_list_more(struct pop3 *p)
{
	struct pop3_transfer *t = &p->transfer;

	for (unsigned n = 0; n < POP3_LISTING_STEP && t->next <= p->drop.count; n++, t->next++) {
		const struct maildrop_message *message = maildrop_find(&p->drop, t->next);

		if (message != NULL)
			add_row(p, t->next, message);
	}
	if (t->next <= p->drop.count)
		return;
	buffer_add_text(&p->out, ".\r\n");
	await_command(p);
}

void
pop3_on_update(struct pop3 *p, enum fault fault)
{
	if (p->state != POP3_AWAIT_UPDATE)
		return;
	pop3_say(p, fault == FAULT_OK ? POP3_SAY_BYE : POP3_SAY_NOT_REMOVED);
	pop3_close(p);
}

void
pop3_on_shutdown(struct pop3 *p)
{
	p->closing = true;
	if (p->state == POP3_CLOSED || p->state == POP3_AWAIT_UPDATE ||
		p->state == POP3_SENDING_LIST || p->state == POP3_SENDING_MESSAGE)
		return;
	/* There is no good-bye in POP3 that was not asked for. */
	pop3_close(p);
}
