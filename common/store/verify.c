/* SPDX-License-Identifier: ISC */
/*
 * Verifies a store while it is in use: first each account, in one committed state of it; then
 * the reference counts of the whole store, in one state; then every record of the segments, a few
 * at a time.  Runs in mailboxd, or in a program of its own on a store at rest.
 */
#include "common/store/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/reader_private.h"
#include "common/store/segment_format.h"

enum {
	FINDING_TEXT_SIZE = 200,
	SLICE_BODIES = 64,
	SLICE_BYTES = 4 * 1024 * 1024,
};

enum stage { STAGE_ACCOUNTS, STAGE_REFERENCES, STAGE_BODIES, STAGE_DONE };

/* Numbers to be counted by sorting: 8 bytes each. */
struct ids {
	uint64_t *at;
	size_t count;
	size_t size;
};

struct store_verify {
	struct store_reader *reader;
	struct verify_options options;
	struct verify_progress progress;
	enum stage stage;
	uint64_t next; /* account or body id to go on with */
	struct ids ids;
	uint64_t account; /* being checked, for findings */
};

__attribute__((format(printf, 4, 5))) static void
found(struct store_verify *v, uint32_t mailbox, uint32_t uid, const char *format, ...)
{
	char text[FINDING_TEXT_SIZE];
	struct store_finding finding = {v->account, mailbox, uid, text};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	v->progress.findings++;
	if (v->options.found != NULL)
		v->options.found(v->options.arg, &finding);
}

static void
compare(struct store_verify *v, uint32_t mailbox, const char *what, const uint64_t values[2])
{
	if (values[0] != values[1])
		found(v, mailbox, 0, "%s is %llu, but %llu were found", what,
			(unsigned long long)values[0], (unsigned long long)values[1]);
}

#define COMPARE(v, mailbox, what, stored, counted)                                                 \
	compare((v), (mailbox), (what), (const uint64_t[2]){(stored), (counted)})

static enum fault
ids_add(struct ids *ids, uint64_t id)
{
	if (ids->count == ids->size) {
		size_t size = ids->size == 0 ? 1024 : ids->size * 2;
		uint64_t *at = reallocarray(ids->at, size, sizeof(*at));
		if (at == NULL)
			return FAULT_NOMEM;
		ids->at = at;
		ids->size = size;
	}
	ids->at[ids->count++] = id;
	return FAULT_OK;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
ids_sort(struct ids *ids)
{
	if (ids->count > 0)
		qsort(ids->at, ids->count, sizeof(ids->at[0]), compare_numbers);
}

/* How often an id stands in the sorted list from *at on; *at moves behind it. */
static uint32_t
ids_take(const struct ids *ids, size_t *at, uint64_t id)
{
	uint32_t count = 0;

	while (*at < ids->count && ids->at[*at] < id)
		(*at)++;
	for (; *at < ids->count && ids->at[*at] == id; (*at)++)
		count++;
	return count;
}

/* What a mailbox record should say. */
static void
mailbox_compare(
	struct store_verify *v, const struct store_mailbox *m, const struct store_mailbox *c)
{
	COMPARE(v, m->id, "exists", m->exists, c->exists);
	COMPARE(v, m->id, "unseen", m->unseen, c->unseen);
	COMPARE(v, m->id, "deleted", m->deleted, c->deleted);
	COMPARE(v, m->id, "recent", m->recent, c->recent);
	COMPARE(v, m->id, "size", m->size_bytes, c->size_bytes);
}

static void
message_check(
	struct store_verify *v, const struct store_mailbox *box, const struct store_message *m)
{
	struct kv_txn *txn = &v->reader->txn;
	struct index_email email;
	struct index_body body;

	if (m->uid == 0 || m->uid >= box->uidnext)
		found(v, box->id, m->uid, "UID is not below the mailbox's next UID");
	if (m->modseq > box->highest_modseq)
		found(v, box->id, m->uid, "modification sequence is over the mailbox's highest");
	if (index_email_load(txn, m->email_id, &email) != FAULT_OK) {
		found(v, box->id, m->uid, "email record is missing or damaged");
		return;
	}
	if (email.account != m->account || email.body_id != m->body_id ||
		email.prefix.len != m->prefix_len)
		found(v, box->id, m->uid, "email record belongs to another message");
	if (index_body_load(txn, m->body_id, &body) != FAULT_OK) {
		found(v, box->id, m->uid, "body record is missing or damaged");
		return;
	}
	if (body.place.segment != m->body.segment || m->body.offset < body.place.offset ||
		m->body.offset + m->body.stored_len > body.place.offset + body.place.length ||
		body.structure_len != m->structure_len)
		found(v, box->id, m->uid, "body does not lie where the message says");
}

static enum fault
messages_check(struct store_verify *v, struct store_mailbox *m, struct store_account *sums)
{
	struct store_mailbox counted = {.recent_from = m->recent_from};
	struct store_message message;
	struct reader_walk walk;
	enum fault fault = FAULT_OK;

	reader_walk_open(v->reader, m->account, m->id, &walk);
	for (bool more = reader_walk_seek(&walk, 0, &message); more && fault == FAULT_OK;
		more = reader_walk_next(&walk, &message)) {
		counted.exists++;
		counted.unseen += (message.flags & STORE_SEEN) == 0;
		counted.deleted += (message.flags & STORE_DELETED) != 0;
		counted.recent += message.uid >= m->recent_from;
		counted.size_bytes += message.size;
		message_check(v, m, &message);
		fault = ids_add(&v->ids, message.email_id);
		v->progress.messages++;
	}
	if (reader_walk_close(&walk) == FAULT_DAMAGED)
		found(v, m->id, 0, "there are damaged message records");
	mailbox_compare(v, m, &counted);
	sums->messages += counted.exists;
	sums->used_bytes += counted.size_bytes;
	return fault;
}

static void
mailbox_check(struct store_verify *v, struct store_mailbox *m, const struct store_account *account)
{
	struct slice name = slice_make(m->name, m->name_len);
	uint32_t id = 0;

	if (m->highest_modseq > account->modseq)
		found(v, m->id, 0, "highest modification sequence is over the account's");
	if (m->id >= account->mailbox_next || m->uidvalidity > account->uidvalidity_last)
		found(v, m->id, 0, "id or UIDVALIDITY was never given");
	if (index_mailbox_find(&v->reader->txn, m->account, name, &id) != FAULT_OK || id != m->id)
		found(v, m->id, 0, "name does not lead to the mailbox");
}

/* Each email of the account has as many messages as it says. */
static void
emails_check(struct store_verify *v)
{
	ids_sort(&v->ids);
	for (size_t at = 0; at < v->ids.count;) {
		uint64_t id = v->ids.at[at];
		struct index_email email;
		uint32_t count = ids_take(&v->ids, &at, id);
		/* A missing record has been reported with its message. */
		if (index_email_load(&v->reader->txn, id, &email) == FAULT_OK &&
			email.references != count)
			COMPARE(v, 0, "references of an email", email.references, count);
	}
}

static uint64_t
count_prefix(struct store_verify *v, unsigned table, uint64_t account)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	uint64_t count = 0;

	kv_cursor_open(&v->reader->txn, table, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix)); more;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix)))
		count++;
	kv_cursor_close(&cursor);
	return count;
}

