/* SPDX-License-Identifier: ISC */
/* SMTP commands: the table, permission, one handler each. */
#include "smtpd/commands.h"

#include <stdlib.h>

#include "common/base/ascii.h"

struct command {
	struct slice name;
	smtp_parser *parse;
	void (*perform)(struct smtp *, const struct smtp_arguments *);
	unsigned states;
	enum smtp_needs needs;
	const char *syntax; /* for HELP; NULL hides it */
};

#define DECLARE(name, wire, parse, states, needs, syntax)                                          \
	static void cmd_##name(struct smtp *, const struct smtp_arguments *);
SMTP_COMMANDS(DECLARE)
#undef DECLARE

static const struct command commands[] = {
#define ROW(name, wire, parse, states, needs, syntax)                                              \
	{SLICE_LITERAL(wire), parse, cmd_##name, states, needs, syntax},
	SMTP_COMMANDS(ROW)
#undef ROW
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* What a browser says first when somebody points it at a mail port.  Not a command may follow. */
static const struct slice foreign[] = {
	SLICE_LITERAL("GET"),
	SLICE_LITERAL("POST"),
	SLICE_LITERAL("PUT"),
	SLICE_LITERAL("CONNECT"),
	SLICE_LITERAL("OPTIONS"),
	SLICE_LITERAL("HOST:"),
	SLICE_LITERAL("USER-AGENT:"),
};

static bool
is_verb(char c)
{
	return ascii_is_graphic(c) || ascii_is_8bit(c);
}

static const struct command *
find_command(struct slice verb)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (slice_equal_nocase(commands[i].name, verb))
			return &commands[i];
	}
	return NULL;
}

static bool
is_foreign(struct slice verb)
{
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
		if (slice_equal_nocase(foreign[i], verb))
			return true;
	}
	return false;
}

/* Why a command is not possible now, from what is awaited instead. */
static enum smtp_reply
wrong_state(const struct smtp *s, const struct command *command)
{
	if (s->state == SMTP_AWAIT_HELLO)
		return REPLY_HELLO_FIRST;
	if (s->state == SMTP_AWAIT_CHUNK)
		return REPLY_IN_CHUNKS;
	return s->state == SMTP_AWAIT_MAIL && command->perform != cmd_mail ? REPLY_MAIL_FIRST
									   : REPLY_IN_TRANSACTION;
}

static enum smtp_reply
permit(const struct smtp *s, const struct command *command)
{
	if ((command->states & 1u << s->state) == 0)
		return wrong_state(s, command);
	if (command->needs == NEEDS_LOGIN && s->setup.submission && s->account == 0)
		return smtp_may_auth(s) ? REPLY_LOGIN_FIRST : REPLY_TLS_FIRST;
	return REPLY_NONE;
}

static void
on_unknown(struct smtp *s, struct slice verb)
{
	if (is_foreign(verb)) {
		smtp_say(s, REPLY_WRONG_PROTOCOL, SLICE(""));
		smtp_close(s);
		return;
	}
	smtp_say_error(s, REPLY_UNKNOWN_COMMAND, slice_first(verb, 32));
}

void
commands_perform(struct smtp *s, struct slice line)
{
	struct cursor c = cursor_of(line);
	struct arena scratch;
	struct smtp_arguments arguments = {.arena = &scratch};
	struct slice verb = take_run(&c, is_verb);
	const struct command *command = find_command(verb);

	if (command == NULL) {
		on_unknown(s, verb);
		return;
	}
	arena_init(&scratch, 2 * SMTP_LINE_MAX);
	enum smtp_reply reply = command->parse(&c, &arguments);
	if (reply == REPLY_NONE)
		reply = permit(s, command);
	if (reply != REPLY_NONE)
		smtp_say_error(s, reply, slice_text(command->syntax));
	else
		command->perform(s, &arguments);
	arena_clear(&scratch);
}

