/* SPDX-License-Identifier: ISC */
/* Commands of mailctl for mailboxd.  Answers are JSON objects. */

#include <limits.h>

#include "common/base/buffer.h"
#include "common/base/id.h"
#include "mailboxd/mailboxd.h"

enum { JSON_MAX = 64 * 1024 };

#define NUMBER(n) ((unsigned long long)(n))

static void
answer(struct ipc_origin origin, struct buffer *json, enum fault fault)
{
	if (fault == FAULT_OK)
		fault = buffer_fault(json);
	if (fault == FAULT_OK)
		daemon_control_text(origin, buffer_slice(json));
	daemon_control_done(origin, fault, NULL);
	buffer_clear(json);
}

static void
show_status(struct mailboxd *m, struct ipc_origin origin)
{
	const struct mailboxd_counters *c = &m->counters;
	struct buffer json;

	buffer_init(&json, JSON_MAX);
	buffer_printf(&json,
		"{\"requests\":%llu,\"commits\":%llu,\"failed_commits\":%llu,\"appended\":%llu,"
		"\"events\":%llu,\"verifying\":%s,\"compacting\":%s}",
		NUMBER(c->requests), NUMBER(c->batches), NUMBER(c->failed_batches),
		NUMBER(c->appended), NUMBER(c->events), m->verify != NULL ? "true" : "false",
		compact_is_asked(m) ? "true" : "false");
	answer(origin, &json, FAULT_OK);
}

/* For a backup, which mailctl makes itself.  The path is the administrator's own. */
static void
show_directory(struct mailboxd *m, struct ipc_origin origin)
{
	char path[PATH_MAX];
	struct buffer json;
	bool fits = mailboxd_directory(m->daemon, path, sizeof(path));

	buffer_init(&json, JSON_MAX);
	buffer_add_text(&json, "{\"directory\":\"");
	for (const char *at = path; fits && *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			buffer_add_byte(&json, '\\');
		buffer_add_byte(&json, *at);
	}
	buffer_add_text(&json, "\"}");
	answer(origin, &json, fits ? FAULT_OK : FAULT_TOO_LONG);
}

static void
show_account(struct mailboxd *m, struct ipc_origin origin, uint64_t id)
{
	struct store_reader *reader = writer_reader(m->writer);
	struct store_account a = {0};
	char text[ID_TEXT_SIZE];
	struct buffer json;
	enum fault fault = reader_begin(reader);

	buffer_init(&json, JSON_MAX);
	if (fault == FAULT_OK) {
		fault = reader_account(reader, id, &a);
		reader_end(reader);
	}
	buffer_printf(&json,
		"{\"id\":\"%s\",\"mailboxes\":%u,\"messages\":%llu,\"bytes\":%llu,"
		"\"quota\":%llu,\"modseq\":%llu}",
		id_format(id, text), a.mailboxes, NUMBER(a.messages), NUMBER(a.used_bytes),
		NUMBER(a.quota_bytes), NUMBER(a.modseq));
	answer(origin, &json, fault);
}

bool
control_account_parse(struct slice word, uint64_t *id)
{
	return id_parse(word, id) || slice_parse_u64(word, UINT64_MAX, id);
}

/* The rules of the words after the first: "store verify", "account show ID" and so on. */
static bool
word_is(const struct daemon_control *c, uint32_t index, const char *text)
{
	return index < c->word_count && slice_equal(c->words[index].text, slice_text(text));
}

static void
control_store(struct mailboxd *m, const struct daemon_control *c)
{
	uint64_t account = 0;
	bool is_named = c->word_count > 2 && control_account_parse(c->words[2].text, &account);

	if (word_is(c, 1, "stat") && c->word_count == 2)
		space_show(m, c->origin);
	else if (word_is(c, 1, "where") && c->word_count == 2)
		show_directory(m, c->origin);
	else if (word_is(c, 1, "verify"))
		verify_start(m, c);
	else if (word_is(c, 1, "compact"))
		compact_ask(m, c);
	else if (word_is(c, 1, "expunged") && c->word_count == 3 && is_named)
		expunged_show(m, c, account);
	else if (word_is(c, 1, "undelete") && c->word_count > 3 && is_named)
		expunged_undelete(m, c, account);
	else if (word_is(c, 1, "mailbox") && c->word_count == 6 && is_named)
		mailbox_ensure(m, c, account);
	else
		daemon_control_done(c->origin, FAULT_SYNTAX,
			"store stat | store where | store verify [ACCOUNT] [rate SIZE] [progress] "
			"| store compact [all] [progress] | store expunged ACCOUNT | "
			"store undelete ACCOUNT EMAIL...|all | "
			"store mailbox ACCOUNT NAME USE SUBSCRIBED");
}

static void
control_account(struct mailboxd *m, const struct daemon_control *c)
{
	uint64_t account = 0;

	if (c->word_count != 3 || !control_account_parse(c->words[2].text, &account))
		daemon_control_done(c->origin, FAULT_SYNTAX, "account show|remove ID");
	else if (word_is(c, 1, "show"))
		show_account(m, c->origin, account);
	else if (word_is(c, 1, "remove"))
		removal_start(m, c, account);
	else
		daemon_control_done(c->origin, FAULT_SYNTAX, "account show|remove ID");
}

void
mailboxd_control(struct daemon *daemon, void *state, const struct daemon_control *c)
{
	(void)daemon;
	if (word_is(c, 0, "status") && c->word_count == 1)
		show_status(state, c->origin);
	else if (word_is(c, 0, "store"))
		control_store(state, c);
	else if (word_is(c, 0, "account"))
		control_account(state, c);
	else
		daemon_control_done(c->origin, FAULT_NOT_FOUND, "no such command");
}

void
mailboxd_control_cancel(struct daemon *daemon, void *state, struct ipc_origin origin)
{
	/* All else either answers at once or is wanted whoever listens. */
	(void)daemon;
	verify_cancel(state, origin);
	compact_cancel(state, origin);
}
