/* SPDX-License-Identifier: ISC */
/*
 * The core of an SMTP session: what is awaited, which bytes belong to what, replies, login, the
 * end.  Commands are in commands.c, the mail transaction in transaction.c.
 */
#include "smtpd/smtp.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "smtpd/commands.h"

enum { OUT_MAX = 256 * 1024 };

void
smtp_say(struct smtp *s, enum smtp_reply reply, struct slice argument)
{
	reply_format(reply, s->setup.hostname, argument, &s->out);
}

void
smtp_close(struct smtp *s)
{
	if (s->state == SMTP_CLOSED)
		return;
	s->state = SMTP_CLOSED;
	s->effect = SMTP_CLOSE;
	message_clear(&s->message);
	if (s->sasl != NULL)
		sasl_clear(s->sasl);
	free(s->sasl);
	s->sasl = NULL;
}

void
smtp_say_error(struct smtp *s, enum smtp_reply reply, struct slice argument)
{
	smtp_say(s, reply, argument);
	if (++s->errors < SMTP_ERRORS_MAX)
		return;
	smtp_say(s, REPLY_TOO_MANY_ERRORS, SLICE(""));
	smtp_close(s);
}

void
smtp_reset(struct smtp *s)
{
	message_clear(&s->message);
	free(s->envelope.recipients);
	s->envelope = (struct smtp_envelope){0};
	s->candidate = (struct ipc_recipient){0};
	s->candidate_refused = false;
	s->question = SLICE("");
	arena_clear(&s->arena);
	if (s->state != SMTP_CLOSED)
		s->state = s->hello != NULL ? SMTP_AWAIT_MAIL : SMTP_AWAIT_HELLO;
	if (s->shutting_down && s->state != SMTP_CLOSED) {
		smtp_say(s, REPLY_SHUTTING_DOWN, SLICE(""));
		smtp_close(s);
	}
}

void
smtp_ask(struct smtp *s, enum smtp_effect effect, enum smtp_state awaited)
{
	s->effect = effect;
	s->state = awaited;
}

void
smtp_init(struct smtp *s, const struct smtp_setup *setup)
{
	*s = (struct smtp){.setup = *setup, .tls = setup->tls};
	buffer_init(&s->out, OUT_MAX);
	line_reader_init(&s->lines, SMTP_LINE_MAX);
	arena_init(&s->arena, SMTP_ARENA_MAX);
	smtp_say(s, REPLY_GREETING, SLICE(""));
}

void
smtp_clear(struct smtp *s)
{
	smtp_close(s);
	free(s->envelope.recipients);
	s->envelope = (struct smtp_envelope){0};
	arena_clear(&s->arena);
	buffer_clear(&s->out);
	free(s->hello);
	s->hello = NULL;
}

uint64_t
smtp_held(const struct smtp *s)
{
	return s->arena.used + s->envelope.recipient_room * sizeof *s->envelope.recipients +
		buffer_len(&s->message.header);
}

bool
smtp_may_auth(const struct smtp *s)
{
	return s->setup.submission && (s->tls || s->setup.passwords);
}

static void
end_sasl(struct smtp *s)
{
	sasl_clear(s->sasl);
	free(s->sasl);
	s->sasl = NULL;
	s->state = SMTP_AWAIT_MAIL;
}

/* After a failed login the connection goes on: clients try another mechanism or password. */
static void
refuse_login(struct smtp *s, enum smtp_reply reply)
{
	end_sasl(s);
	/* The proof of SCRAM may have been right, and the exchange broken off behind it. */
	s->account = 0;
	smtp_say(s, reply, SLICE(""));
	if (reply == REPLY_AUTH_CANCELLED || ++s->login_failures < s->setup.login_failures)
		return;
	smtp_say(s, REPLY_TOO_MANY_ERRORS, SLICE(""));
	smtp_close(s);
}

void
smtp_sasl_step(struct smtp *s, enum sasl_step step)
{
	s->sasl_step = step;
	switch (step) {
	case SASL_CHALLENGE:
		buffer_add_text(&s->out, "334 ");
		buffer_add_slice(&s->out, sasl_challenge(s->sasl));
		buffer_add_text(&s->out, "\r\n");
		s->state = SMTP_AWAIT_SASL;
		break;
	case SASL_CHECK_PASSWORD:
	case SASL_ASK_SCRAM:
		smtp_ask(s, SMTP_LOGIN, SMTP_AWAIT_LOGIN);
		break;
	case SASL_DONE:
		end_sasl(s);
		smtp_say(s, REPLY_LOGGED_IN, SLICE(""));
		break;
	case SASL_CANCELLED:
		refuse_login(s, REPLY_AUTH_CANCELLED);
		break;
	case SASL_MALFORMED:
		refuse_login(s, REPLY_AUTH_MALFORMED);
		break;
	case SASL_FAILED:
		refuse_login(s, REPLY_AUTH_FAILED);
		break;
	}
}

static enum smtp_reply
reply_of_login(enum fault fault)
{
	if (fault == FAULT_AUTH_SLOWED)
		return REPLY_AUTH_SLOWED;
	if (fault == FAULT_ACCOUNT_DISABLED)
		return REPLY_AUTH_DISABLED;
	return fault_is_temporary(fault) ? REPLY_AUTH_LATER : REPLY_AUTH_FAILED;
}

void
smtp_on_login(struct smtp *s, const struct smtp_login *login)
{
	if (s->state != SMTP_AWAIT_LOGIN)
		return;
	if (login->fault != FAULT_OK) {
		refuse_login(s, reply_of_login(login->fault));
		return;
	}
	if (s->sasl_step == SASL_CHECK_PASSWORD) {
		s->account = login->account;
		smtp_sasl_step(s, SASL_DONE);
		return;
	}
	enum sasl_step step = sasl_answer_scram(s->sasl, &login->scram);
	if (s->sasl->verified)
		s->account = login->account;
	smtp_sasl_step(s, step);
}

