/* SPDX-License-Identifier: ISC */
/*
 * The course of an SMTP session as a client, in relayd.  Every reply goes through
 * smtp_client_line(); what it means depends on the state, one function each, in one table.
 */
#include "relayd/smtp_client.h"

#include "common/mail/base64.h"
#include "relayd/smtp_envelope.h"
#include "relayd/smtp_extensions.h"

typedef void reply_handler(struct smtp_client *, const struct smtp_reply *);

void
smtp_result_set(struct smtp_result *r, enum fault fault, const char *status, const char *text)
{
	struct slice s = slice_first(slice_text(status), sizeof r->status - 1);
	struct slice t = slice_first(slice_text(text), sizeof r->text - 1);

	*r = (struct smtp_result){.fault = fault};
	memcpy(r->status, s.data, s.len);
	memcpy(r->text, t.data, t.len);
}

void
smtp_result_of_reply(struct smtp_result *r, const struct smtp_reply *reply)
{
	*r = (struct smtp_result){.code = reply->code};
	r->fault = smtp_reply_class(reply) == 2 ? FAULT_OK
		: smtp_reply_class(reply) == 5	? FAULT_REFUSED
						: FAULT_REFUSED_NOW;
	memcpy(r->status, reply->status, sizeof r->status);
	memcpy(r->text, reply->text, reply->text_len);
}

void
smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
	*c = (struct smtp_client){.options = *options};
	buffer_init(&c->out, SMTP_CLIENT_OUT_MAX);
	smtp_reply_start(&c->reply);
	c->state = SMTP_AWAIT_GREETING;
	c->is_tls = options->tls == ROUTE_TLS_AT_ONCE;
}

void
smtp_client_clear(struct smtp_client *c)
{
	buffer_clear(&c->out);
}

/* The end of a session */

/* Nothing was answered yet and the host went away: it was not about this message. */
static bool
is_untouched(const struct smtp_client *c)
{
	return c->state == SMTP_AWAIT_MAIL && (c->fault.code == 0 || c->fault.code == 421);
}

static void
die(struct smtp_client *c)
{
	c->untouched = is_untouched(c);
	c->state = SMTP_DEAD;
	c->want = SMTP_WANT_CLOSE;
	envelope_settle_all(c, &c->fault);
}

static void
die_of_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
	smtp_result_of_reply(&c->fault, reply);
	if (c->fault.fault == FAULT_OK)
		c->fault.fault = FAULT_REFUSED_NOW;
	die(c);
}

static void
die_of_fault(struct smtp_client *c, enum fault fault, const char *status, const char *text)
{
	smtp_result_set(&c->fault, fault, status, text);
	die(c);
}

void
smtp_client_lost(struct smtp_client *c, enum fault fault, const char *text)
{
	if (c->state == SMTP_DEAD)
		return;
	die_of_fault(c, fault, fault == FAULT_TIMEOUT ? "4.4.1" : "4.4.2", text);
}

/* The beginning */

static void
send_text(struct smtp_client *c, const char *text)
{
	buffer_add_text(&c->out, text);
}

static void
send_hello(struct smtp_client *c, const char *verb, enum smtp_client_state state)
{
	send_text(c, verb);
	buffer_add_slice(&c->out, c->options.hostname);
	send_text(c, "\r\n");
	c->state = state;
}

static void
on_greeting(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (reply->code == 220) {
		send_hello(c, "EHLO ", SMTP_AWAIT_EHLO);
		return;
	}
	/* RFC 5321 3.1, RFC 7504: 554 and 521 say that there is no mail service here. */
	smtp_result_of_reply(&c->fault, reply);
	if (reply->code != 554 && reply->code != 521)
		c->fault.fault = FAULT_REFUSED_NOW;
	die(c);
}

static void
become_ready(struct smtp_client *c)
{
	c->state = SMTP_READY;
	c->want = SMTP_WANT_MESSAGE;
}

static void
send_base64(struct smtp_client *c, const char *before, struct slice bytes)
{
	send_text(c, before);
	base64_encode(bytes, &c->out);
	send_text(c, "\r\n");
}

/* RFC 4616: NUL user NUL password. */
static void
send_auth_plain(struct smtp_client *c)
{
	struct buffer message;

	buffer_init(&message, 4096);
	buffer_add_byte(&message, '\0');
	buffer_add_slice(&message, c->options.user);
	buffer_add_byte(&message, '\0');
	buffer_add_slice(&message, c->options.password);
	send_base64(c, "AUTH PLAIN ", buffer_slice(&message));
	buffer_clear(&message);
	c->state = SMTP_AWAIT_AUTH;
}

static void
start_auth(struct smtp_client *c)
{
	if (!c->is_tls && !c->options.allow_plain_auth) {
		die_of_fault(c, FAULT_TLS, "4.7.11", "no TLS: the password is not sent");
	} else if ((c->extensions & SMTP_HAS_AUTH_PLAIN) != 0) {
		send_auth_plain(c);
	} else if ((c->extensions & SMTP_HAS_AUTH_LOGIN) != 0) {
		send_text(c, "AUTH LOGIN\r\n");
		c->state = SMTP_AWAIT_AUTH_USER;
	} else {
		die_of_fault(c, FAULT_REFUSED_NOW, "4.7.0", "the host offers no AUTH that we know");
	}
}

