/* SPDX-License-Identifier: ISC */
#include "tests/unit/store/dump.h"

#include <sodium.h>
#include <stdlib.h>

enum {
	ARENA_MAX = 64 * 1024 * 1024,
	CONTENT_MAX = 16 * 1024 * 1024,
	CHECKSUM_SIZE = 16,
	SUBSCRIPTIONS_MAX = 1000,
};

struct dump {
	FILE *out;
	struct store_reader *reader;
	struct arena arena; /* of one account */
	struct store_keyword_names keywords;
	struct slice subscriptions[SUBSCRIPTIONS_MAX];
	size_t subscription_count;
};

#define NUMBER(n) ((unsigned long long)(n))

static void
checksum_print(FILE *out, const char *what, struct slice bytes)
{
	uint8_t checksum[CHECKSUM_SIZE];
	char hex[2 * CHECKSUM_SIZE + 1];

	crypto_generichash(
		checksum, sizeof(checksum), (const uint8_t *)bytes.data, bytes.len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), checksum, sizeof(checksum));
	fprintf(out, " %s %zu %s", what, bytes.len, hex);
}

/* Prefix and body as a client gets them. */
static enum fault
content_print(struct dump *d, const struct store_message *m)
{
	struct store_content content;
	enum fault fault = reader_content(d->reader, m, &content);

	if (fault != FAULT_OK)
		return fault;
	size_t len = (size_t)store_content_size(&content);
	char *bytes = len <= CONTENT_MAX ? malloc(len + 1) : NULL;
	if (bytes == NULL)
		return FAULT_NOMEM;
	fault = reader_read(d->reader, &content, 0, (struct body_span){bytes, len});
	if (fault == FAULT_OK) {
		checksum_print(d->out, "prefix", slice_make(bytes, content.prefix_len));
		checksum_print(d->out, "content", slice_make(bytes, len));
	}
	free(bytes);
	return fault;
}

static void
flags_print(struct dump *d, const struct store_message *m)
{
	static const char *const names[] = {
		"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
	const char *gap = "";

	fputs(" (", d->out);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((m->flags >> i & 1) == 0)
			continue;
		fprintf(d->out, "%s%s", gap, names[i]);
		gap = " ";
	}
	for (unsigned i = 0; i < d->keywords.count; i++) {
		if (!store_keywords_has(&m->keywords, i))
			continue;
		fprintf(d->out, "%s%" SLICE_FMT, gap, SLICE_ARG(d->keywords.names[i]));
		gap = " ";
	}
	fputc(')', d->out);
}

static enum fault
message_print(struct dump *d, const struct store_message *m)
{
	struct slice structure;
	enum fault fault = reader_structure(d->reader, m, &structure);

	fprintf(d->out,
		"mailbox %u uid %u modseq %llu email %llu thread %llu body %llu received %lld "
		"%d size %llu",
		m->mailbox, m->uid, NUMBER(m->modseq), NUMBER(m->email_id), NUMBER(m->thread_id),
		NUMBER(m->body_id), (long long)m->received_at, m->zone, NUMBER(m->size));
	flags_print(d, m);
	if (fault != FAULT_OK)
		return fault;
	checksum_print(d->out, "structure", structure);
	fault = content_print(d, m);
	fputc('\n', d->out);
	return fault;
}

static enum fault
messages_print(struct dump *d, const struct store_mailbox *box)
{
	struct store_message m;
	struct reader_walk walk;
	enum fault fault = FAULT_OK;

	reader_walk_open(d->reader, box->account, box->id, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &m); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &m)) {
		fputs("  message ", d->out);
		fault = message_print(d, &m);
	}
	enum fault closed = reader_walk_close(&walk);
	return fault != FAULT_OK ? fault : closed;
}

static enum fault
mailbox_print(struct dump *d, const struct store_mailbox *m)
{
	fprintf(d->out,
		"  mailbox %u \"%s\" parent %u uidvalidity %u uidnext %u exists %u unseen %u "
		"deleted %u recent %u from %u size %llu modseq %llu%s%s%s%s%s\n",
		m->id, m->name, m->parent, m->uidvalidity, m->uidnext, m->exists, m->unseen,
		m->deleted, m->recent, m->recent_from, NUMBER(m->size_bytes),
		NUMBER(m->highest_modseq), m->special_use != STORE_USE_NONE ? " " : "",
		store_special_use_text(m->special_use), m->noselect ? " \\Noselect" : "",
		m->subscribed ? " subscribed" : "", m->has_children ? " \\HasChildren" : "");
	return messages_print(d, m);
}

