/* SPDX-License-Identifier: ISC */
/*
 * APPEND (RFC 3501 6.3.11; RFC 4315 APPENDUID).  The octets of the message go to a memfd as they
 * come; when all are there the message is parsed and packed like a delivery, and mailboxd stores
 * it.  A refused message of a non-synchronising literal is passed over.  Linked by imapd.
 */
#include "imapd/append.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/memfd.h"
#include "common/store/package.h"
#include "imapd/input.h"
#include "imapd/keys.h"
#include "imapd/mailbox.h"

struct imap_append {
	int fd; /* -1: refused, or taken */
	uint64_t size, received;
	uint64_t counted; /* bytes of the process's budget */
	enum imap_reply refusal; /* REPLY_DONE: none so far */
};

static void
uncount(struct imap_session *s)
{
	s->core->message_memory_used -= s->append->counted;
	s->append->counted = 0;
}

void
append_free(struct imap_session *s)
{
	if (s->append == NULL)
		return;
	if (s->append->fd >= 0)
		(void)close(s->append->fd);
	uncount(s);
	free(s->append);
	s->append = NULL;
}

/* The announcement of the message: its octets are not in the text. */
static bool
take_announcement(struct cursor *c, uint64_t *size)
{
	if (!take_byte(c, '{') || !take_u64(c, UINT64_MAX, size))
		return false;
	(void)take_byte(c, '+');
	return take_text(c, SLICE("}\r\n"));
}

/* SP mailbox [SP flag-list] [SP date-time] SP literal */
bool
parse_append(struct imap_command *command, struct cursor *c)
{
	struct arena *arena = &command->arena;

	if (!take_sp(c) || !take_astring(c, arena, &command->arguments.append.mailbox) ||
		!take_sp(c))
		return false;
	if (peek_byte(c) == '(' &&
		(!take_flag_list(c, arena, &command->arguments.append.flags) || !take_sp(c)))
		return false;
	if (peek_byte(c) == '"') {
		if (!take_imap_date_time(c, &command->arguments.append.date) || !take_sp(c))
			return false;
		command->arguments.append.has_date = true;
	}
	return take_announcement(c, &command->arguments.append.size);
}

/*
 * Behind the mailbox the only literal is the message, whatever is wrong with what is between them;
 * the reply to that waits until the message is passed over.
 */
static bool
is_append(struct imap_session *s, bool *is_right)
{
	struct cursor c = cursor_of(buffer_slice(&s->text));
	struct slice tag, mailbox;

	if (!take_tag(&c, &tag) || !take_sp(&c) || !take_word(&c, SLICE("APPEND")))
		return false;
	struct cursor arguments = c;
	if (!take_sp(&c) || !take_astring(&c, &s->command.arena, &mailbox))
		return false;
	*is_right = parse_append(&s->command, &arguments) && cursor_at_end(&arguments);
	s->command.tag = tag;
	s->command.row = commands_find(SLICE("APPEND"));
	return true;
}

/* What can be said before the message is there. */
static enum imap_reply
judge(struct imap_session *s, uint64_t size)
{
	struct imap_core *core = s->core;
	struct store_mailbox mailbox;

	if ((s->command.row->states & s->state) == 0)
		return REPLY_STATE;
	if (size == 0)
		return REPLY_EMPTY;
	if (size > core->message_size_max)
		return REPLY_TOO_BIG;
	if (core->message_memory_used + size > core->message_memory_max)
		return REPLY_LIMIT;
	enum fault fault = mailbox_find(s, s->command.arguments.append.mailbox, &mailbox);
	return fault == FAULT_NOT_FOUND ? REPLY_TRYCREATE : reply_of_fault(fault);
}

static enum imap_reply
open_message(struct imap_session *s, uint64_t size)
{
	enum imap_reply reply = judge(s, size);
	enum fault fault;

	if (reply != REPLY_DONE)
		return reply;
	s->append->fd = memfd_open("append", &fault);
	if (s->append->fd < 0)
		return reply_of_fault(fault);
	return REPLY_DONE;
}

bool
append_begins(struct imap_session *s, const struct line_literal *literal)
{
	bool is_right;

	if (!is_append(s, &is_right))
		return false;
	s->append = calloc(1, sizeof *s->append);
	if (s->append == NULL) {
		session_bye(s, "Out of memory");
		return true;
	}
	s->append->fd = -1;
	s->append->size = literal->size;
	s->append->refusal = is_right ? open_message(s, literal->size) : REPLY_SYNTAX;
	if (literal->synchronising && s->append->refusal != REPLY_DONE) {
		session_finish(s, s->append->refusal);
		return true;
	}
	if (literal->synchronising)
		buffer_add_text(&s->out, "+ OK\r\n");
	if (literal->size == 0)
		input_resume_command(s);
	else
		s->await = IMAP_AWAIT_MESSAGE;
	return true;
}

bool
append_is_received(const struct imap_append *append)
{
	return append->received == append->size;
}

