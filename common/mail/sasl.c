/* SPDX-License-Identifier: ISC */
/*
 * SASL exchanges, server side, without I/O.  Run by smtpd, imapd and pop3d over bytes of clients
 * that nobody knows yet; verifiers and keys are in authd.
 */
#include "common/mail/sasl.h"

#include "common/base/ascii.h"
#include "common/base/cursor.h"
#include "common/mail/base64.h"
#include "common/mail/utf8.h"

/* What is awaited. */
enum sasl_state {
	AWAIT_NOTHING,
	AWAIT_PLAIN,
	AWAIT_LOGIN_USER,
	AWAIT_LOGIN_PASSWORD,
	AWAIT_SCRAM_FIRST,
	AWAIT_SCRAM_CHALLENGE, /* authd */
	AWAIT_SCRAM_FINAL,
	AWAIT_SCRAM_RESULT, /* authd */
	AWAIT_SCRAM_EMPTY /* the client's empty answer to server-final-message */
};

#define SASL_WIRE(name, wire, clear) SLICE_LITERAL(wire),
static const struct slice wire_names[] = {SASL_MECHANISMS(SASL_WIRE)};
#undef SASL_WIRE

bool
sasl_mechanism_find(struct slice name, enum sasl_mechanism *mechanism)
{
	for (unsigned i = 0; i < SASL_MECHANISM_COUNT; i++) {
		if (slice_equal_nocase(name, wire_names[i])) {
			*mechanism = (enum sasl_mechanism)i;
			return true;
		}
	}
	return false;
}

const char *
sasl_mechanism_name(enum sasl_mechanism mechanism)
{
	return wire_names[mechanism].data;
}

bool
sasl_mechanism_is_clear(enum sasl_mechanism mechanism)
{
#define SASL_CLEAR(name, wire, clear) clear,
	static const bool is_clear[] = {SASL_MECHANISMS(SASL_CLEAR)};
#undef SASL_CLEAR

	return is_clear[mechanism];
}

static enum sasl_step
malformed(struct sasl *s)
{
	s->state = AWAIT_NOTHING;
	return SASL_MALFORMED;
}

static enum sasl_step
challenge(struct sasl *s, struct slice text, enum sasl_state next)
{
	buffer_reset(&s->challenge);
	base64_encode(text, &s->challenge);
	s->state = next;
	return buffer_fault(&s->challenge) == FAULT_OK ? SASL_CHALLENGE : malformed(s);
}

/* A name or password: UTF-8 without NUL.  RFC 4616 2. */
static bool
is_text(struct slice s)
{
	return utf8_is_valid(s) && slice_find_byte(s, '\0') == s.len;
}

static bool
set_name(char room[static SASL_NAME_MAX], size_t *len, struct slice name)
{
	if (name.len > SASL_NAME_MAX || !is_text(name))
		return false;
	if (name.len > 0)
		memcpy(room, name.data, name.len);
	*len = name.len;
	return true;
}

static bool
set_password(struct sasl *s, struct slice password)
{
	return password.len > 0 && is_text(password) &&
		secret_set(&s->password, password) == FAULT_OK;
}

/* RFC 4616 2: an authzid that the user may not act as is a failure like a wrong password. */
static bool
acts_for_another(const struct sasl *s)
{
	return s->authzid_len > 0 && !slice_equal_nocase(sasl_authzid(s), sasl_user(s));
}

static enum sasl_step
check_password(struct sasl *s)
{
	s->state = AWAIT_NOTHING;
	if (acts_for_another(s))
		return SASL_FAILED;
	/* The decoded message holds the password as well. */
	secret_wipe(s->message.data, s->message.size);
	buffer_reset(&s->message);
	return SASL_CHECK_PASSWORD;
}

/* message = [authzid] NUL authcid NUL passwd, RFC 4616 2 */
static enum sasl_step
on_plain(struct sasl *s, struct slice message)
{
	struct cursor c = cursor_of(message);
	struct slice authzid, user;

	if (!take_until(&c, '\0', &authzid) || !take_byte(&c, '\0') ||
		!take_until(&c, '\0', &user) || !take_byte(&c, '\0') || user.len == 0)
		return malformed(s);
	if (!set_name(s->authzid, &s->authzid_len, authzid) ||
		!set_name(s->user, &s->user_len, user) || !set_password(s, take_rest(&c)))
		return malformed(s);
	return check_password(s);
}

static enum sasl_step
on_login_user(struct sasl *s, struct slice message)
{
	if (message.len == 0 || !set_name(s->user, &s->user_len, message))
		return malformed(s);
	return challenge(s, SLICE("Password:"), AWAIT_LOGIN_PASSWORD);
}

static enum sasl_step
on_login_password(struct sasl *s, struct slice message)
{
	return set_password(s, message) ? check_password(s) : malformed(s);
}

/* saslname of RFC 5802 7: "=2C" is a comma, "=3D" an equals sign, no other "=". */
static bool
decode_saslname(struct slice name, char room[static SASL_NAME_MAX], size_t *len)
{
	struct cursor c = cursor_of(name);
	size_t n = 0;
	char byte;

	while (take_any(&c, &byte)) {
		if (byte == '=') {
			if (take_text(&c, SLICE("2C")))
				byte = ',';
			else if (!take_text(&c, SLICE("3D")))
				return false;
		}
		if (byte == '\0' || n == SASL_NAME_MAX)
			return false;
		room[n++] = byte;
	}
	*len = n;
	return n > 0 && utf8_is_valid(slice_make(room, n));
}

/*
 * gs2-header of RFC 5802 7.  "n": the client knows no channel binding; "y": it does but believes
 * that we do not, which is so.  "p=" asks for one: refused, since no -PLUS is offered.
 */
