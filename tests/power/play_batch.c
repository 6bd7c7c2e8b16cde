/* SPDX-License-Identifier: ISC */
/* One batch of random operations on the store and on the model. */
#include "tests/power/play.h"

#include <stdio.h>

enum { OPERATIONS_MAX = 20, FULL_MESSAGES = 350 };

#define KEYWORD SLICE("Important")

static uint32_t
draw(struct play *p, uint32_t below)
{
	return play_random(&p->world.random, below);
}

static uint64_t
account_id(uint8_t account)
{
	return PLAY_FIRST_ACCOUNT + (uint64_t)account;
}

/*
 * What an operation answered.  A temporary fault is one of the host: the batch is given up.  Any
 * other is the store's mistake.
 */
static enum fault
judge(enum fault fault, const char *what)
{
	if (fault != FAULT_OK && !fault_is_temporary(fault))
		play_wrong("%s: %s", what, fault_text(fault));
	return fault;
}

static struct play_box *
box_find(struct play_world *w, uint8_t account, uint32_t id)
{
	for (uint32_t i = 0; i < w->box_count; i++)
		if (w->boxes[i].account == account && w->boxes[i].id == id)
			return &w->boxes[i];
	return NULL;
}

static struct play_box *
box_draw(struct play *p)
{
	return &p->world.boxes[draw(p, p->world.box_count)];
}

static void
message_add(struct play_world *w, const struct play_message *m)
{
	struct play_box *box = box_find(w, m->account, m->mailbox);

	if (box == NULL || w->message_count == PLAY_MESSAGES)
		play_wrong("the model has no room for a message");
	if (m->uid != box->uidnext)
		play_wrong("account %u mailbox %u: uid %u, not %u", m->account, m->mailbox, m->uid,
			box->uidnext);
	box->uidnext++;
	w->messages[w->message_count++] = *m;
}

static bool
has_copy(const struct play_world *w, const struct play_message *m)
{
	for (uint32_t i = 0; i < w->message_count; i++)
		if (w->messages[i].email == m->email)
			return true;
	return false;
}

/* Keeps the order; remembers what can be brought back. */
static void
message_drop(struct play_world *w, uint32_t at, bool expunged)
{
	struct play_message m = w->messages[at];

	w->message_count--;
	memmove(&w->messages[at], &w->messages[at + 1],
		(w->message_count - at) * sizeof(w->messages[0]));
	if (expunged && !has_copy(w, &m) && w->gone_count < PLAY_MESSAGES)
		w->gone[w->gone_count++] = m;
}

static void
delivery_note(struct play_world *w, const struct play_message *m)
{
	memmove(&w->deliveries[1], &w->deliveries[0],
		(PLAY_DELIVERIES - 1) * sizeof(w->deliveries[0]));
	w->deliveries[0] =
		(struct play_delivery){m->number, m->mailbox, m->uid, w->now_ms, m->account};
}

/* Sometimes to several accounts, which share the body. */
static enum fault
append_do(struct play *p)
{
	struct play_mail mail;
	enum fault fault = FAULT_OK;
	struct slice keyword = KEYWORD;
	struct play_box *box = box_draw(p);
	uint32_t number = p->world.numbers++;

	play_mail_make(p, &mail, number);
	mail.request.target_count = draw(p, 6) == 0 ? PLAY_ACCOUNTS : 1;
	for (uint32_t i = 0; i < mail.request.target_count; i++) {
		struct writer_target *t = &mail.targets[i];
		t->account = account_id((uint8_t)((box->account + i) % PLAY_ACCOUNTS));
		t->mailbox = i == 0 ? box->id : STORE_INBOX;
		t->flags = (uint8_t)draw(p, 32);
		t->keywords = &keyword;
		t->keyword_count = draw(p, 4) == 0;
	}
	writer_append(p->writer, &mail.request);
	for (uint32_t i = 0; i < mail.request.target_count && fault == FAULT_OK; i++) {
		const struct writer_target *t = &mail.targets[i];
		struct play_message m = {(uint8_t)(t->account - PLAY_FIRST_ACCOUNT), t->flags,
			t->keyword_count > 0, t->mailbox, t->uid, number, t->email_id};
		fault = judge(t->fault, "append");
		if (fault != FAULT_OK)
			break;
		message_add(&p->world, &m);
		delivery_note(&p->world, &m);
	}
	play_mail_clear(&mail);
	return fault;
}

/* Some UIDs around a message that is there. */
static struct uid_range
range_draw(struct play *p, struct writer_uids *uids)
{
	struct play_world *w = &p->world;
	const struct play_message *m = &w->messages[draw(p, w->message_count)];
	uint32_t span = draw(p, 5);

	*uids = (struct writer_uids){account_id(m->account), m->mailbox, NULL, 1};
	return (struct uid_range){m->uid, m->uid + span};
}