void
smtp_on_tls(struct smtp *s, struct slice text)
{
	if (s->state != SMTP_AWAIT_TLS && s->setup.tls == false)
		return;
	text = slice_first(text, sizeof s->tls_text - 1);
	memcpy(s->tls_text, text.data, text.len);
	s->tls_text[text.len] = '\0';
	s->tls = true;
	if (s->state != SMTP_AWAIT_TLS)
		return;
	/* RFC 3207 4.2: everything learned in the clear is forgotten. */
	free(s->hello);
	s->hello = NULL;
	s->extended = false;
	s->account = 0;
	line_reader_init(&s->lines, SMTP_LINE_MAX);
	smtp_reset(s);
}

void
smtp_on_timeout(struct smtp *s)
{
	if (s->state == SMTP_CLOSED)
		return;
	smtp_say(s, REPLY_TIMED_OUT, SLICE(""));
	smtp_close(s);
}

/* A transaction that has begun may end; smtp_reset then says good-bye. */
void
smtp_on_shutdown(struct smtp *s)
{
	s->shutting_down = true;
	if (s->state == SMTP_AWAIT_HELLO || s->state == SMTP_AWAIT_MAIL ||
		s->state == SMTP_AWAIT_SASL)
		smtp_reset(s);
}

static void
on_line(struct smtp *s, struct slice line)
{
	if (s->state == SMTP_AWAIT_SASL)
		smtp_sasl_step(s, sasl_line(s->sasl, line));
	else
		commands_perform(s, line);
}

static void
on_long_line(struct smtp *s)
{
	if (s->state == SMTP_AWAIT_SASL)
		smtp_sasl_step(s, SASL_MALFORMED);
	else
		smtp_say_error(s, REPLY_LINE_TOO_LONG, SLICE(""));
}

static size_t
use_line(struct smtp *s, struct slice bytes)
{
	struct slice line;
	size_t used;

	switch (line_read(&s->lines, bytes, &line, &used)) {
	case LINE_READY:
		s->progress++;
		on_line(s, line);
		break;
	case LINE_TOO_LONG:
		s->progress++;
		on_long_line(s);
		break;
	case LINE_MORE:
		break;
	}
	return used;
}

static void
count_body(struct smtp *s, size_t used)
{
	s->body_bytes += used;
	while (s->body_bytes >= SMTP_PROGRESS_BYTES) {
		s->body_bytes -= SMTP_PROGRESS_BYTES;
		s->progress++;
	}
}

/* A header section is held in memory until it is whole; its body is not. */
static void
check_room(struct smtp *s)
{
	if (s->crowded && !s->message.header_done)
		message_fail(&s->message, FAULT_BUDGET);
}

static size_t
use_data(struct smtp *s, struct slice bytes)
{
	bool ended;

	check_room(s);
	size_t used = message_decode(&s->message, bytes, &ended);

	count_body(s, used);
	if (ended)
		transaction_finish_message(s);
	return used;
}

static void
end_chunk(struct smtp *s)
{
	if (s->chunk_refused) {
		enum smtp_reply reply = s->chunk_reply;

		/* RFC 3030 2: after a refused chunk only RSET helps; so it is done here. */
		smtp_reset(s);
		if (s->state != SMTP_CLOSED)
			smtp_say_error(s, reply, SLICE(""));
	} else if (s->chunk_last) {
		transaction_finish_message(s);
	} else {
		struct buffer size;

		buffer_init(&size, 32);
		buffer_add_u64(&size, s->chunk_size);
		s->state = SMTP_AWAIT_CHUNK;
		smtp_say(s, REPLY_CHUNK_OK, buffer_slice(&size));
		buffer_clear(&size);
	}
}

static size_t
use_chunk(struct smtp *s, struct slice bytes)
{
	struct slice mine = slice_first(bytes, s->chunk_left);

	if (!s->chunk_refused) {
		check_room(s);
		message_pass(&s->message, mine);
	}
	count_body(s, mine.len);
	s->chunk_left -= mine.len;
	if (s->chunk_left == 0)
		end_chunk(s);
	return mine.len;
}

/* Bytes used of what is there; *stop: nothing more can be done with it now. */
static size_t
use_some(struct smtp *s, struct slice bytes, bool *stop)
{
	size_t used;

	switch (s->state) {
	case SMTP_AWAIT_HELLO:
	case SMTP_AWAIT_MAIL:
	case SMTP_AWAIT_RCPT:
	case SMTP_AWAIT_DATA:
	case SMTP_AWAIT_CHUNK:
	case SMTP_AWAIT_SASL:
		used = use_line(s, bytes);
		*stop = s->lines.scanned > 0 || used == 0;
		return used;
	case SMTP_IN_DATA:
		return use_data(s, bytes);
	case SMTP_IN_CHUNK:
		return use_chunk(s, bytes);
	case SMTP_CLOSED:
		return bytes.len;
	default:
		*stop = true;
		return 0;
	}
}

size_t
smtp_input(struct smtp *s, struct slice bytes)
{
	size_t used = 0;
	bool stop = false;

	/* A BDAT of no bytes ends without input. */
	if (s->state == SMTP_IN_CHUNK && s->chunk_left == 0)
		end_chunk(s);
	while (!stop && used < bytes.len && buffer_len(&s->out) < SMTP_OUT_HIGH) {
		used += use_some(s, slice_after(bytes, used), &stop);
		if (s->state == SMTP_IN_CHUNK && s->chunk_left == 0)
			end_chunk(s);
	}
	return used;
}
