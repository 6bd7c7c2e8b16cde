/* SPDX-License-Identifier: ISC */
/*
 * Stores of older formats.  Format 1 kept the place of a body in each message record; format 2
 * keeps it with the body alone, so that a body can be moved.  The upgrade is a row of ordinary
 * commits, with the new number in the first of them: a program that knows format 1 only refuses
 * from there on, and a crash only means to go on at the next start.
 */
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/store/writer_private.h"

enum {
	MESSAGE_1_SIZE = 96,
	BODY_1_SIZE = 28,
	BATCH = 4000, /* records a commit */
};

/* What a message record of format 1 says of the body; the first 56 bytes are those of today. */
static enum fault
message_1_decode(
	struct slice key, struct slice value, struct store_message *m, struct body_handle *body)
{
	char today[INDEX_MESSAGE_SIZE] = {0};
	const char *p = value.data;

	if (key.len != 16 || value.len != MESSAGE_1_SIZE)
		return FAULT_DAMAGED;
	*body = (struct body_handle){
		.segment = get_u32(p + 80),
		.codec = (uint8_t)p[93],
		.offset = get_u64(p + 56),
		.stored_len = get_u64(p + 64),
		.plain_len = get_u64(p + 72),
	};
	memcpy(today, p, 56);
	memcpy(today + 56, p + 72, 8);
	memcpy(today + 64, p + 84, 4);
	memcpy(today + 68, p + 88, 2);
	memcpy(today + 70, p + 90, 2);
	today[72] = p[92];
	return index_message_decode(key, slice_make(today, sizeof(today)), m);
}

/* The body's own record learns what its messages knew; once. */
static void
body_upgrade(struct store_writer *w, uint64_t id, const struct body_handle *handle)
{
	struct index_key key = index_key_id(id);
	struct slice value;

	if (!kv_get(&w->txn, INDEX_BODIES, index_key_slice(&key), &value) ||
		value.len != BODY_1_SIZE)
		return;
	struct index_body body = {
		.references = get_u32(value.data),
		.place = {get_u32(value.data + 4), get_u64(value.data + 8),
			get_u64(value.data + 16)},
		.structure_len = get_u32(value.data + 24),
		.codec = handle->codec,
		.stored_len = handle->stored_len,
		.plain_len = handle->plain_len,
	};
	uint64_t before = body.place.offset + SEGMENT_HEADER_SIZE + body.structure_len;
	/* What does not fit is damaged, and stays so for verify to find. */
	if (handle->segment == body.place.segment && handle->offset >= before &&
		handle->offset - before <= STORE_PREFIX_MAX) {
		body.prefix_len = (uint16_t)(handle->offset - before);
		index_body_save(&w->txn, id, &body);
	}
}

/* A table whose values hold a message record behind skip bytes. */
struct walk {
	enum index_table table;
	size_t skip;
	struct index_key from; /* the first key not yet looked at */
	unsigned done;
	bool more;
};

static void
record_upgrade(struct store_writer *w, struct kv_cursor *cursor, const struct walk *walk)
{
	uint8_t value[16 + INDEX_MESSAGE_SIZE];
	struct slice key = walk->skip == 0 ? cursor->key : slice_first(cursor->value, walk->skip);
	struct store_message m;
	struct body_handle body;

	if (message_1_decode(key, slice_after(cursor->value, walk->skip), &m, &body) != FAULT_OK)
		return;
	memcpy(value, key.data, walk->skip);
	index_message_encode(&m, value + walk->skip);
	body_upgrade(w, m.body_id, &body);
	kv_cursor_put(cursor, slice_make(value, walk->skip + INDEX_MESSAGE_SIZE));
}

static void
walk_step(struct store_writer *w, struct walk *walk)
{
	struct kv_cursor cursor;

	walk->done = 0;
	kv_cursor_open(&w->txn, walk->table, &cursor);
	walk->more = walk->from.len == 0 ? kv_first(&cursor)
					 : kv_seek(&cursor, index_key_slice(&walk->from));
	for (; walk->more && walk->done < BATCH; walk->done++) {
		record_upgrade(w, &cursor, walk);
		walk->more = kv_next(&cursor);
	}
	walk->from.len = 0;
	if (walk->more)
		index_key_bytes(&walk->from, cursor.key);
	kv_cursor_close(&cursor);
}

static enum fault
table_upgrade(struct store_writer *w, enum index_table table, size_t skip)
{
	struct walk walk = {.table = table, .skip = skip, .more = true};
	enum fault fault = FAULT_OK;

	while (walk.more && fault == FAULT_OK) {
		struct walk before = walk;
		fault = journal_begin(w->journal, &w->txn);
		if (fault != FAULT_OK)
			return fault;
		walk_step(w, &walk);
		fault = journal_commit(w->journal, &w->txn);
		/* The index had to grow. */
		if (fault == FAULT_BUSY) {
			walk = before;
			fault = FAULT_OK;
		}
	}
	return fault;
}

static enum fault
number_write(struct store_writer *w, bool is_done)
{
	enum fault fault = journal_begin(w->journal, &w->txn);

	if (fault != FAULT_OK)
		return fault;
	index_meta_save(&w->txn, INDEX_META_FORMAT, STORE_FORMAT);
	if (is_done)
		(void)kv_delete(&w->txn, INDEX_META, slice_text(INDEX_META_UPGRADE));
	else
		index_meta_save(&w->txn, INDEX_META_UPGRADE, 1);
	return journal_commit(w->journal, &w->txn);
}

/* The format that some records may still have; STORE_FORMAT: none. */
static enum fault
format_left(struct store_writer *w, uint64_t *format)
{
	enum fault fault = journal_begin(w->journal, &w->txn);

	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&w->txn, INDEX_META_UPGRADE, format);
	if (fault == FAULT_NOT_FOUND)
		fault = index_meta_load(&w->txn, INDEX_META_FORMAT, format);
	journal_abort(w->journal, &w->txn);
	return fault;
}

enum fault
writer_upgrade(struct store_writer *w)
{
	uint64_t format = 0;
	enum fault fault = format_left(w, &format);

	if (fault != FAULT_OK || format >= STORE_FORMAT)
		return fault;
	log_info("store: %s is upgraded from format %llu to %d", w->dir, (unsigned long long)format,
		STORE_FORMAT);
	fault = number_write(w, false);
	if (fault == FAULT_OK)
		fault = table_upgrade(w, INDEX_MESSAGES, 0);
	if (fault == FAULT_OK)
		fault = table_upgrade(w, INDEX_EXPUNGED, 16);
	return fault == FAULT_OK ? number_write(w, true) : fault;
}
