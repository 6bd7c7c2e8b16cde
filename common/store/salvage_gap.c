/* SPDX-License-Identifier: ISC */
/*
 * Salvage: what a gap in the log means.  It may have held anything, so whatever is known from
 * before it is in doubt until a later record tells it anew: a mailbox then skips as many UIDs as
 * the gap can have had, or, when that is unknown, gets another UIDVALIDITY (RFC 3501 2.3.1.1: no
 * UID is given twice).
 */
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/store/journal_private.h"
#include "common/store/salvage_private.h"

enum {
	/* The fewest bytes that a change of each kind takes in the log. */
	UID_BYTES = 7 + 16 + INDEX_MESSAGE_SIZE,
	MODSEQ_BYTES = 36,
	MAILBOX_BYTES = 60,
	ID_BYTES = 16,
	/* Ids that a gap of unknown size may have had. */
	IDS_UNKNOWN = 1 << 26,
};

/* Every mailbox as far as it is known: a later record of it, which is exact, overwrites that. */
static void
mailboxes_doubt(struct salvage *s, void (*doubt)(struct store_mailbox *, uint64_t), uint64_t lost)
{
	struct salvage_key at = {0};
	struct slice key, value;

	while (salvage_next(s, INDEX_MAILBOXES, &at, &key, &value)) {
		struct store_mailbox m;
		if (index_mailbox_decode(key, value, &m) != FAULT_OK)
			continue;
		doubt(&m, lost);
		index_mailbox_save(&s->writer->txn, &m);
	}
	s->in_doubt = true;
}

static uint32_t
number_after(uint32_t number, uint64_t skipped)
{
	return skipped < UINT32_MAX - 1 - number ? number + (uint32_t)skipped : UINT32_MAX - 1;
}

static void
uids_skip(struct store_mailbox *m, uint64_t lost)
{
	m->uidnext = number_after(m->uidnext, lost / UID_BYTES + 1);
	m->highest_modseq += lost / MODSEQ_BYTES + 1;
}

/* The mending gives a new one. */
static void
uidvalidity_drop(struct store_mailbox *m, uint64_t lost)
{
	(void)lost;
	m->uidvalidity = 0;
}

static void
accounts_skip(struct salvage *s, uint64_t lost)
{
	struct salvage_key at = {0};
	struct slice key, value;

	while (salvage_next(s, INDEX_ACCOUNTS, &at, &key, &value)) {
		struct store_account a;
		if (index_account_decode(key, value, &a) != FAULT_OK)
			continue;
		a.modseq += lost / MODSEQ_BYTES + 1;
		a.mailbox_next = number_after(a.mailbox_next, lost / MAILBOX_BYTES + 1);
		index_account_save(&s->writer->txn, &a);
	}
}

void
salvage_doubt_bounded(struct salvage *s)
{
	uint64_t lost = s->log.lost_bytes;

	if (lost == 0)
		return;
	mailboxes_doubt(s, uids_skip, lost);
	accounts_skip(s, lost);
	s->log.id_max += lost / ID_BYTES;
	s->log.lost_bytes = 0;
}

void
salvage_doubt_unbounded(struct salvage *s)
{
	mailboxes_doubt(s, uidvalidity_drop, 0);
	accounts_skip(s, IDS_UNKNOWN);
	s->log.id_max += IDS_UNKNOWN;
}

/* The last word about a segment counts. */
static enum fault
removal_look(void *arg, const struct journal_logged *l)
{
	struct salvage *s = arg;
	struct index_segment segment;
	uint64_t size;

	if (l->change.table != INDEX_SEGMENTS || l->change.key.len != 4)
		return FAULT_OK;
	uint32_t number = get_u32(l->change.key.data);
	if (segment_files_size(s->files, number, &size) != FAULT_NOT_FOUND)
		return FAULT_OK;
	bool is_live = !l->change.is_delete &&
		(index_segment_decode(l->change.value, &segment) != FAULT_OK ||
			segment.live_records > 0);
	if (is_live)
		id_set_remove(&s->removed, number);
	return is_live ? FAULT_OK : id_set_add(&s->removed, number);
}

static enum fault
removals_read(struct salvage *s, struct log_scan *scan)
{
	enum log_found found = LOG_MORE;
	enum fault fault = FAULT_OK;

	while (found != LOG_END && (fault = log_scan_next(scan, &found)) == FAULT_OK) {
		struct slice changes;
		if (found != LOG_RECORD || scan->record.kind != SEGMENT_CHANGES ||
			journal_changes_read(&s->walk, &scan->place, &scan->record, &changes) !=
				FAULT_OK)
			continue;
		fault = journal_changes_each(changes, INDEX_TABLE_COUNT, removal_look, s);
		free((void *)(uintptr_t)changes.data);
		if (fault == FAULT_NOMEM)
			return fault;
	}
	return fault;
}

enum fault
salvage_removals_find(struct salvage *s)
{
	const struct segment_tail *end = &s->log.scan.end;
	struct log_scan scan;
	uint32_t first = 0, missing = 0;
	enum fault fault = FAULT_OK;

	for (uint32_t i = 1; i <= end->segment && i != 0 && fault == FAULT_OK; i++) {
		uint64_t size;
		bool exists = segment_files_size(s->files, i, &size) != FAULT_NOT_FOUND;
		if (exists && first == 0)
			first = i;
		if (!exists && first == 0)
			fault = id_set_add(&s->removed, i);
		missing += !exists && first != 0;
	}
	log_scan_init(&scan, s->files, *end);
	if (fault == FAULT_OK && missing > 0)
		fault = removals_read(s, &scan);
	return fault;
}
