/* SPDX-License-Identifier: ISC */
/* POP3 commands: the table's parsers and handlers. */
#include "pop3d/commands.h"

#include <stdlib.h>

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/utf8.h"

struct arguments {
	uint32_t number; /* 0: none was given */
	uint32_t lines;
	struct slice text;
	bool has_text;
};

static const struct slice reply_texts[POP3_REPLY_COUNT] = {
#define REPLY_TEXT(name, text) [POP3_SAY_##name] = SLICE_LITERAL(text "\r\n"),
	POP3_REPLIES(REPLY_TEXT)
#undef REPLY_TEXT
};

void
pop3_say(struct pop3 *p, enum pop3_reply reply)
{
	buffer_add_slice(&p->out, reply_texts[reply]);
}

void
pop3_say_error(struct pop3 *p, enum pop3_reply reply)
{
	if (++p->errors < POP3_ERRORS_MAX) {
		pop3_say(p, reply);
		return;
	}
	pop3_say(p, POP3_SAY_TOO_MANY_ERRORS);
	pop3_close(p);
}

enum pop3_reply
pop3_reply_of(enum fault fault)
{
	switch (fault) {
	case FAULT_AUTH_FAILED:
	case FAULT_NO_SUCH_USER:
		return POP3_SAY_AUTH_FAILED;
	case FAULT_ACCOUNT_DISABLED:
		return POP3_SAY_DISABLED;
	case FAULT_AUTH_SLOWED:
		return POP3_SAY_SLOWED;
	case FAULT_SEALED:
		return POP3_SAY_MESSAGE_SEALED;
	default:
		return fault_is_temporary(fault) ? POP3_SAY_TEMPORARY : POP3_SAY_PERMANENT;
	}
}

static bool
always(const struct pop3 *p)
{
	(void)p;
	return true;
}

/* RFC 2595 4: not twice, and not once logged in. */
static bool
can_start_tls(const struct pop3 *p)
{
	return p->setup.tls_offered && !p->tls && p->account == 0 && !p->utf8;
}

static bool
can_log_in(const struct pop3 *p)
{
	return p->tls || p->setup.passwords;
}

static bool
parse_nothing(struct cursor *c, struct arguments *a)
{
	struct cursor at = *c;

	(void)a;
	take_run(&at, ascii_is_space);
	if (!cursor_at_end(&at))
		return false;
	*c = at;
	return true;
}

/* All behind one space: passwords may contain more of them (RFC 1939 7). */
static bool
parse_text(struct cursor *c, struct arguments *a)
{
	if (!take_byte(c, ' '))
		return false;
	a->text = take_rest(c);
	a->has_text = true;
	return a->text.len > 0;
}

static bool
parse_optional_text(struct cursor *c, struct arguments *a)
{
	return cursor_at_end(c) || parse_text(c, a);
}

static bool
take_number(struct cursor *c, uint32_t *number)
{
	struct cursor at = *c;

	if (!take_byte(&at, ' '))
		return false;
	take_run(&at, ascii_is_space);
	if (!take_u32(&at, number))
		return false;
	*c = at;
	return true;
}

static bool
parse_number(struct cursor *c, struct arguments *a)
{
	return take_number(c, &a->number) && parse_nothing(c, a);
}

static bool
parse_optional_number(struct cursor *c, struct arguments *a)
{
	if (parse_nothing(c, a))
		return true;
	/* "LIST 0" names no message; it is not "LIST". */
	return parse_number(c, a) && a->number > 0;
}

static bool
parse_number_and_lines(struct cursor *c, struct arguments *a)
{
	return take_number(c, &a->number) && take_number(c, &a->lines) && parse_nothing(c, a);
}

static void cmd_capa(struct pop3 *, const struct arguments *);

static void
cmd_stls(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	if (!can_start_tls(p)) {
		pop3_say_error(p, POP3_SAY_TLS_NOT_NOW);
		return;
	}
	pop3_say(p, POP3_SAY_TLS_BEGINS);
	p->state = POP3_AWAIT_TLS;
	p->effect = POP3_START_TLS;
}

