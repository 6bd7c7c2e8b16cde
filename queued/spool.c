/* SPDX-License-Identifier: ISC */
/* The queue on disk, in queued: opening, bytes, transactions.  The journal is the guarantee. */
#include "queued/spool.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memfd.h"
#include "common/store/body.h"
#include "queued/spool_tables.h"

enum {
	RECORD_MAX = 16 * 1024,
	SEGMENT_FILES_MAX = 16,
	COPY_CHUNK = 256 * 1024,
	FREED_MAX = 4096,
	PATH_LEN_MAX = 4096,
};

/* Opening */

/* Of a queue that was made before it had a journal. */
static enum fault
tail_of_older(struct kv_txn *txn, struct segment_tail *tail)
{
	struct slice value;

	if (!kv_get(txn, SPOOL_META, SLICE("tail"), &value))
		return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
	if (value.len != 12)
		return FAULT_DAMAGED;
	*tail = (struct segment_tail){get_u32(value.data), get_u64(value.data + 4)};
	return FAULT_OK;
}

static enum fault
open_journal(struct spool *spool, const char *dir, const struct spool_options *options)
{
	static const char *const tables[] = {
		"messages", "recipients", "waiting", "due", "segments", "meta", NULL};
	struct journal_options journal = {
		.tables = tables,
		.meta_table = SPOOL_META,
		.segment_size_max = options->segment_size,
		.checkpoints_apart = options->checkpoints_apart,
		.tail_of_older = tail_of_older,
	};

	return journal_open(dir, &journal, &spool->journal);
}

/* Segments that died when a crash came between the commit and their removal. */
static enum fault
free_dead_segments(struct spool *spool)
{
	struct spool_txn txn;
	enum fault fault = spool_begin(spool, true, &txn);

	if (fault != FAULT_OK)
		return fault;
	for (uint32_t s = 1; s < journal_point(spool->journal)->tail.segment; s++)
		spool_note_freed(&txn, (struct segment_place){.segment = s});
	return spool_commit(&txn);
}

static enum fault
open_files(struct spool *spool, const char *dir)
{
	struct buffer path;

	buffer_init(&path, PATH_LEN_MAX);
	buffer_add_text(&path, dir);
	buffer_add_text(&path, "/segments");
	buffer_add_byte(&path, '\0');
	enum fault fault = buffer_fault(&path);
	if (fault == FAULT_OK)
		fault = segment_files_open(
			buffer_slice(&path).data, SEGMENT_FILES_MAX, &spool->files);
	buffer_clear(&path);
	if (fault != FAULT_OK)
		return fault;
	spool->reader = body_reader_new(spool->files);
	return spool->reader != NULL ? FAULT_OK : FAULT_NOMEM;
}

enum fault
spool_open(const char *dir, const struct spool_options *options, struct spool **out)
{
	struct spool *spool = calloc(1, sizeof *spool);
	enum fault fault;

	if (spool == NULL)
		return FAULT_NOMEM;
	buffer_init(&spool->record, RECORD_MAX);
	fault = open_journal(spool, dir, options);
	if (fault == FAULT_OK)
		fault = open_files(spool, dir);
	if (fault == FAULT_OK)
		fault = free_dead_segments(spool);
	if (fault != FAULT_OK) {
		spool_close(spool);
		return fault;
	}
	*out = spool;
	return FAULT_OK;
}

void
spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	if (spool->reader != NULL)
		body_reader_free(spool->reader);
	if (spool->files != NULL)
		segment_files_close(spool->files);
	journal_close(spool->journal);
	buffer_clear(&spool->record);
	free(spool->freed);
	free(spool);
}

struct journal *
spool_journal(struct spool *spool)
{
	return spool->journal;
}

/* Bytes */

enum fault
spool_append(struct spool *spool, struct slice bytes, struct queue_message *m)
{
	struct segment_record record = {
		.kind = SEGMENT_QUEUE,
		.codec = BODY_RAW,
		.received_at = m->arrived_ms / 1000,
		.email_id = m->id,
		.plain_len = bytes.len,
		.body = bytes,
	};

	body_checksum(bytes, record.checksum);
	memcpy(m->checksum, record.checksum, sizeof m->checksum);
	m->size = bytes.len;
	return journal_append(spool->journal, &record, &m->place);
}

