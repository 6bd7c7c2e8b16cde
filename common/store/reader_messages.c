/* SPDX-License-Identifier: ISC */
/* The reading half of the store: messages, their bytes, keywords and the change log. */
#include "common/store/reader_private.h"

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/store/seal.h"

enum fault
reader_keywords(struct store_reader *r, uint64_t account, struct arena *arena,
	struct store_keyword_names *names)
{
	struct index_key prefix = index_key_id(account);
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	*names = (struct store_keyword_names){0};
	kv_cursor_open(&r->txn, INDEX_KEYWORDS, &cursor);
	for (bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
		more && fault == FAULT_OK;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix))) {
		/* Numbers are given without gaps. */
		if (cursor.key.len != 9 || (uint8_t)cursor.key.data[8] != names->count ||
			names->count >= STORE_KEYWORDS_MAX ||
			cursor.value.len > STORE_KEYWORD_LEN_MAX)
			fault = FAULT_DAMAGED;
		else if (!arena_copy(arena, cursor.value, &names->names[names->count]))
			fault = FAULT_BUDGET;
		else
			names->count++;
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}

enum fault
reader_message(struct store_reader *r, uint64_t account, uint32_t mailbox, uint32_t uid,
	struct store_message *message)
{
	return index_message_load(&r->txn, index_key_message(account, mailbox, uid), message);
}

void
reader_walk_open(
	struct store_reader *r, uint64_t account, uint32_t mailbox, struct reader_walk *walk)
{
	*walk = (struct reader_walk){.reader = r, .account = account, .mailbox = mailbox};
	kv_cursor_open(&r->txn, INDEX_MESSAGES, &walk->cursor);
}

/* The message under the cursor or, past damaged ones, the next. */
static bool
walk_decode(struct reader_walk *walk, bool found, struct store_message *message)
{
	struct index_key prefix = index_key_mailbox(walk->account, walk->mailbox);

	for (; found; found = kv_next(&walk->cursor)) {
		if (!slice_starts(walk->cursor.key, index_key_slice(&prefix)))
			return false;
		if (index_message_decode(walk->cursor.key, walk->cursor.value, message) == FAULT_OK)
			return true;
		walk->fault = FAULT_DAMAGED;
	}
	return false;
}

bool
reader_walk_seek(struct reader_walk *walk, uint32_t first, struct store_message *message)
{
	struct index_key key = index_key_message(walk->account, walk->mailbox, first);

	return walk_decode(walk, kv_seek(&walk->cursor, index_key_slice(&key)), message);
}

bool
reader_walk_next(struct reader_walk *walk, struct store_message *message)
{
	return walk_decode(walk, kv_next(&walk->cursor), message);
}

enum fault
reader_walk_close(struct reader_walk *walk)
{
	kv_cursor_close(&walk->cursor);
	return walk->reader->txn.fault != FAULT_OK ? walk->reader->txn.fault : walk->fault;
}

enum fault
reader_uids(struct store_reader *r, uint64_t account, uint32_t mailbox, uint32_t first,
	struct uid_set *uids)
{
	struct index_key prefix = index_key_mailbox(account, mailbox);
	struct index_key start = index_key_message(account, mailbox, first);
	struct kv_cursor cursor;

	kv_cursor_open(&r->txn, INDEX_MESSAGES, &cursor);
	for (bool more = kv_seek(&cursor, index_key_slice(&start)); more &&
		cursor.key.len == start.len && slice_starts(cursor.key, index_key_slice(&prefix));
		more = kv_next(&cursor))
		uid_set_add(uids, get_u32(cursor.key.data + prefix.len));
	kv_cursor_close(&cursor);
	return r->txn.fault != FAULT_OK ? r->txn.fault : uids->fault;
}

static enum fault
open_structure(struct store_reader *r, struct slice *structure)
{
	enum fault fault = seal_open_structure(r->key, *structure, &r->structure);

	*structure = buffer_slice(&r->structure);
	return fault;
}

enum fault
reader_structure(
	struct store_reader *r, const struct store_message *message, struct slice *structure)
{
	struct index_key key = index_key_id(message->body_id);

	if (!kv_get(&r->txn, INDEX_STRUCTURES, index_key_slice(&key), structure))
		return r->txn.fault != FAULT_OK ? r->txn.fault : FAULT_DAMAGED;
	if (structure->len != message->structure_len)
		return FAULT_DAMAGED;
	return seal_is_structure(*structure) ? open_structure(r, structure) : FAULT_OK;
}

enum fault
reader_content(
	struct store_reader *r, const struct store_message *message, struct store_content *content)
{
	struct index_email email;
	struct index_body body;
	enum fault fault = index_body_load(&r->txn, message->body_id, &body);

