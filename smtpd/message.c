/* SPDX-License-Identifier: ISC */
/* A message between the wire and the sink.  Run by smtpd over bytes of strangers. */
#include "smtpd/message.h"

#include "common/base/ascii.h"
#include "common/base/id.h"
#include "common/mail/address_list.h"
#include "common/mail/date.h"
#include "common/mail/header.h"

void
message_fail(struct message *m, enum fault fault)
{
	if (m->fault != FAULT_OK)
		return;
	m->fault = fault;
	buffer_clear(&m->header);
	m->setup.sink->drop(m->setup.sink_arg);
}

static void
send(struct message *m, struct slice bytes)
{
	if (m->fault != FAULT_OK || bytes.len == 0)
		return;
	enum fault fault = m->setup.sink->write(m->setup.sink_arg, bytes);
	if (fault != FAULT_OK)
		message_fail(m, fault);
}

static bool
has_field(struct slice section, const char *name)
{
	struct header_field field;

	return header_find(section, slice_text(name), &field);
}

/* RFC 6409 8: Date and Message-ID are added when missing; From is needed by RFC 5322 3.6. */
static void
add_missing(struct message *m, struct slice section, struct buffer *out)
{
	struct date now = {.seconds = clock_wall_ms(m->setup.clock) / 1000};
	char id[ID_TEXT_SIZE];

	if (!has_field(section, "From") && m->setup.sender.len > 0)
		buffer_printf(out, "From: <%" SLICE_FMT ">\r\n", SLICE_ARG(m->setup.sender));
	if (!has_field(section, "Date")) {
		buffer_add_text(out, "Date: ");
		date_format(&now, out);
		buffer_add_text(out, "\r\n");
	}
	if (!has_field(section, "Message-ID"))
		buffer_printf(out, "Message-ID: <%s@%s>\r\n", id_format(m->setup.id, id),
			m->setup.hostname);
}

static void
note_from(struct message *m, const struct list_address *a)
{
	struct buffer text;
	struct slice kept;

	if (list_address_is_group_start(a) || list_address_is_group_end(a))
		return;
	if (m->from_count == MESSAGE_FROMS_MAX || a->host.len == 0) {
		m->from_broken = true;
		return;
	}
	buffer_init(&text, 1024);
	buffer_printf(
		&text, "%" SLICE_FMT "@%" SLICE_FMT, SLICE_ARG(a->mailbox), SLICE_ARG(a->host));
	if (buffer_fault(&text) != FAULT_OK ||
		!arena_copy(m->setup.arena, buffer_slice(&text), &kept))
		m->from_broken = true;
	else
		m->froms[m->from_count++] = kept;
	buffer_clear(&text);
}

/* Every From field counts: which of two a reader shows is anybody's guess. */
static void
list_froms(struct message *m, struct slice section)
{
	struct cursor c = cursor_of(section);
	struct header_field field;
	struct address_list list;

	while (take_header_field(&c, &field)) {
		if (header_identify(field.name) != HEADER_FROM)
			continue;
		if (address_list_parse(field.value, MESSAGE_FROMS_MAX + 1, m->setup.arena, &list) !=
				FAULT_OK ||
			list.count == 0) {
			m->from_broken = true;
			return;
		}
		for (size_t i = 0; i < list.count; i++)
			note_from(m, &list.items[i]);
	}
}

/* Whether the first line can be a header field (or the empty line behind none). */
static bool
begins_like_header(struct slice held)
{
	struct cursor c = cursor_of(held);
	struct header_field field;

	/* Some senders still put the separator line of mbox files in front. */
	if (slice_starts(held, SLICE("\r\n")) || slice_starts(held, SLICE("From ")))
		return true;
	return take_header_field(&c, &field) && field.name.len > 0;
}

/* The header section is here (or as much of it as is held): trace, repairs, the section itself. */
static void
finish_header(struct message *m)
{
	struct slice held = buffer_slice(&m->header);
	bool is_header = begins_like_header(held);
	struct slice section = slice_first(held, is_header ? header_section_len(held) : 0);
	struct buffer front;

	m->header_done = true;
	if (header_received_count(section) > MESSAGE_HOPS_MAX) {
		message_fail(m, FAULT_MAIL_LOOP);
		return;
	}
	/* Room for a full header section and what comes before it. */
	buffer_init(&front, 2 * MESSAGE_HEADER_MAX);
	buffer_add_slice(&front, m->setup.trace);
	if (m->setup.submission) {
		add_missing(m, section, &front);
		list_froms(m, section);
	}
	/* Text without any header is the body; the trace field must not swallow it. */
	if (!is_header)
		buffer_add_text(&front, "\r\n");
	if (buffer_fault(&front) != FAULT_OK)
		message_fail(m, buffer_fault(&front));
	send(m, buffer_slice(&front));
	send(m, held);
	buffer_clear(&front);
	buffer_clear(&m->header);
}

/* Bytes of held that must be looked at again for the empty line: it may be cut in two. */
static bool
header_is_complete(const struct message *m, size_t before)
{
	struct slice held = buffer_slice(&m->header);
	size_t from = before > 3 ? before - 3 : 0;
	struct slice fresh = slice_after(held, from);

	return slice_starts(held, SLICE("\r\n")) ||
		slice_find(fresh, SLICE("\r\n\r\n")) < fresh.len;
}

static void
hold(struct message *m, struct slice bytes)
{
	size_t before = buffer_len(&m->header);
	struct slice fits = slice_first(bytes, MESSAGE_HEADER_MAX - before);

	buffer_add_slice(&m->header, fits);
	if (buffer_fault(&m->header) != FAULT_OK) {
		message_fail(m, buffer_fault(&m->header));
		return;
	}
	bool complete = header_is_complete(m, before);
	if (!complete && fits.len == bytes.len)
		return;
	/* Without its whole header section a submission cannot be judged. */
	if (!complete && m->setup.submission) {
		message_fail(m, FAULT_TOO_LONG);
		return;
	}
	finish_header(m);
	send(m, slice_after(bytes, fits.len));
}

static void
on_bytes(void *arg, struct slice bytes)
{
	struct message *m = arg;

	m->size += bytes.len;
	if (m->size > m->setup.size_max)
		message_fail(m, FAULT_TOO_BIG);
	if (m->fault != FAULT_OK)
		return;
	if (m->header_done)
		send(m, bytes);
	else
		hold(m, bytes);
}

enum fault
message_begin(struct message *m, const struct message_setup *setup)
{
	*m = (struct message){.setup = *setup};
	data_init(&m->data, on_bytes, m);
	buffer_init(&m->header, MESSAGE_HEADER_MAX);
	return setup->sink->open(setup->sink_arg);
}

size_t
message_decode(struct message *m, struct slice bytes, bool *ended)
{
	size_t used = data_decode(&m->data, bytes);

	*ended = m->data.state == DATA_END;
	return used;
}

void
message_pass(struct message *m, struct slice bytes)
{
	data_pass(&m->data, bytes);
}

enum fault
message_finish(struct message *m)
{
	data_finish(&m->data);
	if (m->fault == FAULT_OK && !m->header_done)
		finish_header(m);
	if (m->data.bare)
		message_fail(m, FAULT_SYNTAX);
	return m->fault;
}

void
message_release(struct message *m)
{
	buffer_clear(&m->header);
	*m = (struct message){0};
}

void
message_clear(struct message *m)
{
	if (m->setup.sink != NULL)
		m->setup.sink->drop(m->setup.sink_arg);
	message_release(m);
}
