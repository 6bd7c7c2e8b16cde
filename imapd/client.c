/* SPDX-License-Identifier: ISC */
/*
 * The thin shell around a session: bytes between stream and core, effects, turns.  No session
 * keeps the others waiting: after some commands, or a slice of a long one, it goes to the end of
 * the queue.  Linked by imapd.
 */
#include <event2/event.h>
#include <stdlib.h>

#include "imapd/imapd.h"

enum {
	COMMANDS_PER_TURN = 64,
	REST_PART = 6, /* of the idle time: so long the rest of a command may take (5 minutes) */
};

static void
queue_turn(struct imap_client *client)
{
	struct imapd *imapd = client->imapd;
	static const struct timeval at_once = {0, 0};

	if (client->is_queued)
		return;
	client->is_queued = true;
	client->next_turn = NULL;
	client->previous_turn = imapd->turns_end;
	if (imapd->turns_end != NULL)
		imapd->turns_end->next_turn = client;
	else
		imapd->turns = client;
	imapd->turns_end = client;
	(void)event_add(imapd->turn, &at_once);
}

static void
leave_queue(struct imap_client *client)
{
	struct imapd *imapd = client->imapd;

	if (!client->is_queued)
		return;
	client->is_queued = false;
	if (client->previous_turn != NULL)
		client->previous_turn->next_turn = client->next_turn;
	else
		imapd->turns = client->next_turn;
	if (client->next_turn != NULL)
		client->next_turn->previous_turn = client->previous_turn;
	else
		imapd->turns_end = client->previous_turn;
}

static void
flush(struct imap_client *client)
{
	struct buffer *out = &client->session.out;

	if (buffer_len(out) == 0)
		return;
	stream_write(client->connection->stream, buffer_slice(out));
	/* An idle session keeps no output buffer. */
	buffer_clear(out);
}

/* A client that has said all it had to say is let go when its last command is done. */
static void
finish_if_ended(struct imap_client *client)
{
	enum imap_await await = client->session.await;

	if (!client->has_ended || await == IMAP_AWAIT_ANSWER || await == IMAP_AWAIT_TURN)
		return;
	if (client->is_finished)
		return;
	client->is_finished = true;
	connection_finish(client->connection);
}

static int64_t
idle_ms(const struct imap_client *client)
{
	return daemon_settings(client->imapd->front.daemon)->imap_timeout;
}

/*
 * A literal and the CRLF behind it may come in two pieces.  What has come of a message takes room
 * from others: who falls silent in the middle is let go sooner.
 */
static void
await_rest(struct imap_client *client)
{
	struct stream *stream = client->connection->stream;
	bool awaits_rest = session_has_partial_command(&client->session);

	if (awaits_rest)
		stream_acknowledge_now(stream);
	if (awaits_rest != client->awaits_rest)
		stream_set_idle(
			stream, awaits_rest ? idle_ms(client) / REST_PART : idle_ms(client));
	client->awaits_rest = awaits_rest;
}

/* Feeds the session what is there, until it waits, the output is full or others should go on. */
static void
pump(struct imap_client *client)
{
	struct stream *stream = client->connection->stream;

	for (int i = 0; !client->is_finished; i++) {
		flush(client);
		if (stream_is_full(stream))
			return;
		if (i == COMMANDS_PER_TURN || session_wants_turn(&client->session)) {
			queue_turn(client);
			return;
		}
		struct slice input = stream_input(stream);
		size_t used = input.len > 0 ? session_input(&client->session, input) : 0;
		if (used == 0)
			break;
		stream_consume(stream, used);
	}
	flush(client);
	await_rest(client);
	finish_if_ended(client);
}

static void
take_turn(struct imap_client *client)
{
	if (stream_is_full(client->connection->stream))
		return;
	if (session_wants_turn(&client->session))
		session_turn(&client->session);
	pump(client);
}

