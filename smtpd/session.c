/* SPDX-License-Identifier: ISC */
/*
 * The shell of a session: moves bytes between the stream and the core, performs the effects that
 * the core asks for, keeps the clock.  It decides nothing about SMTP.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "smtpd/smtpd.h"

/* RFC 5321 4.5.3.2.6 lets clients wait ten minutes for the reply to the final dot. */
enum { COMMIT_TIMEOUT_MS = 300 * 1000 };

struct session {
	struct smtpd *smtpd;
	struct connection *connection;
	struct smtp core;
	char *hostname; /* as greeted with: the setting may change meanwhile */
	struct intake intake;
	uint64_t held; /* smtp_held, as counted in smtpd.bytes_held */
	struct front_login login;
	uint64_t call; /* to authd or queued; 0: none */
	uint64_t seen_progress;
	bool timed; /* the deadline is set */
	bool late; /* it passed while an answer was awaited */
};

static void run(struct session *);

static const struct settings *
settings_of(const struct session *c)
{
	return daemon_settings(c->smtpd->front.daemon);
}

/* An answer is here: go on with the input that has waited. */
static void
go_on(struct session *c)
{
	c->call = 0;
	/* The time for logging in is over, and this attempt did not succeed either. */
	if (c->late && !c->connection->logged_in)
		smtp_on_timeout(&c->core);
	stream_resume(c->connection->stream);
	run(c);
}

static void
on_login(void *arg, const struct front_answer *answer)
{
	struct session *c = arg;
	struct smtp_login login = {answer->fault, answer->account, answer->scram};

	smtp_on_login(&c->core, &login);
	if (c->core.account != 0 && !c->connection->logged_in) {
		connection_logged_in(c->connection, answer->address);
		c->timed = false;
	}
	go_on(c);
}

static void
on_sender_checked(void *arg, const struct ipc_answer *answer)
{
	struct session *c = arg;

	smtp_on_sender(&c->core, answer->fault);
	go_on(c);
}

static void
on_recipient_checked(void *arg, const struct ipc_answer *answer)
{
	struct session *c = arg;

	smtp_on_recipient(&c->core, answer->fault);
	go_on(c);
}

static void
on_submitted(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_submitted *submitted = answer->payload;
	struct session *c = arg;

	if (answer->fault == FAULT_OK)
		c->smtpd->messages++;
	else
		c->smtpd->refused++;
	intake_drop(&c->intake);
	smtp_on_commit(&c->core, answer->fault, submitted != NULL ? submitted->text : SLICE(""));
	go_on(c);
}

static void
ask_authd(struct session *c, enum ipc_type type, const void *question, ipc_done_fn *done)
{
	c->call = daemon_call(c->smtpd->front.daemon, PROCESS_AUTHD, type, question, -1, done, c);
}

static void
check_sender(struct session *c)
{
	struct ipc_sender_check question = {c->core.account, c->core.question};

	ask_authd(c, IPC_SENDER_CHECK, &question, on_sender_checked);
}

static void
check_recipient(struct session *c)
{
	struct ipc_address question = {c->core.question};

	ask_authd(c, IPC_RECIPIENT_CHECK, &question, on_recipient_checked);
}

/* "crepes.fr [192.0.2.1]" */
static void
format_client(const struct session *c, struct buffer *out)
{
	char address[PEER_TEXT_SIZE];

	buffer_printf(out, "%s [%s]", c->core.hello != NULL ? c->core.hello : "",
		peer_address_format(&c->connection->peer, address));
}

static void
send_submit(struct session *c, struct slice client)
{
	const struct smtp_envelope *e = &c->core.envelope;
	struct ipc_submit submit = {
		.id = e->id,
		.sender = e->sender,
		.account = c->core.account,
		.client = client,
		.body = (uint32_t)e->body,
		.smtputf8 = e->smtputf8,
		.ret = (uint32_t)e->ret,
		.envid = e->envid,
		.recipients = e->recipients,
		.recipient_count = e->recipient_count,
	};
	struct daemon *d = c->smtpd->front.daemon;

	c->call = ipc_call(daemon_base(d), daemon_peer(d, PROCESS_QUEUED), IPC_SUBMIT, &submit,
		c->intake.fd, COMMIT_TIMEOUT_MS, on_submitted, c);
}

static void
submit(struct session *c)
{
	enum fault fault = intake_seal(&c->intake);
	struct buffer client;

	if (fault != FAULT_OK) {
		intake_drop(&c->intake);
		smtp_on_commit(&c->core, fault, SLICE(""));
		return;
	}
	buffer_init(&client, 1024);
	format_client(c, &client);
	send_submit(c, buffer_slice(&client));
	buffer_clear(&client);
}

static void
start_login(struct session *c)
{
	c->login.front = &c->smtpd->front;
	c->login.connection = c->connection;
	c->login.done = on_login;
	c->login.arg = c;
	front_login_sasl(&c->login, c->core.sasl, c->core.sasl_step);
}

static void
perform(struct session *c)
{
	enum smtp_effect effect = c->core.effect;

	c->core.effect = SMTP_NOTHING;
	switch (effect) {
	case SMTP_NOTHING:
		break;
	case SMTP_START_TLS:
		connection_start_tls(c->connection);
		break;
	case SMTP_LOGIN:
		start_login(c);
		break;
	case SMTP_CHECK_SENDER:
		check_sender(c);
		break;
	case SMTP_CHECK_RECIPIENT:
		check_recipient(c);
		break;
	case SMTP_SUBMIT:
		submit(c);
		break;
	case SMTP_CLOSE:
		connection_finish(c->connection);
		break;
	}
}

