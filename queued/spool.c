/* SPDX-License-Identifier: ISC */
/*
 * The queue on disk, in queued: opening, bytes, transactions.  The order of a commit is the
 * guarantee: bytes into the segment, sync of the segment, then the index with the segment's tail in
 * it.  A crash in between leaves bytes that no index names, and spool_open() cuts them off.
 */
#include "queued/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/base/log.h"
#include "common/base/memfd.h"
#include "common/store/body.h"
#include "queued/spool_tables.h"

enum {
	RECORD_MAX = 16 * 1024,
	SEGMENT_FILES_MAX = 16,
	COPY_CHUNK = 256 * 1024,
	PATH_LEN_MAX = 4096,
};

/* Opening */

static enum fault
make_dir(const char *dir, const char *name, char path[static PATH_LEN_MAX])
{
	struct buffer text;
	enum fault fault;

	buffer_init(&text, PATH_LEN_MAX);
	buffer_add_text(&text, dir);
	buffer_add_byte(&text, '/');
	buffer_add_text(&text, name);
	buffer_add_byte(&text, '\0');
	fault = buffer_fault(&text);
	if (fault == FAULT_OK)
		memcpy(path, buffer_slice(&text).data, buffer_len(&text));
	buffer_clear(&text);
	if (fault == FAULT_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
		fault = fault_from_errno(errno);
	return fault;
}

static enum fault
open_index(struct spool *spool, const char *dir)
{
	static const char *const tables[] = {
		"messages", "recipients", "waiting", "due", "segments", "meta", NULL};
	struct kv_options options = {.tables = tables};
	char path[PATH_LEN_MAX];
	enum fault fault = make_dir(dir, "index", path);

	return fault != FAULT_OK ? fault : kv_open(path, &options, &spool->kv);
}

static enum fault
get_tail(struct spool_txn *txn)
{
	struct segment_tail *tail = &txn->spool->committed;
	struct slice value;

	if (!kv_get(&txn->kv, SPOOL_META, SLICE("tail"), &value))
		return txn->kv.fault != FAULT_OK ? txn->kv.fault : FAULT_NOT_FOUND;
	if (value.len != 12)
		return FAULT_DAMAGED;
	*tail = (struct segment_tail){get_u32(value.data), get_u64(value.data + 4)};
	return FAULT_OK;
}

/* A new index beside segments means that the index was lost: what is left is not thrown away. */
static enum fault
check_new(struct spool *spool, const char *dir)
{
	struct segment_tail last;
	enum fault fault = segments_last(spool->segments, &last);

	if (fault == FAULT_OK && last.segment != 0) {
		log_error("%s/index is empty, but there are segments: not touched", dir);
		fault = FAULT_DAMAGED;
	}
	return fault;
}

/* Segments that died when a crash came between the commit and their removal. */
static void
note_dead_segments(struct spool_txn *txn)
{
	for (uint32_t s = 1; s < txn->spool->committed.segment; s++)
		spool_note_freed(txn, (struct segment_place){.segment = s});
}

/* Cuts off what was never committed.  From the first start on the index says where that begins. */
static enum fault
recover(struct spool *spool, const char *dir)
{
	struct spool_txn txn;
	enum fault fault = spool_begin(spool, true, &txn);

	if (fault != FAULT_OK)
		return fault;
	fault = get_tail(&txn);
	if (fault == FAULT_NOT_FOUND)
		fault = check_new(spool, dir);
	if (fault == FAULT_OK)
		fault = segments_recover(spool->segments, spool->committed);
	if (fault != FAULT_OK) {
		spool_abort(&txn);
		return fault;
	}
	note_dead_segments(&txn);
	return spool_commit(&txn);
}

static enum fault
open_segments(struct spool *spool, const char *dir, uint64_t segment_size)
{
	struct segments_options options = {.size_max = segment_size};
	char path[PATH_LEN_MAX];
	enum fault fault = make_dir(dir, "segments", path);

	if (fault == FAULT_OK)
		fault = segments_open(path, &options, &spool->segments);
	if (fault == FAULT_OK)
		fault = directory_sync(dir);
	if (fault == FAULT_OK)
		fault = recover(spool, dir);
	if (fault == FAULT_OK)
		fault = segment_files_open(path, SEGMENT_FILES_MAX, &spool->files);
	if (fault != FAULT_OK)
		return fault;
	spool->reader = body_reader_new(spool->files);
	return spool->reader != NULL ? FAULT_OK : FAULT_NOMEM;
}

enum fault
spool_open(const char *dir, uint64_t segment_size, struct spool **out)
{
	struct spool *spool = calloc(1, sizeof *spool);
	enum fault fault;

	if (spool == NULL)
		return FAULT_NOMEM;
	buffer_init(&spool->record, RECORD_MAX);
	fault = open_index(spool, dir);
	if (fault == FAULT_OK)
		fault = open_segments(spool, dir, segment_size);
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
	if (spool->segments != NULL)
		segments_close(spool->segments);
	kv_close(spool->kv);
	buffer_clear(&spool->record);
	free(spool);
}

/* Bytes */

/*
 * Takes back what was appended since the last commit.  Where that ended the index says: of a commit
 * that failed it is not known before.
 */
static enum fault
cut_now(struct spool *spool)
{
	struct spool_txn txn;
	enum fault fault = spool_begin(spool, true, &txn);

	if (fault == FAULT_OK) {
		fault = get_tail(&txn);
		spool_abort(&txn);
	}
	if (fault == FAULT_OK)
		fault = segments_cut(spool->segments, spool->committed);
	if (fault == FAULT_OK)
		spool->must_cut = false;
	return fault_of_host(fault);
}

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
	enum fault fault = FAULT_OK;

	if (spool->must_cut)
		fault = cut_now(spool);
	if (fault != FAULT_OK)
		return fault;
	body_checksum(bytes, record.checksum);
	memcpy(m->checksum, record.checksum, sizeof m->checksum);
	m->size = bytes.len;
	return segments_append(spool->segments, &record, &m->place);
}