/* Everybody who waits now has one turn; who comes to wait meanwhile has his after the others. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct imapd *imapd = arg;
	struct imap_client *last = imapd->turns_end;
	bool more = last != NULL;

	(void)fd;
	(void)what;
	while (more && imapd->turns != NULL) {
		struct imap_client *client = imapd->turns;
		more = client != last;
		leave_queue(client);
		take_turn(client);
	}
	static const struct timeval at_once = {0, 0};
	if (imapd->turns != NULL)
		(void)event_add(imapd->turn, &at_once);
}

enum fault
imapd_start_turns(struct imapd *imapd)
{
	imapd->turn = event_new(daemon_base(imapd->front.daemon), -1, 0, on_turn, imapd);
	return imapd->turn != NULL ? FAULT_OK : FAULT_NOMEM;
}

void
imapd_stop_turns(struct imapd *imapd)
{
	if (imapd->turn != NULL)
		event_free(imapd->turn);
	imapd->turn = NULL;
}

static void
on_answer(void *arg, const struct ipc_answer *answer)
{
	struct imap_client *client = arg;

	session_answer(&client->session, client->session.call, answer);
	pump(client);
}

static uint64_t
effect_call(void *shell, enum process to, enum ipc_type type, const void *payload, int fd)
{
	struct imap_client *client = shell;

	return daemon_call(client->imapd->front.daemon, to, type, payload, fd, on_answer, client);
}

static void
effect_cancel(void *shell, uint64_t call)
{
	(void)shell;
	ipc_cancel(call);
}

static void
ignore_answer(void *arg, const struct ipc_answer *answer)
{
	(void)arg;
	(void)answer;
}

static void
effect_tell(void *shell, enum process to, enum ipc_type type, const void *payload)
{
	struct imap_client *client = shell;

	(void)daemon_call(client->imapd->front.daemon, to, type, payload, -1, ignore_answer, NULL);
}

static void
effect_start_tls(void *shell)
{
	struct imap_client *client = shell;

	flush(client);
	connection_start_tls(client->connection);
}

static struct imap_client **
bucket_of(struct imapd *imapd, uint64_t account)
{
	return &imapd->by_account[account % IMAPD_ACCOUNT_BUCKETS];
}

static void
effect_logged_in(void *shell, uint64_t account, struct slice who)
{
	struct imap_client *client = shell;
	struct imap_client **bucket = bucket_of(client->imapd, account);

	connection_logged_in(client->connection, who);
	client->previous_of_account = NULL;
	client->next_of_account = *bucket;
	if (*bucket != NULL)
		(*bucket)->previous_of_account = client;
	*bucket = client;
}

static void
leave_account(struct imap_client *client)
{
	struct imap_client **bucket = bucket_of(client->imapd, client->session.account);

	if (client->previous_of_account != NULL)
		client->previous_of_account->next_of_account = client->next_of_account;
	else if (*bucket == client)
		*bucket = client->next_of_account;
	if (client->next_of_account != NULL)
		client->next_of_account->previous_of_account = client->previous_of_account;
	client->next_of_account = client->previous_of_account = NULL;
}

/* In IDLE a line now and then keeps NATs and the client awake, well before either gives up. */
static void
effect_idling(void *shell, bool on)
{
	struct imap_client *client = shell;

	client->awaits_rest = false;
	stream_set_idle(client->connection->stream, on ? idle_ms(client) / 2 : idle_ms(client));
}

static void
effect_finish(void *shell)
{
	struct imap_client *client = shell;

	if (client->is_finished)
		return;
	client->is_finished = true;
	flush(client);
	connection_finish(client->connection);
}

static const struct imap_effects effects = {
	.call = effect_call,
	.cancel = effect_cancel,
	.tell = effect_tell,
	.start_tls = effect_start_tls,
	.logged_in = effect_logged_in,
	.idling = effect_idling,
	.finish = effect_finish,
};

static void *
opened(struct connection *connection, void *arg)
{
	struct imapd *imapd = arg;
	struct imap_client *client = calloc(1, sizeof *client);
	char remote[PEER_TEXT_SIZE];

	if (client == NULL)
		return NULL;
	client->imapd = imapd;
	client->connection = connection;
	struct imap_setup setup = {
		.core = &imapd->core,
		.effects = &effects,
		.shell = client,
		.service = (enum ipc_service)connection->port->kind,
		.is_tls = connection->port->tls_at_once,
		.has_tls = service_has_tls(connection->service),
		.is_loopback = peer_address_is_loopback(&connection->peer),
		.remote = peer_address_format(&connection->peer, remote),
	};
	session_init(&client->session, &setup);
	session_greet(&client->session);
	flush(client);
	return client;
}

static void
on_tls_started(void *session)
{
	struct imap_client *client = session;

	session_tls_started(&client->session);
	pump(client);
}

static void
on_timed_out(void *session)
{
	struct imap_client *client = session;

	/* A login that takes too long is over, even while authd is thinking. */
	if (!client->connection->logged_in)
		session_bye(&client->session, "Not logged in for too long");
	else
		session_timed_out(&client->session);
	flush(client);
}

static void
on_ended(void *session)
{
	struct imap_client *client = session;

	client->has_ended = true;
	pump(client);
}

static void
on_shutdown(void *session)
{
	struct imap_client *client = session;

	session_shutdown(&client->session);
	flush(client);
}

static void
on_closed(void *session, enum fault why)
{
	struct imap_client *client = session;

	(void)why;
	leave_queue(client);
	if (client->connection->logged_in)
		leave_account(client);
	client->is_finished = true;
	session_clear(&client->session);
	free(client);
}

static void
on_input(void *session)
{
	pump(session);
}

static void
on_drained(void *session)
{
	take_turn(session);
}

static const char *
refusal(const struct service_port *port, void *arg)
{
	(void)port;
	(void)arg;
	return "* BYE [UNAVAILABLE] Too many connections.\r\n";
}

const struct session_calls imapd_session_calls = {
	.opened = opened,
	.input = on_input,
	.drained = on_drained,
	.tls_started = on_tls_started,
	.timed_out = on_timed_out,
	.ended = on_ended,
	.shutdown = on_shutdown,
	.closed = on_closed,
	.refusal = refusal,
};

static void
tell_client(struct imap_client *client, uint32_t mailbox)
{
	if (client->is_finished)
		return;
	session_changed(&client->session, mailbox);
	if (session_wants_turn(&client->session))
		queue_turn(client);
}

void
imapd_account_changed(struct imapd *imapd, uint64_t account, uint32_t mailbox)
{
	struct imap_client *client = *bucket_of(imapd, account);

	for (; client != NULL; client = client->next_of_account)
		if (client->session.account == account)
			tell_client(client, mailbox);
}

void
imapd_all_changed(struct imapd *imapd)
{
	for (size_t i = 0; i < IMAPD_ACCOUNT_BUCKETS; i++)
		for (struct imap_client *client = imapd->by_account[i]; client != NULL;
			client = client->next_of_account)
			tell_client(client, 0);
}
