/* SPDX-License-Identifier: ISC */
/*
 * The shell of a session: moves bytes between the stream and the core, performs the effects that
 * the core asks for.  It decides nothing about POP3.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memfd.h"
#include "pop3d/pop3d.h"

enum { RANGES_MAX = 64 * 1024 * 1024 };

static void run(struct pop3_session *);

/* An answer is here: go on with the input that has waited. */
static void
go_on(struct pop3_session *s)
{
	stream_resume(s->connection->stream);
	run(s);
}

static void
on_login(void *arg, const struct front_answer *answer)
{
	struct pop3_session *s = arg;
	struct pop3_login login = {answer->fault, answer->account, answer->scram};

	if (login.fault == FAULT_OK)
		login.fault = mail_set_key(s, answer->private_key);
	pop3_on_login(&s->core, &login);
	if (answer->fault == FAULT_OK && answer->account != 0)
		connection_logged_in(s->connection, answer->address);
	go_on(s);
}

static void
prepare_login(struct pop3_session *s)
{
	s->login.front = &s->pop3d->front;
	s->login.connection = s->connection;
	s->login.done = on_login;
	s->login.arg = s;
}

static void
check_password(struct pop3_session *s)
{
	prepare_login(s);
	front_login_password(&s->login, slice_make(s->core.user, s->core.user_len),
		secret_slice(s->core.password));
}

static void
ask_sasl(struct pop3_session *s)
{
	prepare_login(s);
	front_login_sasl(&s->login, s->core.sasl, s->core.sasl_step);
}

/* The maildrop is there, or is not; without it the lock goes too. */
static void
finish_opening(struct pop3_session *s, enum fault fault)
{
	if (fault == FAULT_OK)
		s->pop3d->logins++;
	else
		lock_release(s);
	pop3_on_maildrop(&s->core, fault);
}

static void
on_account_ensured(void *arg, const struct ipc_answer *answer)
{
	struct pop3_session *s = arg;
	enum fault fault = answer->fault;

	s->call = 0;
	if (fault == FAULT_OK)
		fault = mail_load(s);
	finish_opening(s, fault);
	go_on(s);
}

/* An account that never got mail has no INBOX yet: mailboxd makes it. */
static void
open_maildrop(struct pop3_session *s)
{
	struct ipc_account_ensure question = {s->core.account};
	enum fault fault;

	if (!lock_take(s, s->core.account)) {
		pop3_on_maildrop(&s->core, FAULT_BUSY);
		return;
	}
	fault = mail_load(s);
	if (fault != FAULT_NOT_FOUND) {
		/* BUSY means something else to the core. */
		finish_opening(s, fault == FAULT_BUSY ? FAULT_TIMEOUT : fault);
		return;
	}
	s->call = daemon_call(s->pop3d->front.daemon, PROCESS_MAILBOXD, IPC_ACCOUNT_ENSURE,
		&question, -1, on_account_ensured, s);
}

static void
open_message(struct pop3_session *s)
{
	uint64_t size = 0;
	enum fault fault = mail_open(s, &size);

	if (fault == FAULT_OK)
		s->pop3d->retrieved++;
	pop3_on_message(&s->core, fault, size);
}

static void
on_expunged(void *arg, const struct ipc_answer *answer)
{
	struct pop3_session *s = arg;
	const struct ipc_expunged *expunged = answer->payload;

	s->call = 0;
	if (answer->fault == FAULT_OK)
		s->pop3d->removed += expunged->count;
	pop3_on_update(&s->core, answer->fault);
	go_on(s);
}

static void
call_expunge(struct pop3_session *s, const struct ipc_expunge *question, int fd)
{
	s->call = daemon_call(s->pop3d->front.daemon, PROCESS_MAILBOXD, IPC_EXPUNGE, question, fd,
		on_expunged, s);
}

/* payloads.h: many ranges go by a sealed memfd. */
static enum fault
call_expunge_many(struct pop3_session *s, struct ipc_expunge *question)
{
	enum fault fault;
	int fd = memfd_open("expunge", &fault);

	if (fd < 0)
		return fault;
	fault = memfd_append(fd, question->uids);
	if (fault == FAULT_OK)
		fault = memfd_seal(fd);
	question->uids = SLICE("");
	if (fault == FAULT_OK)
		call_expunge(s, question, fd);
	close(fd);
	return fault;
}

/* All marked messages in one request, which is one commit: all go, or none. */
static void
update(struct pop3_session *s)
{
	struct ipc_expunge question = {.account = s->core.account, .mailbox = STORE_INBOX};
	struct buffer ranges;
	enum fault fault;

	buffer_init(&ranges, RANGES_MAX);
	maildrop_format_deleted(&s->core.drop, &ranges);
	question.uids = buffer_slice(&ranges);
	fault = buffer_fault(&ranges);
	if (fault == FAULT_OK && question.uids.len > IPC_RANGES_MAX)
		fault = call_expunge_many(s, &question);
	else if (fault == FAULT_OK)
		call_expunge(s, &question, -1);
	buffer_clear(&ranges);
	if (fault != FAULT_OK)
		pop3_on_update(&s->core, fault);
}

