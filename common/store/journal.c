/* SPDX-License-Identifier: ISC */
/*
 * Commits with one sync, for mailboxd and queued.  The order in journal_commit() is the
 * guarantee: nobody sees a change before it is durable in the log, and nothing is acknowledged
 * before everybody can see it.
 */
#include "common/store/journal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/store/journal_private.h"
#include "common/store/segment_format.h"

enum {
	CHANGES_MAX = 4 * 1024 * 1024, /* bytes in one record of changes */
	POINT_SIZE = 36,
	/* What a commit writes to the index, about: the ways down its trees, and leaves. */
	PAGES_A_COMMIT = 16,
	CHANGES_A_PAGE = 3,
};
#define INDEX_RESERVE (UINT64_C(4) << 20)

void
journal_point_save(struct kv_txn *txn, unsigned meta_table, const struct journal_point *p)
{
	uint8_t value[POINT_SIZE];

	put_u64(value, p->sequence);
	put_u32(value + 8, p->tail.segment);
	put_u64(value + 12, p->tail.length);
	memcpy(value + 20, p->chain, JOURNAL_CHAIN_SIZE);
	kv_put(txn, meta_table, JOURNAL_POINT_KEY, slice_make(value, sizeof(value)));
}

enum fault
journal_point_load(struct kv_txn *txn, unsigned meta_table, struct journal_point *p)
{
	struct slice value;

	if (!kv_get(txn, meta_table, JOURNAL_POINT_KEY, &value))
		return txn->fault != FAULT_OK ? txn->fault : FAULT_NOT_FOUND;
	if (value.len != POINT_SIZE)
		return FAULT_DAMAGED;
	*p = (struct journal_point){.sequence = get_u64(value.data),
		.tail = {get_u32(value.data + 8), get_u64(value.data + 12)}};
	memcpy(p->chain, value.data + 20, JOURNAL_CHAIN_SIZE);
	return FAULT_OK;
}

struct kv *
journal_kv(struct journal *j)
{
	return j->kv;
}

const struct journal_point *
journal_point(const struct journal *j)
{
	return &j->point;
}

struct segment_tail
journal_tail(const struct journal *j)
{
	return segments_tail(j->segments);
}

bool
journal_is_broken(const struct journal *j)
{
	return j->broken;
}

/* Nothing has been appended since the last commit, or all of it was taken back. */
static void
batch_reset(struct journal *j)
{
	memset(j->digest, 0, sizeof(j->digest));
	j->has_changes = false;
	j->must_cut = false;
}

/* Takes back what must be; until that succeeds nothing can be appended. */
static enum fault
cut_now(struct journal *j)
{
	if (!j->must_cut)
		return FAULT_OK;
	/* Nobody knows whether the index has it: the next start finds out. */
	if (j->broken)
		return FAULT_IO;
	enum fault fault = segments_cut(j->segments, j->cut_to);
	if (fault != FAULT_OK)
		return fault_of_host(fault);
	if (j->cut_to.segment == j->point.tail.segment && j->cut_to.length == j->point.tail.length)
		batch_reset(j);
	j->must_cut = false;
	j->has_changes = false;
	return FAULT_OK;
}

void
journal_cut(struct journal *j)
{
	j->must_cut = true;
	j->cut_to = j->point.tail;
	enum fault fault = cut_now(j);
	/* Tried again before the next append. */
	if (fault != FAULT_OK && !j->broken)
		log_warning("%s: cannot cut the log: %s", j->dir, fault_text(fault));
}

static enum fault
record_append(struct journal *j, const struct segment_record *record, struct segment_place *place)
{
	enum fault fault = cut_now(j);

	if (fault == FAULT_OK)
		fault = segments_append(j->segments, record, place);
	if (fault == FAULT_OK)
		j->log_bytes += place->length;
	return fault;
}

enum fault
journal_append(struct journal *j, const struct segment_record *record, struct segment_place *place)
{
	/* Mail leaves room in the index, too, for changes that make room. */
	enum fault fault = fault_of_host(kv_reserve(j->kv, INDEX_RESERVE));

	if (fault == FAULT_OK)
		fault = record_append(j, record, place);
	if (fault == FAULT_OK)
		journal_digest_add(j->digest, segments_header_checksum(j->segments));
	return fault;
}

