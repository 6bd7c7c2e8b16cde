/* SPDX-License-Identifier: ISC */
/*
 * "store mailbox ACCOUNT NAME USE SUBSCRIBED": before messages of a backup come back, for mailctl:
 * the mailbox of the name, made when it is not there, and the account too.
 */
#include "common/base/buffer.h"
#include "mailboxd/mailboxd.h"

enum { JSON_MAX = 256, TRIES = 5 };

struct ensured {
	uint64_t account;
	struct slice name;
	uint64_t use; /* enum store_special_use */
	bool subscribed;
	/* result */
	uint32_t id;
	bool made;
};

static enum fault
account_ensure(struct mailboxd *m, uint64_t account)
{
	struct store_account found;
	struct store_reader *reader = writer_reader(m->writer);
	enum fault fault = reader_begin(reader);

	if (fault == FAULT_OK) {
		fault = reader_account(reader, account, &found);
		reader_end(reader);
	}
	if (fault != FAULT_NOT_FOUND)
		return fault;
	return writer_account_ensure(
		m->writer, account, (uint64_t)daemon_settings(m->daemon)->account_quota);
}

static enum fault
mailbox_find(struct mailboxd *m, struct ensured *e)
{
	struct store_reader *reader = writer_reader(m->writer);
	struct store_mailbox mailbox;
	enum fault fault = reader_begin(reader);

	if (fault != FAULT_OK)
		return fault;
	fault = reader_mailbox_by_name(reader, e->account, e->name, &mailbox);
	reader_end(reader);
	if (fault == FAULT_OK && mailbox.noselect)
		fault = FAULT_NOT_FOUND;
	if (fault == FAULT_OK)
		e->id = mailbox.id;
	return fault;
}

static enum fault
mailbox_make(struct mailboxd *m, struct ensured *e)
{
	struct writer_create create = {
		.account = e->account,
		.name = e->name,
		.special_use =
			e->use < STORE_USE_COUNT ? (enum store_special_use)e->use : STORE_USE_NONE,
	};
	enum fault fault = writer_begin(m->writer);

	if (fault != FAULT_OK)
		return fault;
	fault = account_ensure(m, e->account);
	if (fault == FAULT_OK)
		fault = writer_mailbox_create(m->writer, &create);
	/* Another mailbox has the use now, and keeps it. */
	if (fault == FAULT_EXISTS && create.special_use != STORE_USE_NONE) {
		create.special_use = STORE_USE_NONE;
		fault = writer_mailbox_create(m->writer, &create);
	}
	/* Made with the account. */
	bool was_there = fault == FAULT_EXISTS;
	if (fault == FAULT_OK && e->subscribed)
		fault = writer_subscribe(m->writer, e->account, e->name, true);
	if (fault != FAULT_OK && !was_there) {
		writer_abort(m->writer);
		return fault;
	}
	e->made = !was_there;
	fault = writer_commit(m->writer);
	if (fault == FAULT_OK)
		batch_broadcast(m);
	mailboxd_committed(m);
	return fault;
}

void
mailbox_ensure(struct mailboxd *m, const struct daemon_control *c, uint64_t account)
{
	struct ensured e = {.account = account,
		.name = c->words[3].text,
		.subscribed = slice_equal(c->words[5].text, SLICE("1"))};
	struct buffer json;
	enum fault fault = FAULT_BUSY;

	if (!slice_parse_u64(c->words[4].text, UINT32_MAX, &e.use)) {
		daemon_control_done(c->origin, FAULT_SYNTAX, NULL);
		return;
	}
	batch_commit(m);
	for (int tries = 0; fault == FAULT_BUSY && tries < TRIES; tries++) {
		fault = mailbox_find(m, &e);
		if (fault == FAULT_NOT_FOUND)
			fault = mailbox_make(m, &e);
		if (fault == FAULT_OK && e.id == 0)
			fault = mailbox_find(m, &e);
	}
	buffer_init(&json, JSON_MAX);
	buffer_printf(&json, "{\"mailbox\":%u,\"made\":%s}", e.id, e.made ? "true" : "false");
	if (fault == FAULT_OK)
		daemon_control_text(c->origin, buffer_slice(&json));
	daemon_control_done(c->origin, fault, NULL);
	buffer_clear(&json);
}