static bool
is_meant(const struct writer_uids *u, const struct play_message *m)
{
	return account_id(m->account) == u->account && m->mailbox == u->mailbox &&
		m->uid >= u->ranges[0].first && m->uid <= u->ranges[0].last;
}

static uint8_t
flags_after(uint8_t old, enum writer_flags_verb verb, uint8_t flags)
{
	if (verb == WRITER_FLAGS_SET)
		return flags;
	return verb == WRITER_FLAGS_ADD ? old | flags : old & (uint8_t)~flags;
}

static enum fault
flags_do(struct play *p)
{
	struct slice keyword = KEYWORD;
	struct writer_flags f = {
		.verb = (enum writer_flags_verb)draw(p, 3),
		.flags = (uint8_t)draw(p, 32),
		.keywords = &keyword,
		.keyword_count = draw(p, 3) == 0,
	};

	if (p->world.message_count == 0)
		return FAULT_OK;
	struct uid_range range = range_draw(p, &f.uids);
	f.uids.ranges = &range;
	enum fault fault = judge(writer_flags_store(p->writer, &f), "flags");
	uid_set_clear(&f.changed);
	uid_set_clear(&f.failed);
	for (uint32_t i = 0; i < p->world.message_count && fault == FAULT_OK; i++) {
		struct play_message *m = &p->world.messages[i];
		if (!is_meant(&f.uids, m))
			continue;
		m->flags = flags_after(m->flags, f.verb, f.flags);
		m->keyword = flags_after(m->keyword, f.verb, (uint8_t)f.keyword_count) != 0;
	}
	return fault;
}

/* Of messages up to end, which new copies stand behind; they are in the order of their UIDs. */
static void
copied_note(struct play *p, const struct writer_copy *c, uint32_t end, bool moving)
{
	struct play_world *w = &p->world;
	uint32_t uid = c->uid_first, last = 0;

	for (;;) {
		uint32_t next = end;
		for (uint32_t i = 0; i < end; i++)
			if (is_meant(&c->uids, &w->messages[i]) && w->messages[i].uid > last &&
				(next == end || w->messages[i].uid < w->messages[next].uid))
				next = i;
		if (next == end)
			return;
		struct play_message m = w->messages[next];
		last = m.uid;
		m.mailbox = c->to;
		m.uid = uid++;
		message_add(w, &m);
		if (moving) {
			message_drop(w, next, false);
			end--;
		}
	}
}

static enum fault
copy_do(struct play *p, bool moving)
{
	struct writer_copy c = {0};

	if (p->world.message_count == 0 || p->world.message_count > FULL_MESSAGES)
		return FAULT_OK;
	struct uid_range range = range_draw(p, &c.uids);
	struct play_box *to = box_draw(p);
	if (account_id(to->account) != c.uids.account || (moving && to->id == c.uids.mailbox))
		return FAULT_OK;
	c.uids.ranges = &range;
	c.to = to->id;
	uint32_t end = p->world.message_count;
	enum fault fault = moving ? writer_move(p->writer, &c) : writer_copy(p->writer, &c);
	fault = judge(fault, moving ? "move" : "copy");
	if (fault == FAULT_OK)
		copied_note(p, &c, end, moving);
	uid_set_clear(&c.copied);
	return fault;
}

static enum fault
expunge_do(struct play *p)
{
	struct writer_expunge e = {.only_deleted = draw(p, 2) == 0};

	if (p->world.message_count == 0)
		return FAULT_OK;
	struct uid_range range = range_draw(p, &e.uids);
	e.uids.ranges = &range;
	enum fault fault = judge(writer_expunge(p->writer, &e), "expunge");
	for (uint32_t i = 0; i < p->world.message_count && fault == FAULT_OK;) {
		struct play_message *m = &p->world.messages[i];
		if (is_meant(&e.uids, m) && (!e.only_deleted || (m->flags & STORE_DELETED) != 0))
			message_drop(&p->world, i, true);
		else
			i++;
	}
	uid_set_clear(&e.expunged);
	return fault;
}

static enum fault
create_do(struct play *p)
{
	struct play_world *w = &p->world;
	struct play_box made = {.account = (uint8_t)draw(p, PLAY_ACCOUNTS), .uidnext = 1};

	if (w->box_count == PLAY_BOXES)
		return FAULT_OK;
	snprintf(made.name, sizeof(made.name), "box %u", w->names++);
	struct writer_create c = {
		.account = account_id(made.account), .name = slice_text(made.name)};
	enum fault fault = judge(writer_mailbox_create(p->writer, &c), "create");
	made.id = c.id;
	if (fault == FAULT_OK)
		w->boxes[w->box_count++] = made;
	return fault;
}

static enum fault
rename_do(struct play *p)
{
	struct play_box *box = box_draw(p);
	char to[sizeof(box->name)];

	if (box->id == STORE_INBOX)
		return FAULT_OK;
	snprintf(to, sizeof(to), "box %u", p->world.names++);
	enum fault fault = judge(writer_mailbox_rename(p->writer, account_id(box->account),
					 slice_text(box->name), slice_text(to)),
		"rename");
	if (fault == FAULT_OK)
		memcpy(box->name, to, sizeof(to));
	return fault;
}

