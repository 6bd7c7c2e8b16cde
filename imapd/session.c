/* SPDX-License-Identifier: ISC */
/*
 * The life of a session: turns, waits, the end of a command, the good-bye.  Linked by imapd, and
 * by tests and fuzzers that play the shell.
 */
#include "imapd/session.h"

#include <stdio.h>

#include "imapd/append.h"
#include "imapd/fetch.h"
#include "imapd/idle.h"
#include "imapd/input.h"
#include "imapd/keys.h"
#include "imapd/login.h"
#include "imapd/search.h"
#include "imapd/sync.h"

enum { TEXT_KEPT = 1024 }; /* bytes of the command buffer that an idle session may keep */

void
session_init(struct imap_session *s, const struct imap_setup *setup)
{
	*s = (struct imap_session){
		.core = setup->core,
		.effects = setup->effects,
		.shell = setup->shell,
		.state = IMAP_NOT_AUTHENTICATED,
		.await = IMAP_AWAIT_COMMAND,
		.is_tls = setup->is_tls,
		.has_tls = setup->has_tls,
		.is_loopback = setup->is_loopback,
		.service = setup->service,
	};
	snprintf(s->remote, sizeof s->remote, "%s", setup->remote);
	buffer_init(&s->out, SESSION_OUT_MAX);
	buffer_init(&s->text, SESSION_COMMAND_MAX + SESSION_LINE_MAX);
	buffer_init(&s->line, SASL_LINE_MAX);
	buffer_init(&s->code, SESSION_OUT_MAX);
	arena_init(&s->command.arena, SESSION_ARENA_MAX);
}

/* Frees what the running command has gathered. */
static void
drop_work(struct imap_session *s)
{
	append_free(s);
	login_free(s);
	fetch_free(s);
	search_free(s);
}

void
session_clear(struct imap_session *s)
{
	if (s->call != 0)
		s->effects->cancel(s->shell, s->call);
	s->call = 0;
	drop_work(s);
	keys_free(s);
	arena_clear(&s->command.arena);
	view_clear(&s->view);
	buffer_clear(&s->out);
	buffer_clear(&s->text);
	buffer_clear(&s->line);
	buffer_clear(&s->code);
}

bool
session_may_login(const struct imap_session *s)
{
	return s->is_tls || (s->core->plaintext_login && s->is_loopback);
}

void
session_greet(struct imap_session *s)
{
	buffer_add_text(&s->out, "* OK [CAPABILITY ");
	capabilities_format(s, &s->out);
	buffer_add_text(&s->out, "] Pabal ready.\r\n");
}

static void
begin_turn(struct imap_session *s)
{
	s->turn_ends = clock_mono_ms(s->core->clock) + SESSION_TURN_MS;
	s->turn_work = 0;
	s->turn_is_over = false;
	keys_use(s);
}

bool
session_must_yield(struct imap_session *s)
{
	if (s->turn_is_over || buffer_len(&s->out) >= SESSION_OUT_SLICE)
		return true;
	/* The clock is looked at now and then only: a unit of work may be very small. */
	if (++s->turn_work < 64)
		return false;
	s->turn_work = 0;
	s->turn_is_over = clock_mono_ms(s->core->clock) >= s->turn_ends;
	return s->turn_is_over;
}

static void
drive(struct imap_session *s)
{
	while (s->await == IMAP_AWAIT_TURN) {
		s->job(s);
		if (session_must_yield(s))
			break;
	}
	if (s->is_closing && s->await == IMAP_AWAIT_END_OF_IDLE)
		session_bye(s, "Server is shutting down");
	if (buffer_fault(&s->out) != FAULT_OK && s->await != IMAP_AWAIT_NOTHING) {
		/* Out of memory in the middle of a response: nothing sensible can follow. */
		buffer_reset(&s->out);
		s->await = IMAP_AWAIT_NOTHING;
		s->effects->finish(s->shell);
	}
}

size_t
session_input(struct imap_session *s, struct slice input)
{
	size_t used = 0;

	begin_turn(s);
	switch (s->await) {
	case IMAP_AWAIT_COMMAND:
		used = input_take_command(s, input);
		break;
	case IMAP_AWAIT_MESSAGE:
		used = append_take_message(s, input);
		break;
	case IMAP_AWAIT_SASL:
		used = login_take_line(s, input);
		break;
	case IMAP_AWAIT_END_OF_IDLE:
		used = idle_take_line(s, input);
		break;
	case IMAP_AWAIT_NOTHING:
		return input.len;
	case IMAP_AWAIT_ANSWER:
	case IMAP_AWAIT_TURN:
	case IMAP_AWAIT_TLS:
		return 0;
	}
	drive(s);
	return used;
}

static bool
has_news_for_idler(const struct imap_session *s)
{
	return s->await == IMAP_AWAIT_END_OF_IDLE && s->has_hint;
}

bool
session_wants_turn(const struct imap_session *s)
{
	return s->await == IMAP_AWAIT_TURN || has_news_for_idler(s);
}

bool
session_has_partial_command(const struct imap_session *s)
{
	return s->await == IMAP_AWAIT_MESSAGE ||
		(s->await == IMAP_AWAIT_COMMAND && buffer_len(&s->text) > 0);
}

void
session_turn(struct imap_session *s)
{
	begin_turn(s);
	if (has_news_for_idler(s))
		idle_tell_changes(s);
	drive(s);
}

