/* SPDX-License-Identifier: ISC */
/*
 * CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3-6.3.7; RFC 6154 3): requests to
 * mailboxd, which knows all rules.  Linked by imapd.
 */
#include "imapd/mailbox.h"

#include "common/mail/mutf7.h"

enum fault
mailbox_name_parse(struct slice written, struct store_name *name)
{
	struct buffer utf8;

	/* Every two bytes of modified UTF-7 are at most three of UTF-8. */
	buffer_init(&utf8, 8 * STORE_NAME_MAX);
	enum fault fault = mutf7_decode(written, &utf8);
	if (fault == FAULT_OK)
		fault = store_name_parse(buffer_slice(&utf8), name);
	buffer_clear(&utf8);
	return fault == FAULT_BUDGET ? FAULT_TOO_LONG : fault;
}

enum fault
mailbox_find(struct imap_session *s, struct slice written, struct store_mailbox *mailbox)
{
	struct store_name name;
	struct store_reader *reader = s->core->reader;

	if (mailbox_name_parse(written, &name) != FAULT_OK)
		return FAULT_NOT_FOUND;
	enum fault fault = reader_begin(reader);
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_IO : fault;
	fault = reader_mailbox_by_name(reader, s->account, store_name_slice(&name), mailbox);
	reader_end(reader);
	if (fault == FAULT_OK && mailbox->noselect)
		return FAULT_NOT_FOUND;
	return fault;
}

bool
parse_mailbox(struct imap_command *command, struct cursor *c)
{
	return take_sp(c) && take_astring(c, &command->arena, &command->arguments.mailbox.name);
}

bool
parse_rename(struct imap_command *command, struct cursor *c)
{
	return parse_mailbox(command, c) && take_sp(c) &&
		take_astring(c, &command->arena, &command->arguments.mailbox.to);
}

/* SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")", RFC 6154 6 */
static bool
take_create_use(struct imap_command *command, struct cursor *c)
{
	struct slice attribute;

	if (!take_sp(c) || !take_byte(c, '(') || !take_word(c, SLICE("USE")) || !take_sp(c) ||
		!take_byte(c, '('))
		return false;
	if (peek_byte(c) != ')')
		do {
			if (!take_byte(c, '\\') || !take_atom(c, &attribute))
				return false;
			/* A mailbox of ours has one use; a second one is refused as unknown. */
			command->arguments.mailbox.use =
				command->arguments.mailbox.has_use ? SLICE("?") : attribute;
			command->arguments.mailbox.has_use = true;
		} while (take_sp(c));
	return take_byte(c, ')') && take_byte(c, ')');
}

bool
parse_create(struct imap_command *command, struct cursor *c)
{
	if (!parse_mailbox(command, c))
		return false;
	return cursor_at_end(c) || take_create_use(command, c);
}

static void
on_mailbox_done(struct imap_session *s, const struct ipc_answer *answer)
{
	session_finish_fault(s, answer->fault);
}

static void
on_created(struct imap_session *s, const struct ipc_answer *answer)
{
	bool has_use = s->command.arguments.mailbox.has_use;
	struct store_mailbox mailbox;

	/* Of a new name FAULT_EXISTS can only mean the use (RFC 6154 3). */
	if (answer->fault == FAULT_EXISTS && has_use &&
		mailbox_find(s, s->command.arguments.mailbox.name, &mailbox) == FAULT_NOT_FOUND)
		session_finish(s, REPLY_USEATTR);
	else
		session_finish_fault(s, answer->fault);
}

static void
ask_mailboxd(struct imap_session *s, enum ipc_type type, const void *payload)
{
	struct imap_request request = {PROCESS_MAILBOXD, type, payload, -1};

	session_ask(s, &request, on_mailbox_done);
}

/* The name in canonical form, or the reply is given and the answer is false. */
static bool
get_name(struct imap_session *s, struct slice written, struct store_name *name)
{
	if (mailbox_name_parse(written, name) == FAULT_OK)
		return true;
	session_finish(s, REPLY_BAD_NAME);
	return false;
}

static bool
find_use(struct slice attribute, uint32_t *use)
{
	for (uint32_t i = STORE_USE_NONE + 1; i < STORE_USE_COUNT; i++) {
		struct slice text = slice_text(store_special_use_text((enum store_special_use)i));
		if (slice_equal_nocase(slice_after(text, 1), attribute)) {
			*use = i;
			return true;
		}
	}
	return false;
}

void
cmd_create(struct imap_session *s)
{
	struct ipc_mailbox_create create = {.account = s->account, .special_use = STORE_USE_NONE};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_MAILBOX_CREATE, &create, -1};
	struct store_name name;

	if (!get_name(s, s->command.arguments.mailbox.name, &name))
		return;
	if (s->command.arguments.mailbox.has_use &&
		!find_use(s->command.arguments.mailbox.use, &create.special_use)) {
		session_finish(s, REPLY_USEATTR);
		return;
	}
	create.name = store_name_slice(&name);
	session_ask(s, &request, on_created);
}

void
cmd_delete(struct imap_session *s)
{
	struct store_name name;

	if (!get_name(s, s->command.arguments.mailbox.name, &name))
		return;
	struct ipc_mailbox_name gone = {s->account, store_name_slice(&name)};
	ask_mailboxd(s, IPC_MAILBOX_DELETE, &gone);
}

void
cmd_rename(struct imap_session *s)
{
	struct store_name from, to;

	if (!get_name(s, s->command.arguments.mailbox.name, &from) ||
		!get_name(s, s->command.arguments.mailbox.to, &to))
		return;
	struct ipc_mailbox_rename rename = {
		s->account, store_name_slice(&from), store_name_slice(&to)};
	ask_mailboxd(s, IPC_MAILBOX_RENAME, &rename);
}

static void
subscribe(struct imap_session *s, bool subscribed)
{
	struct store_name name;

	if (!get_name(s, s->command.arguments.mailbox.name, &name))
		return;
	struct ipc_mailbox_subscribe wish = {s->account, store_name_slice(&name), subscribed};
	ask_mailboxd(s, IPC_MAILBOX_SUBSCRIBE, &wish);
}

void
cmd_subscribe(struct imap_session *s)
{
	subscribe(s, true);
}

void
cmd_unsubscribe(struct imap_session *s)
{
	subscribe(s, false);
}