static bool
greet(struct smtp *s, const struct smtp_arguments *a, bool extended)
{
	char *hello = slice_dup(a->text);

	if (hello == NULL) {
		smtp_say(s, REPLY_LATER, SLICE(""));
		return false;
	}
	free(s->hello);
	s->hello = hello;
	s->extended = extended;
	/* RFC 5321 4.1.4: a hello in the middle is a reset. */
	smtp_reset(s);
	return s->state != SMTP_CLOSED;
}

static void
cmd_helo(struct smtp *s, const struct smtp_arguments *a)
{
	if (greet(s, a, false))
		smtp_say(s, REPLY_HELLO, a->text);
}

static bool
can_start_tls(const struct smtp *s)
{
	return s->setup.tls_offered && !s->tls;
}

static bool
can_auth(const struct smtp *s)
{
	return smtp_may_auth(s) && s->account == 0;
}

static void
add_size(const struct smtp *s, struct buffer *out)
{
	buffer_add_byte(out, ' ');
	buffer_add_u64(out, s->setup.message_size);
}

static void
add_mechanisms(const struct smtp *s, struct buffer *out)
{
	(void)s;
	for (unsigned m = 0; m < SASL_MECHANISM_COUNT; m++)
		buffer_printf(out, " %s", sasl_mechanism_name((enum sasl_mechanism)m));
}

/* The table of service extensions. */
static const struct {
	const char *keyword;
	bool (*offered)(const struct smtp *); /* NULL: always */
	void (*add_parameters)(const struct smtp *, struct buffer *);
} extensions[] = {
	{"PIPELINING", NULL, NULL}, /* RFC 2920 */
	{"SIZE", NULL, add_size}, /* RFC 1870 */
	{"8BITMIME", NULL, NULL}, /* RFC 6152 */
	{"SMTPUTF8", NULL, NULL}, /* RFC 6531 */
	{"CHUNKING", NULL, NULL}, /* RFC 3030 */
	{"DSN", NULL, NULL}, /* RFC 3461 */
	{"STARTTLS", can_start_tls, NULL}, /* RFC 3207 */
	{"AUTH", can_auth, add_mechanisms}, /* RFC 4954 */
	{"HELP", NULL, NULL}, /* RFC 5321 */
	{"ENHANCEDSTATUSCODES", NULL, NULL}, /* RFC 2034; last, so that its line ends the list */
};

static void
cmd_ehlo(struct smtp *s, const struct smtp_arguments *a)
{
	size_t count = sizeof extensions / sizeof extensions[0];

	if (!greet(s, a, true))
		return;
	buffer_printf(&s->out, "250-%s Hello %" SLICE_FMT ", pleased to meet you\r\n",
		s->setup.hostname, SLICE_ARG(a->text));
	for (size_t i = 0; i < count; i++) {
		if (extensions[i].offered != NULL && !extensions[i].offered(s))
			continue;
		buffer_printf(&s->out, "250%c%s", i + 1 < count ? '-' : ' ', extensions[i].keyword);
		if (extensions[i].add_parameters != NULL)
			extensions[i].add_parameters(s, &s->out);
		buffer_add_text(&s->out, "\r\n");
	}
}

static void
cmd_mail(struct smtp *s, const struct smtp_arguments *a)
{
	transaction_begin(s, &a->mail);
}

static void
cmd_rcpt(struct smtp *s, const struct smtp_arguments *a)
{
	transaction_ask_recipient(s, &a->rcpt);
}

/* REPLY_NONE when a message may begin. */
static enum smtp_reply
open_message(struct smtp *s)
{
	if (s->envelope.recipient_count == 0)
		return s->candidate_refused ? REPLY_NO_VALID_RECIPIENTS : REPLY_RCPT_FIRST;
	return transaction_open_message(s);
}

