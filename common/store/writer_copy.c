/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: COPY and MOVE.  A copy is one more message of the same email: it
 * shares body, structure and prefix, and keeps email id and thread id (RFC 8474 5.1).
 */
#include "common/store/writer_private.h"

/* The source's place and the destination's mailbox; they share the account. */
struct copying {
	struct writer_copy *request;
	struct writer_place from;
	struct store_mailbox to;
	bool moving;
	bool same; /* a copy into its own mailbox: from.mailbox is the only record */
};

static enum fault
quota_check(struct store_writer *w, const struct copying *c)
{
	struct writer_gather g = {.uids = &c->request->uids, .end = c->from.mailbox.uidnext};
	const struct store_account *a = &c->from.account;
	enum fault fault;
	uint64_t added = 0;

	if (c->moving || a->quota_bytes == 0)
		return FAULT_OK;
	while ((fault = writer_gather(w, &g)) == FAULT_OK && g.count > 0)
		for (size_t i = 0; i < g.count; i++)
			added += g.messages[i].size;
	if (fault == FAULT_OK && added > 0 && a->used_bytes + added > a->quota_bytes)
		return FAULT_OVER_QUOTA;
	return fault;
}

static void
email_retain(struct store_writer *w, uint64_t email_id)
{
	struct index_email email;
	char prefix[STORE_PREFIX_MAX];

	/* One that is missing or broken is for verify to find: it must not spoil the batch. */
	if (index_email_load(&w->txn, email_id, &email) != FAULT_OK)
		return;
	memcpy(prefix, email.prefix.data, email.prefix.len);
	email.prefix.data = prefix;
	email.references++;
	index_email_save(&w->txn, email_id, &email);
}

static void
message_copy(struct store_writer *w, struct copying *c, const struct store_message *source)
{
	struct store_mailbox *to = c->same ? &c->from.mailbox : &c->to;
	struct store_message m = *source;

	m.mailbox = to->id;
	m.uid = to->uidnext++;
	m.modseq = c->request->modseq;
	if (c->moving) {
		struct index_key key =
			index_key_message(source->account, source->mailbox, source->uid);
		(void)kv_delete(&w->txn, INDEX_MESSAGES, index_key_slice(&key));
		writer_count_remove(&c->from.account, &c->from.mailbox, source);
	} else {
		email_retain(w, m.email_id);
	}
	index_message_save(&w->txn, &m);
	writer_count_add(&c->from.account, to, &m);
	uid_set_add(&c->request->copied, source->uid);
}

static void
changes_write(struct store_writer *w, struct copying *c)
{
	struct writer_copy *r = c->request;
	struct store_mailbox *to = c->same ? &c->from.mailbox : &c->to;
	struct store_change arrived = {
		STORE_CHANGE_NEW, to->id, r->modseq, r->uid_first, to->uidnext - 1};

	to->highest_modseq = r->modseq;
	if (c->moving) {
		c->from.mailbox.highest_modseq = r->modseq;
		writer_changes(w, &c->from.account,
			&(struct writer_changes){
				STORE_CHANGE_EXPUNGED, c->from.mailbox.id, r->modseq, &r->copied});
	}
	writer_change(w, &c->from.account, &arrived);
	if (r->copied.fault != FAULT_OK)
		kv_fail(&w->txn, r->copied.fault);
}

/* Everything has been checked: from here on only the environment can fail. */
static enum fault
messages_copy(struct store_writer *w, struct copying *c)
{
	struct writer_copy *r = c->request;
	struct store_mailbox *to = c->same ? &c->from.mailbox : &c->to;
	struct writer_gather g = {.uids = &r->uids, .end = c->from.mailbox.uidnext};
	enum fault fault;

	r->uidvalidity = to->uidvalidity;
	r->uid_first = to->uidnext;
	r->modseq = c->from.account.modseq + 1;
	while ((fault = writer_gather(w, &g)) == FAULT_OK && g.count > 0)
		for (size_t i = 0; i < g.count; i++)
			message_copy(w, c, &g.messages[i]);
	if (fault != FAULT_OK)
		return fault;
	if (r->copied.count == 0) {
		r->modseq = 0;
		r->uid_first = 0;
		return w->txn.fault;
	}
	(void)writer_next_modseq(&c->from.account);
	changes_write(w, c);
	writer_place_save(w, &c->from);
	if (!c->same)
		index_mailbox_save(&w->txn, &c->to);
	return w->txn.fault;
}

static enum fault
copying_start(struct store_writer *w, struct copying *c)
{
	struct writer_copy *r = c->request;
	enum fault fault = writer_place_load(w, r->uids.account, r->uids.mailbox, &c->from);

	r->copied = (struct uid_set){0};
	r->uidvalidity = r->uid_first = 0;
	r->modseq = 0;
	c->same = r->to == r->uids.mailbox;
	if (fault != FAULT_OK)
		return fault;
	if (c->same)
		return c->moving ? FAULT_DENIED : FAULT_OK;
	fault = index_mailbox_load(&w->txn, r->uids.account, r->to, &c->to);
	if (fault == FAULT_OK && c->to.noselect)
		fault = FAULT_DENIED;
	return fault;
}

static enum fault
copying_do(struct store_writer *w, struct writer_copy *request, bool moving)
{
	struct copying c = {.request = request, .moving = moving};
	enum fault fault = copying_start(w, &c);

	/* Not exact, but no mailbox comes near: UIDs must not run out half way. */
	if (fault == FAULT_OK &&
		UINT32_MAX - (c.same ? c.from.mailbox.uidnext : c.to.uidnext) <=
			c.from.mailbox.exists)
		fault = FAULT_LIMIT;
	if (fault == FAULT_OK)
		fault = quota_check(w, &c);
	return fault != FAULT_OK ? fault : messages_copy(w, &c);
}

enum fault
writer_copy(struct store_writer *w, struct writer_copy *request)
{
	return copying_do(w, request, false);
}

enum fault
writer_move(struct store_writer *w, struct writer_copy *request)
{
	return copying_do(w, request, true);
}