/* Writes the changes gathered so far into the log; the last record of a batch ends it. */
static enum fault
changes_flush(struct journal *j, bool last)
{
	uint8_t prefix[2 * JOURNAL_CHAIN_SIZE];
	struct segment_place place;
	struct segment_record record = {
		.kind = SEGMENT_CHANGES,
		.codec = BODY_RAW,
		.mailbox = last,
		.received_at = clock_wall_ms(j->options.clock) / 1000,
		.email_id = j->point.sequence + 1,
		.body_id = j->change_count,
		.prefix = slice_make(prefix, sizeof(prefix)),
		.body = buffer_slice(&j->changes),
		.plain_len = buffer_len(&j->changes),
	};

	memcpy(prefix, j->point.chain, JOURNAL_CHAIN_SIZE);
	memcpy(prefix + JOURNAL_CHAIN_SIZE, j->digest, JOURNAL_CHAIN_SIZE);
	body_checksum(record.body, record.checksum);
	enum fault fault = buffer_fault(&j->changes);
	if (fault == FAULT_OK)
		fault = cut_now(j);
	if (fault == FAULT_OK && !j->has_changes) {
		j->records_end = segments_tail(j->segments);
		memcpy(j->records_digest, j->digest, sizeof(j->digest));
		j->has_changes = true;
	}
	if (fault == FAULT_OK)
		fault = record_append(j, &record, &place);
	if (fault == FAULT_OK && !last)
		journal_digest_add(j->digest, segments_header_checksum(j->segments));
	buffer_reset(&j->changes);
	j->change_count = 0;
	return fault;
}

static void
change_counted(struct journal *j)
{
	j->change_count++;
	j->changes_made++;
	if (buffer_fault(&j->changes) != FAULT_OK)
		kv_fail(j->txn, buffer_fault(&j->changes));
	else if (buffer_len(&j->changes) >= CHANGES_MAX)
		kv_fail(j->txn, changes_flush(j, false));
}

static void
on_change(struct kv_recorder *recorder, const struct kv_change *change)
{
	struct journal *j =
		(struct journal *)(void *)((char *)recorder - offsetof(struct journal, recorder));

	journal_change_encode(&j->changes, change);
	change_counted(j);
}

void
journal_recorder_init(struct journal *j)
{
	j->recorder.changed = on_change;
}

void
journal_put_stored(struct journal *j, struct kv_txn *txn, const struct kv_change *change,
	const struct segment_place *value_at)
{
	struct kv_recorder *recorder = txn->recorder;

	txn->recorder = NULL;
	kv_put(txn, change->table, change->key, change->value);
	txn->recorder = recorder;
	journal_repeat_stored(j, txn, change, value_at);
}

void
journal_repeat_stored(struct journal *j, struct kv_txn *txn, const struct kv_change *change,
	const struct segment_place *value_at)
{
	if (txn->recorder == NULL || txn->fault != FAULT_OK)
		return;
	journal_stored_encode(&j->changes, change, value_at);
	change_counted(j);
}

/* Whether LMDB has given up on the index: only a new start can go on. */
static void
index_check(struct journal *j)
{
	if (j->broken || !kv_is_broken(j->kv))
		return;
	j->broken = true;
	log_error("%s: the index could not be changed: no more changes by this process", j->dir);
}

enum fault
journal_begin(struct journal *j, struct kv_txn *txn)
{
	*txn = (struct kv_txn){0};
	if (j->broken)
		return FAULT_IO;
	buffer_reset(&j->changes);
	j->change_count = j->changes_made = 0;
	enum fault fault = cut_now(j);
	if (fault == FAULT_OK)
		fault = fault_of_host(kv_begin_write(j->kv, txn));
	index_check(j);
	if (fault != FAULT_OK)
		return fault;
	j->txn = txn;
	/* A salvage makes an index of what the log has: there is nothing new to tell. */
	if (!j->options.rebuild)
		txn->recorder = &j->recorder;
	return FAULT_OK;
}

