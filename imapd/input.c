/* SPDX-License-Identifier: ISC */
/*
 * Gathers a command with its literals (RFC 3501 2.2.1, 4.3; RFC 7888) and hands it to the row of
 * the command table.  It trusts no byte: what is too long ends the connection, for passing over it
 * would mean to guess where the next command begins.
 */
#include "imapd/input.h"

#include "common/net/line.h"
#include "imapd/append.h"

static size_t
command_max(const struct imap_session *s)
{
	return s->state == IMAP_NOT_AUTHENTICATED ? SESSION_LOGIN_COMMAND_MAX : SESSION_COMMAND_MAX;
}

/* The reply to something that is not even a command. */
static void
refuse(struct imap_session *s, enum imap_reply reply)
{
	struct cursor c = cursor_of(buffer_slice(&s->text));
	static const struct imap_row nothing = {.name = ""};

	s->command.row = &nothing;
	if (!take_tag(&c, &s->command.tag) || !take_sp(&c))
		s->command.tag = SLICE("*");
	session_reply(s, reply);
}

static bool
is_allowed(struct imap_session *s, const struct imap_row *row)
{
	if ((row->states & s->state) == 0) {
		session_reply(s, REPLY_STATE);
		return false;
	}
	if ((row->needs & IMAP_NEED_WRITE) != 0 && s->view.read_only) {
		session_finish(s, REPLY_READ_ONLY);
		return false;
	}
	return true;
}

/* The name of the command; "UID" in front of it chooses the other form (RFC 3501 6.4.8). */
static const struct imap_row *
take_command_name(struct cursor *c, bool *by_uid)
{
	struct slice name;

	if (!take_atom(c, &name))
		return NULL;
	*by_uid = slice_equal_nocase(name, SLICE("UID"));
	if (*by_uid && (!take_sp(c) || !take_atom(c, &name)))
		return NULL;
	const struct imap_row *row = commands_find(name);
	if (row == NULL || (*by_uid && (row->needs & IMAP_HAS_UID) == 0))
		return NULL;
	return row;
}

/* Parse, permit, perform. */
static void
execute(struct imap_session *s)
{
	struct imap_command *command = &s->command;
	struct slice text = buffer_slice(&s->text);
	struct cursor c = cursor_of(slice_first(text, text.len - 2));

	if (memchr(text.data, '\0', text.len) != NULL) {
		refuse(s, REPLY_NUL);
		return;
	}
	if (!take_tag(&c, &command->tag) || !take_sp(&c)) {
		refuse(s, REPLY_SYNTAX);
		return;
	}
	const struct imap_row *row = take_command_name(&c, &command->by_uid);
	if (row == NULL) {
		refuse(s, REPLY_UNKNOWN);
		return;
	}
	command->row = row;
	s->core->commands++;
	if ((row->parse != NULL && !row->parse(command, &c)) || !cursor_at_end(&c))
		session_reply(s, REPLY_SYNTAX);
	else if (is_allowed(s, row))
		row->perform(s);
}

static void
begin_literal(struct imap_session *s, const struct line_literal *literal)
{
	size_t room = command_max(s);

	if (literal->binary || literal->size > SESSION_LITERAL_MAX ||
		buffer_len(&s->text) + literal->size > room) {
		if (literal->synchronising)
			refuse(s, literal->binary ? REPLY_BINARY : REPLY_TOO_LONG);
		else
			session_bye(s, "Literal too long");
		return;
	}
	s->literal_left = literal->size;
	s->line_start = buffer_len(&s->text);
	if (literal->synchronising)
		buffer_add_text(&s->out, "+ OK\r\n");
}

static void
on_line(struct imap_session *s)
{
	struct slice text = buffer_slice(&s->text);
	struct slice line = slice_after(slice_first(text, text.len - 2), s->line_start);
	struct line_literal literal;

	if (s->append != NULL && append_is_received(s->append)) {
		execute(s);
		return;
	}
	if (!line_find_literal(line, &literal)) {
		if (text.len > 2)
			execute(s);
		else
			buffer_reset(&s->text);
		return;
	}
	if (!literal.binary && append_begins(s, &literal))
		return;
	begin_literal(s, &literal);
}

/* A line that ends in LF alone counts too, and is put right. */
static void
end_line(struct imap_session *s)
{
	struct slice text = buffer_slice(&s->text);

	if (text.len >= 2 && text.data[text.len - 2] == '\r')
		return;
	buffer_truncate(&s->text, text.len - 1);
	buffer_add_text(&s->text, "\r\n");
}

static size_t
take_command_line(struct imap_session *s, struct slice input)
{
	const char *lf = memchr(input.data, '\n', input.len);
	size_t used = lf == NULL ? input.len : (size_t)(lf - input.data) + 1;
	size_t line_len = buffer_len(&s->text) - s->line_start + used;

	buffer_add(&s->text, input.data, used);
	if (line_len > SESSION_LINE_MAX || buffer_len(&s->text) > command_max(s) ||
		buffer_fault(&s->text) != FAULT_OK) {
		session_bye(s, "Command too long");
		return used;
	}
	if (lf != NULL) {
		end_line(s);
		on_line(s);
	}
	return used;
}

size_t
input_take_command(struct imap_session *s, struct slice input)
{
	if (input.len == 0)
		return 0;
	if (s->literal_left == 0)
		return take_command_line(s, input);
	size_t used = input.len < s->literal_left ? input.len : (size_t)s->literal_left;
	buffer_add(&s->text, input.data, used);
	s->literal_left -= used;
	if (s->literal_left == 0)
		s->line_start = buffer_len(&s->text);
	return used;
}

size_t
input_take_line(struct imap_session *s, struct slice input, const struct input_line *rule)
{
	const char *lf = input.len > 0 ? memchr(input.data, '\n', input.len) : NULL;
	size_t used = lf == NULL ? input.len : (size_t)(lf - input.data) + 1;

	if (buffer_len(&s->line) + used > rule->max) {
		session_bye(s, "Line too long");
		return used;
	}
	buffer_add(&s->line, input.data, used);
	if (lf == NULL)
		return used;
	struct slice line = buffer_slice(&s->line);
	line = slice_first(line, line.len - 1);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line = slice_first(line, line.len - 1);
	rule->on_line(s, line);
	/* It may have held a password. */
	secret_wipe(s->line.data, s->line.size);
	buffer_clear(&s->line);
	return used;
}

void
input_resume_command(struct imap_session *s)
{
	s->await = IMAP_AWAIT_COMMAND;
	s->line_start = buffer_len(&s->text);
}
