/* SPDX-License-Identifier: ISC */
/* Parsers of SMTP command arguments (RFC 5321 4.1.2 and the extensions). */
#include "smtpd/arguments.h"

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

enum { HELLO_MAX = 255, ENVID_MAX = 100, ORCPT_MAX = 500 };

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_word(char c)
{
	return ascii_is_graphic(c) || ascii_is_8bit(c);
}

static bool
is_keyword(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* esmtp-value: printable without "=", RFC 5321 4.1.2; UTF-8 by RFC 6531 3.3 */
static bool
is_value(char c)
{
	return is_word(c) && c != '=';
}

static bool
is_orcpt_type(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

static bool
at_end(struct cursor *c)
{
	(void)take_run(c, is_space);
	return cursor_at_end(c);
}

enum smtp_reply
parse_nothing(struct cursor *c, struct smtp_arguments *a)
{
	(void)a;
	return at_end(c) ? REPLY_NONE : REPLY_NO_ARGUMENT;
}

enum smtp_reply
parse_text(struct cursor *c, struct smtp_arguments *a)
{
	a->text = slice_trim(take_rest(c));
	return REPLY_NONE;
}

/*
 * Any word will do: clients say names with underscores and bare addresses, and nothing is decided
 * by it (RFC 5321 4.1.4: no refusal when the name does not verify).
 */
enum smtp_reply
parse_hello(struct cursor *c, struct smtp_arguments *a)
{
	(void)take_run(c, is_space);
	if (!take_while(c, is_word, &a->text) || !at_end(c) || a->text.len > HELLO_MAX ||
		!utf8_is_valid(a->text))
		return REPLY_SYNTAX;
	return REPLY_NONE;
}

bool
xtext_decode(struct slice xtext, struct arena *arena, struct slice *text)
{
	struct cursor c = cursor_of(xtext);
	char *decoded = arena_alloc(arena, xtext.len + 1);
	size_t n = 0;
	char byte, high, low;

	if (decoded == NULL)
		return false;
	while (take_any(&c, &byte)) {
		if (byte == '+') {
			if (!take_any(&c, &high) || !take_any(&c, &low) ||
				ascii_hex_value(high) < 0 || ascii_hex_value(low) < 0)
				return false;
			byte = (char)(ascii_hex_value(high) * 16 + ascii_hex_value(low));
		} else if (!is_word(byte) || byte == '=') {
			return false;
		}
		/* What goes into headers and reports later holds no control bytes. */
		if (ascii_is_control(byte))
			return false;
		decoded[n++] = byte;
	}
	*text = slice_make(decoded, n);
	return utf8_is_valid(*text);
}

/* One parameter: name and, with "=", a value. */
struct parameter {
	struct slice name, value;
	bool has_value;
};

static bool
take_parameter(struct cursor *c, struct parameter *p)
{
	struct cursor mark = *c;

	*p = (struct parameter){0};
	if (!take_while(c, is_keyword, &p->name))
		return false;
	if (take_byte(c, '=')) {
		p->has_value = true;
		if (!take_while(c, is_value, &p->value)) {
			*c = mark;
			return false;
		}
	}
	if (!cursor_at_end(c) && !is_space((char)peek_byte(c))) {
		*c = mark;
		return false;
	}
	return true;
}

static bool
set_size(struct smtp_arguments *a, const struct parameter *p)
{
	return slice_parse_u64(p->value, UINT64_MAX / 2, &a->mail.size);
}

static bool
set_body(struct smtp_arguments *a, const struct parameter *p)
{
	if (slice_equal_nocase(p->value, SLICE("8BITMIME")))
		a->mail.body = IPC_BODY_8BITMIME;
	else if (!slice_equal_nocase(p->value, SLICE("7BIT")))
		return false;
	return true;
}

static bool
set_smtputf8(struct smtp_arguments *a, const struct parameter *p)
{
	a->mail.smtputf8 = true;
	return !p->has_value;
}

static bool
set_ret(struct smtp_arguments *a, const struct parameter *p)
{
	if (slice_equal_nocase(p->value, SLICE("FULL")))
		a->mail.ret = IPC_RET_FULL;
	else if (slice_equal_nocase(p->value, SLICE("HDRS")))
		a->mail.ret = IPC_RET_HDRS;
	return a->mail.ret != IPC_RET_UNSET;
}

static bool
set_envid(struct smtp_arguments *a, const struct parameter *p)
{
	return p->value.len <= ENVID_MAX && p->value.len > 0 &&
		xtext_decode(p->value, a->arena, &a->mail.envid);
}

/* RFC 4954 5: who first submitted it.  We trust no peer to say so: checked and dropped. */
static bool
set_auth(struct smtp_arguments *a, const struct parameter *p)
{
	struct slice ignored;

	return p->value.len <= ORCPT_MAX && xtext_decode(p->value, a->arena, &ignored);
}

static uint32_t
notify_bit(struct slice word)
{
	if (slice_equal_nocase(word, SLICE("SUCCESS")))
		return IPC_NOTIFY_SUCCESS;
	if (slice_equal_nocase(word, SLICE("FAILURE")))
		return IPC_NOTIFY_FAILURE;
	if (slice_equal_nocase(word, SLICE("DELAY")))
		return IPC_NOTIFY_DELAY;
	return 0;
}

/* RFC 3461 4.1: NEVER alone, or a list of the others. */
static bool
set_notify(struct smtp_arguments *a, const struct parameter *p)
{
	struct cursor c = cursor_of(p->value);
	struct slice word;

	if (slice_equal_nocase(p->value, SLICE("NEVER"))) {
		a->rcpt.notify = IPC_NOTIFY_NEVER;
		return true;
	}
	do {
		if (!take_while(&c, is_keyword, &word) || notify_bit(word) == 0)
			return false;
		a->rcpt.notify |= notify_bit(word);
	} while (take_byte(&c, ','));
	return cursor_at_end(&c);
}

/* original-recipient-address = atom ";" xtext */
static bool
set_orcpt(struct smtp_arguments *a, const struct parameter *p)
{
	struct cursor c = cursor_of(p->value);
	struct slice type;

	if (p->value.len > ORCPT_MAX || !take_while(&c, is_orcpt_type, &type) ||
		!take_byte(&c, ';') || cursor_at_end(&c))
		return false;
	return xtext_decode(p->value, a->arena, &a->rcpt.orcpt);
}

/* The table of parameters.  P(name, command, setter, value needed) */
static const struct {
	struct slice name;
	bool of_mail;
	bool needs_value;
	bool (*set)(struct smtp_arguments *, const struct parameter *);
} parameters[] = {
	{SLICE_LITERAL("SIZE"), true, true, set_size},
	{SLICE_LITERAL("BODY"), true, true, set_body},
	{SLICE_LITERAL("SMTPUTF8"), true, false, set_smtputf8},
	{SLICE_LITERAL("RET"), true, true, set_ret},
	{SLICE_LITERAL("ENVID"), true, true, set_envid},
	{SLICE_LITERAL("AUTH"), true, true, set_auth},
	{SLICE_LITERAL("NOTIFY"), false, true, set_notify},
	{SLICE_LITERAL("ORCPT"), false, true, set_orcpt},
};

enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

static enum smtp_reply
set_parameter(struct smtp_arguments *a, const struct parameter *p, bool of_mail, unsigned *seen)
{
	for (unsigned i = 0; i < PARAMETER_COUNT; i++) {
		if (parameters[i].of_mail != of_mail ||
			!slice_equal_nocase(parameters[i].name, p->name))
			continue;
		/* RFC 5321 4.1.2: no parameter twice. */
		if ((*seen & 1u << i) != 0 || (parameters[i].needs_value && !p->has_value))
			return REPLY_BAD_PARAMETER;
		*seen |= 1u << i;
		return parameters[i].set(a, p) ? REPLY_NONE : REPLY_BAD_PARAMETER;
	}
	return REPLY_UNKNOWN_PARAMETER;
}

static enum smtp_reply
parse_parameters(struct cursor *c, struct smtp_arguments *a, bool of_mail)
{
	struct parameter p;
	unsigned seen = 0;

	while (!at_end(c)) {
		if (!take_parameter(c, &p))
			return REPLY_BAD_PARAMETER;
		enum smtp_reply reply = set_parameter(a, &p, of_mail, &seen);
		if (reply != REPLY_NONE)
			return reply;
	}
	return REPLY_NONE;
}

/* "FROM:" or "TO:", perhaps with a space behind it as people type it. */
static bool
take_prefix(struct cursor *c, struct slice prefix)
{
	(void)take_run(c, is_space);
	if (!take_text_nocase(c, prefix))
		return false;
	(void)take_run(c, is_space);
	return true;
}

/* Behind the path comes a space or nothing, so that "<a@b>x" is no address with parameters. */
static bool
path_ends(const struct cursor *c)
{
	return cursor_at_end(c) || is_space((char)peek_byte(c));
}

enum smtp_reply
parse_mail(struct cursor *c, struct smtp_arguments *a)
{
	if (!take_prefix(c, SLICE("FROM:")))
		return REPLY_SYNTAX;
	/* A person may leave the angle brackets out. */
	if ((!take_reverse_path(c, &a->mail.path) && !take_mailbox(c, &a->mail.path)) ||
		!path_ends(c) || address_check(&a->mail.path) != FAULT_OK)
		return REPLY_BAD_ADDRESS;
	enum smtp_reply reply = parse_parameters(c, a, true);
	if (reply == REPLY_NONE && !a->mail.smtputf8 && !address_is_ascii(&a->mail.path))
		reply = REPLY_NEEDS_UTF8;
	return reply;
}

enum smtp_reply
parse_rcpt(struct cursor *c, struct smtp_arguments *a)
{
	if (!take_prefix(c, SLICE("TO:")))
		return REPLY_SYNTAX;
	if ((!take_forward_path(c, &a->rcpt.path) && !take_mailbox(c, &a->rcpt.path)) ||
		!path_ends(c) || address_check(&a->rcpt.path) != FAULT_OK)
		return REPLY_BAD_RECIPIENT;
	return parse_parameters(c, a, false);
}

/* RFC 3030 2: "BDAT" SP chunk-size [ SP end-marker ] */
enum smtp_reply
parse_bdat(struct cursor *c, struct smtp_arguments *a)
{
	(void)take_run(c, is_space);
	if (!take_u64(c, UINT64_MAX / 2, &a->chunk_size))
		return REPLY_SYNTAX;
	if (!cursor_at_end(c) && !is_space((char)peek_byte(c)))
		return REPLY_SYNTAX;
	(void)take_run(c, is_space);
	a->chunk_last = take_text_nocase(c, SLICE("LAST"));
	return at_end(c) ? REPLY_NONE : REPLY_SYNTAX;
}

/* RFC 4954 4: "AUTH" SP mechanism [ SP initial-response ] */
enum smtp_reply
parse_auth(struct cursor *c, struct smtp_arguments *a)
{
	struct slice name;

	(void)take_run(c, is_space);
	if (!take_while(c, is_word, &name))
		return REPLY_SYNTAX;
	(void)take_run(c, is_space);
	a->has_initial = take_while(c, is_word, &a->initial);
	if (!at_end(c))
		return REPLY_SYNTAX;
	return sasl_mechanism_find(name, &a->mechanism) ? REPLY_NONE : REPLY_UNKNOWN_MECHANISM;
}
