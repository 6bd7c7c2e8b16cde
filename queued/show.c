/* SPDX-License-Identifier: ISC */
/* Showing the queue, in queued.  Texts come from strangers: every string is escaped. */
#include "queued/show.h"

#include "common/base/ascii.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/mail/utf8.h"

static void
add_escaped(struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '"' || c == '\\') {
			buffer_add_byte(out, '\\');
			buffer_add_byte(out, c);
		} else if (ascii_is_control(c)) {
			buffer_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
		} else {
			buffer_add_byte(out, c);
		}
	}
}

void
show_text(struct slice text, struct buffer *out)
{
	struct buffer repaired;

	buffer_init(&repaired, 8 * RECORD_TEXT_MAX);
	utf8_add_repaired(&repaired, text);
	buffer_add_byte(out, '"');
	add_escaped(buffer_slice(&repaired), out);
	buffer_add_byte(out, '"');
	buffer_clear(&repaired);
}

static void
add_field(const char *name, struct slice value, struct buffer *out)
{
	buffer_printf(out, ",\"%s\":", name);
	show_text(value, out);
}

static const char *
state_name(struct queued *q, const struct queue_recipient *r)
{
	static const char *const names[] = {"waiting", "due", "held"};
	char name[RECORD_DESTINATION_MAX + 1];
	const struct destination *d;

	if (r->state != RECIPIENT_DUE || r->destination.len > RECORD_DESTINATION_MAX)
		return names[r->state];
	memcpy(name, r->destination.len > 0 ? r->destination.data : "", r->destination.len);
	name[r->destination.len] = '\0';
	d = destination_find(&q->destinations, name);
	for (const struct flight *f = d != NULL ? d->flights : NULL; f != NULL; f = f->next)
		for (uint32_t i = 0; f->id == r->id && i < f->count; i++)
			if (f->numbers[i] == r->number)
				return "in delivery";
	return names[r->state];
}

static void
show_recipient(struct queued *q, const struct queue_recipient *r, struct buffer *out)
{
	char next[CLOCK_TEXT_SIZE];

	buffer_printf(out, "{\"number\":%u,\"state\":\"%s\",\"attempts\":%u,\"next\":\"%s\"",
		(unsigned)r->number, state_name(q, r), (unsigned)r->attempts,
		clock_format(r->next_ms, next));
	add_field("address", r->address, out);
	add_field("destination", r->destination, out);
	if (r->attempts > 0) {
		buffer_printf(out, ",\"code\":%u", (unsigned)r->code);
		add_field("fault", slice_text(fault_name((enum fault)r->fault)), out);
		add_field("status", r->status, out);
		add_field("text", r->text, out);
		add_field("host", r->host, out);
	}
	buffer_add_byte(out, '}');
}

void
show_message(
	struct queued *q, struct spool_txn *txn, const struct queue_message *m, struct buffer *out)
{
	struct queue_recipient r = {.id = m->id};
	char id[ID_TEXT_SIZE], arrived[CLOCK_TEXT_SIZE];

	buffer_printf(out, "{\"id\":\"%s\",\"arrived\":\"%s\",\"size\":%llu,\"left\":%u",
		id_format(m->id, id), clock_format(m->arrived_ms, arrived),
		(unsigned long long)m->size, (unsigned)m->left);
	add_field("sender", m->sender, out);
	add_field("client", m->client, out);
	add_field("envid", m->envid, out);
	buffer_add_text(out, ",\"recipients\":[");
	for (int i = 0; i < SHOW_RECIPIENTS_MAX && spool_next_recipient(txn, &r); i++) {
		if (i > 0)
			buffer_add_byte(out, ',');
		show_recipient(q, &r, out);
		if (r.number == UINT32_MAX)
			break;
		r.number++;
	}
	buffer_add_text(out, "]}");
}