void
session_answer(struct imap_session *s, uint64_t call, const struct ipc_answer *answer)
{
	if (call != s->call || s->await != IMAP_AWAIT_ANSWER) {
		s->core->dropped_answers++;
		return;
	}
	s->call = 0;
	begin_turn(s);
	s->on_answer(s, answer);
	drive(s);
}

void
session_changed(struct imap_session *s, uint32_t mailbox)
{
	if (s->view.mailbox != 0 && (mailbox == 0 || mailbox == s->view.mailbox))
		s->has_hint = true;
}

void
session_tls_started(struct imap_session *s)
{
	/* RFC 3501 6.2.1, 11.1: nothing said in the clear counts any more. */
	s->is_tls = true;
	buffer_reset(&s->text);
	s->line_start = 0;
	if (s->await == IMAP_AWAIT_TLS)
		s->await = IMAP_AWAIT_COMMAND;
}

void
session_bye(struct imap_session *s, const char *text)
{
	if (s->await == IMAP_AWAIT_NOTHING)
		return;
	if (s->call != 0)
		s->effects->cancel(s->shell, s->call);
	s->call = 0;
	buffer_printf(&s->out, "* BYE %s.\r\n", text);
	s->await = IMAP_AWAIT_NOTHING;
	s->effects->finish(s->shell);
}

void
session_timed_out(struct imap_session *s)
{
	switch (s->await) {
	case IMAP_AWAIT_END_OF_IDLE:
		/* TCP finds out whether the client is still there (RFC 2177 3 allows more). */
		buffer_add_text(&s->out, "* OK Still here.\r\n");
		break;
	case IMAP_AWAIT_ANSWER:
	case IMAP_AWAIT_NOTHING:
		break;
	case IMAP_AWAIT_COMMAND:
	case IMAP_AWAIT_MESSAGE:
	case IMAP_AWAIT_SASL:
	case IMAP_AWAIT_TURN:
	case IMAP_AWAIT_TLS:
		session_bye(s, "Idle for too long");
		break;
	}
}

void
session_shutdown(struct imap_session *s)
{
	/* What mailboxd is doing for it will be done: the client should hear of it. */
	if (s->await == IMAP_AWAIT_ANSWER || s->await == IMAP_AWAIT_TURN)
		s->is_closing = true;
	else
		session_bye(s, "Server is shutting down");
}

void
session_continue(struct imap_session *s, imap_job *job)
{
	s->job = job;
	s->await = IMAP_AWAIT_TURN;
}

void
session_ask(struct imap_session *s, const struct imap_request *r, imap_on_answer *on_answer)
{
	s->on_answer = on_answer;
	s->await = IMAP_AWAIT_ANSWER;
	s->call = s->effects->call(s->shell, r->to, r->type, r->payload, r->fd);
}

struct buffer *
session_code(struct imap_session *s)
{
	return &s->code;
}

void
session_unselect(struct imap_session *s)
{
	view_clear(&s->view);
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTHENTICATED;
}

static void
end_command(struct imap_session *s)
{
	drop_work(s);
	arena_clear(&s->command.arena);
	s->command.row = NULL;
	s->command.tag = slice_make(NULL, 0);
	s->command.by_uid = false;
	memset(&s->command.arguments, 0, sizeof s->command.arguments);
	if (s->text.size > TEXT_KEPT)
		buffer_clear(&s->text);
	else
		buffer_reset(&s->text);
	buffer_clear(&s->code);
	s->line_start = 0;
	s->synced = false;
	s->await = IMAP_AWAIT_COMMAND;
}

/* Somebody who sends nonsense is no IMAP client. */
static void
count_bad(struct imap_session *s, bool is_bad)
{
	unsigned most =
		s->state == IMAP_NOT_AUTHENTICATED ? SESSION_BAD_LOGIN_MAX : SESSION_BAD_MAX;

	s->bad_count = is_bad ? s->bad_count + 1 : 0;
	if (s->bad_count >= most)
		session_bye(s, "Too many invalid commands");
}

void
session_reply(struct imap_session *s, enum imap_reply reply)
{
	struct reply_line line = {s->command.tag, s->command.row->name, buffer_slice(&s->code)};

	if (buffer_fault(&s->code) != FAULT_OK)
		line.code = slice_make(NULL, 0);
	reply_format(reply, &line, &s->out);
	end_command(s);
	count_bad(s, reply_is_bad(reply));
	if (s->is_closing)
		session_bye(s, "Server is shutting down");
}

static bool
may_tell_expunges(const struct imap_session *s)
{
	enum imap_sync sync = s->command.row->sync;

	return sync == IMAP_SYNC_ALL || (sync == IMAP_SYNC_UID_EXPUNGE && s->command.by_uid);
}

static void
finish(struct imap_session *s)
{
	bool tells = s->state == IMAP_SELECTED && s->command.row->sync != IMAP_SYNC_NOTHING;

	if (tells && !s->synced)
		sync_learn(s);
	if (tells && !sync_tell(s, may_tell_expunges(s)))
		return;
	if (s->await == IMAP_AWAIT_TURN)
		session_reply(s, s->reply);
}

void
session_finish(struct imap_session *s, enum imap_reply reply)
{
	s->reply = reply;
	session_continue(s, finish);
}

void
session_finish_fault(struct imap_session *s, enum fault fault)
{
	session_finish(s, reply_of_fault(fault));
}
