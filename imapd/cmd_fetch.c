/* SPDX-License-Identifier: ISC */
/*
 * FETCH and UID FETCH (RFC 3501 6.4.5, 7.4.2).  A walk over the messages; a long text is sent in
 * pieces, one per turn, in the middle of its message.  Linked by imapd.
 */
#include "imapd/fetch.h"

#include <stdlib.h>

#include "common/mail/imap_structure.h"
#include "imapd/flags.h"
#include "imapd/section.h"
#include "imapd/sync.h"
#include "imapd/uids.h"
#include "imapd/walk.h"

enum { PIECE = 256 * 1024 }; /* bytes of a text read and written at once */

struct imap_fetch {
	struct uid_list list;
	struct walk walk;
	uint32_t expected, told; /* messages */
	bool sets_seen, asks_flags, asks_uid;
	struct uid_set unseen; /* what \Seen is set on */
	enum fault fault; /* the first one met */
	/* the message whose text is being sent */
	bool is_sending;
	const struct fetch_att *att; /* the item that the text belongs to */
	struct store_message message;
	struct store_content content;
	uint64_t offset, left;
};

/* One message while it is written, within a read transaction. */
struct fetched {
	struct imap_session *s;
	struct imap_fetch *fetch;
	const struct store_message *message;
	struct flag_names *names;
	struct structure structure;
	bool has_structure, has_content;
};

void
fetch_free(struct imap_session *s)
{
	if (s->fetch == NULL)
		return;
	uid_set_clear(&s->fetch->unseen);
	free(s->fetch);
	s->fetch = NULL;
}

bool
parse_fetch(struct imap_command *command, struct cursor *c)
{
	return take_sp(c) && take_sequence_set(c, &command->arena, &command->arguments.fetch.set) &&
		take_sp(c) && take_fetch_atts(c, &command->arena, &command->arguments.fetch.atts);
}

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

/* The next piece of the text; false when it could not be read. */
static bool
write_piece(struct imap_session *s, struct imap_fetch *fetch)
{
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
	if (range.len > 0 && !write_piece(f->s, fetch)) {
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

static enum walk_step
fetch_one(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	struct imap_fetch *fetch = s->fetch;
	struct fetched f = {.s = s, .fetch = fetch, .message = m, .names = arg};

	if (fetch->asks_flags || fetch->unseen.count > 0)
		flag_names_load(s, m, f.names);
	fetch->told++;
	write_start(&f, seq);
	if (write_atts(&f, s->command.arguments.fetch.atts))
		return WALK_ON;
	fetch->message = *m;
	return WALK_LEAVE;
}

/* The items behind a long text: the transaction it began in is over. */
static bool
resume_message(struct imap_session *s)
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

/* Half a literal is out: the only honest thing left is to hang up. */
static void
hang_up(struct imap_session *s)
{
	s->await = IMAP_AWAIT_NOTHING;
	s->effects->finish(s->shell);
}

static void
send_rest(struct imap_session *s)
{
	struct imap_fetch *fetch = s->fetch;

	if (fetch->left > 0 && !write_piece(s, fetch)) {
		hang_up(s);
		return;
	}
	if (fetch->left > 0)
		return;
	fetch->is_sending = false;
	if (!resume_message(s))
		hang_up(s);
}

static void
finish_fetch(struct imap_session *s)
{
	const struct imap_fetch *fetch = s->fetch;

	if (fetch->fault != FAULT_OK)
		session_finish_fault(s, fetch->fault);
	else if (!s->command.by_uid && fetch->told < fetch->expected)
		/* RFC 2180 4.1.2: the rest has been told, but somebody has expunged these. */
		session_finish(s, REPLY_EXPUNGED);
	else
		session_finish(s, REPLY_DONE);
}

static void
fetch_messages(struct imap_session *s)
{
	struct flag_names names = {.is_loaded = false};

	if (s->fetch->is_sending)
		send_rest(s);
	else if (walk_slice(s, &s->fetch->walk, fetch_one, &names) && !s->fetch->is_sending)
		finish_fetch(s);
}

static void
start_walk(struct imap_session *s)
{
	s->fetch->walk =
		(struct walk){.ranges = s->fetch->list.ranges, .count = s->fetch->list.count};
}

static void
on_seen(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_flags_stored *stored = answer->payload;

	/* Without mailboxd the messages stay unseen, but they can be read. */
	if (answer->fault == FAULT_OK)
		s->view.own_modseq = stored->modseq;
	else
		uid_set_clear(&s->fetch->unseen);
	start_walk(s);
	session_continue(s, fetch_messages);
}

static void
ask_seen(struct imap_session *s)
{
	struct uid_list list = {s->fetch->unseen.ranges, s->fetch->unseen.count};
	struct uids_wire wire;
	enum fault fault = uids_encode(s, &list, &wire);

	if (fault != FAULT_OK) {
		session_finish_fault(s, fault);
		return;
	}
	struct ipc_flags_store store = {
		.account = s->account,
		.mailbox = s->view.mailbox,
		.uids = wire.bytes,
		.operation = IPC_FLAGS_ADD,
		.flags = STORE_SEEN,
		.keywords = SLICE(""),
		.unchanged_since = UINT64_MAX,
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_FLAGS_STORE, &store, wire.fd};
	session_ask(s, &request, on_seen);
	uids_wire_clear(&wire);
}

static enum walk_step
note_unseen(struct imap_session *s, const struct store_message *m, uint32_t seq, void *arg)
{
	(void)seq;
	(void)arg;
	if ((m->flags & STORE_SEEN) == 0)
		uid_set_add(&s->fetch->unseen, m->uid);
	return WALK_ON;
}

/* \Seen is set first, so that the flags told are the new ones. */
static void
mark_seen(struct imap_session *s)
{
	if (!walk_slice(s, &s->fetch->walk, note_unseen, NULL))
		return;
	if (s->fetch->unseen.count > 0) {
		ask_seen(s);
		return;
	}
	start_walk(s);
	session_continue(s, fetch_messages);
}

static void
look_at_atts(struct imap_fetch *fetch, const struct fetch_att *att)
{
	for (; att != NULL; att = att->next) {
		fetch->sets_seen |= att->sets_seen;
		fetch->asks_flags |= att->kind == FETCH_FLAGS;
		fetch->asks_uid |= att->kind == FETCH_UID;
	}
}

void
cmd_fetch(struct imap_session *s)
{
	struct uid_list list;

	if (!uids_resolve(s, &s->command.arguments.fetch.set, &list))
		return;
	s->fetch = calloc(1, sizeof *s->fetch);
	if (s->fetch == NULL) {
		session_finish_fault(s, FAULT_NOMEM);
		return;
	}
	s->fetch->list = list;
	s->fetch->expected = uids_count(s, &list);
	look_at_atts(s->fetch, s->command.arguments.fetch.atts);
	start_walk(s);
	session_continue(s, s->fetch->sets_seen && !s->view.read_only ? mark_seen : fetch_messages);
}
