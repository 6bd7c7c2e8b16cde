/* SPDX-License-Identifier: ISC */
/* What the other host is told of a message before it gets it, in relayd. */
#include "relayd/smtp_envelope.h"

#include "common/base/ascii.h"
#include "common/mail/utf8.h"

void
envelope_settle_all(struct smtp_client *c, const struct smtp_result *result)
{
	if (c->message == NULL)
		return;
	for (uint32_t i = 0; i < c->message->recipient_count; i++) {
		struct smtp_recipient *r = &c->message->recipients[i];

		if (r->settled)
			continue;
		r->result = *result;
		r->settled = true;
	}
}

bool
envelope_fits(struct smtp_client *c)
{
	const struct smtp_message *m = c->message;
	struct smtp_result result;

	/* RFC 1870 6.1: 0 means that there is no fixed limit. */
	if ((c->extensions & SMTP_HAS_SIZE) != 0 && c->size_max > 0 && m->size > c->size_max)
		smtp_result_set(&result, FAULT_TOO_BIG, "5.3.4",
			"the message is bigger than the host takes");
	else if (m->needs_utf8 && (c->extensions & SMTP_HAS_SMTPUTF8) == 0)
		smtp_result_set(&result, FAULT_UNSUPPORTED, "5.6.7",
			"the host does not take addresses or headers in UTF-8");
	else if (m->body == IPC_BODY_BINARY)
		smtp_result_set(
			&result, FAULT_UNSUPPORTED, "5.6.3", "a binary message cannot be sent on");
	else
		return true;
	envelope_settle_all(c, &result);
	return false;
}

void
smtp_add_xtext(struct buffer *b, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (ascii_is_graphic(c) && c != '+' && c != '=')
			buffer_add_byte(b, c);
		else
			buffer_printf(b, "+%02X", (unsigned)(unsigned char)c);
	}
}

static void
add_path(struct smtp_client *c, const char *verb, struct slice address)
{
	buffer_add_text(&c->out, verb);
	buffer_add_slice(&c->out, address);
	buffer_add_byte(&c->out, '>');
}

static bool
has(const struct smtp_client *c, enum smtp_extension extension)
{
	return (c->extensions & (unsigned)extension) != 0;
}

void
envelope_add_mail(struct smtp_client *c)
{
	const struct smtp_message *m = c->message;

	add_path(c, "MAIL FROM:<", m->sender);
	if (has(c, SMTP_HAS_SIZE))
		buffer_printf(&c->out, " SIZE=%llu", (unsigned long long)m->size);
	/* A host without 8BITMIME gets the bytes as they are: in practice all hosts pass them
	 * on, and a bounce would help nobody (a deviation from RFC 6152 3). */
	if (has(c, SMTP_HAS_8BITMIME) && m->body == IPC_BODY_8BITMIME)
		buffer_add_text(&c->out, " BODY=8BITMIME");
	if (m->needs_utf8)
		buffer_add_text(&c->out, " SMTPUTF8");
	if (has(c, SMTP_HAS_DSN) && m->ret != IPC_RET_UNSET)
		buffer_add_text(&c->out, m->ret == IPC_RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (has(c, SMTP_HAS_DSN) && m->envid.len > 0) {
		buffer_add_text(&c->out, " ENVID=");
		smtp_add_xtext(&c->out, m->envid);
	}
	buffer_add_text(&c->out, "\r\n");
}

static void
add_notify(struct smtp_client *c, uint32_t notify)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {{IPC_NOTIFY_SUCCESS, "SUCCESS"}, {IPC_NOTIFY_FAILURE, "FAILURE"},
		{IPC_NOTIFY_DELAY, "DELAY"}};
	const char *before = " NOTIFY=";

	if ((notify & IPC_NOTIFY_NEVER) != 0) {
		buffer_add_text(&c->out, " NOTIFY=NEVER");
		return;
	}
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		buffer_add_text(&c->out, before);
		buffer_add_text(&c->out, words[i].word);
		before = ",";
	}
}

/* "type;address" again as type ";" xtext (RFC 3461 4.2). */
static void
add_orcpt(struct smtp_client *c, struct slice orcpt)
{
	size_t semicolon = slice_find_byte(orcpt, ';');

	if (semicolon == 0 || semicolon == orcpt.len || !utf8_is_ascii(orcpt))
		return;
	buffer_add_text(&c->out, " ORCPT=");
	buffer_add_slice(&c->out, slice_first(orcpt, semicolon + 1));
	smtp_add_xtext(&c->out, slice_after(orcpt, semicolon + 1));
}

void
envelope_add_rcpt(struct smtp_client *c)
{
	const struct smtp_recipient *r = &c->message->recipients[c->rcpts_sent++];

	add_path(c, "RCPT TO:<", r->address);
	if (has(c, SMTP_HAS_DSN)) {
		add_notify(c, r->notify);
		add_orcpt(c, r->orcpt);
	}
	buffer_add_text(&c->out, "\r\n");
}