static void
cmd_user(struct pop3 *p, const struct arguments *a)
{
	p->state = POP3_AWAIT_LOGIN;
	if (!can_log_in(p)) {
		pop3_say_error(p, POP3_SAY_TLS_FIRST);
		return;
	}
	/* RFC 6856 2.2: what is not UTF-8 is refused. */
	if (a->text.len > sizeof p->user || !utf8_is_valid(a->text)) {
		pop3_say_error(p, POP3_SAY_SYNTAX);
		return;
	}
	memcpy(p->user, a->text.data, a->text.len);
	p->user_len = a->text.len;
	/* RFC 1939 13: whether the name exists is not told. */
	pop3_say(p, POP3_SAY_USER_NOTED);
	p->state = POP3_AWAIT_PASS;
}

static void
cmd_pass(struct pop3 *p, const struct arguments *a)
{
	if (p->state != POP3_AWAIT_PASS) {
		pop3_say_error(p, POP3_SAY_USER_FIRST);
		return;
	}
	p->state = POP3_AWAIT_LOGIN;
	p->password = calloc(1, sizeof *p->password);
	if (p->password == NULL) {
		pop3_say(p, POP3_SAY_TEMPORARY);
		return;
	}
	if (!utf8_is_valid(a->text) || secret_set(p->password, a->text) != FAULT_OK) {
		free(p->password);
		p->password = NULL;
		pop3_say_error(p, POP3_SAY_SYNTAX);
		return;
	}
	p->state = POP3_AWAIT_AUTHD;
	p->effect = POP3_CHECK_PASSWORD;
}

static void
add_mechanisms(struct pop3 *p, const char *before, const char *after)
{
	for (unsigned m = 0; m < SASL_MECHANISM_COUNT; m++) {
		buffer_add_text(&p->out, before);
		buffer_add_text(&p->out, sasl_mechanism_name((enum sasl_mechanism)m));
		buffer_add_text(&p->out, after);
	}
}

/* RFC 1734 had this listing; old clients still ask for it. */
static void
list_mechanisms(struct pop3 *p)
{
	pop3_say(p, POP3_SAY_MECHANISMS);
	add_mechanisms(p, "", "\r\n");
	buffer_add_text(&p->out, ".\r\n");
}

static bool
is_no_space(char c)
{
	return c != ' ';
}

/* RFC 5034 4: AUTH mechanism [initial-response] */
static void
cmd_auth(struct pop3 *p, const struct arguments *a)
{
	struct cursor c = cursor_of(a->text);
	struct slice name, initial;
	enum sasl_mechanism mechanism;
	bool has_initial;

	p->state = POP3_AWAIT_LOGIN;
	if (!can_log_in(p)) {
		pop3_say_error(p, POP3_SAY_TLS_FIRST);
		return;
	}
	if (!a->has_text) {
		list_mechanisms(p);
		return;
	}
	if (!take_while(&c, is_no_space, &name) || !sasl_mechanism_find(name, &mechanism)) {
		pop3_say_error(p, POP3_SAY_NO_MECHANISM);
		return;
	}
	has_initial = take_byte(&c, ' ');
	initial = take_rest(&c);
	p->sasl = calloc(1, sizeof *p->sasl);
	if (p->sasl == NULL)
		pop3_say(p, POP3_SAY_TEMPORARY);
	else
		pop3_sasl_step(p, sasl_start(p->sasl, mechanism, has_initial ? &initial : NULL));
}

static void
cmd_utf8(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	p->utf8 = true;
	pop3_say(p, POP3_SAY_UTF8_ON);
}

static void
cmd_quit(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	if (p->drop.deleted > 0) {
		/* RFC 1939 6: only now the marked messages go. */
		p->state = POP3_AWAIT_UPDATE;
		p->effect = POP3_UPDATE;
		return;
	}
	pop3_say(p, POP3_SAY_BYE);
	pop3_close(p);
}

static void
cmd_noop(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	pop3_say(p, POP3_SAY_NOTHING_DONE);
}

static void
cmd_stat(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	buffer_printf(&p->out, "+OK %u %llu\r\n", p->drop.count - p->drop.deleted,
		(unsigned long long)p->drop.octets);
}

static struct maildrop_message *
find_message(struct pop3 *p, const struct arguments *a)
{
	struct maildrop_message *message = maildrop_find(&p->drop, a->number);

	if (message == NULL)
		pop3_say(p, POP3_SAY_NO_SUCH_MESSAGE);
	return message;
}

