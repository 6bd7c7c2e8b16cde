/* SPDX-License-Identifier: ISC */
/*
 * Mail of a backup back into the running store: what the account does not have any more.  mailctl
 * reads both stores, and hands each message to mailboxd, which looks again before it writes.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/base/cursor.h"
#include "common/ipc/link.h"
#include "common/store/restore.h"
#include "mailctl/client.h"
#include "mailctl/restore.h"
#include "mailctl/restore_list.h"

enum {
	CALL_MS = 200000,
	WINDOW = 64, /* messages on their way */
	KEYWORDS_LEN_MAX = 8192,
	TRIES = 5,
};
#define WINDOW_BYTES (UINT64_C(32) << 20)

struct parts {
	struct mailctl *mailctl;
	const struct store_words *words;
	struct restore_list list;
	uint64_t account; /* in the running store */
	char account_text[ID_TEXT_SIZE];
	uint32_t
		*mailboxes; /* ids in the running store, by their place in the list; 0: not asked */
	struct event_base *base;
	struct ipc_link *link;
	unsigned waiting;
	uint64_t waiting_bytes;
	bool lost;
	bool watched;
	/* what became of the messages */
	uint64_t restored, damaged, failed, mailboxes_made;
	enum fault first_fault;
};

/* One email on its way. */
struct call {
	struct parts *parts;
	struct restore_email *email;
	uint64_t bytes;
};

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	(void)arg, (void)link, (void)message;
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct parts *p = arg;

	(void)link, (void)fault;
	p->lost = true;
}

static void
progress_show(const struct parts *p)
{
	if (p->watched && p->restored % 100 == 0)
		fprintf(stderr, "\r%llu of %zu messages ", (unsigned long long)p->restored,
			p->list.missing);
}

static void
on_restored(void *arg, const struct ipc_answer *answer)
{
	struct call *call = arg;
	struct parts *p = call->parts;
	const struct ipc_restored *restored = answer->payload;

	p->waiting--;
	p->waiting_bytes -= call->bytes;
	if (answer->fault == FAULT_OK && restored != NULL) {
		call->email->is_done = true;
		p->restored += restored->count;
		progress_show(p);
	} else {
		p->first_fault = answer->fault;
	}
	free(call);
}

/* The mailbox of the running store that stands for one of the backup. */
static enum fault
mailbox_ensure(struct parts *p, size_t number)
{
	const struct store_mailbox *m = &p->list.mailboxes.mailboxes[number];
	char use[16];
	const char *words[] = {
		"store", "mailbox", p->account_text, m->name, use, m->subscribed ? "1" : "0"};
	struct client_reply reply;

	if (p->mailboxes[number] != 0)
		return FAULT_OK;
	snprintf(use, sizeof(use), "%u", (unsigned)m->special_use);
	client_ask(p->mailctl->control, PROCESS_MAILBOXD, words, 6, &reply);
	json_t *answer = client_reply_json(&reply);
	enum fault fault = reply.fault;
	p->mailboxes[number] = (uint32_t)json_integer_value(json_object_get(answer, "mailbox"));
	p->mailboxes_made += json_is_true(json_object_get(answer, "made"));
	if (fault == FAULT_OK && p->mailboxes[number] == 0)
		fault = FAULT_INTERNAL;
	json_decref(answer);
	client_reply_clear(&reply);
	return fault;
}

/* Names of keywords, separated by spaces. */
static struct slice
keywords_write(const struct parts *p, const struct store_keywords *keywords, struct buffer *text)
{
	size_t begin = buffer_len(text);

	for (unsigned i = 0; i < p->list.keywords.count; i++) {
		if (!store_keywords_has(keywords, i))
			continue;
		if (buffer_len(text) > begin)
			buffer_add_byte(text, ' ');
		buffer_add_slice(text, p->list.keywords.names[i]);
	}
	return slice_make(NULL, buffer_len(text) - begin);
}

/* Where the email was, with flags, keywords and dates. */
static enum fault
targets_fill(struct parts *p, const struct restore_email *e, struct ipc_restore *request,
	struct buffer *keywords)
{
	enum fault fault = FAULT_OK;
	size_t at = 0;

	for (size_t i = 0; i < e->count && fault == FAULT_OK; i++) {
		const struct restore_place *place = &p->list.places[e->first + i];
		struct store_message m;
		fault = restore_list_message(&p->list, place, &m);
		if (fault == FAULT_OK)
			fault = mailbox_ensure(p, place->mailbox);
		if (fault != FAULT_OK)
			return fault;
		request->targets[i] = (struct ipc_restore_target){
			.mailbox = p->mailboxes[place->mailbox],
			.flags = m.flags,
			.keywords = keywords_write(p, &m.keywords, keywords),
			.internal_s = m.received_at,
			.zone_min = m.zone,
		};
	}
	/* The buffer has moved while it grew. */
	for (size_t i = 0; i < e->count && buffer_fault(keywords) == FAULT_OK; i++) {
		struct slice *s = &request->targets[i].keywords;
		*s = slice_make(buffer_slice(keywords).data + at, s->len);
		at += s->len;
	}
	return buffer_fault(keywords);
}

