/* SPDX-License-Identifier: ISC */
/* The mail transaction: sender, recipients, the message, and what authd and queued say to them. */
#include <stdlib.h>

#include "common/base/id.h"
#include "smtpd/commands.h"

enum { ADDRESS_TEXT_MAX = 1024, FIRST_RECIPIENTS = 4 };

/* local@domain in the arena; the domain that <Postmaster> leaves out is ours (RFC 5321 4.5.1). */
static bool
keep_address(struct smtp *s, const struct address *address, struct slice *text)
{
	struct address whole = *address;
	struct buffer out;

	if (whole.local.len > 0 && whole.domain.len == 0)
		whole.domain = slice_text(s->setup.hostname);
	buffer_init(&out, ADDRESS_TEXT_MAX);
	address_format(&whole, &out);
	bool kept =
		buffer_fault(&out) == FAULT_OK && arena_copy(&s->arena, buffer_slice(&out), text);
	buffer_clear(&out);
	return kept;
}

static void
say_sender_ok(struct smtp *s)
{
	struct slice sender = s->envelope.sender;

	s->state = SMTP_AWAIT_RCPT;
	smtp_say(s, REPLY_SENDER_OK, sender.len > 0 ? sender : SLICE("<>"));
}

void
transaction_begin(struct smtp *s, const struct mail_arguments *mail)
{
	s->envelope.body = mail->body;
	s->envelope.smtputf8 = mail->smtputf8;
	s->envelope.ret = mail->ret;
	/* The limit is told before the message is sent in vain (RFC 1870 6.1). */
	if (mail->size > s->setup.message_size) {
		smtp_reset(s);
		smtp_say(s, REPLY_TOO_BIG, SLICE(""));
		return;
	}
	if (!keep_address(s, &mail->path, &s->envelope.sender) ||
		!arena_copy(&s->arena, mail->envid, &s->envelope.envid)) {
		smtp_reset(s);
		smtp_say(s, REPLY_NO_MEMORY, SLICE(""));
		return;
	}
	/* Anybody may send without a sender, who may still send at all: authd knows. */
	if (!s->setup.submission) {
		say_sender_ok(s);
		return;
	}
	s->question = s->envelope.sender;
	smtp_ask(s, SMTP_CHECK_SENDER, SMTP_AWAIT_SENDER);
}

static enum smtp_reply
reply_of_sender(enum fault fault, enum smtp_reply refusal)
{
	return fault_is_temporary(fault) ? REPLY_LATER : refusal;
}

/* The From field: each address in turn is asked about, those equal to the sender are not. */
static void
check_next_from(struct smtp *s)
{
	while (s->next_from < s->message.from_count) {
		s->question = s->message.froms[s->next_from++];
		if (!slice_equal_nocase(s->question, s->envelope.sender)) {
			smtp_ask(s, SMTP_CHECK_SENDER, SMTP_AWAIT_FROM);
			return;
		}
	}
	message_release(&s->message);
	smtp_ask(s, SMTP_SUBMIT, SMTP_AWAIT_COMMIT);
}

static void
refuse_message(struct smtp *s, enum smtp_reply reply, struct slice argument)
{
	struct slice shown = argument;
	char room[ADDRESS_TEXT_MAX];

	/* The argument may live in what the reset frees. */
	shown = slice_first(shown, sizeof room);
	if (shown.len > 0)
		memcpy(room, shown.data, shown.len);
	message_clear(&s->message);
	smtp_say(s, reply, slice_make(room, shown.len));
	smtp_reset(s);
}

void
smtp_on_sender(struct smtp *s, enum fault fault)
{
	if (s->state == SMTP_AWAIT_FROM) {
		if (fault == FAULT_OK)
			check_next_from(s);
		else
			refuse_message(
				s, reply_of_sender(fault, REPLY_FROM_NOT_YOURS), s->question);
		return;
	}
	if (s->state != SMTP_AWAIT_SENDER)
		return;
	if (fault == FAULT_OK)
		say_sender_ok(s);
	else
		refuse_message(s, reply_of_sender(fault, REPLY_NOT_YOUR_ADDRESS), s->question);
}

static void
return_from_rcpt(struct smtp *s)
{
	s->state = s->envelope.recipient_count > 0 ? SMTP_AWAIT_DATA : SMTP_AWAIT_RCPT;
}

static void
refuse_recipient(struct smtp *s, enum smtp_reply reply)
{
	s->candidate_refused = true;
	return_from_rcpt(s);
	smtp_say(s, reply, s->question);
}

static bool
has_room(struct smtp *s)
{
	struct smtp_envelope *e = &s->envelope;

	if (e->recipient_count < e->recipient_room)
		return true;
	uint32_t room = e->recipient_room > 0 ? e->recipient_room * 2 : FIRST_RECIPIENTS;
	struct ipc_recipient *more = realloc(e->recipients, room * sizeof *more);
	if (more == NULL)
		return false;
	e->recipients = more;
	e->recipient_room = room;
	return true;
}

