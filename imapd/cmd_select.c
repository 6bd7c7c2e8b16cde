/* SPDX-License-Identifier: ISC */
/*
 * SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2; RFC 3691).  Linked by imapd.
 */
#include "imapd/flags.h"
#include "imapd/mailbox.h"
#include "imapd/uids.h"

enum { UNSEEN_STEP = 1024 }; /* messages looked at in one go from the end backwards */

/* The usual case, and no matter how many there are: from the first to the last without a gap. */
static bool
load_whole(struct imap_session *s, const struct store_mailbox *mailbox)
{
	struct reader_walk walk;
	struct store_message m;

	reader_walk_open(s->core->reader, s->account, mailbox->id, &walk);
	bool is_there = reader_walk_seek(&walk, 1, &m);
	(void)reader_walk_close(&walk);
	if (!is_there || mailbox->uidnext - m.uid != mailbox->exists)
		return false;
	struct uid_range all = {m.uid, mailbox->uidnext - 1};
	return view_append(&s->view, all) == FAULT_OK;
}

static enum fault
load_view(struct imap_session *s, const struct store_mailbox *mailbox)
{
	struct uid_set uids = {.count = 0};

	if (mailbox->exists == 0 || load_whole(s, mailbox))
		return FAULT_OK;
	enum fault fault = reader_uids(s->core->reader, s->account, mailbox->id, 1, &uids);

	for (size_t i = 0; fault == FAULT_OK && i < uids.count; i++)
		fault = view_append(&s->view, uids.ranges[i]);
	if (fault == FAULT_OK)
		fault = uids.fault;
	uid_set_clear(&uids);
	return fault;
}

/* Counts the unseen among sequence numbers first .. last; *lowest is the first of them. */
static uint32_t
count_unseen(struct imap_session *s, uint32_t first, uint32_t last, uint32_t *lowest)
{
	struct reader_walk walk;
	struct store_message m;
	uint32_t unseen = 0;
	size_t hint = 0;
	uint32_t end = view_uid(&s->view, last);

	reader_walk_open(s->core->reader, s->account, s->view.mailbox, &walk);
	for (bool more = reader_walk_seek(&walk, view_uid(&s->view, first), &m);
		more && m.uid <= end; more = reader_walk_next(&walk, &m)) {
		if ((m.flags & STORE_SEEN) != 0)
			continue;
		if (unseen++ == 0)
			*lowest = view_seq_next(&s->view, m.uid, &hint);
	}
	(void)reader_walk_close(&walk);
	return unseen;
}

/* Unseen messages are mostly the newest: looks from the end backwards until all are found. */
static uint32_t
find_first_unseen(struct imap_session *s, uint32_t unseen)
{
	uint32_t last = s->view.count;
	uint32_t lowest = 0;

	while (unseen > 0 && last > 0) {
		uint32_t first = last > UNSEEN_STEP ? last - UNSEEN_STEP + 1 : 1;
		uint32_t found = count_unseen(s, first, last, &lowest);
		unseen = found < unseen ? unseen - found : 0;
		last = first - 1;
	}
	return lowest;
}

static void
write_selected(struct imap_session *s, const struct store_mailbox *mailbox)
{
	struct store_keyword_names names;
	struct arena *scratch = &s->core->scratch;

	if (reader_keywords(s->core->reader, s->account, scratch, &names) != FAULT_OK)
		names.count = 0;
	flags_announce(s, &names);
	arena_clear(scratch);
	buffer_printf(&s->out, "* %u EXISTS\r\n* %u RECENT\r\n", s->view.count,
		view_count_between(&s->view, s->view.recent_from, UINT32_MAX));
	uint32_t unseen = find_first_unseen(s, mailbox->unseen);
	if (unseen > 0)
		buffer_printf(&s->out, "* OK [UNSEEN %u] First unseen.\r\n", unseen);
	buffer_printf(&s->out,
		"* OK [UIDVALIDITY %u] UIDs valid.\r\n* OK [UIDNEXT %u] Predicted next UID.\r\n",
		mailbox->uidvalidity, mailbox->uidnext);
}

static enum fault
open_mailbox(struct imap_session *s)
{
	struct store_mailbox mailbox;
	enum fault fault = reader_begin(s->core->reader);

	if (fault != FAULT_OK)
		return fault;
	fault = reader_mailbox(s->core->reader, s->account, s->view.mailbox, &mailbox);
	if (fault == FAULT_OK)
		fault = load_view(s, &mailbox);
	if (fault == FAULT_OK) {
		s->view.uidvalidity = mailbox.uidvalidity;
		s->view.modseq = mailbox.highest_modseq;
		write_selected(s, &mailbox);
	}
	reader_end(s->core->reader);
	return fault;
}

static void
enter_mailbox(struct imap_session *s)
{
	enum fault fault = open_mailbox(s);

	if (fault != FAULT_OK) {
		session_unselect(s);
		session_finish_fault(s, fault);
		return;
	}
	s->state = IMAP_SELECTED;
	session_finish(s, s->view.read_only ? REPLY_EXAMINED : REPLY_SELECTED);
}

static void
on_recent_claimed(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_recent_claimed *claimed = answer->payload;

	/* Without mailboxd nobody gets them, and they stay recent for the next session. */
	if (answer->fault == FAULT_OK)
		s->view.recent_from = claimed->first_recent;
	enter_mailbox(s);
}

static void
select_mailbox(struct imap_session *s, bool read_only)
{
	struct store_mailbox mailbox;

	/* RFC 3501 6.3.1: whatever comes of it, the old mailbox is left. */
	session_unselect(s);
	enum fault fault = mailbox_find(s, s->command.arguments.mailbox.name, &mailbox);
	if (fault != FAULT_OK) {
		session_finish_fault(s, fault);
		return;
	}
	s->view.mailbox = mailbox.id;
	s->view.read_only = read_only;
	s->view.recent_from = mailbox.recent_from;
	if (read_only || mailbox.recent == 0) {
		enter_mailbox(s);
		return;
	}
	struct ipc_recent_claim claim = {s->account, mailbox.id};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_RECENT_CLAIM, &claim, -1};
	session_ask(s, &request, on_recent_claimed);
}

void
cmd_select(struct imap_session *s)
{
	select_mailbox(s, false);
}

void
cmd_examine(struct imap_session *s)
{
	select_mailbox(s, true);
}

void
cmd_unselect(struct imap_session *s)
{
	session_unselect(s);
	session_finish(s, REPLY_DONE);
}

static void
on_closed(struct imap_session *s, const struct ipc_answer *answer)
{
	if (answer->fault != FAULT_OK && answer->fault != FAULT_NOT_FOUND) {
		session_finish_fault(s, answer->fault);
		return;
	}
	cmd_unselect(s);
}

void
cmd_close(struct imap_session *s)
{
	struct store_mailbox mailbox;
	uint32_t deleted = 1;

	if (reader_begin(s->core->reader) == FAULT_OK) {
		if (reader_mailbox(s->core->reader, s->account, s->view.mailbox, &mailbox) ==
			FAULT_OK)
			deleted = mailbox.deleted;
		reader_end(s->core->reader);
	}
	if (s->view.read_only || s->view.gone || s->view.count == 0 || deleted == 0) {
		cmd_unselect(s);
		return;
	}
	uids_ask_expunge(s, on_closed);
}