void
spool_cut(struct spool *spool)
{
	journal_cut(spool->journal);
}

static enum fault
copy_bytes(struct spool *spool, const struct body_handle *body, int fd)
{
	char *chunk = malloc(COPY_CHUNK);
	enum fault fault = chunk != NULL ? FAULT_OK : FAULT_NOMEM;

	for (uint64_t at = 0; at < body->plain_len && fault == FAULT_OK; at += COPY_CHUNK) {
		uint64_t left = body->plain_len - at;
		size_t len = left < COPY_CHUNK ? (size_t)left : COPY_CHUNK;

		fault = body_read(spool->reader, body, at, (struct body_span){chunk, len});
		if (fault == FAULT_OK)
			fault = memfd_append(fd, slice_make(chunk, len));
	}
	free(chunk);
	return fault;
}

static enum fault
check_bytes(int fd, const struct queue_message *m)
{
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];
	struct slice bytes;
	enum fault fault = memfd_map(fd, SIZE_MAX, &bytes);

	if (fault != FAULT_OK)
		return fault;
	body_checksum(bytes, checksum);
	memfd_unmap(&bytes);
	return memcmp(checksum, m->checksum, sizeof checksum) == 0 ? FAULT_OK : FAULT_DAMAGED;
}

static enum fault
find_body(struct spool *spool, const struct queue_message *m, struct body_handle *body)
{
	struct segment_place place = m->place;
	struct segment_record record;
	enum fault fault = segment_files_header(spool->files, &place, &record);

	if (fault != FAULT_OK)
		return fault == FAULT_EXPIRED ? FAULT_DAMAGED : fault;
	if (record.kind != SEGMENT_QUEUE || record.email_id != m->id || record.codec != BODY_RAW)
		return FAULT_DAMAGED;
	*body = (struct body_handle){
		.segment = place.segment,
		.codec = BODY_RAW,
		.offset = segment_body_offset(&place, &record),
		.stored_len = record.body.len,
		.plain_len = record.plain_len,
	};
	return FAULT_OK;
}

enum fault
spool_open_message(struct spool *spool, const struct queue_message *m, int *out)
{
	struct body_handle body;
	enum fault fault = find_body(spool, m, &body);
	int fd;

	if (fault != FAULT_OK)
		return fault;
	fd = memfd_open("queued", &fault);
	if (fd == -1)
		return fault;
	fault = copy_bytes(spool, &body, fd);
	if (fault == FAULT_OK)
		fault = memfd_seal(fd);
	if (fault == FAULT_OK)
		fault = check_bytes(fd, m);
	if (fault == FAULT_OK)
		*out = fd;
	else
		close(fd);
	return fault;
}

/* Transactions */

enum fault
spool_begin(struct spool *spool, bool writing, struct spool_txn *txn)
{
	*txn = (struct spool_txn){.spool = spool};
	if (!writing)
		return fault_of_host(kv_begin_read(journal_kv(spool->journal), &txn->kv));
	txn->before = journal_point(spool->journal)->tail;
	return journal_begin(spool->journal, &txn->kv);
}

/* Gives back the space of one place; FAULT_BUSY: only after the next checkpoint. */
static enum fault
free_place(struct spool *spool, const struct segment_place *place)
{
	enum fault fault;

	if (place->length != 0)
		return journal_punch(spool->journal, place);
	/* What is still written to is looked at again when the next one has begun. */
	if (place->segment >= journal_point(spool->journal)->tail.segment)
		return FAULT_OK;
	fault = journal_remove(spool->journal, place->segment);
	if (fault != FAULT_OK && fault != FAULT_BUSY)
		log_warning(
			"cannot remove queue segment %u: %s", place->segment, fault_text(fault));
	return fault;
}

