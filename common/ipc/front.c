/* SPDX-License-Identifier: ISC */
/*
 * The inward side of the processes that serve clients.  Run by smtpd, imapd and pop3d, which hold
 * neither keys nor password hashes: whatever needs one is a question to authd.
 */
#include "common/ipc/front.h"

#include <jansson.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ipc/services.h"

static struct service_limits
limits_of(const struct daemon *d, int64_t idle_ms)
{
	const struct settings *settings = daemon_settings(d);

	return (struct service_limits){
		.connections = (unsigned)settings->connections,
		.per_address = (unsigned)settings->connections_per_address,
		.login_ms = settings->login_timeout,
		.idle_ms = idle_ms,
	};
}

static void
drop_listeners(struct front *f)
{
	while (f->listener_count > 0)
		close(f->listeners[--f->listener_count].fd);
}

void
front_on_listener(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_listener *listener = message->payload;
	struct front *f = state;

	(void)link;
	/* The first of a round begins a new list. */
	if (f->listener_count > 0 && f->listener_round != daemon_round(d))
		drop_listeners(f);
	f->listener_round = daemon_round(d);
	if (service_row(listener->service) == NULL || f->listener_count == FRONT_LISTENERS_MAX) {
		log_warning("listening socket not used");
		return;
	}
	f->listeners[f->listener_count++] =
		(struct front_listener){ipc_message_take_fd(message), listener->service};
}

/* Hands the sockets that have come to the service. */
static enum fault
listen_to_all(struct front *f)
{
	enum fault fault = FAULT_OK;

	while (f->listener_count > 0 && fault == FAULT_OK) {
		const struct front_listener *l = &f->listeners[--f->listener_count];
		struct service_port port = {
			.fd = l->fd,
			.kind = (int)l->kind,
			.tls_at_once = service_row(l->kind)->tls_at_once,
		};
		fault = service_listen(f->service, &port);
	}
	return fault;
}

static void
on_signed(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_signed_digest *made = answer->payload;

	tls_sign_finish(
		arg, answer->fault, answer->fault == FAULT_OK ? made->signature : SLICE(""));
}

static void
ask_for_signature(void *arg, struct tls_sign *sign)
{
	struct front *f = arg;
	struct ipc_sign question = {
		.key = (uint32_t)sign->key_id,
		.operation = sign->kind == TLS_SIGN_ECDSA ? IPC_SIGN_ECDSA : IPC_SIGN_RSA,
		.padding = sign->kind == TLS_SIGN_RSA_PKCS1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING,
		.data = slice_make(sign->input, sign->input_len),
	};

	daemon_call(f->daemon, PROCESS_AUTHD, IPC_SIGN, &question, -1, on_signed, sign);
}

static void
install_certificates(struct front *f)
{
	if (tls_server_is_empty(f->next_tls))
		log_warning("no certificate: TLS is not offered");
	service_set_tls(f->service, f->next_tls);
	tls_server_unref(f->next_tls);
	f->next_tls = NULL;
}

void
front_on_certificates(
	struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_certificates *certificates = message->payload;
	struct front *f = state;

	(void)d;
	(void)link;
	tls_server_unref(f->next_tls);
	f->next_tls = tls_server_new(&f->signer);
	f->certificates_missing = certificates->count;
	if (f->next_tls == NULL)
		log_error("no memory for certificates");
	else if (f->certificates_missing == 0)
		install_certificates(f);
}

void
front_on_certificate(
	struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	const struct ipc_certificate *certificate = message->payload;
	struct front *f = state;

	(void)d;
	(void)link;
	if (f->next_tls == NULL || f->certificates_missing == 0)
		return;
	enum fault fault = tls_server_add(f->next_tls, certificate->chain, certificate->key);
	if (fault != FAULT_OK)
		log_warning("certificate %u not used: %s", certificate->key, fault_text(fault));
	if (--f->certificates_missing == 0)
		install_certificates(f);
}

enum fault
front_open(struct front *f, struct daemon *d, const struct session_calls *calls, int64_t idle_ms)
{
	struct service_setup setup = {
		.base = daemon_base(d),
		.calls = calls,
		.arg = f,
		.limits = limits_of(d, idle_ms),
	};

	f->daemon = d;
	f->signer = (struct tls_signer){ask_for_signature, f};
	f->service = service_new(&setup);
	if (f->service == NULL)
		return FAULT_NOMEM;
	f->open = true;
	return listen_to_all(f);
}

void
front_reconfigure(struct front *f, int64_t idle_ms)
{
	struct service_limits limits = limits_of(f->daemon, idle_ms);

	service_set_limits(f->service, &limits);
	service_close_ports(f->service);
	/* A list of an earlier round means that this one has none. */
	if (f->listener_round + 1 != daemon_round(f->daemon))
		drop_listeners(f);
	enum fault fault = listen_to_all(f);
	if (fault != FAULT_OK)
		log_error("cannot listen: %s", fault_text(fault));
}

static void
on_all_gone(void *arg)
{
	struct front *f = arg;

	daemon_stop(f->daemon);
}

void
front_shutdown(struct front *f)
{
	service_shutdown(f->service, FRONT_SHUTDOWN_MS, on_all_gone, f);
}

void
front_close(struct front *f)
{
	drop_listeners(f);
	service_free(f->service);
	f->service = NULL;
	tls_server_unref(f->next_tls);
	f->next_tls = NULL;
}