static void
refuse_rest(struct imap_session *s, enum imap_reply reply)
{
	struct imap_append *append = s->append;

	append->refusal = reply;
	uncount(s);
	if (append->fd >= 0)
		(void)close(append->fd);
	append->fd = -1;
}

/* What is here counts, not what was announced: words alone must not keep others out. */
static bool
count(struct imap_session *s, uint64_t len)
{
	struct imap_core *core = s->core;

	if (core->message_memory_used + len > core->message_memory_max)
		return false;
	core->message_memory_used += len;
	s->append->counted += len;
	return true;
}

static void
keep(struct imap_session *s, struct slice bytes)
{
	struct imap_append *append = s->append;

	if (append->fd < 0)
		return;
	if (memchr(bytes.data, '\0', bytes.len) != NULL) {
		refuse_rest(s, REPLY_NUL);
		return;
	}
	if (!count(s, bytes.len)) {
		refuse_rest(s, REPLY_LIMIT);
		return;
	}
	enum fault fault = memfd_append(append->fd, bytes);
	if (fault != FAULT_OK)
		refuse_rest(s, reply_of_fault(fault));
}

size_t
append_take_message(struct imap_session *s, struct slice input)
{
	struct imap_append *append = s->append;
	uint64_t left = append->size - append->received;
	struct slice bytes = slice_first(input, left < input.len ? (size_t)left : input.len);

	if (bytes.len == 0)
		return 0;
	keep(s, bytes);
	append->received += bytes.len;
	if (append_is_received(append))
		input_resume_command(s);
	return bytes.len;
}

static void
on_appended(struct imap_session *s, const struct ipc_answer *answer)
{
	const struct ipc_appended *appended = answer->payload;
	enum fault fault = answer->fault;

	if (fault == FAULT_OK)
		fault = appended->result_count == 1 ? (enum fault)appended->results[0].fault
						    : FAULT_PEER_PROTOCOL;
	if (fault == FAULT_NOT_FOUND) {
		session_finish(s, REPLY_TRYCREATE);
		return;
	}
	if (fault == FAULT_OK)
		buffer_printf(session_code(s), "APPENDUID %u %u", appended->results[0].uidvalidity,
			appended->results[0].uid);
	session_finish_fault(s, fault);
}

static struct ipc_append_target
make_target(struct imap_session *s, uint32_t mailbox)
{
	const struct imap_command *command = &s->command;
	struct ipc_append_target target = {
		.account = s->account,
		.mailbox = mailbox,
		.flags = command->arguments.append.flags.flags,
		.keywords = command->arguments.append.flags.keywords,
		.internal_s = clock_wall_ms(s->core->clock) / 1000,
	};

	if (command->arguments.append.has_date) {
		target.internal_s = command->arguments.append.date.seconds;
		target.zone_min = command->arguments.append.date.zone_minutes;
	}
	return target;
}

static void
ask_append(struct imap_session *s, const struct package *package, uint32_t mailbox)
{
	struct ipc_append_target target = make_target(s, mailbox);
	struct ipc_append append = {
		.structure_len = package->structure_len,
		.stored_len = package->body.stored_len,
		.plain_len = package->body.plain_len,
		.codec = package->body.codec,
		.checksum = slice_make(package->body.checksum, sizeof package->body.checksum),
		.references = slice_make(package->references, package->references_len),
		.targets = &target,
		.target_count = 1,
	};
	struct imap_request request = {PROCESS_MAILBOXD, IPC_APPEND, &append, package->fd};

	session_ask(s, &request, on_appended);
}

/* Parses and packs what came; the plain bytes are given up. */
static enum fault
pack_message(struct imap_session *s, struct package *package)
{
	struct slice plain;
	enum fault fault = memfd_seal(s->append->fd);

	if (fault == FAULT_OK)
		fault = memfd_map(s->append->fd, (size_t)s->append->size, &plain);
	if (fault != FAULT_OK)
		return fault;
	fault = package_make(s->core->packer, plain, package);
	memfd_unmap(&plain);
	return fault == FAULT_OK ? keys_seal(s, package) : fault;
}

void
cmd_append(struct imap_session *s)
{
	struct store_mailbox mailbox;
	struct package package = {.fd = -1};

	if (s->append == NULL || s->append->fd < 0) {
		session_finish(s, s->append == NULL ? REPLY_SYNTAX : s->append->refusal);
		return;
	}
	enum fault fault = mailbox_find(s, s->command.arguments.append.mailbox, &mailbox);
	if (fault == FAULT_NOT_FOUND) {
		session_finish(s, REPLY_TRYCREATE);
		return;
	}
	if (fault == FAULT_OK)
		fault = pack_message(s, &package);
	if (fault == FAULT_OK)
		ask_append(s, &package, mailbox.id);
	else
		session_finish_fault(s, fault);
	if (package.fd >= 0)
		package_clear(&package);
}
