/* SPDX-License-Identifier: ISC */
/*
 * The writing half of the store: opening, batches and commits.  Linked by mailboxd alone.
 *
 * The guarantee is in the order of writer_commit(): bytes of mail are synced before the index that
 * points at them is committed, and the index says where the committed bytes end.  Whatever lies
 * past that end, after a fault or a crash, has never happened and is cut off.
 */
#include "common/store/writer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/directory.h"
#include "common/base/log.h"
#include "common/store/compact_private.h"
#include "common/store/reader_private.h"
#include "common/store/salvage_mark.h"

enum {
	UNDELETE_SECONDS = 14 * 86400,
	DELIVERED_SECONDS = 7 * 86400,
	CHANGES_MAX = 200000,
	EVENTS_COMPARED = 64,
	LOCK_TEXT = 32,
};

static enum fault
path_make(const char *dir, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? FAULT_TOO_LONG : FAULT_OK;
}

/* The lock is the kernel's and ends with its holder; the file only names him. */
static void
lock_name(struct store_writer *w)
{
	char text[LOCK_TEXT];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(w->lock, 0) < 0 || pwrite(w->lock, text, (size_t)n, 0) != n)
		log_debug("%s: writer.lock does not say who holds it", w->dir);
}

static enum fault
lock_is_held(const struct store_writer *w)
{
	char text[LOCK_TEXT] = "";
	ssize_t n = pread(w->lock, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	log_error("%s: another process writes this store: it holds writer.lock (process %ld)",
		w->dir, pid);
	return FAULT_BUSY;
}

static enum fault
lock_take(struct store_writer *w)
{
	char path[PATH_MAX];
	enum fault fault = path_make(w->dir, "writer.lock", path);

	if (fault != FAULT_OK)
		return fault;
	w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->lock < 0)
		return fault_from_errno(errno);
	if (flock(w->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? lock_is_held(w) : fault_from_errno(errno);
	lock_name(w);
	return FAULT_OK;
}

/* Format 1 said where the committed bytes end by two numbers. */
static enum fault
tail_of_older(struct kv_txn *txn, struct segment_tail *tail)
{
	uint64_t segment = 0;
	enum fault fault = index_meta_load(txn, "tail-segment", &segment);

	if (fault == FAULT_OK)
		fault = index_meta_load(txn, "tail-length", &tail->length);
	if (fault == FAULT_OK && segment > UINT32_MAX)
		fault = FAULT_DAMAGED;
	tail->segment = (uint32_t)segment;
	return fault;
}

static enum fault
format_check(struct kv_txn *txn)
{
	uint64_t format;
	enum fault fault = index_meta_load(txn, INDEX_META_FORMAT, &format);

	if (fault == FAULT_OK && format > STORE_FORMAT) {
		log_error("the store is of format %llu, this program knows %d",
			(unsigned long long)format, STORE_FORMAT);
		return FAULT_UNSUPPORTED;
	}
	return fault == FAULT_NOT_FOUND ? FAULT_OK : fault;
}

/* Under the lock: an index that a salvage has not finished is none. */
static enum fault
salvage_check(const struct store_writer *w)
{
	if (w->salvaging)
		return salvage_mark_make(w->dir);
	if (!salvage_mark_exists(w->dir))
		return FAULT_OK;
	log_error("%s: a salvage was interrupted: not opened.  Run \"mailctl store salvage\" again",
		w->dir);
	return FAULT_DAMAGED;
}

static enum fault
files_open(struct store_writer *w)
{
	struct journal_options options = {
		.clock = w->options.clock,
		.tables = index_tables,
		.meta_table = INDEX_META,
		.group_reads = w->options.group_reads,
		.segment_size_max = w->options.segment_size_max,
		.map_bytes = w->options.map_bytes,
		.boot_id = w->options.boot_id,
		.checkpoints_apart = w->options.checkpoints_apart,
		.check = format_check,
		.tail_of_older = tail_of_older,
		.rebuild = w->salvaging,
	};

	return journal_open(w->dir, &options, &w->journal);
}

static void
index_make(struct store_writer *w)
{
	index_meta_save(&w->txn, INDEX_META_FORMAT, STORE_FORMAT);
	index_meta_save(&w->txn, INDEX_META_STORE, entropy_u64(&entropy_system));
	index_meta_save(&w->txn, INDEX_META_NEXT_ID, 1);
	/* What a salvage finds without the log, the log has never said. */
	if (!w->salvaging)
		index_meta_save(&w->txn, INDEX_META_LOG_WHOLE, 1);
}

/* Makes a new index what it must be, and brings an older one up to date. */
static enum fault
format_ensure(struct store_writer *w)
{
	uint64_t format = 0;
	enum fault fault = journal_begin(w->journal, &w->txn);

	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&w->txn, INDEX_META_FORMAT, &format);
	if (fault == FAULT_NOT_FOUND) {
		index_make(w);
		return journal_commit(w->journal, &w->txn);
	}
	journal_abort(w->journal, &w->txn);
	if (fault == FAULT_OK)
		fault = writer_upgrade(w);
	return fault == FAULT_OK ? writer_restored(w) : fault;
}

static void
options_complete(struct store_options *o)
{
	if (o->clock == NULL)
		o->clock = &clock_system;
	if (o->undelete_seconds == 0)
		o->undelete_seconds = UNDELETE_SECONDS;
	if (o->delivered_seconds == 0)
		o->delivered_seconds = DELIVERED_SECONDS;
	if (o->changes_max == 0)
		o->changes_max = CHANGES_MAX;
}

static enum fault
open_either(const char *dir, const struct store_options *options, bool salvaging,
	struct store_writer **writer)
{
	struct store_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return FAULT_NOMEM;
	w->lock = -1;
	w->salvaging = salvaging;
	w->options = *options;
	options_complete(&w->options);
	w->dir = slice_dup(slice_text(dir));
	enum fault fault = w->dir == NULL ? FAULT_NOMEM : FAULT_OK;
	if (sodium_init() < 0)
		fault = FAULT_INTERNAL;
	if (fault == FAULT_OK)
		fault = lock_take(w);
	if (fault == FAULT_OK)
		fault = salvage_check(w);
	if (fault == FAULT_OK)
		fault = files_open(w);
	if (fault == FAULT_OK && !salvaging)
		fault = format_ensure(w);
	if (fault == FAULT_OK)
		fault = reader_open_lent(dir, journal_kv(w->journal), &w->reader);
	if (fault != FAULT_OK) {
		writer_close(w);
		return fault;
	}
	*writer = w;
	return FAULT_OK;
}

enum fault
writer_open(const char *dir, const struct store_options *options, struct store_writer **writer)
{
	return open_either(dir, options, false, writer);
}

enum fault
writer_open_salvage(
	const char *dir, const struct store_options *options, struct store_writer **writer)
{
	return open_either(dir, options, true, writer);
}

void
writer_close(struct store_writer *w)
{
	if (w == NULL)
		return;
	if (w->journal != NULL)
		journal_abort(w->journal, &w->txn);
	reader_close(w->reader);
	journal_close(w->journal);
	if (w->lock >= 0)
		close(w->lock);
	compaction_free(w->compaction);
	free(w->gathered);
	free(w->events);
	free(w->dir);
	free(w);
}

struct store_reader *
writer_reader(struct store_writer *w)
{
	return w->reader;
}

enum fault
writer_begin(struct store_writer *w)
{
	/* What an earlier batch appended in vain. */
	journal_cut(w->journal);
	enum fault fault = journal_begin(w->journal, &w->txn);

	w->event_count = 0;
	w->now = clock_wall_ms(w->options.clock) / 1000;
	if (fault != FAULT_OK)
		return fault;
	fault = index_meta_load(&w->txn, INDEX_META_NEXT_ID, &w->next_id);
	w->first_id = w->next_id;
	if (fault != FAULT_OK)
		journal_abort(w->journal, &w->txn);
	return fault_of_host(fault);
}

enum fault
writer_commit(struct store_writer *w)
{
	if (w->next_id != w->first_id)
		index_meta_save(&w->txn, INDEX_META_NEXT_ID, w->next_id);
	enum fault fault = journal_commit(w->journal, &w->txn);
	if (fault != FAULT_OK) {
		log_error("store: batch dropped: %s", fault_text(fault));
		w->event_count = 0;
	}
	return fault;
}

void
writer_abort(struct store_writer *w)
{
	journal_abort(w->journal, &w->txn);
	w->event_count = 0;
}

bool
writer_is_broken(const struct store_writer *w)
{
	return journal_is_broken(w->journal);
}

struct journal *
writer_journal(struct store_writer *w)
{
	return w->journal;
}

enum fault
writer_fault(const struct store_writer *w)
{
	return w->txn.fault;
}

const struct store_event *
writer_events(const struct store_writer *w, size_t *count)
{
	*count = w->event_count;
	return w->events;
}

static void
event_add(struct store_writer *w, const struct store_event *event)
{
	size_t low = w->event_count > EVENTS_COMPARED ? w->event_count - EVENTS_COMPARED : 0;

	for (size_t i = w->event_count; i > low; i--) {
		struct store_event *e = &w->events[i - 1];
		if (e->account == event->account && e->mailbox == event->mailbox) {
			e->modseq = event->modseq;
			return;
		}
	}
	if (w->event_count == w->event_size) {
		size_t size = w->event_size == 0 ? EVENTS_COMPARED : w->event_size * 2;
		struct store_event *events = reallocarray(w->events, size, sizeof(*events));
		if (events == NULL) {
			kv_fail(&w->txn, FAULT_NOMEM);
			return;
		}
		w->events = events;
		w->event_size = size;
	}
	w->events[w->event_count++] = *event;
}

/*
 * Keeps the log of an account short: forgets a sixteenth once it is that much too long.  Whoever
 * asks for changes before oldest_modseq hears FAULT_EXPIRED and compares by itself.
 */
static void
changes_trim(struct store_writer *w, struct store_account *account)
{
	struct index_key prefix = index_key_id(account->id);
	struct kv_cursor cursor;
	uint32_t max = w->options.changes_max, spare = max / 16 + 1;

	if (account->changes <= max || account->changes - max < spare)
		return;
	kv_cursor_open(&w->txn, INDEX_CHANGES, &cursor);
	bool more = kv_seek_prefix(&cursor, index_key_slice(&prefix));
	for (uint32_t i = 0; more && i < spare; i++) {
		struct store_change change;
		if (index_change_decode(cursor.key, cursor.value, &change) == FAULT_OK)
			account->oldest_modseq = change.modseq;
		kv_cursor_delete(&cursor);
		account->changes--;
		more = kv_next_prefix(&cursor, index_key_slice(&prefix));
	}
	kv_cursor_close(&cursor);
}

void
writer_change(
	struct store_writer *w, struct store_account *account, const struct store_change *change)
{
	struct store_event event = {account->id, change->mailbox, change->modseq};

	index_change_add(&w->txn, account, change);
	changes_trim(w, account);
	event_add(w, &event);
}

void
writer_changes(
	struct store_writer *w, struct store_account *account, const struct writer_changes *changes)
{
	for (size_t i = 0; i < changes->uids->count; i++) {
		struct store_change change = {
			.kind = changes->kind,
			.mailbox = changes->mailbox,
			.modseq = changes->modseq,
			.uid_first = changes->uids->ranges[i].first,
			.uid_last = changes->uids->ranges[i].last,
		};
		writer_change(w, account, &change);
	}
	if (changes->uids->fault != FAULT_OK)
		kv_fail(&w->txn, changes->uids->fault);
}
