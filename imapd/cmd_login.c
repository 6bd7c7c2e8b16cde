/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 6.2; RFC 4959 initial responses).  authd decides;
 * mailboxd then makes sure that the account has its mailboxes.  Linked by imapd.
 */
#include "imapd/login.h"

#include <stdlib.h>

#include "common/base/ascii.h"
#include "imapd/input.h"
#include "imapd/keys.h"

struct imap_login {
	struct sasl sasl;
	uint64_t account; /* SCRAM: who it will be */
	uint64_t exchange; /* SCRAM: authd's name for it; 0 before its first answer */
	char address[IPC_ADDRESS_MAX];
	size_t address_len;
};

void
login_free(struct imap_session *s)
{
	if (s->login == NULL)
		return;
	/* An exchange that the client has broken off at its very end. */
	if (s->state == IMAP_NOT_AUTHENTICATED)
		keys_free(s);
	sasl_clear(&s->login->sasl);
	secret_wipe(s->login, sizeof *s->login);
	free(s->login);
	s->login = NULL;
}

bool
parse_login(struct imap_command *command, struct cursor *c)
{
	struct arena *arena = &command->arena;

	return take_sp(c) && take_astring(c, arena, &command->arguments.login.user) && take_sp(c) &&
		take_astring(c, arena, &command->arguments.login.password);
}

static bool
is_base64_char(char c)
{
	return ascii_is_alnum(c) || c == '+' || c == '/' || c == '=';
}

/* "AUTHENTICATE" SP auth-type [SP (base64 / "=")] */
bool
parse_authenticate(struct imap_command *command, struct cursor *c)
{
	if (!take_sp(c) || !take_atom(c, &command->arguments.authenticate.mechanism))
		return false;
	if (!take_sp(c))
		return true;
	command->arguments.authenticate.has_initial = true;
	return take_while(c, is_base64_char, &command->arguments.authenticate.initial);
}

void
cmd_starttls(struct imap_session *s)
{
	if (s->is_tls || !s->has_tls) {
		session_reply(s, REPLY_NO_TLS);
		return;
	}
	session_reply(s, REPLY_BEGIN_TLS);
	if (s->await == IMAP_AWAIT_NOTHING)
		return;
	s->await = IMAP_AWAIT_TLS;
	s->effects->start_tls(s->shell);
}

/* The password must not stay behind in the command's text. */
static void
wipe_text(struct imap_session *s)
{
	struct slice tag = s->command.tag;

	/* The tag is in front; all behind it goes. */
	if (s->text.data != NULL && tag.data >= s->text.data) {
		size_t keep = (size_t)(tag.data - s->text.data) + tag.len;
		secret_wipe(s->text.data + keep, s->text.size - keep);
	}
}

static void
fail(struct imap_session *s, enum imap_reply reply)
{
	bool is_refusal =
		reply == REPLY_AUTH_FAILED || reply == REPLY_AUTH_SLOWED || reply == REPLY_DISABLED;

	session_reply(s, reply);
	if (is_refusal && ++s->login_failures >= s->core->login_failures_max)
		session_bye(s, "Too many failed logins");
}

/* Mail can be read while mailboxd is down; it is only needed for an account that has none yet. */
static bool
has_mailboxes(struct imap_session *s)
{
	struct store_account account;

	if (reader_begin(s->core->reader) != FAULT_OK)
		return false;
	enum fault fault = reader_account(s->core->reader, s->account, &account);
	reader_end(s->core->reader);
	return fault == FAULT_OK;
}

static void
on_account_ensured(struct imap_session *s, const struct ipc_answer *answer)
{
	bool may_enter = answer->fault == FAULT_OK ||
		(fault_is_temporary(answer->fault) && has_mailboxes(s));

	if (!may_enter) {
		s->account = 0;
		keys_free(s);
		session_reply(s, REPLY_UNAVAILABLE);
		return;
	}
	s->state = IMAP_AUTHENTICATED;
	s->login_failures = 0;
	buffer_add_text(&s->code, "CAPABILITY ");
	capabilities_format(s, &s->code);
	session_finish(s, REPLY_LOGGED_IN);
	s->effects->logged_in(
		s->shell, s->account, slice_make(s->login->address, s->login->address_len));
}

/* authd has said yes. */
static void
enter(struct imap_session *s, uint64_t account)
{
	struct ipc_account_ensure ensure = {account};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_ACCOUNT_ENSURE, &ensure, -1};

	s->account = account;
	session_ask(s, &request, on_account_ensured);
}

static void
keep_address(struct imap_login *login, struct slice address)
{
	login->address_len =
		address.len < sizeof login->address ? address.len : sizeof login->address;
	if (login->address_len > 0)
		memcpy(login->address, address.data, login->address_len);
}

static void
on_auth_result(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_auth_result *result = answer->payload;

	if (answer->fault != FAULT_OK) {
		fail(s, reply_of_fault(answer->fault));
		return;
	}
	keep_address(s->login, result->address);
	if (keys_set(s, &(struct keys_given){result->public_key, result->private_key}) != FAULT_OK)
		session_reply(s, REPLY_UNAVAILABLE);
	else
		enter(s, result->account);
}