static void
window_wait(struct parts *p, unsigned most)
{
	while (!p->lost && p->waiting > most)
		event_base_loop(p->base, EVLOOP_ONCE);
}

static enum fault
request_send(struct parts *p, struct restore_email *e, const struct ipc_restore *request, int fd)
{
	struct call *call = malloc(sizeof(*call));

	if (call == NULL)
		return FAULT_NOMEM;
	*call = (struct call){p, e, request->stored_len};
	p->waiting++;
	p->waiting_bytes += call->bytes;
	(void)ipc_call(p->base, p->link, IPC_RESTORE, request, fd, CALL_MS, on_restored, call);
	window_wait(p, p->waiting_bytes > WINDOW_BYTES ? 0 : WINDOW - 1);
	return p->lost ? FAULT_PEER_LOST : FAULT_OK;
}

static void
request_fill(const struct parts *p, const struct store_message *m,
	const struct restore_package *content, struct ipc_restore *request)
{
	const struct package *package = &content->package;

	request->store = p->list.store;
	request->account = p->account;
	request->email = m->email_id;
	request->thread = m->thread_id;
	request->body = m->body_id;
	request->expunged_s = restore_list_expunged(&p->list, m->email_id);
	request->structure_len = package->structure_len;
	request->stored_len = package->body.stored_len;
	request->plain_len = package->body.plain_len;
	request->codec = package->body.codec;
	request->checksum = slice_make(package->body.checksum, sizeof(package->body.checksum));
	request->references = slice_make(package->references, package->references_len);
	request->prefix = slice_make(content->prefix, content->prefix_len);
}

static enum fault
email_send(struct parts *p, struct restore_email *e)
{
	struct ipc_restore request = {
		.targets = calloc(e->count, sizeof(request.targets[0])),
		.target_count = (uint32_t)e->count,
	};
	struct restore_package *content = malloc(sizeof(*content));
	struct buffer keywords;
	struct store_message m;
	enum fault fault = request.targets != NULL && content != NULL ? FAULT_OK : FAULT_NOMEM;

	buffer_init(&keywords, e->count * KEYWORDS_LEN_MAX);
	if (fault == FAULT_OK)
		fault = restore_list_message(&p->list, &p->list.places[e->first], &m);
	if (fault == FAULT_OK)
		fault = restore_package_make(p->list.backup, &m, content);
	if (fault == FAULT_OK) {
		fault = targets_fill(p, e, &request, &keywords);
		request_fill(p, &m, content, &request);
		if (fault == FAULT_OK)
			fault = request_send(p, e, &request, content->package.fd);
		package_clear(&content->package);
	}
	buffer_clear(&keywords);
	free(request.targets);
	free(content);
	return fault;
}

/* Everything that is missing; what was damaged in the backup is passed over. */
static enum fault
emails_send(struct parts *p)
{
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < p->list.email_count && fault == FAULT_OK; i++) {
		struct restore_email *e = &p->list.emails[i];
		if (e->is_done)
			continue;
		fault = email_send(p, e);
		if (fault == FAULT_DAMAGED) {
			e->is_done = true;
			p->damaged += e->count;
			fault = FAULT_OK;
		}
	}
	window_wait(p, 0);
	return fault == FAULT_OK && p->lost ? FAULT_PEER_LOST : fault;
}

static uint64_t
undone_count(const struct parts *p)
{
	uint64_t count = 0;

	for (size_t i = 0; i < p->list.email_count; i++)
		count += p->list.emails[i].is_done ? 0 : p->list.emails[i].count;
	return count;
}

static enum fault
link_open(struct parts *p)
{
	struct ipc_link_events events = {.message = on_message, .lost = on_lost, .arg = p};
	int fd = client_connect(p->mailctl->control);

	if (fd < 0)
		return FAULT_PEER_LOST;
	p->base = event_base_new();
	if (p->base == NULL) {
		close(fd);
		return FAULT_NOMEM;
	}
	p->link = ipc_link_new(p->base, fd, PROCESS_MAILCTL, PROCESS_MAILD, &events);
	return p->link != NULL ? FAULT_OK : FAULT_NOMEM;
}