static enum fault
account_check(struct store_verify *v, const struct store_account *account)
{
	struct store_account sums = {0};
	struct store_mailbox_list list;
	struct arena arena;

	v->account = account->id;
	v->ids.count = 0;
	arena_init(&arena, (size_t)STORE_MAILBOXES_MAX * (sizeof(struct store_mailbox) + 1) + 4096);
	enum fault fault = reader_mailboxes(v->reader, account->id, &arena, &list);
	if (fault == FAULT_DAMAGED || fault == FAULT_BUDGET) {
		found(v, 0, 0, "the list of mailboxes is damaged");
		fault = FAULT_OK;
	}
	for (size_t i = 0; fault == FAULT_OK && i < list.count; i++) {
		mailbox_check(v, &list.mailboxes[i], account);
		fault = messages_check(v, &list.mailboxes[i], &sums);
	}
	if (fault == FAULT_OK) {
		emails_check(v);
		COMPARE(v, 0, "number of mailboxes", account->mailboxes, list.count);
		COMPARE(v, 0, "number of names", list.count,
			count_prefix(v, INDEX_NAMES, account->id));
		COMPARE(v, 0, "number of messages", account->messages, sums.messages);
		COMPARE(v, 0, "number of message records", account->messages,
			count_prefix(v, INDEX_MESSAGES, account->id));
		COMPARE(v, 0, "used bytes", account->used_bytes, sums.used_bytes);
		COMPARE(v, 0, "number of changes", account->changes,
			count_prefix(v, INDEX_CHANGES, account->id));
	}
	arena_clear(&arena);
	return fault;
}