/* Drops the records of the changes, and no others: the transaction may be run again. */
static void
changes_drop(struct journal *j)
{
	if (!j->has_changes)
		return;
	j->must_cut = true;
	j->cut_to = j->records_end;
	memcpy(j->digest, j->records_digest, sizeof(j->digest));
}

void
journal_abort(struct journal *j, struct kv_txn *txn)
{
	kv_abort(txn);
	changes_drop(j);
	j->txn = NULL;
}

/* Everything that the commit means, into the log, durably. */
static enum fault
log_commit(struct journal *j, struct kv_txn *txn, struct journal_point *next)
{
	enum fault fault = txn->fault;

	*next = j->point;
	if (fault == FAULT_OK && !j->options.rebuild) {
		fault = changes_flush(j, true);
		next->sequence++;
		memcpy(next->chain, segments_header_checksum(j->segments), sizeof(next->chain));
	}
	next->tail = segments_tail(j->segments);
	txn->recorder = NULL;
	if (fault == FAULT_OK)
		journal_point_save(txn, j->options.meta_table, next);
	if (fault == FAULT_OK)
		fault = txn->fault;
	if (fault != FAULT_OK)
		return fault;
	fault = segments_sync(j->segments);
	/* What a failed sync has left of earlier records is not known either. */
	if (fault != FAULT_OK) {
		j->must_cut = true;
		j->cut_to = j->point.tail;
		j->has_changes = false;
	}
	return fault;
}

void
journal_rebuild_end(struct journal *j, const struct journal_point *point)
{
	j->point.sequence = point->sequence;
	memcpy(j->point.chain, point->chain, sizeof(j->point.chain));
	j->options.rebuild = false;
}

static void
commit_counted(struct journal *j)
{
	if (j->commits == 0)
		j->first_ms = clock_mono_ms(j->options.clock);
	j->commits++;
	j->pages += PAGES_A_COMMIT + j->changes_made / CHANGES_A_PAGE;
	j->changes_made = 0;
}

static bool
is_empty(const struct journal *j)
{
	struct segment_tail tail = segments_tail(j->segments);

	return j->change_count == 0 && !j->has_changes && tail.segment == j->point.tail.segment &&
		tail.length == j->point.tail.length;
}

/*
 * Somebody is told now that nothing happened: the batch must not come back with the next start.
 * was_synced: the log has it durably, so its end must become so, too.
 */
static void
commit_failed(struct journal *j, bool was_synced)
{
	changes_drop(j);
	j->txn = NULL;
	index_check(j);
	if (cut_now(j) != FAULT_OK || !was_synced || segments_sync(j->segments) == FAULT_OK)
		return;
	j->must_cut = true;
	j->cut_to = j->point.tail;
	j->has_changes = false;
}

enum fault
journal_commit(struct journal *j, struct kv_txn *txn)
{
	struct journal_point next;

	assert(j->txn == txn);
	/* A batch in which nothing happened writes nothing, and so needs no sync. */
	if (txn->fault == FAULT_OK && !j->options.rebuild && is_empty(j)) {
		kv_abort(txn);
		j->txn = NULL;
		return FAULT_OK;
	}
	enum fault fault = log_commit(j, txn, &next);
	if (fault != FAULT_OK) {
		kv_abort(txn);
		commit_failed(j, false);
		return fault_of_host(fault);
	}
	fault = kv_commit(txn);
	if (fault != FAULT_OK) {
		if (fault != FAULT_BUSY)
			log_error("%s: the index cannot be changed: %s", j->dir, fault_text(fault));
		commit_failed(j, true);
		return fault_of_host(fault);
	}
	j->txn = NULL;
	j->point = next;
	batch_reset(j);
	commit_counted(j);
	if (!j->options.checkpoints_apart && journal_checkpoint_is_due(j))
		/* Logged; that a later commit cannot succeed is told there. */
		(void)!journal_checkpoint(j);
	return FAULT_OK;
}
