/* SPDX-License-Identifier: ISC */
/*
 * One message as FETCH tells it (RFC 3501 7.4.2).  A text longer than a piece goes out over several
 * turns; what is damaged is told as NIL, and the fault shows in the tagged reply.  Linked by imapd.
 */
#include "imapd/fetch.h"

#include "common/mail/imap_structure.h"
#include "imapd/section.h"

enum { PIECE = 256 * 1024 }; /* bytes of a text read and written at once */

/* One message while it is written, within a read transaction. */
struct fetched {
	struct imap_session *s;
	struct imap_fetch *fetch;
	const struct store_message *message;
	struct flag_names *names;
	struct structure structure;
	bool has_structure, has_content;
};

static void
note_fault(struct imap_fetch *fetch, enum fault fault)
{
	/* What a message is made of is missing: that is no missing mailbox. */
	if (fetch->fault == FAULT_OK)
		fetch->fault = fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
}

/* The structure of the message, loaded when the first item needs it. */
static bool
load_structure(struct fetched *f)
{
	struct slice bytes;

	if (f->has_structure)
		return true;
	enum fault fault = reader_structure(f->s->core->reader, f->message, &bytes);
	if (fault == FAULT_OK)
		fault = structure_open(bytes, &f->structure);
	if (fault != FAULT_OK)
		note_fault(f->fetch, fault);
	f->has_structure = fault == FAULT_OK;
	return f->has_structure;
}

static bool
load_content(struct fetched *f)
{
	if (f->has_content)
		return true;
	enum fault fault = reader_content(f->s->core->reader, f->message, &f->fetch->content);
	if (fault != FAULT_OK)
		note_fault(f->fetch, fault);
	f->has_content = fault == FAULT_OK;
	return f->has_content;
}

static void
write_nil(struct fetched *f)
{
	buffer_add_text(&f->s->out, "NIL");
}