static void
keep_for_later(struct spool *spool, const struct segment_place *place)
{
	if (spool->freed == NULL)
		spool->freed = calloc(FREED_MAX, sizeof *spool->freed);
	/* What is forgotten here goes with its segment, or at the next start. */
	if (spool->freed != NULL && spool->freed_count < FREED_MAX)
		spool->freed[spool->freed_count++] = *place;
}

/* After the commit: what this transaction freed, and what had to wait for a checkpoint. */
static void
free_space(struct spool_txn *txn)
{
	struct spool *spool = txn->spool;
	size_t waited = spool->freed_count;

	spool->freed_count = 0;
	for (size_t i = 0; i < waited; i++)
		if (free_place(spool, &spool->freed[i]) == FAULT_BUSY)
			spool->freed[spool->freed_count++] = spool->freed[i];
	for (size_t i = 0; i < txn->freed_count; i++)
		if (free_place(spool, &txn->freed[i]) == FAULT_BUSY)
			keep_for_later(spool, &txn->freed[i]);
}

/* A segment that lost its last message while it was the tail's could not be removed then. */
static void
note_left_segments(struct spool_txn *txn, struct segment_tail tail)
{
	for (uint32_t s = txn->before.segment; s > 0 && s < tail.segment; s++)
		spool_note_freed(txn, (struct segment_place){.segment = s});
}

static bool
is_live_segment(struct spool_txn *txn, uint32_t segment)
{
	uint8_t key[4];
	struct slice value;

	put_u32(key, segment);
	/* After a fault, too: then nothing is known. */
	return kv_get(&txn->kv, SPOOL_SEGMENTS, slice_make(key, sizeof key), &value) ||
		txn->kv.fault != FAULT_OK;
}

/* A segment whose last message has gone may have got another one in the same transaction. */
static void
keep_live_segments(struct spool_txn *txn)
{
	size_t kept = 0;

	for (size_t i = 0; i < txn->freed_count; i++)
		if (txn->freed[i].length != 0 || !is_live_segment(txn, txn->freed[i].segment))
			txn->freed[kept++] = txn->freed[i];
	txn->freed_count = kept;
}

enum fault
spool_commit(struct spool_txn *txn)
{
	note_left_segments(txn, journal_tail(txn->spool->journal));
	keep_live_segments(txn);
	enum fault fault = journal_commit(txn->spool->journal, &txn->kv);
	if (fault == FAULT_OK)
		free_space(txn);
	free(txn->freed);
	txn->freed = NULL;
	return fault;
}

void
spool_abort(struct spool_txn *txn)
{
	if (txn->kv.writing)
		journal_abort(txn->spool->journal, &txn->kv);
	else
		kv_abort(&txn->kv);
	free(txn->freed);
	txn->freed = NULL;
}

/* A length of 0 stands for the whole segment. */
void
spool_note_freed(struct spool_txn *txn, struct segment_place place)
{
	if (txn->freed_count == txn->freed_room) {
		size_t room = txn->freed_room == 0 ? 64 : txn->freed_room * 2;
		struct segment_place *grown = realloc(txn->freed, room * sizeof *grown);

		if (grown == NULL)
			return;
		txn->freed = grown;
		txn->freed_room = room;
	}
	txn->freed[txn->freed_count++] = place;
}

void
spool_count_in_segment(struct spool_txn *txn, uint32_t segment, int change)
{
	uint8_t key[4], value[8];
	struct slice old;
	uint64_t count = 0;

	put_u32(key, segment);
	if (kv_get(&txn->kv, SPOOL_SEGMENTS, slice_make(key, sizeof key), &old) && old.len == 8)
		count = get_u64(old.data);
	count = change < 0 && count > 0 ? count - 1 : count + (change > 0);
	if (count == 0) {
		kv_delete(&txn->kv, SPOOL_SEGMENTS, slice_make(key, sizeof key));
		spool_note_freed(txn, (struct segment_place){.segment = segment});
		return;
	}
	put_u64(value, count);
	kv_put(&txn->kv, SPOOL_SEGMENTS, slice_make(key, sizeof key),
		slice_make(value, sizeof value));
}
