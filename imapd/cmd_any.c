/* SPDX-License-Identifier: ISC */
/* The small commands: CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE.  Linked by imapd. */
#include "imapd/session.h"

void
cmd_capability(struct imap_session *s)
{
	buffer_add_text(&s->out, "* CAPABILITY ");
	capabilities_format(s, &s->out);
	buffer_add_text(&s->out, "\r\n");
	session_finish(s, REPLY_DONE);
}

void
cmd_noop(struct imap_session *s)
{
	session_finish(s, REPLY_DONE);
}

void
cmd_logout(struct imap_session *s)
{
	buffer_add_text(&s->out, "* BYE Logging out.\r\n");
	session_reply(s, REPLY_DONE);
	s->await = IMAP_AWAIT_NOTHING;
	s->effects->finish(s->shell);
}

/* "ID" SP (nil / "(" [string SP nstring *(SP string SP nstring)] ")"), RFC 2971 3.1 */
bool
parse_id(struct imap_command *command, struct cursor *c)
{
	struct slice text;

	if (!take_sp(c))
		return false;
	if (take_word(c, SLICE("NIL")))
		return true;
	if (!take_byte(c, '('))
		return false;
	if (take_byte(c, ')'))
		return true;
	do {
		if (!take_string(c, &command->arena, &text) || !take_sp(c) ||
			!take_nstring(c, &command->arena, &text))
			return false;
	} while (take_sp(c));
	return take_byte(c, ')');
}

void
cmd_id(struct imap_session *s)
{
	buffer_add_text(&s->out, "* ID (\"name\" \"Pabal\")\r\n");
	session_finish(s, REPLY_DONE);
}

/* "ENABLE" 1*(SP capability), RFC 5161 3.1 */
bool
parse_enable(struct imap_command *command, struct cursor *c)
{
	struct slice name;

	(void)command;
	do {
		if (!take_sp(c) || !take_atom(c, &name))
			return false;
	} while (!cursor_at_end(c));
	return true;
}

void
cmd_enable(struct imap_session *s)
{
	/* No extension of ours waits to be enabled; others are passed over (RFC 5161 3.1). */
	buffer_add_text(&s->out, "* ENABLED\r\n");
	session_finish(s, REPLY_DONE);
}

void
cmd_namespace(struct imap_session *s)
{
	buffer_add_text(&s->out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	session_finish(s, REPLY_DONE);
}
