/* SPDX-License-Identifier: ISC */
/*
 * Keeps the view of a session in step with the store.  The rule that matters: the client's
 * sequence numbers change only by what is written here.  Linked by imapd.
 */
#include "imapd/sync.h"

#include "imapd/flags.h"

enum {
	EXPUNGE_BATCH = 1024, /* ranges told before the view is put right */
	EXPUNGE_RUN = 256, /* messages of one range in a batch */
};

static enum fault
learn_change(void *arg, const struct store_change *change)
{
	struct view *view = arg;

	switch (change->kind) {
	case STORE_CHANGE_NEW:
		view->has_news = true;
		break;
	case STORE_CHANGE_FLAGS:
		if (change->modseq != view->own_modseq)
			uid_set_push(&view->changed, change->uid_first, change->uid_last);
		break;
	case STORE_CHANGE_EXPUNGED:
		uid_set_push(&view->expunged, change->uid_first, change->uid_last);
		break;
	case STORE_CHANGE_MAILBOX:
	case STORE_CHANGE_MAILBOX_GONE:
	case STORE_CHANGE_SUBSCRIPTIONS:
		break;
	}
	return FAULT_OK;
}

/* All of the view that is not among the UIDs of the store has been expunged. */
static void
push_missing(struct view *view, const struct uid_set *there)
{
	uint32_t next = 1;

	for (size_t i = 0; i < there->count; i++) {
		if (there->ranges[i].first > next)
			uid_set_push(&view->expunged, next, there->ranges[i].first - 1);
		next = there->ranges[i].last + 1;
		if (next == 0)
			return;
	}
	uid_set_push(&view->expunged, next, UINT32_MAX);
}

/* The change log does not reach back so far: compare everything. */
static enum fault
learn_all(struct imap_session *s)
{
	struct uid_set there = {.count = 0};
	enum fault fault = reader_uids(s->core->reader, s->account, s->view.mailbox, 1, &there);

	if (fault == FAULT_OK)
		fault = there.fault;
	if (fault == FAULT_OK) {
		push_missing(&s->view, &there);
		uid_set_push(&s->view.changed, 1, UINT32_MAX);
		s->view.has_news = true;
	}
	uid_set_clear(&there);
	return fault;
}

static enum fault
learn_changes(struct imap_session *s)
{
	struct reader_changes changes = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.since = s->view.modseq,
		.each = learn_change,
		.arg = &s->view,
	};
	enum fault fault = reader_changes(s->core->reader, &changes);

	return fault == FAULT_EXPIRED ? learn_all(s) : fault;
}

static void
drop_told(struct view *view)
{
	struct uid_set *set = &view->changed;

	if (view->changed_told == 0)
		return;
	set->count -= view->changed_told;
	memmove(set->ranges, set->ranges + view->changed_told, set->count * sizeof *set->ranges);
	view->changed_told = 0;
}

static void
learn_gone(struct view *view)
{
	if (!view->gone)
		uid_set_push(&view->expunged, 1, UINT32_MAX);
	view->gone = true;
}

void
sync_learn(struct imap_session *s)
{
	struct view *view = &s->view;
	struct store_mailbox mailbox;

	s->synced = true;
	s->has_hint = false;
	drop_told(view);
	if (view->mailbox == 0 || reader_begin(s->core->reader) != FAULT_OK)
		return;
	enum fault fault = reader_mailbox(s->core->reader, s->account, view->mailbox, &mailbox);
	if (fault == FAULT_NOT_FOUND || (fault == FAULT_OK && mailbox.noselect)) {
		learn_gone(view);
	} else if (fault == FAULT_OK && mailbox.highest_modseq > view->modseq) {
		if (view->changed.count == 0)
			view->changed_since = view->modseq;
		if (learn_changes(s) == FAULT_OK)
			view->modseq = mailbox.highest_modseq;
	}
	reader_end(s->core->reader);
	uid_set_normalize(&view->changed);
	uid_set_normalize(&view->expunged);
}

/*
 * The next run of messages to be told as expunged, from the highest UID downwards: told in this
 * order, each one's number is still what it was, and the view is put right once per batch.
 */
static bool
take_expunged_run(struct view *view, uint32_t below, struct uid_range *run)
{
	struct uid_set *set = &view->expunged;

	while (set->count > 0) {
		struct uid_range *top = &set->ranges[set->count - 1];
		uint32_t last = top->last < below ? top->last : below - 1;
		uint32_t there = below == 0 || last < top->first
			? 0
			: view_count_between(view, top->first, last);
		if (there == 0) {
			set->count--;
			continue;
		}
		/* The highest message of the range, and as many right below it as lie together. */
		uint32_t seq_first = view_count_between(view, 1, top->first - 1) + 1;
		uint32_t high = view_uid(view, seq_first + there - 1);
		uint32_t low = high;
		uint32_t left = EXPUNGE_RUN;
		while (low > top->first && --left > 0 && view_seq(view, low - 1) != 0)
			low--;
		*run = (struct uid_range){low, high};
		if (low == top->first)
			set->count--;
		else
			top->last = low - 1;
		return true;
	}
	return false;
}

static void
write_expunged(struct imap_session *s, const struct uid_range *run)
{
	uint32_t seq = view_seq(&s->view, run->last);

	for (uint32_t n = run->last - run->first + 1; n > 0; n--, seq--) {
		buffer_add_text(&s->out, "* ");
		buffer_add_u64(&s->out, seq);
		buffer_add_text(&s->out, " EXPUNGE\r\n");
	}
}