static void
cmd_data(struct smtp *s, const struct smtp_arguments *a)
{
	enum smtp_reply reply = open_message(s);

	(void)a;
	if (reply != REPLY_NONE) {
		smtp_say_error(s, reply, SLICE(""));
		return;
	}
	s->state = SMTP_IN_DATA;
	smtp_say(s, REPLY_GO_AHEAD, SLICE(""));
}

/* Why a chunk is refused, or REPLY_NONE; a first chunk opens the message. */
static enum smtp_reply
admit_chunk(struct smtp *s)
{
	switch (s->state) {
	case SMTP_AWAIT_CHUNK:
		return REPLY_NONE;
	case SMTP_AWAIT_RCPT:
	case SMTP_AWAIT_DATA:
		return open_message(s);
	case SMTP_AWAIT_HELLO:
		return REPLY_HELLO_FIRST;
	default:
		return REPLY_MAIL_FIRST;
	}
}

/* The bytes of a refused chunk come all the same, and must not be taken for commands. */
static void
cmd_bdat(struct smtp *s, const struct smtp_arguments *a)
{
	s->chunk_reply = admit_chunk(s);
	s->chunk_refused = s->chunk_reply != REPLY_NONE;
	s->chunk_size = s->chunk_left = a->chunk_size;
	s->chunk_last = a->chunk_last;
	s->state = SMTP_IN_CHUNK;
}

static void
cmd_rset(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	smtp_say(s, REPLY_RESET, SLICE(""));
	smtp_reset(s);
}

static void
cmd_noop(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	smtp_say(s, REPLY_OK, SLICE(""));
}

static void
cmd_quit(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	smtp_say(s, REPLY_BYE, SLICE(""));
	smtp_close(s);
}

/* RFC 5321 7.3: whether a user exists is told at RCPT, where guessing is counted. */
static void
cmd_vrfy(struct smtp *s, const struct smtp_arguments *a)
{
	if (a->text.len == 0)
		smtp_say_error(s, REPLY_SYNTAX, SLICE("VRFY address"));
	else
		smtp_say(s, REPLY_CANNOT_VERIFY, SLICE(""));
}

static void
cmd_expn(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	smtp_say(s, REPLY_NOT_IMPLEMENTED, SLICE(""));
}

static void
cmd_help(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	buffer_add_text(&s->out, "214-2.0.0 This is Pabal. Commands:\r\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (commands[i].syntax != NULL)
			buffer_printf(&s->out, "214-2.0.0   %s\r\n", commands[i].syntax);
	}
	buffer_add_text(&s->out, "214 2.0.0 End of HELP\r\n");
}

static void
cmd_starttls(struct smtp *s, const struct smtp_arguments *a)
{
	(void)a;
	if (s->tls) {
		smtp_say_error(s, REPLY_TLS_ALREADY, SLICE(""));
	} else if (!s->setup.tls_offered) {
		smtp_say(s, REPLY_NO_TLS, SLICE(""));
	} else {
		smtp_say(s, REPLY_READY_FOR_TLS, SLICE(""));
		smtp_ask(s, SMTP_START_TLS, SMTP_AWAIT_TLS);
	}
}

static enum smtp_reply
admit_auth(const struct smtp *s)
{
	if (!s->setup.submission)
		return REPLY_NO_AUTH_HERE;
	if (s->account != 0)
		return REPLY_LOGGED_IN_ALREADY;
	return smtp_may_auth(s) ? REPLY_NONE : REPLY_AUTH_NEEDS_TLS;
}

static void
cmd_auth(struct smtp *s, const struct smtp_arguments *a)
{
	enum smtp_reply reply = admit_auth(s);

	if (reply != REPLY_NONE) {
		smtp_say_error(s, reply, SLICE(""));
		return;
	}
	s->sasl = calloc(1, sizeof *s->sasl);
	if (s->sasl == NULL)
		smtp_say(s, REPLY_AUTH_LATER, SLICE(""));
	else
		smtp_sasl_step(
			s, sasl_start(s->sasl, a->mechanism, a->has_initial ? &a->initial : NULL));
}
