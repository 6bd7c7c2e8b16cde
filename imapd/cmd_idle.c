/* SPDX-License-Identifier: ISC */
/* IDLE.  Linked by imapd. */
#include "imapd/idle.h"

#include "imapd/input.h"
#include "imapd/sync.h"

enum { DONE_LINE_MAX = 64 };

static void
go_idle(struct imap_session *s)
{
	if (s->state == IMAP_SELECTED && !sync_tell(s, true))
		return;
	if (s->await == IMAP_AWAIT_TURN)
		s->await = IMAP_AWAIT_END_OF_IDLE;
}

static void
start_idle(struct imap_session *s)
{
	if (s->state == IMAP_SELECTED && !sync_tell(s, true))
		return;
	if (s->await != IMAP_AWAIT_TURN)
		return;
	buffer_add_text(&s->out, "+ idling\r\n");
	s->await = IMAP_AWAIT_END_OF_IDLE;
	s->effects->idling(s->shell, true);
}

void
cmd_idle(struct imap_session *s)
{
	sync_learn(s);
	session_continue(s, start_idle);
}

void
idle_tell_changes(struct imap_session *s)
{
	sync_learn(s);
	session_continue(s, go_idle);
}

static void
on_done(struct imap_session *s, struct slice line)
{
	s->effects->idling(s->shell, false);
	s->synced = false;
	session_finish(s,
		slice_equal_nocase(slice_trim(line), SLICE("DONE")) ? REPLY_DONE : REPLY_NOT_DONE);
}

size_t
idle_take_line(struct imap_session *s, struct slice input)
{
	static const struct input_line rule = {DONE_LINE_MAX, on_done};

	return input_take_line(s, input, &rule);
}