static bool
waits_for_answer(const struct session *c)
{
	return c->core.state > SMTP_AWAIT_TLS && c->core.state < SMTP_CLOSED;
}

/*
 * The client's time runs per command and per SMTP_PROGRESS_BYTES of a message, so that a client
 * which sends a byte now and then is no less late than one which sends none.  Before a needed
 * login the time for that goes on (service.h).
 */
static void
keep_time(struct session *c)
{
	struct stream *stream = c->connection->stream;

	if (!c->connection->logged_in)
		return;
	if (waits_for_answer(c)) {
		stream_set_deadline(stream, 0);
		c->timed = false;
	} else if (!c->timed || c->seen_progress != c->core.progress) {
		stream_set_deadline(stream, settings_of(c)->smtp_timeout);
		c->timed = true;
		c->seen_progress = c->core.progress;
	}
}

static void
send_replies(struct session *c)
{
	/* Only when every reply fits may the client get any: the rest would be answers to other
	 * questions. */
	if (buffer_fault(&c->core.out) != FAULT_OK) {
		connection_abort(c->connection, buffer_fault(&c->core.out));
		return;
	}
	stream_write(c->connection->stream, buffer_slice(&c->core.out));
	buffer_clear(&c->core.out);
}

/* Envelopes and header sections count against the same budget as messages. */
static void
count_held(struct session *c)
{
	uint64_t held = smtp_held(&c->core);

	c->smtpd->bytes_held += held - c->held;
	c->held = held;
	c->core.crowded = c->smtpd->bytes_held >= (uint64_t)settings_of(c)->message_memory;
}

static void
run(struct session *c)
{
	struct stream *stream = c->connection->stream;
	size_t used;

	do {
		count_held(c);
		used = smtp_input(&c->core, stream_input(stream));
		stream_consume(stream, used);
		send_replies(c);
		perform(c);
	} while (used > 0 && !stream_is_full(stream) && !waits_for_answer(c));
	/* An effect may have been answered on the spot. */
	send_replies(c);
	count_held(c);
	if (waits_for_answer(c))
		stream_pause(stream);
	keep_time(c);
}

static struct smtp_setup
setup_of(struct session *c)
{
	const struct settings *settings = settings_of(c);

	return (struct smtp_setup){
		.hostname = c->hostname,
		.submission = c->connection->port->kind != IPC_SERVICE_SMTP,
		.tls = stream_is_tls(c->connection->stream),
		.tls_offered = service_has_tls(c->smtpd->front.service),
		.passwords = front_allows_password(&c->smtpd->front, c->connection),
		.peer = c->connection->peer,
		.message_size = (uint64_t)settings->message_size,
		.recipients = (uint32_t)settings->message_recipients,
		.login_failures = (uint32_t)settings->login_failures,
		.clock = &clock_system,
		.entropy = &entropy_system,
		.sink = &intake_sink,
		.sink_arg = &c->intake,
	};
}

static void
note_tls(struct session *c)
{
	struct stream *stream = c->connection->stream;
	char text[64];

	int len = snprintf(
		text, sizeof text, "%s %s", stream_tls_version(stream), stream_tls_cipher(stream));
	smtp_on_tls(&c->core, slice_first(slice_text(text), len > 0 ? (size_t)len : 0));
}

static void *
opened(struct connection *connection, void *arg)
{
	struct session *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->smtpd = arg;
	c->connection = connection;
	c->hostname = slice_dup(slice_text(settings_of(c)->hostname));
	if (c->hostname == NULL) {
		free(c);
		return NULL;
	}
	connection->session = c;
	intake_init(&c->intake, c->smtpd);
	struct smtp_setup setup = setup_of(c);
	smtp_init(&c->core, &setup);
	if (setup.tls)
		note_tls(c);
	/* Servers of other hosts never log in; they have the time of a session at once. */
	if (!setup.submission)
		connection_logged_in(connection, SLICE(""));
	run(c);
	return c;
}

static void
on_input(void *session)
{
	run(session);
}

static void
on_tls_started(void *session)
{
	struct session *c = session;

	note_tls(c);
	run(c);
}

static void
on_timed_out(void *session)
{
	struct session *c = session;

	/* It is not the client that is late then. */
	c->late = waits_for_answer(c);
	if (c->late)
		return;
	smtp_on_timeout(&c->core);
	run(c);
}

static void
on_shutdown(void *session)
{
	struct session *c = session;

	smtp_on_shutdown(&c->core);
	run(c);
}

static void
on_closed(void *session, enum fault why)
{
	struct session *c = session;

	log_debug("session ended: %s", fault_text(why));
	ipc_cancel(c->call);
	front_login_cancel(&c->login);
	smtp_clear(&c->core);
	intake_drop(&c->intake);
	c->smtpd->bytes_held -= c->held;
	free(c->hostname);
	free(c);
}

static const char *
refusal(const struct service_port *port, void *arg)
{
	struct smtpd *smtpd = arg;
	struct buffer line;

	(void)port;
	buffer_init(&line, sizeof smtpd->refusal - 1);
	reply_format(REPLY_TOO_MANY_CONNECTIONS, daemon_settings(smtpd->front.daemon)->hostname,
		SLICE(""), &line);
	struct slice text = buffer_slice(&line);
	if (buffer_fault(&line) != FAULT_OK)
		text = SLICE("");
	memcpy(smtpd->refusal, text.len > 0 ? text.data : "", text.len);
	smtpd->refusal[text.len] = '\0';
	buffer_clear(&line);
	return smtpd->refusal;
}

const struct session_calls session_calls = {
	.opened = opened,
	.input = on_input,
	.drained = on_input,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.shutdown = on_shutdown,
	.closed = on_closed,
	.refusal = refusal,
};
