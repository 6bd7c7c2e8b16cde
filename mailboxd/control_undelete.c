/* SPDX-License-Identifier: ISC */
/* "store expunged" and "store undelete": what was expunged and is not yet purged. */
#include <stdlib.h>

#include "common/base/buffer.h"
#include "common/base/id.h"
#include "mailboxd/mailboxd.h"

enum {
	LISTED_MAX = 10000,
	JSON_MAX = 4 * 1024 * 1024,
};

/* The emails of an account that can come back, at most LISTED_MAX of them. */
struct expunged_list {
	struct expunged_row {
		uint64_t email;
		uint64_t size;
		int64_t at;
		uint32_t mailbox;
	} * rows;
	size_t count;
	bool more;
};

static enum fault
row_add(void *arg, int64_t expunged_at, const struct store_message *m)
{
	struct expunged_list *list = arg;

	if (list->count == LISTED_MAX)
		list->more = true;
	else
		list->rows[list->count++] =
			(struct expunged_row){m->email_id, m->size, expunged_at, m->mailbox};
	return FAULT_OK;
}

static enum fault
list_load(struct mailboxd *m, uint64_t account, struct expunged_list *list)
{
	struct store_reader *reader = writer_reader(m->writer);

	*list = (struct expunged_list){.rows = calloc(LISTED_MAX, sizeof(list->rows[0]))};
	if (list->rows == NULL)
		return FAULT_NOMEM;
	enum fault fault = reader_begin(reader);
	if (fault != FAULT_OK)
		return fault;
	fault = reader_expunged(reader, account, row_add, list);
	reader_end(reader);
	return fault;
}

void
expunged_show(struct mailboxd *m, const struct daemon_control *control, uint64_t account)
{
	struct expunged_list list;
	struct buffer json;
	char text[ID_TEXT_SIZE];
	enum fault fault = list_load(m, account, &list);

	buffer_init(&json, JSON_MAX);
	buffer_add_text(&json, "[");
	for (size_t i = 0; i < list.count; i++)
		buffer_printf(&json,
			"%s{\"email\":\"%s\",\"mailbox\":%u,\"size\":%llu,\"expunged\":%lld}",
			i > 0 ? "," : "", id_format(list.rows[i].email, text), list.rows[i].mailbox,
			(unsigned long long)list.rows[i].size, (long long)list.rows[i].at);
	buffer_add_text(&json, "]");
	if (fault == FAULT_OK)
		fault = buffer_fault(&json);
	if (fault == FAULT_OK)
		daemon_control_text(control->origin, buffer_slice(&json));
	daemon_control_done(control->origin, fault, list.more ? "there are more" : NULL);
	buffer_clear(&json);
	free(list.rows);
}

/* One email of the words, or every one of them. */
static bool
is_wanted(const struct daemon_control *control, uint64_t email)
{
	for (uint32_t i = 3; i < control->word_count; i++) {
		uint64_t id;
		if (slice_equal(control->words[i].text, SLICE("all")) ||
			(id_parse(control->words[i].text, &id) && id == email))
			return true;
	}
	return false;
}

/* All in one commit: after a fault nothing has come back. */
static enum fault
emails_undelete(struct mailboxd *m, const struct daemon_control *control, uint64_t account,
	const struct expunged_list *list, unsigned *count)
{
	struct uid_range uid;

	batch_commit(m);
	enum fault fault = writer_begin(m->writer);
	if (fault != FAULT_OK)
		return fault;
	for (size_t i = 0; i < list->count && fault == FAULT_OK; i++) {
		if (!is_wanted(control, list->rows[i].email))
			continue;
		fault = writer_undelete(m->writer, account, list->rows[i].email, &uid);
		(*count)++;
	}
	if (fault != FAULT_OK) {
		writer_abort(m->writer);
		return fault;
	}
	fault = writer_commit(m->writer);
	if (fault == FAULT_OK)
		batch_broadcast(m);
	mailboxd_committed(m);
	return fault;
}

void
expunged_undelete(struct mailboxd *m, const struct daemon_control *control, uint64_t account)
{
	struct expunged_list list;
	struct buffer json;
	unsigned count = 0;
	enum fault fault = list_load(m, account, &list);

	buffer_init(&json, JSON_MAX);
	if (fault == FAULT_OK)
		fault = emails_undelete(m, control, account, &list, &count);
	buffer_printf(&json, "{\"undeleted\":%u}", count);
	if (fault == FAULT_OK && count == 0)
		fault = FAULT_NOT_FOUND;
	if (fault == FAULT_OK)
		daemon_control_text(control->origin, buffer_slice(&json));
	daemon_control_done(control->origin, fault, list.more ? "there are more, ask again" : NULL);
	buffer_clear(&json);
	free(list.rows);
}