/* The next account from v->next on, or the next stage. */
static enum fault
step_accounts(struct store_verify *v)
{
	uint64_t first = v->options.account != 0 ? v->options.account : v->next;
	struct index_key key = index_key_id(first);
	struct store_account account = {0};
	struct kv_cursor cursor;

	kv_cursor_open(&v->reader->txn, INDEX_ACCOUNTS, &cursor);
	bool is_there = kv_seek(&cursor, index_key_slice(&key)) && cursor.key.len == 8;
	uint64_t id = is_there ? get_u64(cursor.key.data) : 0;
	bool decoded =
		is_there && index_account_decode(cursor.key, cursor.value, &account) == FAULT_OK;
	kv_cursor_close(&cursor);
	if (v->options.account != 0)
		v->stage = STAGE_DONE;
	else if (!is_there || id == UINT64_MAX)
		v->stage = STAGE_REFERENCES;
	v->next = id + 1;
	if (!is_there || (v->options.account != 0 && id != v->options.account))
		return FAULT_OK;
	v->progress.accounts++;
	v->account = id;
	if (!decoded) {
		found(v, 0, 0, "account record is damaged");
		return FAULT_OK;
	}
	return account_check(v, &account);
}

/* Collects the body of every email; counts messages, and emails that wait for their purge. */
static enum fault
emails_collect(struct store_verify *v)
{
	enum fault fault = FAULT_OK;
	struct kv_cursor cursor;
	uint64_t waiting = 0, references = 0;

	v->ids.count = 0;
	kv_cursor_open(&v->reader->txn, INDEX_EMAILS, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		if (cursor.key.len != 8 || cursor.value.len < 20) {
			found(v, 0, 0, "there are damaged email records");
			continue;
		}
		waiting += get_u32(cursor.value.data) == 0;
		references += get_u32(cursor.value.data);
		fault = ids_add(&v->ids, get_u64(cursor.value.data + 12));
	}
	kv_cursor_close(&cursor);
	COMPARE(v, 0, "number of expunged emails", kv_count(&v->reader->txn, INDEX_EXPUNGED),
		waiting);
	COMPARE(v, 0, "references of all emails", references,
		kv_count(&v->reader->txn, INDEX_MESSAGES));
	return fault;
}

/* Compares the live bytes of one segment's records with what the table says. */
static void
segment_compare(struct store_verify *v, uint32_t number, const struct index_segment *counted)
{
	struct index_segment stored = {0};
	enum fault fault = index_segment_load(&v->reader->txn, number, &stored);

	if (fault != FAULT_OK && (fault != FAULT_NOT_FOUND || counted->live_records > 0)) {
		found(v, 0, 0, "segment %u has no record in the index", number);
		return;
	}
	COMPARE(v, 0, "live records of a segment", stored.live_records, counted->live_records);
	COMPARE(v, 0, "live bytes of a segment", stored.live_bytes, counted->live_bytes);
}

/* Bodies are numbered in the order in which they were appended: segments come one by one. */
static void
bodies_compare(struct store_verify *v)
{
	struct index_segment counted = {0};
	struct kv_cursor cursor;
	uint32_t segment = 0;
	size_t at = 0;

	kv_cursor_open(&v->reader->txn, INDEX_BODIES, &cursor);
	for (bool more = kv_first(&cursor); more; more = kv_next(&cursor)) {
		struct index_body body;
		if (cursor.key.len != 8 || index_body_decode(cursor.value, &body) != FAULT_OK) {
			found(v, 0, 0, "there are damaged body records");
			continue;
		}
		uint32_t count = ids_take(&v->ids, &at, get_u64(cursor.key.data));
		COMPARE(v, 0, "references of a body", body.references, count);
		if (body.place.segment != segment) {
			if (segment != 0)
				segment_compare(v, segment, &counted);
			segment = body.place.segment;
			counted = (struct index_segment){0};
		}
		counted.live_records++;
		counted.live_bytes += body.place.length;
	}
	if (segment != 0)
		segment_compare(v, segment, &counted);
	kv_cursor_close(&cursor);
}

static enum fault
step_references(struct store_verify *v)
{
	v->account = 0;
	v->stage = STAGE_BODIES;
	v->next = 0;
	enum fault fault = emails_collect(v);
	if (fault != FAULT_OK)
		return fault;
	ids_sort(&v->ids);
	bodies_compare(v);
	return FAULT_OK;
}