/* EHLO or HELO has been answered: what comes before mail. */
static void
go_on(struct smtp_client *c)
{
	bool offered = (c->extensions & SMTP_HAS_STARTTLS) != 0;
	bool wanted = c->options.tls == ROUTE_TLS_MUST ||
		(c->options.tls == ROUTE_TLS_MAY && offered && !c->options.no_tls);

	if (!c->is_tls && wanted && offered) {
		send_text(c, "STARTTLS\r\n");
		c->state = SMTP_AWAIT_STARTTLS;
	} else if (!c->is_tls && wanted) {
		die_of_fault(c, FAULT_TLS, "4.7.4", "the host offers no STARTTLS");
	} else if (c->options.user.len > 0) {
		start_auth(c);
	} else {
		become_ready(c);
	}
}

static void
on_ehlo(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2)
		go_on(c);
	else if (smtp_reply_class(reply) == 5)
		send_hello(c, "HELO ", SMTP_AWAIT_HELO); /* RFC 5321 3.2 */
	else
		die_of_reply(c, reply);
}

static void
on_helo(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2) {
		c->extensions = 0;
		go_on(c);
	} else {
		smtp_result_of_reply(&c->fault, reply);
		c->fault.fault = FAULT_REFUSED_NOW;
		die(c);
	}
}

static void
on_starttls(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (reply->code == 220) {
		c->state = SMTP_AWAIT_TLS;
		c->want = SMTP_WANT_TLS;
	} else if (c->options.tls == ROUTE_TLS_MAY) {
		c->options.no_tls = true;
		go_on(c);
	} else {
		smtp_result_of_reply(&c->fault, reply);
		c->fault.fault = FAULT_TLS;
		die(c);
	}
}

void
smtp_client_tls_started(struct smtp_client *c)
{
	if (c->state != SMTP_AWAIT_TLS)
		return;
	c->is_tls = true;
	c->extensions = 0;
	c->size_max = 0;
	c->want = SMTP_WANT_REPLY;
	smtp_reply_start(&c->reply);
	send_hello(c, "EHLO ", SMTP_AWAIT_EHLO);
}

/* AUTH */

static void
on_auth_user(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (reply->code != 334) {
		die_of_reply(c, reply);
		return;
	}
	send_base64(c, "", c->options.user);
	c->state = SMTP_AWAIT_AUTH_PASSWORD;
}

static void
on_auth_password(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (reply->code != 334) {
		die_of_reply(c, reply);
		return;
	}
	send_base64(c, "", c->options.password);
	c->state = SMTP_AWAIT_AUTH;
}

/* A refused password is our configuration's fault: the mail waits until it is put right. */
static void
on_auth(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (reply->code == 235) {
		become_ready(c);
		return;
	}
	smtp_result_of_reply(&c->fault, reply);
	c->fault.fault = FAULT_REFUSED_NOW;
	c->fault.status[0] = '\0';
	die(c);
}

/* Messages */

void
smtp_client_send(struct smtp_client *c, struct smtp_message *message)
{
	c->message = message;
	c->rcpts_sent = c->rcpts_answered = c->rcpts_accepted = 0;
	c->mail_refused = c->pipelined = false;
	if (!envelope_fits(c)) {
		c->message = NULL;
		return;
	}
	c->want = SMTP_WANT_REPLY;
	c->state = SMTP_AWAIT_MAIL;
	envelope_add_mail(c);
	if ((c->extensions & SMTP_HAS_PIPELINING) == 0)
		return;
	while (c->rcpts_sent < message->recipient_count)
		envelope_add_rcpt(c);
	send_text(c, "DATA\r\n");
	c->pipelined = true;
}

static void
finish_message(struct smtp_client *c)
{
	c->message = NULL;
	c->messages++;
	become_ready(c);
}

static void
reset_message(struct smtp_client *c)
{
	send_text(c, "RSET\r\n");
	c->state = SMTP_AWAIT_RSET;
}

static void
on_mail(struct smtp_client *c, const struct smtp_reply *reply)
{
	c->state = SMTP_AWAIT_RCPT;
	if (smtp_reply_class(reply) != 2) {
		struct smtp_result result;

		smtp_result_of_reply(&result, reply);
		envelope_settle_all(c, &result);
		c->mail_refused = true;
		if (!c->pipelined)
			reset_message(c);
		return;
	}
	if (!c->pipelined)
		envelope_add_rcpt(c);
}

static void
after_rcpts(struct smtp_client *c)
{
	c->state = SMTP_AWAIT_DATA;
	if (c->pipelined)
		return;
	if (c->rcpts_accepted == 0)
		reset_message(c);
	else
		send_text(c, "DATA\r\n");
}