static void
perform(struct pop3_session *s, enum pop3_effect effect)
{
	switch (effect) {
	case POP3_NOTHING:
		break;
	case POP3_START_TLS:
		connection_start_tls(s->connection);
		break;
	case POP3_CHECK_PASSWORD:
		check_password(s);
		break;
	case POP3_ASK_SASL:
		ask_sasl(s);
		break;
	case POP3_OPEN_MAILDROP:
		open_maildrop(s);
		break;
	case POP3_OPEN_MESSAGE:
		open_message(s);
		break;
	case POP3_UPDATE:
		update(s);
		break;
	case POP3_CLOSE:
		connection_finish(s->connection);
		break;
	}
}

static void
send_replies(struct pop3_session *s)
{
	/* The client gets all replies or none: a missing one would answer another question. */
	if (buffer_fault(&s->core.out) != FAULT_OK) {
		connection_abort(s->connection, buffer_fault(&s->core.out));
		return;
	}
	stream_write(s->connection->stream, buffer_slice(&s->core.out));
	buffer_reset(&s->core.out);
}

static void
read_on(struct pop3_session *s)
{
	struct slice piece = SLICE("");
	enum fault fault = mail_read(s, &piece);

	if (fault != FAULT_OK)
		log_warning("message %u of %s cannot be read: %s", s->core.transfer.uid,
			s->connection->who, fault_text(fault));
	pop3_on_content(&s->core, fault, piece);
}

/* One step; false when there is nothing to do until something comes. */
static bool
step(struct pop3_session *s)
{
	struct stream *stream = s->connection->stream;
	enum pop3_effect effect;
	size_t used = 0;
	bool was_sending = true;

	if (s->core.state == POP3_SENDING_MESSAGE) {
		read_on(s);
	} else if (s->core.state == POP3_SENDING_LIST) {
		pop3_list_more(&s->core);
	} else {
		was_sending = false;
		used = pop3_input(&s->core, stream_input(stream));
		stream_consume(stream, used);
	}
	send_replies(s);
	effect = pop3_take_effect(&s->core);
	perform(s, effect);
	return was_sending || used > 0 || effect != POP3_NOTHING;
}

static bool
waits_for_answer(const struct pop3_session *s)
{
	return pop3_is_waiting(&s->core) && s->core.state != POP3_SENDING_LIST &&
		s->core.state != POP3_SENDING_MESSAGE && s->core.state != POP3_AWAIT_TLS &&
		s->core.state != POP3_CLOSED;
}

static void
run(struct pop3_session *s)
{
	while (s->core.state != POP3_CLOSED && step(s)) {
		if (stream_is_full(s->connection->stream) || waits_for_answer(s))
			break;
	}
	send_replies(s);
	perform(s, pop3_take_effect(&s->core));
	/* Between commands a session keeps as little as it can: thousands may be idle. */
	buffer_clear(&s->core.out);
	if (s->core.state != POP3_SENDING_MESSAGE)
		mail_close(s);
	/* The login came to nothing. */
	if (s->core.account == 0)
		mail_forget_key(s);
	if (waits_for_answer(s))
		stream_pause(s->connection->stream);
}

static void *
opened(struct connection *connection, void *arg)
{
	struct pop3_session *s = calloc(1, sizeof *s);
	struct pop3d *pop3d = arg;

	if (s == NULL)
		return NULL;
	s->pop3d = pop3d;
	s->connection = connection;
	connection->session = s;
	struct pop3_setup setup = {
		.hostname = daemon_settings(pop3d->front.daemon)->hostname,
		.tls = stream_is_tls(connection->stream),
		.tls_offered = service_has_tls(pop3d->front.service),
		.passwords = front_allows_password(&pop3d->front, connection),
		.login_failures = (uint32_t)daemon_settings(pop3d->front.daemon)->login_failures,
	};
	pop3_init(&s->core, &setup);
	run(s);
	return s;
}

static void
on_input(void *session)
{
	run(session);
}

static void
on_tls_started(void *session)
{
	struct pop3_session *s = session;

	pop3_on_tls(&s->core);
	run(s);
}

/* RFC 1939 3: the connection ends without a word, and nothing is removed. */
static void
on_timed_out(void *session)
{
	struct pop3_session *s = session;

	/* The deadline for logging in holds whatever is awaited. */
	if (waits_for_answer(s) && s->connection->logged_in)
		return;
	s->core.state = POP3_CLOSED;
	connection_finish(s->connection);
}

static void
on_shutdown(void *session)
{
	struct pop3_session *s = session;

	pop3_on_shutdown(&s->core);
	run(s);
}

static void
on_closed(void *session, enum fault why)
{
	struct pop3_session *s = session;

	log_debug("session ended: %s", fault_text(why));
	ipc_cancel(s->call);
	front_login_cancel(&s->login);
	mail_close(s);
	mail_forget_key(s);
	lock_release(s);
	pop3_clear(&s->core);
	free(s);
}

static const char *
refusal(const struct service_port *port, void *arg)
{
	(void)port;
	(void)arg;
	return "-ERR [SYS/TEMP] Too many connections.\r\n";
}

const struct session_calls pop3_session_calls = {
	.opened = opened,
	.input = on_input,
	.drained = on_input,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.shutdown = on_shutdown,
	.closed = on_closed,
	.refusal = refusal,
};
