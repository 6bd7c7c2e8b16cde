/* SPDX-License-Identifier: ISC */
/*
 * STORE, COPY, MOVE, EXPUNGE and their UID forms (RFC 3501 6.4.3, 6.4.6, 6.4.7; RFC 4315 UIDPLUS;
 * RFC 6851 MOVE): requests to mailboxd.  Linked by imapd.
 */
#include "imapd/flags.h"
#include "imapd/mailbox.h"
#include "imapd/sync.h"
#include "imapd/uids.h"
#include "imapd/walk.h"

bool
parse_expunge(struct imap_command *command, struct cursor *c)
{
	if (!command->by_uid)
		return true;
	return take_sp(c) &&
		take_sequence_set(c, &command->arena, &command->arguments.messages.set);
}

static void
on_expunged(struct imap_session *s, const struct ipc_answer *answer)
{
	session_finish_fault(s, answer->fault == FAULT_NOT_FOUND ? FAULT_OK : answer->fault);
}

/* RFC 4315 2.1 */
static void
uid_expunge(struct imap_session *s)
{
	struct uid_list list;
	struct uids_wire wire;

	if (!uids_resolve(s, &s->command.arguments.messages.set, &list))
		return;
	enum fault fault = uids_encode(s, &list, &wire);
	if (fault != FAULT_OK || list.count == 0) {
		session_finish_fault(s, fault);
		return;
	}
	struct ipc_expunge expunge = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.only_deleted = true,
		.uids = wire.bytes,
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_EXPUNGE, &expunge, wire.fd};
	session_ask(s, &request, on_expunged);
	uids_wire_clear(&wire);
}

void
cmd_expunge(struct imap_session *s)
{
	if (s->view.gone || s->view.count == 0)
		session_finish(s, REPLY_DONE);
	else if (s->command.by_uid)
		uid_expunge(s);
	else
		uids_ask_expunge(s, on_expunged);
}

bool
parse_copy(struct imap_command *command, struct cursor *c)
{
	struct arena *arena = &command->arena;

	return take_sp(c) && take_sequence_set(c, arena, &command->arguments.messages.set) &&
		take_sp(c) && take_astring(c, arena, &command->arguments.messages.mailbox);
}

/* "COPYUID" SP uidvalidity SP source SP copies (RFC 4315 3) */
static void
format_copyuid(struct imap_session *s, const struct ipc_copied *copied, const struct uid_list *from,
	struct buffer *out)
{
	uint32_t count = 0;

	(void)s;
	for (size_t i = 0; i < from->count; i++)
		count += from->ranges[i].last - from->ranges[i].first + 1;
	struct uid_range to = {copied->first_uid, copied->first_uid + count - 1};
	buffer_add_text(out, "COPYUID ");
	buffer_add_u64(out, copied->uidvalidity);
	buffer_add_byte(out, ' ');
	uids_format(from, out);
	buffer_add_byte(out, ' ');
	uids_format(&(struct uid_list){&to, 1}, out);
}

/*
 * Nothing was there to be copied.  By UID that is no error (RFC 3501 6.4.8); by number the
 * messages have gone since the client was told of them (RFC 2180 4.4).
 */
static void
finish_nothing_copied(struct imap_session *s)
{
	session_finish(s, s->command.by_uid ? REPLY_DONE : REPLY_EXPUNGED);
}

static bool
take_copied(struct imap_session *s, const struct ipc_answer *answer, struct uid_list *from)
{
	const struct ipc_copied *copied = answer->payload;
	enum fault fault = answer->fault;

	if (fault == FAULT_OK)
		fault = uids_decode(s, copied->uids, answer->message, from);
	if (fault == FAULT_NOT_FOUND)
		/* Somebody has deleted it since we looked. */
		session_finish(s, REPLY_TRYCREATE);
	else if (fault != FAULT_OK)
		session_finish_fault(s, fault);
	else if (from->count == 0)
		finish_nothing_copied(s);
	return fault == FAULT_OK && from->count > 0;
}

static void
on_copied(struct imap_session *s, const struct ipc_answer *answer)
{
	struct uid_list from;

	if (!take_copied(s, answer, &from))
		return;
	format_copyuid(s, answer->payload, &from, session_code(s));
	session_finish(s, REPLY_DONE);
}

/* RFC 6851 4.3: the code comes before the EXPUNGEs, in an untagged OK. */
static void
on_moved(struct imap_session *s, const struct ipc_answer *answer)
{
	struct uid_list from;

	if (!take_copied(s, answer, &from))
		return;
	buffer_add_text(&s->out, "* OK [");
	format_copyuid(s, answer->payload, &from, &s->out);
	buffer_add_text(&s->out, "] Moved.\r\n");
	session_finish(s, REPLY_DONE);
}