static enum fault
delete_do(struct play *p)
{
	struct play_world *w = &p->world;
	struct play_box *box = box_draw(p);

	if (box->id <= 6)
		return FAULT_OK;
	enum fault fault = judge(
		writer_mailbox_delete(p->writer, account_id(box->account), slice_text(box->name)),
		"delete");
	if (fault != FAULT_OK)
		return fault;
	for (uint32_t i = 0; i < w->message_count;)
		if (w->messages[i].account == box->account && w->messages[i].mailbox == box->id)
			message_drop(w, i, true);
		else
			i++;
	*box = w->boxes[--w->box_count];
	return FAULT_OK;
}

static enum fault
subscribe_do(struct play *p)
{
	const struct play_box *box = box_draw(p);

	return judge(writer_subscribe(p->writer, account_id(box->account), slice_text(box->name),
			     draw(p, 2) == 0),
		"subscribe");
}

static enum fault
recent_do(struct play *p)
{
	const struct play_box *box = box_draw(p);
	struct uid_range recent;

	return judge(writer_recent_claim(p->writer, account_id(box->account), box->id, &recent),
		"recent");
}

/* What was purged meanwhile is not found. */
static enum fault
undelete_do(struct play *p)
{
	struct play_world *w = &p->world;
	struct uid_range uid;

	if (w->gone_count == 0)
		return FAULT_OK;
	uint32_t at = w->gone_count - 1 - draw(p, w->gone_count) / 2;
	struct play_message m = w->gone[at];
	enum fault fault = writer_undelete(p->writer, account_id(m.account), m.email, &uid);
	if (fault != FAULT_OK && fault != FAULT_NOT_FOUND)
		return judge(fault, "undelete");
	w->gone[at] = w->gone[--w->gone_count];
	if (fault == FAULT_NOT_FOUND)
		return FAULT_OK;
	if (box_find(w, m.account, m.mailbox) == NULL)
		m.mailbox = STORE_INBOX;
	m.uid = uid.first;
	m.flags &= (uint8_t)~STORE_DELETED;
	message_add(w, &m);
	return FAULT_OK;
}

static enum fault
operation_do(struct play *p)
{
	bool full = p->world.message_count > FULL_MESSAGES;
	uint32_t n = draw(p, 100);

	if (n < 35)
		return full ? expunge_do(p) : append_do(p);
	if (n < 55)
		return flags_do(p);
	if (n < 71)
		return copy_do(p, n < 63);
	if (n < 83)
		return expunge_do(p);
	if (n < 86)
		return create_do(p);
	if (n < 88)
		return rename_do(p);
	if (n < 90)
		return delete_do(p);
	if (n < 93)
		return subscribe_do(p);
	return n < 96 ? recent_do(p) : undelete_do(p);
}

/* INBOX and the special ones, in the order in which the store numbers them. */
static enum fault
accounts_do(struct play *p)
{
	static const char *const names[] = {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"};
	enum fault fault = FAULT_OK;

	for (uint8_t a = 0; a < PLAY_ACCOUNTS && fault == FAULT_OK; a++) {
		fault = judge(writer_account_ensure(p->writer, account_id(a), 0), "account");
		for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			struct play_box *box = &p->world.boxes[p->world.box_count++];
			*box = (struct play_box){.account = a, .id = i + 1, .uidnext = 1};
			snprintf(box->name, sizeof(box->name), "%s", names[i]);
		}
	}
	return fault;
}

static enum fault
operations_do(struct play *p)
{
	uint32_t count = 1 + draw(p, draw(p, 3) == 0 ? OPERATIONS_MAX : 4);
	enum fault fault = FAULT_OK;

	if (p->world.box_count == 0)
		return accounts_do(p);
	for (uint32_t i = 0; i < count && fault == FAULT_OK; i++)
		fault = operation_do(p);
	return fault;
}

/* Given up on purpose now and then: as if it had never been, but for the dice. */
static enum fault
batch_give_up(struct play *p)
{
	uint64_t random = p->world.random;

	writer_abort(p->writer);
	p->world = p->before;
	p->world.random = random;
	return play_batch(p);
}

enum fault
play_batch(struct play *p)
{
	p->before = p->world;
	enum fault fault = writer_begin(p->writer);

	if (fault != FAULT_OK)
		return judge(fault, "begin");
	fault = operations_do(p);
	if (fault == FAULT_OK && p->world.message_count > 0 && draw(p, 12) == 0)
		return batch_give_up(p);
	if (fault == FAULT_OK && p->early)
		p->early_ack(p);
	if (fault == FAULT_OK)
		fault = judge(writer_commit(p->writer), "commit");
	else
		writer_abort(p->writer);
	if (fault != FAULT_OK)
		p->world = p->before;
	return fault;
}