/* Takes what was told, listed from the highest down, out of the view. */
static void
forget_told(struct imap_session *s, struct uid_range *told, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		struct uid_range low = told[count - 1 - i];
		told[count - 1 - i] = told[i];
		told[i] = low;
	}
	if (view_remove(&s->view, told, count) != FAULT_OK)
		/* Client and server would disagree about the numbers from now on. */
		session_bye(s, "Out of memory");
}

/* A batch; true when all are told. */
static bool
tell_expunged(struct imap_session *s)
{
	struct uid_range told[EXPUNGE_BATCH];
	size_t count = 0;
	uint32_t below = view_last_uid(&s->view);

	if (s->view.expunged.count == 0)
		return true;
	below = below == UINT32_MAX ? below : below + 1;
	while (count < EXPUNGE_BATCH && !session_must_yield(s) &&
		take_expunged_run(&s->view, below, &told[count])) {
		write_expunged(s, &told[count]);
		below = told[count].first;
		count++;
	}
	if (count > 0)
		forget_told(s, told, count);
	if (s->view.expunged.count == 0)
		uid_set_clear(&s->view.expunged);
	return s->view.expunged.count == 0;
}

static void
write_sizes(struct imap_session *s)
{
	buffer_printf(&s->out, "* %u EXISTS\r\n* %u RECENT\r\n", s->view.count,
		view_count_between(&s->view, s->view.recent_from, UINT32_MAX));
}

static enum fault
append_news(struct imap_session *s)
{
	struct uid_set news = {.count = 0};
	enum fault fault = reader_begin(s->core->reader);

	if (fault != FAULT_OK)
		return fault;
	fault = reader_uids(
		s->core->reader, s->account, s->view.mailbox, view_last_uid(&s->view) + 1, &news);
	reader_end(s->core->reader);
	for (size_t i = 0; fault == FAULT_OK && i < news.count; i++)
		fault = view_append(&s->view, news.ranges[i]);
	if (fault == FAULT_OK)
		fault = news.fault;
	uid_set_clear(&news);
	return fault;
}

/* The messages are \Recent here; whoever selects the mailbox later must not see them so. */
static void
claim_recent(struct imap_session *s)
{
	struct ipc_recent_claim claim = {s->account, s->view.mailbox};
	struct imap_core *core = s->core;
	uint32_t uid = view_last_uid(&s->view);

	if (s->view.read_only ||
		(core->claimed_account == s->account && core->claimed_mailbox == s->view.mailbox &&
			core->claimed_uid == uid))
		return;
	core->claimed_account = s->account;
	core->claimed_mailbox = s->view.mailbox;
	core->claimed_uid = uid;
	s->effects->tell(s->shell, PROCESS_MAILBOXD, IPC_RECENT_CLAIM, &claim);
}

static void
tell_news(struct imap_session *s)
{
	uint32_t before = s->view.count;

	if (!s->view.has_news || s->view.gone)
		return;
	if (append_news(s) != FAULT_OK && s->view.count == before)
		return;
	s->view.has_news = false;
	if (s->view.count == before)
		return;
	write_sizes(s);
	claim_recent(s);
}

static void
tell_one_change(struct imap_session *s, const struct store_message *m, struct flag_names *names,
	uint32_t seq)
{
	flag_names_load(s, m, names);
	buffer_add_text(&s->out, "* ");
	buffer_add_u64(&s->out, seq);
	buffer_add_text(&s->out, " FETCH (UID ");
	buffer_add_u64(&s->out, m->uid);
	buffer_add_text(&s->out, " FLAGS ");
	flags_format(s, m, names);
	buffer_add_text(&s->out, ")\r\n");
}

/* Walks the next range; what is done is cut off from it.  False when it is time to yield. */
static bool
tell_range(struct imap_session *s, struct reader_walk *walk, struct flag_names *names)
{
	struct view *view = &s->view;
	struct uid_range *range = &view->changed.ranges[view->changed_told];
	struct store_message m;
	size_t hint = 0;

	for (bool more = reader_walk_seek(walk, range->first, &m); more && m.uid <= range->last;
		more = reader_walk_next(walk, &m)) {
		uint32_t seq = view_seq_next(view, m.uid, &hint);
		if (session_must_yield(s)) {
			range->first = m.uid;
			return false;
		}
		if (seq != 0 && m.modseq > view->changed_since && m.modseq != view->own_modseq)
			tell_one_change(s, &m, names, seq);
	}
	return true;
}

static bool
tell_changed(struct imap_session *s)
{
	struct uid_set *changed = &s->view.changed;
	struct flag_names names = {.is_loaded = false};
	struct reader_walk walk;
	bool done = true;

	if (changed->count == 0)
		return true;
	if (s->view.gone || reader_begin(s->core->reader) != FAULT_OK)
		return true;
	reader_walk_open(s->core->reader, s->account, s->view.mailbox, &walk);
	while (done && s->view.changed_told < changed->count) {
		done = tell_range(s, &walk, &names);
		s->view.changed_told += done;
	}
	(void)reader_walk_close(&walk);
	reader_end(s->core->reader);
	arena_clear(&s->core->scratch);
	if (!done)
		return false;
	uid_set_clear(changed);
	s->view.changed_told = 0;
	return true;
}

bool
sync_tell(struct imap_session *s, bool with_expunges)
{
	if (with_expunges && !tell_expunged(s))
		return s->await == IMAP_AWAIT_NOTHING;
	tell_news(s);
	if (!tell_changed(s))
		return false;
	s->view.own_modseq = 0;
	return true;
}