static bool
take_gs2_header(struct cursor *c, struct sasl *s)
{
	struct cursor mark = *c;
	struct slice authzid;

	if (!take_byte(c, 'n') && !take_byte(c, 'y'))
		return false;
	if (!take_byte(c, ','))
		return false;
	if (take_text(c, SLICE("a=")) &&
		(!take_until(c, ',', &authzid) ||
			!decode_saslname(authzid, s->authzid, &s->authzid_len)))
		return false;
	if (!take_byte(c, ','))
		return false;
	struct slice header = cursor_since(c, mark);
	if (header.len > sizeof s->gs2)
		return false;
	memcpy(s->gs2, header.data, header.len);
	s->gs2_len = header.len;
	return true;
}

/* client-first-message.  "m=" (a mandatory extension) must fail, RFC 5802 5.1. */
static enum sasl_step
on_scram_first(struct sasl *s, struct slice message)
{
	struct cursor c = cursor_of(message);
	struct slice name;

	if (!take_gs2_header(&c, s) || !take_text(&c, SLICE("n=")) || !take_until(&c, ',', &name) ||
		!decode_saslname(name, s->user, &s->user_len) || !take_text(&c, SLICE(",r=")))
		return malformed(s);
	if (acts_for_another(s)) {
		s->state = AWAIT_NOTHING;
		return SASL_FAILED;
	}
	s->state = AWAIT_SCRAM_CHALLENGE;
	return SASL_ASK_SCRAM;
}

/* client-final-message must begin with c= and our gs2-header, or somebody has changed it. */
static enum sasl_step
on_scram_final(struct sasl *s, struct slice message)
{
	struct cursor c = cursor_of(message);
	struct slice encoded;
	struct buffer binding;

	if (!take_text(&c, SLICE("c=")) || !take_until(&c, ',', &encoded))
		return malformed(s);
	buffer_init(&binding, SASL_MESSAGE_MAX);
	bool same = base64_decode(encoded, &binding) == FAULT_OK &&
		slice_equal(buffer_slice(&binding), slice_make(s->gs2, s->gs2_len));
	buffer_clear(&binding);
	if (!same) {
		s->state = AWAIT_NOTHING;
		return SASL_FAILED;
	}
	s->state = AWAIT_SCRAM_RESULT;
	return SASL_ASK_SCRAM;
}

static enum sasl_step
on_message(struct sasl *s, struct slice message)
{
	switch ((enum sasl_state)s->state) {
	case AWAIT_PLAIN:
		return on_plain(s, message);
	case AWAIT_LOGIN_USER:
		return on_login_user(s, message);
	case AWAIT_LOGIN_PASSWORD:
		return on_login_password(s, message);
	case AWAIT_SCRAM_FIRST:
		return on_scram_first(s, message);
	case AWAIT_SCRAM_FINAL:
		return on_scram_final(s, message);
	case AWAIT_SCRAM_EMPTY:
		s->state = AWAIT_NOTHING;
		return message.len == 0 ? SASL_DONE : SASL_MALFORMED;
	default:
		return malformed(s);
	}
}

static enum sasl_step
on_encoded(struct sasl *s, struct slice line)
{
	buffer_reset(&s->message);
	if (line.len > SASL_LINE_MAX || base64_decode(line, &s->message) != FAULT_OK)
		return malformed(s);
	return on_message(s, buffer_slice(&s->message));
}

enum sasl_step
sasl_start(struct sasl *s, enum sasl_mechanism mechanism, const struct slice *initial)
{
	*s = (struct sasl){.mechanism = mechanism};
	buffer_init(&s->challenge, 2 * (size_t)SASL_MESSAGE_MAX);
	buffer_init(&s->message, SASL_MESSAGE_MAX);
	s->state = mechanism == SASL_PLAIN ? AWAIT_PLAIN
		: mechanism == SASL_LOGIN  ? AWAIT_LOGIN_USER
					   : AWAIT_SCRAM_FIRST;
	if (initial == NULL) {
		struct slice prompt = mechanism == SASL_LOGIN ? SLICE("Username:") : SLICE("");

		return challenge(s, prompt, s->state);
	}
	/* RFC 4954 4: "=" is an initial response of no bytes. */
	if (slice_equal(*initial, SLICE("=")))
		return on_message(s, SLICE(""));
	return on_encoded(s, *initial);
}

enum sasl_step
sasl_line(struct sasl *s, struct slice line)
{
	if (slice_equal(line, SLICE("*"))) {
		s->state = AWAIT_NOTHING;
		return SASL_CANCELLED;
	}
	return on_encoded(s, line);
}

bool
sasl_is_final(const struct sasl *s)
{
	return s->state == AWAIT_SCRAM_RESULT;
}

enum sasl_step
sasl_answer_scram(struct sasl *s, const struct sasl_scram_answer *answer)
{
	enum sasl_state awaited = s->state;

	s->state = AWAIT_NOTHING;
	if (answer->fault != FAULT_OK)
		return SASL_FAILED;
	if (awaited == AWAIT_SCRAM_CHALLENGE && !answer->is_final)
		return challenge(s, answer->message, AWAIT_SCRAM_FINAL);
	if (awaited != AWAIT_SCRAM_RESULT || !answer->is_final)
		return SASL_FAILED;
	s->verified = true;
	return challenge(s, answer->message, AWAIT_SCRAM_EMPTY);
}

void
sasl_clear(struct sasl *s)
{
	secret_clear(&s->password);
	if (s->message.data != NULL)
		secret_wipe(s->message.data, s->message.size);
	buffer_clear(&s->message);
	buffer_clear(&s->challenge);
	*s = (struct sasl){0};
}
