/* SPDX-License-Identifier: ISC */
/*
 * FETCH and UID FETCH (RFC 3501 6.4.5, 7.4.2).  A walk over the messages; a long text is sent in
 * pieces, one per turn, in the middle of its message.  Linked by imapd.
 */
#include "imapd/fetch.h"

#include <stdlib.h>

void
fetch_free(struct imap_session *s)
{
	if (s->fetch == NULL)
		return;
	uid_set_clear(&s->fetch->unseen);
	free(s->fetch);
	s->fetch = NULL;
}

bool
parse_fetch(struct imap_command *command, struct cursor *c)
{
	return take_sp(c) && take_sequence_set(c, &command->arena, &command->arguments.fetch.set) &&
		take_sp(c) && take_fetch_atts(c, &command->arena, &command->arguments.fetch.atts);
}

static enum walk_step
fetch_one(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	s->fetch->told++;
	return fetch_write_message(s, m, seq, arg) ? WALK_ON : WALK_LEAVE;
}

/* Half a literal is out: the only honest thing left is to hang up. */
static void
hang_up(struct imap_session *s)
{
	s->await = IMAP_AWAIT_NOTHING;
	s->effects->finish(s->shell);
}

static void
send_rest(struct imap_session *s)
{
	struct imap_fetch *fetch = s->fetch;

	if (fetch->left > 0 && !fetch_write_piece(s)) {
		hang_up(s);
		return;
	}
	if (fetch->left > 0)
		return;
	fetch->is_sending = false;
	if (!fetch_resume_message(s))
		hang_up(s);
}

static void
finish_fetch(struct imap_session *s)
{
	const struct imap_fetch *fetch = s->fetch;

	if (fetch->fault != FAULT_OK)
		session_finish_fault(s, fetch->fault);
	else if (fetch->walk.fault != FAULT_OK)
		session_finish_fault(s, fetch->walk.fault);
	else if (!s->command.by_uid && fetch->told < fetch->expected)
		/* RFC 2180 4.1.2: the rest has been told, but somebody has expunged these. */
		session_finish(s, REPLY_EXPUNGED);
	else
		session_finish(s, REPLY_DONE);
}

static void
fetch_messages(struct imap_session *s)
{
	struct flag_names names = {.is_loaded = false};

	if (s->fetch->is_sending)
		send_rest(s);
	else if (walk_slice(s, &s->fetch->walk, fetch_one, &names) && !s->fetch->is_sending)
		finish_fetch(s);
}

static void
start_walk(struct imap_session *s)
{
	s->fetch->walk =
		(struct walk){.ranges = s->fetch->list.ranges, .count = s->fetch->list.count};
}

static void
on_seen(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_flags_stored *stored = answer->payload;

	/* Without mailboxd the messages stay unseen, but they can be read. */
	if (answer->fault == FAULT_OK)
		s->view.own_modseq = stored->modseq;
	else
		uid_set_clear(&s->fetch->unseen);
	start_walk(s);
	session_continue(s, fetch_messages);
}

static void
ask_seen(struct imap_session *s)
{
	struct uid_list list = {s->fetch->unseen.ranges, s->fetch->unseen.count};
	struct uids_wire wire;
	enum fault fault = uids_encode(s, &list, &wire);

	if (fault != FAULT_OK) {
		session_finish_fault(s, fault);
		return;
	}
	struct ipc_flags_store store = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.uids = wire.bytes,
		.operation = IPC_FLAGS_ADD,
		.flags = STORE_SEEN,
		.keywords = SLICE(""),
		.unchanged_since = UINT64_MAX,
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_FLAGS_STORE, &store, wire.fd};
	session_ask(s, &request, on_seen);
	uids_wire_clear(&wire);
}

static enum walk_step
note_unseen(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	(void)seq;
	(void)arg;
	if ((m->flags & STORE_SEEN) == 0)
		uid_set_add(&s->fetch->unseen, m->uid);
	return WALK_ON;
}

/* \Seen is set first, so that the flags told are the new ones. */
static void
mark_seen(struct imap_session *s)
{
	if (!walk_slice(s, &s->fetch->walk, note_unseen, NULL))
		return;
	if (s->fetch->unseen.count > 0) {
		ask_seen(s);
		return;
	}
	start_walk(s);
	session_continue(s, fetch_messages);
}

static void
look_at_atts(struct imap_fetch *fetch, const struct fetch_att *att)
{
	for (; att != NULL; att = att->next) {
		fetch->sets_seen |= att->sets_seen;
		fetch->asks_flags |= att->kind == FETCH_FLAGS;
		fetch->asks_uid |= att->kind == FETCH_UID;
	}
}

void
cmd_fetch(struct imap_session *s)
{
	struct uid_list list;

	if (!uids_resolve(s, &s->command.arguments.fetch.set, &list))
		return;
	s->fetch = calloc(1, sizeof *s->fetch);
	if (s->fetch == NULL) {
		session_finish_fault(s, FAULT_NOMEM);
		return;
	}
	s->fetch->list = list;
	s->fetch->expected = uids_count(s, &list);
	look_at_atts(s->fetch, s->command.arguments.fetch.atts);
	start_walk(s);
	session_continue(s, s->fetch->sets_seen && !s->view.read_only ? mark_seen : fetch_messages);
}