enum fault
spool_sync(struct spool *spool)
{
	return segments_sync(spool->segments);
}

void
spool_cut(struct spool *spool)
{
	enum fault fault;

	spool->must_cut = true;
	fault = cut_now(spool);
	/* Tried again before the next append; the next start would do it too. */
	if (fault != FAULT_OK)
		log_warning("cannot cut the queue's segment: %s", fault_text(fault));
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
	return fault_of_host(
		writing ? kv_begin_write(spool->kv, &txn->kv) : kv_begin_read(spool->kv, &txn->kv));
}

static void
put_tail(struct spool_txn *txn, struct segment_tail tail)
{
	uint8_t value[12];

	put_u32(value, tail.segment);
	put_u64(value + 4, tail.length);
	kv_put(&txn->kv, SPOOL_META, SLICE("tail"), slice_make(value, sizeof value));
}

/* Removes every segment before the tail's that holds no message any more. */
static void
free_segment(struct spool_txn *txn, uint32_t segment)
{
	enum fault fault;

	if (segment >= txn->spool->committed.segment)
		return;
	fault = segments_remove(txn->spool->segments, segment);
	if (fault != FAULT_OK && fault != FAULT_NOT_FOUND)
		log_warning("cannot remove queue segment %u: %s", segment, fault_text(fault));
}

/* After the commit: space that is not given back now is given back with its segment. */
static void
free_space(struct spool_txn *txn)
{
	for (size_t i = 0; i < txn->freed_count; i++) {
		if (txn->freed[i].length == 0)
			free_segment(txn, txn->freed[i].segment);
		else if (segments_punch(txn->spool->segments, &txn->freed[i]) != FAULT_OK)
			log_debug("cannot punch queue segment %u", txn->freed[i].segment);
	}
}

/* A segment that lost its last message while it was the tail's could not be removed then. */
static void
note_left_segments(struct spool_txn *txn, struct segment_tail tail)
{
	for (uint32_t s = txn->spool->committed.segment; s > 0 && s < tail.segment; s++)
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
	struct segment_tail tail = txn->spool->committed;
	enum fault fault;

	/* What is to be cut off is not durable: the index must not say that it is there. */
	if (!txn->spool->must_cut) {
		tail = segments_tail(txn->spool->segments);
		put_tail(txn, tail);
	}
	note_left_segments(txn, tail);
	keep_live_segments(txn);
	fault = fault_of_host(kv_commit(&txn->kv));
	if (fault == FAULT_OK) {
		txn->spool->committed = tail;
		free_space(txn);
	}
	free(txn->freed);
	txn->freed = NULL;
	return fault;
}

void
spool_abort(struct spool_txn *txn)
{
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