	content->prefix_len = 0;
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	if (body.plain_len != message->size - message->prefix_len)
		return FAULT_DAMAGED;
	content->body_id = message->body_id;
	content->body = index_body_handle(&body);
	/* Without a prefix there is nothing more to look up. */
	if (message->prefix_len == 0)
		return FAULT_OK;
	fault = index_email_load(&r->txn, message->email_id, &email);
	if (fault != FAULT_OK)
		return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
	if (email.prefix.len != message->prefix_len || email.prefix.len > STORE_PREFIX_MAX)
		return FAULT_DAMAGED;
	memcpy(content->prefix, email.prefix.data, email.prefix.len);
	content->prefix_len = (uint32_t)email.prefix.len;
	return FAULT_OK;
}

/* True when the body now lies elsewhere: its segment was emptied since content was looked up. */
static bool
body_moved(struct store_reader *r, const struct store_content *content, struct body_handle *now)
{
	struct index_body body;
	bool is_apart = r->txn.mdb == NULL;

	if (is_apart && reader_begin(r) != FAULT_OK)
		return false;
	enum fault fault = index_body_load(&r->txn, content->body_id, &body);
	if (is_apart)
		reader_end(r);
	if (fault != FAULT_OK)
		return false;
	*now = index_body_handle(&body);
	return now->plain_len == content->body.plain_len &&
		(now->segment != content->body.segment || now->offset != content->body.offset);
}

/* So that an administrator finds the place, and can look for a backup that has it. */
static void
damage_tell(struct store_reader *r, const struct body_handle *body, enum fault fault)
{
	if (log_limit_pass(&r->told, clock_mono_ms(&clock_system)))
		log_error("segment %08u.seg: the body of %llu bytes at %llu cannot be read: %s",
			body->segment, (unsigned long long)body->stored_len,
			(unsigned long long)body->offset, fault_text(fault));
}

enum fault
reader_read(struct store_reader *r, const struct store_content *content, uint64_t offset,
	struct body_span span)
{
	struct body_handle moved;

	if (offset < content->prefix_len) {
		size_t len = content->prefix_len - (size_t)offset;
		if (len > span.len)
			len = span.len;
		memcpy(span.at, content->prefix + offset, len);
		span = (struct body_span){(char *)span.at + len, span.len - len};
		offset += len;
	}
	if (span.len == 0)
		return FAULT_OK;
	if (r->bodies == NULL)
		return FAULT_NOT_FOUND;
	offset -= content->prefix_len;
	enum fault fault = body_read(r->bodies, &content->body, offset, span);
	if ((fault == FAULT_NOT_FOUND || fault == FAULT_DAMAGED) && body_moved(r, content, &moved))
		fault = body_read(r->bodies, &moved, offset, span);
	if (fault == FAULT_NOT_FOUND || fault == FAULT_DAMAGED)
		damage_tell(r, &content->body, fault);
	return fault;
}

enum fault
reader_changes(struct store_reader *r, const struct reader_changes *query)
{
	struct index_key prefix = index_key_id(query->account), start = prefix;
	struct store_account account;
	struct kv_cursor cursor;
	enum fault fault = index_account_load(&r->txn, query->account, &account);

	if (fault != FAULT_OK)
		return fault;
	if (query->since < account.oldest_modseq)
		return FAULT_EXPIRED;
	if (query->since >= account.modseq)
		return FAULT_OK;
	index_key_u64(&start, query->since + 1);
	kv_cursor_open(&r->txn, INDEX_CHANGES, &cursor);
	for (bool more = kv_seek(&cursor, index_key_slice(&start));
		more && fault == FAULT_OK && slice_starts(cursor.key, index_key_slice(&prefix));
		more = kv_next(&cursor)) {
		struct store_change change;
		fault = index_change_decode(cursor.key, cursor.value, &change);
		if (fault == FAULT_OK && (query->mailbox == 0 || query->mailbox == change.mailbox))
			fault = query->each(query->arg, &change);
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}

enum fault
reader_expunged(struct store_reader *r, uint64_t account,
	enum fault (*each)(void *arg, int64_t expunged_at, const struct store_message *), void *arg)
{
	struct kv_cursor cursor;
	enum fault fault = FAULT_OK;

	kv_cursor_open(&r->txn, INDEX_EXPUNGED, &cursor);
	for (bool more = kv_first(&cursor); more && fault == FAULT_OK; more = kv_next(&cursor)) {
		struct store_message message;
		fault = index_message_decode(
			slice_first(cursor.value, 16), slice_after(cursor.value, 16), &message);
		if (fault == FAULT_OK && cursor.key.len != 16)
			fault = FAULT_DAMAGED;
		if (fault == FAULT_OK && message.account == account)
			fault = each(arg, (int64_t)get_u64(cursor.key.data), &message);
	}
	kv_cursor_close(&cursor);
	return fault != FAULT_OK ? fault : r->txn.fault;
}