/* With all mailboxes of an account, empty ones too. */
static enum fault
mailboxes_ensure(struct parts *p)
{
	enum fault fault = FAULT_OK;

	p->mailboxes = calloc(p->list.mailboxes.count + 1, sizeof(p->mailboxes[0]));
	if (p->mailboxes == NULL)
		return FAULT_NOMEM;
	for (size_t i = 0; i < p->list.mailboxes.count && fault == FAULT_OK; i++)
		if (restore_list_has_mailbox(&p->list, i))
			fault = mailbox_ensure(p, i);
	return fault;
}

static enum fault
all_send(struct parts *p)
{
	enum fault fault = mailboxes_ensure(p);

	if (fault == FAULT_OK)
		fault = link_open(p);
	for (int tries = 0; fault == FAULT_OK && tries < TRIES; tries++) {
		p->first_fault = FAULT_OK;
		fault = emails_send(p);
		/* A batch that failed as a whole, or an index that had to grow. */
		if (p->first_fault == FAULT_OK || !fault_is_temporary(p->first_fault))
			break;
	}
	if (fault == FAULT_OK)
		fault = p->first_fault;
	p->failed = undone_count(p);
	ipc_link_free(p->link);
	if (p->base != NULL)
		event_base_free(p->base);
	free(p->mailboxes);
	return fault;
}

static enum status
parts_print(const struct parts *p, enum fault fault)
{
	json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:I}", "restored", (json_int_t)p->restored,
		"there", (json_int_t)p->list.present, "damaged", (json_int_t)p->damaged, "failed",
		(json_int_t)p->failed, "mailboxes_made", (json_int_t)p->mailboxes_made);

	command_print(p->mailctl, answer);
	json_decref(answer);
	if (fault != FAULT_OK)
		complain("%s", fault_text(fault));
	return fault == FAULT_OK && p->damaged == 0 && p->failed == 0 ? STATUS_OK : STATUS_FAILED;
}

/* What the words ask for. */
static bool
wish_fill(const struct parts *p, struct restore_wish *wish)
{
	uint64_t uid = 0;

	*wish = (struct restore_wish){.account = p->account, .into = p->account};
	if (p->words->from != NULL && !id_parse(slice_text(p->words->from), &wish->account)) {
		complain("--from %s: no account id", p->words->from);
		return false;
	}
	if (p->words->mailbox != NULL)
		wish->mailbox = slice_text(p->words->mailbox);
	if (p->words->uid != NULL &&
		(wish->mailbox.len == 0 ||
			!slice_parse_u64(slice_text(p->words->uid), UINT32_MAX, &uid) ||
			uid == 0)) {
		complain("--uid is a number, with --mailbox");
		return false;
	}
	wish->uid = (uint32_t)uid;
	if (p->words->email != NULL && !id_parse(slice_text(p->words->email), &wish->email)) {
		complain("--email %s: no email id", p->words->email);
		return false;
	}
	return true;
}

static void
list_complain(const struct parts *p, enum fault fault)
{
	if (fault == FAULT_NOT_FOUND && p->list.has_account)
		complain("%s: there is no such mailbox or message", p->words->places[0]);
	else if (fault == FAULT_NOT_FOUND)
		complain("%s: there is no mail of %s", p->words->places[0], p->words->account);
	else
		complain("%s: %s", p->words->places[0], fault_text(fault));
}

static enum status
view_restore(struct parts *p, const char *view, const char *live)
{
	struct restore_wish wish;
	enum status status = STATUS_FAILED;

	if (!wish_fill(p, &wish))
		return STATUS_USAGE;
	enum fault fault = restore_list_open(&p->list, view, live, &wish);
	if (fault != FAULT_OK) {
		list_complain(p, fault);
	} else {
		fault = all_send(p);
		if (p->watched && p->restored >= 100)
			fputc('\n', stderr);
		status = parts_print(p, fault);
	}
	restore_list_close(&p->list);
	return status;
}

enum status
restore_parts_run(struct mailctl *mailctl, const struct store_words *words, int64_t at)
{
	struct parts p = {.mailctl = mailctl,
		.words = words,
		.watched = !mailctl->json && isatty(STDERR_FILENO) == 1};
	struct restore_view view;
	char live[PATH_MAX];

	if (words->place_count != 1) {
		complain("--account is for the running store");
		return STATUS_USAGE;
	}
	enum status status = store_words_locate(mailctl, words, live);
	if (status == STATUS_OK)
		status = command_account_find(mailctl, words->account, p.account_text);
	if (status != STATUS_OK)
		return status;
	if (!id_parse(slice_text(p.account_text), &p.account))
		return STATUS_FAILED;
	enum fault fault = restore_view_open(words->places[0], at, &view);
	if (fault != FAULT_OK) {
		restore_complain(words->places[0], at, fault);
		return STATUS_FAILED;
	}
	status = view_restore(&p, view.dir, live);
	restore_view_close(&view);
	return status;
}