static bool
keep_candidate(struct smtp *s, const struct rcpt_arguments *rcpt)
{
	s->candidate = (struct ipc_recipient){.notify = rcpt->notify};
	s->question = SLICE("");
	if (!has_room(s) || !keep_address(s, &rcpt->path, &s->candidate.address) ||
		!arena_copy(&s->arena, rcpt->orcpt, &s->candidate.orcpt))
		return false;
	s->question = s->candidate.address;
	return true;
}

/* What a recipient takes in a frame: its lengths and numbers, and its texts. */
static size_t
frame_bytes(const struct ipc_recipient *r)
{
	return 24 + r->address.len + r->orcpt.len;
}

static bool
fits_frame(const struct smtp *s)
{
	return s->envelope.recipient_bytes + frame_bytes(&s->candidate) <= SMTP_RECIPIENTS_BYTES;
}

void
transaction_ask_recipient(struct smtp *s, const struct rcpt_arguments *rcpt)
{
	if (s->envelope.recipient_count >= s->setup.recipients)
		refuse_recipient(s, REPLY_TOO_MANY_RECIPIENTS);
	else if (!s->envelope.smtputf8 && !address_is_ascii(&rcpt->path))
		refuse_recipient(s, REPLY_NEEDS_UTF8);
	else if (s->crowded || !keep_candidate(s, rcpt))
		refuse_recipient(s, REPLY_NO_MEMORY);
	else if (!fits_frame(s))
		refuse_recipient(s, REPLY_TOO_MANY_RECIPIENTS);
	else
		smtp_ask(s, SMTP_CHECK_RECIPIENT, SMTP_AWAIT_RECIPIENT);
}

static void
accept_recipient(struct smtp *s, bool local)
{
	struct smtp_envelope *e = &s->envelope;

	s->candidate.local = local;
	s->candidate.number = e->recipient_count;
	e->recipient_bytes += frame_bytes(&s->candidate);
	e->recipients[e->recipient_count++] = s->candidate;
	return_from_rcpt(s);
	smtp_say(s, REPLY_RECIPIENT_OK, s->candidate.address);
}

static void
refuse_for_good(struct smtp *s, enum smtp_reply reply)
{
	refuse_recipient(s, reply);
	/* Somebody is trying names, or wasting our time. */
	if (++s->unknown_recipients < SMTP_UNKNOWN_MAX)
		return;
	smtp_say(s, REPLY_TOO_MANY_ERRORS, SLICE(""));
	smtp_close(s);
}

void
smtp_on_recipient(struct smtp *s, enum fault fault)
{
	if (s->state != SMTP_AWAIT_RECIPIENT)
		return;
	switch (fault) {
	case FAULT_OK:
		accept_recipient(s, true);
		break;
	case FAULT_NOT_LOCAL:
		/* No relaying for strangers. */
		if (s->account != 0)
			accept_recipient(s, false);
		else
			refuse_for_good(s, REPLY_NO_RELAY);
		break;
	case FAULT_NO_SUCH_USER:
		refuse_for_good(s, REPLY_NO_SUCH_USER);
		break;
	case FAULT_ACCOUNT_DISABLED:
		refuse_for_good(s, REPLY_USER_DISABLED);
		break;
	case FAULT_OVER_QUOTA:
		refuse_recipient(s, REPLY_MAILBOX_FULL);
		break;
	default:
		if (fault_is_temporary(fault))
			refuse_recipient(s, REPLY_LATER);
		else
			refuse_for_good(s, REPLY_BAD_RECIPIENT);
	}
}

enum smtp_reply
transaction_open_message(struct smtp *s)
{
	s->envelope.id = entropy_u64(s->setup.entropy);
	struct message_setup setup = {
		.sink = s->setup.sink,
		.sink_arg = s->setup.sink_arg,
		.size_max = s->setup.message_size,
		.trace = trace_format(s),
		.clock = s->setup.clock,
		.id = s->envelope.id,
		.hostname = s->setup.hostname,
		.submission = s->setup.submission,
		.sender = s->envelope.sender,
		.arena = &s->arena,
	};

	if (setup.trace.len == 0)
		return REPLY_NO_MEMORY;
	enum fault fault = message_begin(&s->message, &setup);
	return fault == FAULT_OK ? REPLY_NONE : reply_of_fault(fault);
}

void
transaction_finish_message(struct smtp *s)
{
	enum fault fault = message_finish(&s->message);

	if (fault != FAULT_OK) {
		refuse_message(s, reply_of_fault(fault), slice_text(fault_text(fault)));
		return;
	}
	/* 8-bit text that was not announced is passed on as what it is. */
	if (s->message.data.has_8bit)
		s->envelope.body = IPC_BODY_8BITMIME;
	if (s->message.from_broken) {
		refuse_message(s, REPLY_BAD_FROM, SLICE(""));
		return;
	}
	s->next_from = 0;
	check_next_from(s);
}

void
smtp_on_commit(struct smtp *s, enum fault fault, struct slice text)
{
	char id[ID_TEXT_SIZE];

	if (s->state != SMTP_AWAIT_COMMIT)
		return;
	if (fault == FAULT_OK)
		smtp_say(s, REPLY_ACCEPTED, slice_text(id_format(s->envelope.id, id)));
	else
		smtp_say(s, reply_of_fault(fault),
			text.len > 0 ? text : slice_text(fault_text(fault)));
	smtp_reset(s);
}