static enum fault
subscription_add(void *arg, struct slice name)
{
	struct dump *d = arg;

	if (d->subscription_count == SUBSCRIPTIONS_MAX)
		return FAULT_TOO_MANY;
	return arena_copy(&d->arena, name, &d->subscriptions[d->subscription_count++])
		? FAULT_OK
		: FAULT_BUDGET;
}

static int
names_compare(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Readers get them in no particular order. */
static enum fault
subscriptions_print(struct dump *d, uint64_t account)
{
	d->subscription_count = 0;
	enum fault fault = reader_subscriptions(d->reader, account, subscription_add, d);

	if (fault != FAULT_OK)
		return fault;
	qsort(d->subscriptions, d->subscription_count, sizeof(d->subscriptions[0]), names_compare);
	for (size_t i = 0; i < d->subscription_count; i++)
		fprintf(d->out, "  subscription \"%" SLICE_FMT "\"\n",
			SLICE_ARG(d->subscriptions[i]));
	return FAULT_OK;
}

static enum fault
names_print(struct dump *d, uint64_t account)
{
	enum fault fault = reader_keywords(d->reader, account, &d->arena, &d->keywords);

	if (fault != FAULT_OK)
		return fault;
	for (unsigned i = 0; i < d->keywords.count; i++)
		fprintf(d->out, "  keyword %u %" SLICE_FMT "\n", i,
			SLICE_ARG(d->keywords.names[i]));
	return subscriptions_print(d, account);
}

static enum fault
mailboxes_print(struct dump *d, uint64_t account)
{
	struct store_mailbox_list list;
	enum fault fault = reader_mailboxes(d->reader, account, &d->arena, &list);

	for (size_t i = 0; fault == FAULT_OK && i < list.count; i++)
		fault = mailbox_print(d, &list.mailboxes[i]);
	return fault;
}

static enum fault
change_print(void *arg, const struct store_change *c)
{
	static const char *const kinds[] = {
		"?", "new", "flags", "expunged", "mailbox", "mailbox-gone", "subscriptions"};
	struct dump *d = arg;

	fprintf(d->out, "  change %llu mailbox %u %s %u:%u\n", NUMBER(c->modseq), c->mailbox,
		kinds[c->kind], c->uid_first, c->uid_last);
	return FAULT_OK;
}

static enum fault
expunged_print(void *arg, int64_t expunged_at, const struct store_message *m)
{
	struct dump *d = arg;

	fprintf(d->out, "  expunged at %lld ", (long long)expunged_at);
	return message_print(d, m);
}

static enum fault
account_print(void *arg, const struct store_account *a)
{
	struct dump *d = arg;
	struct reader_changes changes = {
		.account = a->id, .since = a->oldest_modseq, .each = change_print, .arg = d};

	fprintf(d->out,
		"account %llu quota %llu used %llu messages %llu modseq %llu oldest %llu "
		"mailbox-next %u mailboxes %u uidvalidity-last %u changes %u\n",
		NUMBER(a->id), NUMBER(a->quota_bytes), NUMBER(a->used_bytes), NUMBER(a->messages),
		NUMBER(a->modseq), NUMBER(a->oldest_modseq), a->mailbox_next, a->mailboxes,
		a->uidvalidity_last, a->changes);
	arena_init(&d->arena, ARENA_MAX);
	enum fault fault = names_print(d, a->id);
	if (fault == FAULT_OK)
		fault = mailboxes_print(d, a->id);
	if (fault == FAULT_OK)
		fault = reader_changes(d->reader, &changes);
	if (fault == FAULT_OK)
		fault = reader_expunged(d->reader, a->id, expunged_print, d);
	arena_clear(&d->arena);
	return fault;
}

enum fault
dump_store(FILE *out, struct store_reader *reader)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return FAULT_NOMEM;
	*d = (struct dump){.out = out, .reader = reader};
	enum fault fault = reader_begin(reader);
	if (fault == FAULT_OK) {
		fault = reader_accounts(reader, account_print, d);
		reader_end(reader);
	}
	free(d);
	if (fault == FAULT_OK && fflush(out) != 0)
		fault = FAULT_IO;
	return fault;
}