static json_t *
describe(const struct front *f, const struct connection *c)
{
	char address[PEER_TEXT_SIZE];
	const struct service_row *row = service_row((uint32_t)c->port->kind);
	int64_t seconds = (clock_wall_ms(&clock_system) - c->opened_at) / 1000;

	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:b, s:I}", "id", (json_int_t)c->id, "worker",
		(json_int_t)daemon_instance(f->daemon), "service", row->name, "client",
		peer_address_format(&c->peer, address), "account", c->who, "tls",
		(int)stream_is_tls(c->stream), "seconds", (json_int_t)seconds);
}

static void
list_sessions(const struct front *f, struct ipc_origin origin)
{
	json_t *list = json_array();

	for (struct connection *c = service_first(f->service); c != NULL; c = connection_next(c))
		json_array_append_new(list, describe(f, c));
	char *text = list != NULL ? json_dumps(list, JSON_COMPACT) : NULL;
	daemon_control_text(origin, slice_text(text));
	daemon_control_done(origin, text != NULL ? FAULT_OK : FAULT_NOMEM, NULL);
	free(text);
	json_decref(list);
}

static void
end_session(const struct front *f, struct ipc_origin origin, struct slice id)
{
	struct connection *c = NULL;
	uint64_t number;

	if (slice_parse_u64(id, UINT64_MAX, &number))
		c = service_find(f->service, number);
	if (c != NULL)
		connection_abort(c, FAULT_DENIED);
	daemon_control_done(origin, c != NULL ? FAULT_OK : FAULT_NOT_FOUND,
		c != NULL ? NULL : "no such session");
}

bool
front_control(struct front *f, const struct daemon_control *control)
{
	const struct ipc_control_word *words = control->words;

	if (control->word_count < 2 || !slice_equal(words[0].text, SLICE("session")))
		return false;
	if (control->word_count == 2 && slice_equal(words[1].text, SLICE("list")))
		list_sessions(f, control->origin);
	else if (control->word_count == 3 && slice_equal(words[1].text, SLICE("end")))
		end_session(f, control->origin, words[2].text);
	else
		return false;
	return true;
}

void
front_status(const struct front *f, struct buffer *json)
{
	const struct service_counters *counters = service_get_counters(f->service);

	buffer_printf(json,
		"\"sessions\":%u,\"accepted\":%llu,\"refused\":%llu,\"tls_failed\":%llu,"
		"\"timed_out\":%llu",
		service_count(f->service), (unsigned long long)counters->accepted,
		(unsigned long long)counters->refused, (unsigned long long)counters->tls_failed,
		(unsigned long long)counters->timed_out);
}

bool
front_allows_password(const struct front *f, const struct connection *c)
{
	return stream_is_tls(c->stream) ||
		(daemon_settings(f->daemon)->plaintext_login != 0 &&
			peer_address_is_loopback(&c->peer));
}

static void
finish_login(struct front_login *login, const struct front_answer *answer)
{
	login->call = 0;
	login->done(login->arg, answer);
}

static void
on_password_checked(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_auth_result *result = answer->payload;
	struct front_answer told = {.fault = answer->fault};

	if (answer->fault == FAULT_OK) {
		told.account = result->account;
		told.address = result->address;
		told.private_key = result->private_key;
	}
	finish_login(arg, &told);
}

static void
on_scram_challenge(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_scram_challenge *challenge = answer->payload;
	struct front_login *login = arg;
	struct front_answer told = {.fault = answer->fault, .scram.fault = answer->fault};

	if (answer->fault == FAULT_OK) {
		login->exchange = challenge->exchange;
		told.scram.message = challenge->message;
	}
	finish_login(login, &told);
}

static void
on_scram_result(void *arg, const struct ipc_answer *answer)
{
	const struct ipc_scram_result *result = answer->payload;
	struct front_answer told = {.fault = answer->fault, .scram.fault = answer->fault};

	if (answer->fault == FAULT_OK) {
		told.account = result->account;
		told.address = result->address;
		told.private_key = result->private_key;
		told.scram.message = result->message;
		told.scram.is_final = true;
	}
	finish_login(arg, &told);
}

void
front_login_password(struct front_login *login, struct slice user, struct slice password)
{
	char remote[PEER_TEXT_SIZE];
	struct ipc_auth_plain question = {
		.service = (uint32_t)login->connection->port->kind,
		.remote = slice_text(peer_address_format(&login->connection->peer, remote)),
		.user = user,
		.password = password,
	};

	front_login_cancel(login);
	login->call = daemon_call(login->front->daemon, PROCESS_AUTHD, IPC_AUTH_PLAIN, &question,
		-1, on_password_checked, login);
}

static void
start_scram(struct front_login *login, struct slice message)
{
	char remote[PEER_TEXT_SIZE];
	struct ipc_scram_start question = {
		.service = (uint32_t)login->connection->port->kind,
		.remote = slice_text(peer_address_format(&login->connection->peer, remote)),
		.message = message,
	};

	login->call = daemon_call(login->front->daemon, PROCESS_AUTHD, IPC_SCRAM_START, &question,
		-1, on_scram_challenge, login);
}

static void
end_scram(struct front_login *login, struct slice message)
{
	struct ipc_scram_finish question = {login->exchange, message};

	login->call = daemon_call(login->front->daemon, PROCESS_AUTHD, IPC_SCRAM_FINISH, &question,
		-1, on_scram_result, login);
}

void
front_login_sasl(struct front_login *login, const struct sasl *sasl, enum sasl_step step)
{
	if (step == SASL_CHECK_PASSWORD) {
		front_login_password(login, sasl_user(sasl), secret_slice(&sasl->password));
		return;
	}
	ipc_cancel(login->call);
	if (sasl_is_final(sasl))
		end_scram(login, sasl_message(sasl));
	else
		start_scram(login, sasl_message(sasl));
}

void
front_login_cancel(struct front_login *login)
{
	ipc_cancel(login->call);
	login->call = 0;
}