static void
write_envelope(struct fetched *f)
{
	static const struct imap_structure_style style = {.is_extensible = false};

	if (load_structure(f))
		imap_envelope_format(&f->structure, 0, &style, &f->s->out);
	else
		buffer_add_text(&f->s->out, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
}

static void
write_bodystructure(struct fetched *f, bool is_extensible)
{
	struct imap_structure_style style = {.is_extensible = is_extensible};

	if (load_structure(f))
		imap_bodystructure_format(&f->structure, 0, &style, &f->s->out);
	else
		buffer_add_text(&f->s->out, "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");
}

static void
cut_partial(const struct fetch_att *att, struct section_range *range)
{
	if (!att->is_partial)
		return;
	uint64_t start = att->start < range->len ? att->start : range->len;
	range->offset += start;
	range->len -= start;
	if (range->len > att->length)
		range->len = att->length;
}

/* A chosen part of a header: it is read and sifted at once, in the turn's scratch. */
static void
write_fields(struct fetched *f, const struct fetch_att *att, const struct section_range *header)
{
	struct slice text;
	enum fault fault = section_read_fields(
		f->s, &f->fetch->content, &(struct section_fields){att, *header}, &text);

	if (fault != FAULT_OK) {
		note_fault(f->fetch, fault);
		write_nil(f);
		return;
	}
	struct section_range cut = {0, text.len};
	cut_partial(att, &cut);
	buffer_printf(&f->s->out, "{%zu}\r\n", (size_t)cut.len);
	buffer_add(&f->s->out, text.data + cut.offset, (size_t)cut.len);
}

bool
fetch_write_piece(struct imap_session *s)
{
	struct imap_fetch *fetch = s->fetch;
	size_t len = fetch->left < PIECE ? (size_t)fetch->left : PIECE;
	void *room = buffer_reserve(&s->out, len);

	if (room == NULL)
		return false;
	enum fault fault = reader_read(
		s->core->reader, &fetch->content, fetch->offset, (struct body_span){room, len});
	if (fault != FAULT_OK) {
		note_fault(fetch, fault);
		return false;
	}
	buffer_added(&s->out, len);
	fetch->offset += len;
	fetch->left -= len;
	return true;
}

/* A text as it lies in the message; true when it has been sent whole. */
static bool
write_text(struct fetched *f, const struct fetch_att *att, struct section_range range)
{
	struct imap_fetch *fetch = f->fetch;
	size_t mark = buffer_len(&f->s->out);

	cut_partial(att, &range);
	buffer_add_byte(&f->s->out, '{');
	buffer_add_u64(&f->s->out, range.len);
	buffer_add_text(&f->s->out, "}\r\n");
	fetch->offset = range.offset;
	fetch->left = range.len;
	if (range.len > 0 && !fetch_write_piece(f->s)) {
		/* Nothing of it is out yet: there is still a way to say that it is damaged. */
		buffer_truncate(&f->s->out, mark);
		write_nil(f);
		return true;
	}
	fetch->is_sending = fetch->left > 0;
	return !fetch->is_sending;
}

static bool
write_section(struct fetched *f, const struct fetch_att *att)
{
	struct section_range range;

	if (!load_content(f) || (section_needs_structure(&att->section) && !load_structure(f)) ||
		!section_find(&att->section, &f->structure, &f->fetch->content, &range)) {
		write_nil(f);
		return true;
	}
	if (att->section.field_count > 0) {
		write_fields(f, att, &range);
		return true;
	}
	return write_text(f, att, range);
}

/* One item; false when its text is to be continued in the next turn. */
static bool
write_att(struct fetched *f, const struct fetch_att *att)
{
	struct buffer *out = &f->s->out;

	switch (att->kind) {
	case FETCH_FLAGS:
		buffer_add_text(out, "FLAGS ");
		flags_format(f->s, f->message, f->names);
		return true;
	case FETCH_UID:
		buffer_add_text(out, "UID ");
		buffer_add_u64(out, f->message->uid);
		return true;
	case FETCH_INTERNALDATE:
		buffer_add_text(out, "INTERNALDATE ");
		imap_date_time_format(
			&(struct date){f->message->received_at, f->message->zone}, out);
		return true;
	case FETCH_SIZE:
		buffer_add_text(out, "RFC822.SIZE ");
		buffer_add_u64(out, f->message->size);
		return true;
	case FETCH_ENVELOPE:
		buffer_add_text(out, "ENVELOPE ");
		write_envelope(f);
		return true;
	case FETCH_BODY:
		buffer_add_text(out, "BODY ");
		write_bodystructure(f, false);
		return true;
	case FETCH_BODYSTRUCTURE:
		buffer_add_text(out, "BODYSTRUCTURE ");
		write_bodystructure(f, true);
		return true;
	case FETCH_SECTION:
		buffer_add_slice(out, att->label);
		buffer_add_byte(out, ' ');
		return write_section(f, att);
	}
	return true;
}

/* The items from att on, and the end of the message; false when a text is to be continued. */
static bool
write_atts(struct fetched *f, const struct fetch_att *att)
{
	for (; att != NULL; att = att->next) {
		bool is_whole = write_att(f, att);
		/* Many items of one message can be as long as one long text. */
		if (is_whole && att->next != NULL && buffer_len(&f->s->out) >= SESSION_OUT_SLICE) {
			f->fetch->is_sending = true;
			f->fetch->left = 0;
			is_whole = false;
		}
		if (!is_whole) {
			f->fetch->att = att;
			return false;
		}
		if (att->next != NULL)
			buffer_add_byte(&f->s->out, ' ');
	}
	buffer_add_text(&f->s->out, ")\r\n");
	return true;
}

/* What goes in front: UID, which UID FETCH always tells, and flags that this FETCH has changed. */
static void
write_start(struct fetched *f, uint32_t seq)
{
	struct buffer *out = &f->s->out;
	bool has_changed =
		f->fetch->unseen.count > 0 && uid_set_has(&f->fetch->unseen, f->message->uid);

	buffer_add_text(out, "* ");
	buffer_add_u64(out, seq);
	buffer_add_text(out, " FETCH (");
	if (f->s->command.by_uid && !f->fetch->asks_uid) {
		buffer_add_text(out, "UID ");
		buffer_add_u64(out, f->message->uid);
		buffer_add_byte(out, ' ');
	}
	if (has_changed && !f->fetch->asks_flags) {
		buffer_add_text(out, "FLAGS ");
		flags_format(f->s, f->message, f->names);
		buffer_add_byte(out, ' ');
	}
}

bool
fetch_write_message(struct imap_session *s, const struct store_message *m, uint32_t seq,
	struct flag_names *names)
{
	struct imap_fetch *fetch = s->fetch;
	struct fetched f = {.s = s, .fetch = fetch, .message = m, .names = names};

	if (fetch->asks_flags || fetch->unseen.count > 0)
		flag_names_load(s, m, names);
	write_start(&f, seq);
	if (write_atts(&f, s->command.arguments.fetch.atts))
		return true;
	fetch->message = *m;
	return false;
}

bool
fetch_resume_message(struct imap_session *s)
{
	struct imap_fetch *fetch = s->fetch;
	struct flag_names names = {.is_loaded = false};
	struct fetched f = {.s = s, .fetch = fetch, .message = &fetch->message, .names = &names};

	if (fetch->att->next != NULL)
		buffer_add_byte(&s->out, ' ');
	if (reader_begin(s->core->reader) != FAULT_OK)
		return false;
	if (fetch->asks_flags)
		/* Not to be announced in the middle of a response. */
		names.is_loaded = reader_keywords(s->core->reader, s->account, &s->core->scratch,
					  &names.names) == FAULT_OK;
	(void)write_atts(&f, fetch->att->next);
	reader_end(s->core->reader);
	arena_clear(&s->core->scratch);
	arena_clear(&s->core->piece);
	return true;
}
