/* SPDX-License-Identifier: ISC */
/* "store stat": what the store holds, what it takes, and what of that can come back. */
#include "common/base/buffer.h"
#include "common/store/space.h"
#include "mailboxd/mailboxd.h"

enum { JSON_MAX = 4096 };

#define NUMBER(n) ((unsigned long long)(n))

struct totals {
	uint64_t accounts, mailboxes, messages, bytes;
};

static enum fault
totals_add(void *arg, const struct store_account *account)
{
	struct totals *t = arg;

	t->accounts++;
	t->mailboxes += account->mailboxes;
	t->messages += account->messages;
	t->bytes += account->used_bytes;
	return FAULT_OK;
}

static void
segments_print(const struct store_space *s, struct buffer *json)
{
	buffer_printf(json,
		",\"disk_bytes\":%llu,\"segments\":%u,\"segment_bytes\":%llu,"
		"\"segment_disk_bytes\":%llu,\"mail_bytes\":%llu,\"log_bytes\":%llu,"
		"\"bodies\":%llu,\"live_bytes\":%llu,\"plain_bytes\":%llu",
		NUMBER(s->occupied + s->index_occupied), s->segments, NUMBER(s->length),
		NUMBER(s->occupied), NUMBER(s->mail), NUMBER(s->log), NUMBER(s->live_records),
		NUMBER(s->live), NUMBER(s->plain));
	/* What a hundred bytes of mail take, its structure and the header of its record included.
	 */
	if (s->plain > 0)
		buffer_printf(json, ",\"stored_percent\":%.1f",
			100.0 * (double)s->packed / (double)s->plain);
	buffer_printf(json,
		",\"compaction_due\":%s,\"reclaimable_bytes\":%llu,\"emptied_segments\":%u,"
		"\"waiting_bytes\":%llu",
		s->worthwhile > 0 ? "true" : "false", NUMBER(s->reclaimable), s->emptied,
		NUMBER(s->emptied_bytes));
}

static void
index_print(const struct store_space *s, struct buffer *json)
{
	buffer_printf(json,
		",\"index_bytes\":%llu,\"index_disk_bytes\":%llu,\"index_free_bytes\":%llu,"
		"\"expunged\":%llu,\"expunged_since\":%lld,\"delivery_ids\":%llu,"
		"\"checkpoint_age\":%lld,\"commits_since_checkpoint\":%llu",
		NUMBER(s->index_length), NUMBER(s->index_occupied), NUMBER(s->index_free),
		NUMBER(s->expunged), (long long)s->expunged_since, NUMBER(s->delivered),
		(long long)s->checkpoint_ms / 1000, NUMBER(s->commits));
}

void
space_show(struct mailboxd *m, struct ipc_origin origin)
{
	struct store_reader *reader = writer_reader(m->writer);
	struct totals t = {0};
	struct store_space space = {0};
	struct buffer json;

	buffer_init(&json, JSON_MAX);
	enum fault fault = reader_begin(reader);
	if (fault == FAULT_OK) {
		fault = reader_accounts(reader, totals_add, &t);
		reader_end(reader);
	}
	if (fault == FAULT_OK)
		fault = writer_space(m->writer, &space);
	buffer_printf(&json,
		"{\"format\":%d,\"accounts\":%llu,\"mailboxes\":%llu,\"messages\":%llu,"
		"\"bytes\":%llu",
		STORE_FORMAT, NUMBER(t.accounts), NUMBER(t.mailboxes), NUMBER(t.messages),
		NUMBER(t.bytes));
	segments_print(&space, &json);
	index_print(&space, &json);
	buffer_add_text(&json, "}");
	if (fault == FAULT_OK)
		fault = buffer_fault(&json);
	if (fault == FAULT_OK)
		daemon_control_text(origin, buffer_slice(&json));
	daemon_control_done(origin, fault, NULL);
	buffer_clear(&json);
}