/* The mailbox to copy to; when it is not there the reply is given and the answer is false. */
static bool
find_target(struct imap_session *s, struct store_mailbox *to)
{
	enum fault fault = mailbox_find(s, s->command.arguments.messages.mailbox, to);

	if (fault == FAULT_NOT_FOUND)
		session_finish(s, REPLY_TRYCREATE);
	else if (fault != FAULT_OK)
		session_finish_fault(s, fault);
	return fault == FAULT_OK;
}

static void
copy(struct imap_session *s, bool move, imap_on_answer *on_answer)
{
	struct uid_list list;
	struct uids_wire wire;
	struct store_mailbox to;

	if (!uids_resolve(s, &s->command.arguments.messages.set, &list) || !find_target(s, &to))
		return;
	enum fault fault = uids_encode(s, &list, &wire);
	if (fault != FAULT_OK) {
		session_finish_fault(s, fault);
		return;
	}
	if (list.count == 0) {
		session_finish(s, REPLY_DONE);
		return;
	}
	struct ipc_copy wish = {s->account, s->view.mailbox, to.id, move, wire.bytes};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_COPY, &wish, wire.fd};
	session_ask(s, &request, on_answer);
	uids_wire_clear(&wire);
}

void
cmd_copy(struct imap_session *s)
{
	copy(s, false, on_copied);
}

void
cmd_move(struct imap_session *s)
{
	copy(s, true, on_moved);
}

/* (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) */
static bool
take_store_att_flags(struct cursor *c, struct imap_command *command)
{
	uint32_t operation = IPC_FLAGS_SET;

	if (take_byte(c, '+'))
		operation = IPC_FLAGS_ADD;
	else if (take_byte(c, '-'))
		operation = IPC_FLAGS_REMOVE;
	command->arguments.store.operation = operation;
	if (!take_text_nocase(c, SLICE("FLAGS")))
		return false;
	command->arguments.store.silent = take_text_nocase(c, SLICE(".SILENT"));
	if (!take_sp(c))
		return false;
	return take_flag_list(c, &command->arena, &command->arguments.store.flags) ||
		take_flags(c, &command->arena, &command->arguments.store.flags);
}

bool
parse_store(struct imap_command *command, struct cursor *c)
{
	return take_sp(c) && take_sequence_set(c, &command->arena, &command->arguments.store.set) &&
		take_sp(c) && take_store_att_flags(c, command);
}

static enum walk_step
tell_stored(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	struct flag_names *names = arg;

	s->command.arguments.store.told++;
	flag_names_load(s, m, names);
	buffer_add_text(&s->out, "* ");
	buffer_add_u64(&s->out, seq);
	buffer_add_text(&s->out, " FETCH (FLAGS ");
	flags_format(s, m, names);
	if (s->command.by_uid) {
		buffer_add_text(&s->out, " UID ");
		buffer_add_u64(&s->out, m->uid);
	}
	buffer_add_text(&s->out, ")\r\n");
	return WALK_ON;
}

/* RFC 2180 4.2.2: by number, and not silently, a missing message is an error. */
static enum imap_reply
stored_reply(const struct imap_session *s)
{
	bool is_missing = s->command.arguments.store.told < s->command.arguments.store.expected;

	return !s->command.by_uid && is_missing ? REPLY_EXPUNGED : REPLY_DONE;
}

static void
tell_all_stored(struct imap_session *s)
{
	struct flag_names names = {.is_loaded = false};

	if (walk_slice(s, s->walk, tell_stored, &names))
		session_finish(s, stored_reply(s));
}

static void
on_stored(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_flags_stored *stored = answer->payload;

	if (answer->fault != FAULT_OK) {
		session_finish_fault(s, answer->fault);
		return;
	}
	s->view.own_modseq = stored->modseq;
	sync_learn(s);
	if (!s->command.arguments.store.silent) {
		session_continue(s, tell_all_stored);
		return;
	}
	/* What others have changed in the same messages is still to be told (RFC 3501 6.4.6). */
	s->view.own_modseq = 0;
	session_finish(s, REPLY_DONE);
}

void
cmd_store(struct imap_session *s)
{
	struct uid_list list;
	struct uids_wire wire;

	if (!uids_resolve(s, &s->command.arguments.store.set, &list))
		return;
	enum fault fault = uids_encode(s, &list, &wire);
	if (fault != FAULT_OK || list.count == 0) {
		session_finish_fault(s, fault);
		return;
	}
	s->command.arguments.store.expected = uids_count(s, &list);
	s->walk = uids_walk(s, &list);
	if (s->walk == NULL) {
		uids_wire_clear(&wire);
		session_finish_fault(s, FAULT_BUDGET);
		return;
	}
	struct ipc_flags_store store = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.uids = wire.bytes,
		.operation = s->command.arguments.store.operation,
		.flags = s->command.arguments.store.flags.flags,
		.keywords = s->command.arguments.store.flags.keywords,
		.unchanged_since = UINT64_MAX,
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_FLAGS_STORE, &store, wire.fd};
	session_ask(s, &request, on_stored);
	uids_wire_clear(&wire);
}