static void
check_password(struct imap_session *s, struct slice user, struct slice password)
{
	struct ipc_auth_plain plain = {
		.service = (uint32_t)s->service,
		.remote = slice_text(s->remote),
		.user = user,
		.password = password,
	};
	struct imap_request request = {PROCESS_AUTHD, IPC_AUTH_PLAIN, &plain, -1};

	session_ask(s, &request, on_auth_result);
	wipe_text(s);
}

static bool
begin_login(struct imap_session *s)
{
	if (!session_may_login(s)) {
		wipe_text(s);
		session_reply(s, REPLY_PRIVACY);
		return false;
	}
	s->login = calloc(1, sizeof *s->login);
	if (s->login == NULL)
		session_reply(s, REPLY_UNAVAILABLE);
	return s->login != NULL;
}

void
cmd_login(struct imap_session *s)
{
	struct slice user = s->command.arguments.login.user;
	struct slice password = s->command.arguments.login.password;

	if (!begin_login(s))
		return;
	if (user.len > IPC_ADDRESS_MAX || password.len > SECRET_MAX) {
		wipe_text(s);
		fail(s, REPLY_AUTH_FAILED);
		return;
	}
	check_password(s, user, password);
	/* An escaped one lies in the arena. */
	secret_wipe((void *)(uintptr_t)password.data, password.len);
}

static void follow(struct imap_session *, enum sasl_step);

static void
on_scram_result(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_scram_result *result = answer->payload;
	struct sasl_scram_answer scram = {.fault = answer->fault, .is_final = true};

	if (answer->fault == FAULT_OK) {
		s->login->account = result->account;
		keep_address(s->login, result->address);
		scram.message = result->message;
		scram.fault =
			keys_set(s, &(struct keys_given){result->public_key, result->private_key});
	}
	follow(s, sasl_answer_scram(&s->login->sasl, &scram));
}

static void
on_scram_challenge(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_scram_challenge *challenge = answer->payload;
	struct sasl_scram_answer scram = {.fault = answer->fault};

	if (answer->fault == FAULT_OK) {
		s->login->exchange = challenge->exchange;
		scram.message = challenge->message;
	} else if (fault_is_temporary(answer->fault) && answer->fault != FAULT_AUTH_SLOWED) {
		session_reply(s, REPLY_UNAVAILABLE);
		return;
	}
	follow(s, sasl_answer_scram(&s->login->sasl, &scram));
}

static void
ask_scram(struct imap_session *s)
{
	struct imap_login *login = s->login;
	struct ipc_scram_start start = {
		(uint32_t)s->service, slice_text(s->remote), sasl_message(&login->sasl)};
	struct ipc_scram_finish last = {login->exchange, sasl_message(&login->sasl)};
	struct imap_request request = {PROCESS_AUTHD, IPC_SCRAM_START, &start, -1};

	if (login->exchange == 0) {
		session_ask(s, &request, on_scram_challenge);
		return;
	}
	request.type = IPC_SCRAM_FINISH;
	request.payload = &last;
	session_ask(s, &request, on_scram_result);
}

static void
send_challenge(struct imap_session *s)
{
	buffer_add_text(&s->out, "+ ");
	buffer_add_slice(&s->out, sasl_challenge(&s->login->sasl));
	buffer_add_text(&s->out, "\r\n");
	s->await = IMAP_AWAIT_SASL;
}

/* Nobody may act for somebody else here. */
static bool
acts_for_itself(const struct sasl *sasl)
{
	return sasl->authzid_len == 0 || slice_equal_nocase(sasl_authzid(sasl), sasl_user(sasl));
}

static void
follow(struct imap_session *s, enum sasl_step step)
{
	struct sasl *sasl = &s->login->sasl;

	switch (step) {
	case SASL_CHALLENGE:
		send_challenge(s);
		break;
	case SASL_CHECK_PASSWORD:
		if (acts_for_itself(sasl))
			check_password(s, sasl_user(sasl), secret_slice(&sasl->password));
		else
			fail(s, REPLY_AUTH_FAILED);
		break;
	case SASL_ASK_SCRAM:
		ask_scram(s);
		break;
	case SASL_DONE:
		enter(s, s->login->account);
		break;
	case SASL_CANCELLED:
		session_reply(s, REPLY_CANCELLED);
		break;
	case SASL_MALFORMED:
		session_reply(s, REPLY_SASL_SYNTAX);
		break;
	case SASL_FAILED:
		fail(s, REPLY_AUTH_FAILED);
		break;
	}
}

void
cmd_authenticate(struct imap_session *s)
{
	const struct slice *initial = s->command.arguments.authenticate.has_initial
		? &s->command.arguments.authenticate.initial
		: NULL;
	enum sasl_mechanism mechanism;

	if (!sasl_mechanism_find(s->command.arguments.authenticate.mechanism, &mechanism)) {
		session_reply(s, REPLY_MECHANISM);
		return;
	}
	if (begin_login(s))
		follow(s, sasl_start(&s->login->sasl, mechanism, initial));
}

static void
on_sasl_line(struct imap_session *s, struct slice line)
{
	follow(s, sasl_line(&s->login->sasl, line));
}

size_t
login_take_line(struct imap_session *s, struct slice input)
{
	static const struct input_line rule = {SASL_LINE_MAX, on_sasl_line};

	return input_take_line(s, input, &rule);
}