static void
on_rcpt(struct smtp_client *c, const struct smtp_reply *reply)
{
	struct smtp_recipient *r = &c->message->recipients[c->rcpts_answered++];

	if (!r->settled && smtp_reply_class(reply) == 2) {
		r->accepted = true;
		c->rcpts_accepted++;
	} else if (!r->settled) {
		smtp_result_of_reply(&r->result, reply);
		r->settled = true;
	}
	if (c->rcpts_answered == c->message->recipient_count)
		after_rcpts(c);
	else if (!c->pipelined)
		envelope_add_rcpt(c);
}

static void
on_data(struct smtp_client *c, const struct smtp_reply *reply)
{
	struct smtp_result result;

	if (reply->code == 354 && c->rcpts_accepted > 0) {
		c->state = SMTP_AWAIT_BODY;
		c->want = SMTP_WANT_BODY;
		return;
	}
	if (reply->code == 354) {
		/* RFC 2920 3.1: DATA was pipelined, nobody is left: an empty message. */
		send_text(c, ".\r\n");
		c->state = SMTP_AWAIT_DOT;
		return;
	}
	smtp_result_of_reply(&result, reply);
	if (result.fault == FAULT_OK)
		result.fault = FAULT_REFUSED_NOW;
	envelope_settle_all(c, &result);
	reset_message(c);
}

void
smtp_client_body_sent(struct smtp_client *c)
{
	if (c->state != SMTP_AWAIT_BODY)
		return;
	c->state = SMTP_AWAIT_DOT;
	c->want = SMTP_WANT_REPLY;
}

static void
on_dot(struct smtp_client *c, const struct smtp_reply *reply)
{
	struct smtp_result result;

	smtp_result_of_reply(&result, reply);
	if (smtp_reply_class(reply) == 3)
		result.fault = FAULT_REFUSED_NOW;
	envelope_settle_all(c, &result);
	finish_message(c);
}

static void
on_rset(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2)
		finish_message(c);
	else
		die_of_reply(c, reply);
}

static void
on_quit(struct smtp_client *c, const struct smtp_reply *reply)
{
	(void)reply;
	c->state = SMTP_DEAD;
	c->want = SMTP_WANT_CLOSE;
}

void
smtp_client_quit(struct smtp_client *c)
{
	send_text(c, "QUIT\r\n");
	c->state = SMTP_AWAIT_QUIT;
	c->want = SMTP_WANT_REPLY;
}

static reply_handler *const handlers[] = {
	[SMTP_AWAIT_GREETING] = on_greeting,
	[SMTP_AWAIT_EHLO] = on_ehlo,
	[SMTP_AWAIT_HELO] = on_helo,
	[SMTP_AWAIT_STARTTLS] = on_starttls,
	[SMTP_AWAIT_TLS] = NULL,
	[SMTP_AWAIT_AUTH] = on_auth,
	[SMTP_AWAIT_AUTH_USER] = on_auth_user,
	[SMTP_AWAIT_AUTH_PASSWORD] = on_auth_password,
	[SMTP_READY] = NULL,
	[SMTP_AWAIT_MAIL] = on_mail,
	[SMTP_AWAIT_RCPT] = on_rcpt,
	[SMTP_AWAIT_DATA] = on_data,
	[SMTP_AWAIT_BODY] = NULL,
	[SMTP_AWAIT_DOT] = on_dot,
	[SMTP_AWAIT_RSET] = on_rset,
	[SMTP_AWAIT_QUIT] = on_quit,
	[SMTP_DEAD] = NULL,
};

/* RFC 5321 3.8: 421 ends the session whatever was asked; at the final dot it is that reply. */
static bool
is_shutdown(const struct smtp_client *c, const struct smtp_reply *reply)
{
	return reply->code == 421 && c->state != SMTP_AWAIT_GREETING && c->state != SMTP_AWAIT_QUIT;
}

static void
take_reply(struct smtp_client *c)
{
	struct smtp_reply reply = c->reply;
	reply_handler *handle = handlers[c->state];

	smtp_reply_start(&c->reply);
	if (is_shutdown(c, &reply))
		die_of_reply(c, &reply);
	else if (handle != NULL)
		handle(c, &reply);
	else
		/* Said without being asked: while READY it is a farewell, else it is nonsense. */
		die_of_reply(c, &reply);
	if (buffer_fault(&c->out) != FAULT_OK && c->state != SMTP_DEAD)
		die_of_fault(c, buffer_fault(&c->out), "4.3.0", "out of memory");
}

void
smtp_client_line(struct smtp_client *c, struct slice line)
{
	if (c->state == SMTP_DEAD)
		return;
	if (!smtp_reply_add(&c->reply, line)) {
		die_of_fault(c, FAULT_REFUSED_NOW, "4.5.0", "the host's reply makes no sense");
		return;
	}
	if (c->state == SMTP_AWAIT_EHLO && c->reply.lines > 1 && c->reply.code == 250)
		extensions_add(c, c->reply.line);
	if (c->reply.final)
		take_reply(c);
}