/* The structure in the index is the one in the segment, and that is whole. */
static enum fault
parts_check(struct store_verify *v, uint64_t id, const struct segment_place *place,
	const struct segment_record *record)
{
	struct index_key key = index_key_id(id);
	size_t len = record->prefix.len + record->structure.len;
	struct slice structure;

	if (len > UINT32_MAX || segment_record_length(record) != place->length)
		return FAULT_DAMAGED;
	char *parts = malloc(len + 1);
	if (parts == NULL)
		return FAULT_NOMEM;
	enum fault fault = segment_files_read(
		v->reader->files, place->segment, place->offset + SEGMENT_HEADER_SIZE, parts, len);
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	struct slice stored = slice_make(parts + record->prefix.len, record->structure.len);
	segment_parts_checksum(slice_make(parts, record->prefix.len), stored, checksum);
	if (fault == FAULT_OK &&
		(memcmp(checksum, record->parts_checksum, sizeof(checksum)) != 0 ||
			!kv_get(&v->reader->txn, INDEX_STRUCTURES, index_key_slice(&key),
				&structure) ||
			!slice_equal(structure, stored)))
		fault = FAULT_DAMAGED;
	free(parts);
	return fault;
}

static enum fault
body_check(struct store_verify *v, uint64_t id, const struct index_body *body)
{
	struct segment_place place = body->place;
	struct segment_record record;
	enum fault fault = segment_files_header(v->reader->files, &place, &record);

	if (fault == FAULT_OK && (record.body_id != id || place.length != body->place.length))
		fault = FAULT_DAMAGED;
	if (fault == FAULT_OK)
		fault = parts_check(v, id, &place, &record);
	if (fault != FAULT_OK || !v->options.bodies)
		return fault;
	struct body_handle handle = {place.segment, record.codec,
		segment_body_offset(&place, &record), record.body.len, record.plain_len};
	v->progress.bytes += record.body.len;
	return body_verify(v->reader->bodies, &handle, record.checksum);
}

/* A body that was purged and punched while we read it is no finding. */
static bool
is_still_there(struct store_verify *v, uint64_t id)
{
	struct index_body body;

	reader_end(v->reader);
	return reader_begin(v->reader) == FAULT_OK &&
		index_body_load(&v->reader->txn, id, &body) == FAULT_OK;
}

static bool
body_next(struct store_verify *v, uint64_t *id, struct index_body *body)
{
	struct index_key key = index_key_id(v->next);
	struct kv_cursor cursor;

	kv_cursor_open(&v->reader->txn, INDEX_BODIES, &cursor);
	bool is_there = kv_seek(&cursor, index_key_slice(&key)) && cursor.key.len == 8;
	if (is_there) {
		*id = get_u64(cursor.key.data);
		/* A damaged one was reported when references were counted. */
		if (index_body_decode(cursor.value, body) != FAULT_OK)
			body->references = 0;
	}
	kv_cursor_close(&cursor);
	return is_there;
}

static enum fault
step_bodies(struct store_verify *v)
{
	uint64_t end = v->progress.bytes + SLICE_BYTES;

	for (unsigned i = 0; i < SLICE_BODIES && v->progress.bytes < end; i++) {
		struct index_body body;
		uint64_t id;
		if (!body_next(v, &id, &body)) {
			v->stage = STAGE_DONE;
			break;
		}
		v->next = id + 1;
		if (body.references == 0)
			continue;
		enum fault fault = body_check(v, id, &body);
		if (fault == FAULT_NOMEM || fault == FAULT_BUSY)
			return fault;
		if (fault != FAULT_OK && is_still_there(v, id))
			found(v, 0, 0, "body %llu in segment %u at %llu: %s",
				(unsigned long long)id, body.place.segment,
				(unsigned long long)body.place.offset, fault_text(fault));
	}
	return FAULT_OK;
}

struct store_verify *
verify_new(struct store_reader *reader, const struct verify_options *options)
{
	struct store_verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->reader = reader;
	v->options = *options;
	return v;
}

void
verify_free(struct store_verify *v)
{
	if (v == NULL)
		return;
	free(v->ids.at);
	free(v);
}

enum fault
verify_step(struct store_verify *v, bool *done)
{
	enum fault fault = reader_begin(v->reader);

	if (fault != FAULT_OK)
		return fault;
	if (v->stage == STAGE_ACCOUNTS)
		fault = step_accounts(v);
	else if (v->stage == STAGE_REFERENCES)
		fault = step_references(v);
	else if (v->stage == STAGE_BODIES)
		fault = step_bodies(v);
	reader_end(v->reader);
	*done = v->stage == STAGE_DONE;
	return fault;
}

const struct verify_progress *
verify_progress(const struct store_verify *v)
{
	return &v->progress;
}

enum fault
store_verify(struct store_reader *reader, const struct verify_options *options,
	struct verify_progress *progress)
{
	struct store_verify *v = verify_new(reader, options);
	enum fault fault = v != NULL ? FAULT_OK : FAULT_NOMEM;

	for (bool done = false; fault == FAULT_OK && !done;)
		fault = verify_step(v, &done);
	if (v != NULL)
		*progress = v->progress;
	verify_free(v);
	return fault;
}