static void
list(struct pop3 *p, const struct arguments *a, enum pop3_listing listing)
{
	p->transfer = (struct pop3_transfer){.listing = listing, .next = a->number};
	if (a->number == 0) {
		pop3_say(p, POP3_SAY_LISTING);
		p->transfer.next = 1;
		p->state = POP3_SENDING_LIST;
		return;
	}
	const struct maildrop_message *message = find_message(p, a);
	if (message == NULL)
		return;
	if (listing == POP3_LIST)
		buffer_printf(
			&p->out, "+OK %u %llu\r\n", a->number, (unsigned long long)message->size);
	else
		buffer_printf(
			&p->out, "+OK %u %u.%u\r\n", a->number, p->drop.uidvalidity, message->uid);
}

static void
cmd_list(struct pop3 *p, const struct arguments *a)
{
	list(p, a, POP3_LIST);
}

/* RFC 1939 7: an id of 1 to 70 characters that persists across sessions. */
static void
cmd_uidl(struct pop3 *p, const struct arguments *a)
{
	list(p, a, POP3_UIDL);
}

static void
send_message(struct pop3 *p, const struct arguments *a, int64_t lines)
{
	const struct maildrop_message *message = find_message(p, a);

	if (message == NULL)
		return;
	p->transfer = (struct pop3_transfer){.uid = message->uid};
	dots_init(&p->transfer.dots, lines);
	p->state = POP3_SENDING_MESSAGE;
	p->effect = POP3_OPEN_MESSAGE;
}

static void
cmd_retr(struct pop3 *p, const struct arguments *a)
{
	send_message(p, a, DOTS_ALL_LINES);
}

static void
cmd_top(struct pop3 *p, const struct arguments *a)
{
	send_message(p, a, a->lines);
}

static void
cmd_dele(struct pop3 *p, const struct arguments *a)
{
	struct maildrop_message *message = find_message(p, a);

	if (message == NULL)
		return;
	maildrop_delete(&p->drop, message);
	pop3_say(p, POP3_SAY_MARKED);
}

static void
cmd_rset(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	maildrop_reset(&p->drop);
	pop3_say(p, POP3_SAY_MARKS_GONE);
}

struct command {
	struct slice verb;
	bool (*parse)(struct cursor *, struct arguments *);
	void (*perform)(struct pop3 *, const struct arguments *);
	unsigned states;
	const char *capability;
	bool (*offered)(const struct pop3 *);
};

static const struct command commands[] = {
#define COMMAND_ROW(name, verb, parse, states, capability, offered)                                \
	{SLICE_LITERAL(verb), parse, cmd_##name, states, capability, offered},
	POP3_COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

static void
cmd_capa(struct pop3 *p, const struct arguments *a)
{
	(void)a;
	pop3_say(p, POP3_SAY_CAPABILITIES);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (commands[i].capability == NULL || !commands[i].offered(p))
			continue;
		buffer_add_text(&p->out, commands[i].capability);
		if (commands[i].perform == cmd_auth)
			add_mechanisms(p, " ", "");
		buffer_add_text(&p->out, "\r\n");
	}
	buffer_add_text(&p->out, POP3_CAPABILITIES ".\r\n");
}

static bool
ends_verb(char c)
{
	return ascii_is_space(c);
}

static const struct command *
find_command(struct slice verb)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (slice_equal_nocase(verb, commands[i].verb))
			return &commands[i];
	}
	return NULL;
}

void
pop3_command(struct pop3 *p, struct slice line)
{
	struct arguments arguments = {0};
	const struct command *command;
	size_t len = 0;

	while (len < line.len && !ends_verb(line.data[len]))
		len++;
	struct cursor c = cursor_of(slice_after(line, len));
	command = find_command(slice_first(line, len));
	if (command == NULL)
		pop3_say_error(p, POP3_SAY_UNKNOWN);
	else if ((command->states & 1u << p->state) == 0)
		pop3_say_error(p, POP3_SAY_NOT_NOW);
	else if (!command->parse(&c, &arguments))
		pop3_say_error(p, POP3_SAY_SYNTAX);
	else
		command->perform(p, &arguments);
}
