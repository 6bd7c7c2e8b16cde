/* SPDX-License-Identifier: ISC */
/*
 * Salvage: does the log again in an empty index, commit by commit, over all gaps, and tells what is
 * damaged.
 */
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/store/journal_private.h"
#include "common/store/salvage_private.h"
#include "common/store/segment_format.h"

enum {
	PREFIX_SIZE = 2 * JOURNAL_CHAIN_SIZE,
	/* A record of changes that does not end its commit is longer than this. */
	HIDDEN_MAX = 1 << 20,
	STEP_BYTES = 64, /* what a record counts that changes nothing */
};
#define BATCH_BYTES (UINT64_C(8) << 20)

/* What happens twice is told once. */
static void
log_found(struct salvage *s, const struct segment_place *place, const char *text)
{
	if (place->segment < s->told.segment ||
		(place->segment == s->told.segment && place->offset < s->told.length))
		return;
	s->told = (struct segment_tail){place->segment, place->offset};
	salvage_place_found(s, place, text);
}

static void
damage_note(struct salvage *s, const struct segment_place *place, const char *text)
{
	damage_add(&s->log.damages, place);
	s->log.report.damaged++;
	s->in_doubt = true;
	log_found(s, place, text);
}

static void
id_pass(struct salvage *s, uint64_t id)
{
	if (id > s->log.id_max && id < UINT64_MAX / 2)
		s->log.id_max = id;
}

/* What stands in META for this program alone, or is written anew at the end. */
static enum fault
meta_check(struct salvage *s, struct slice key, struct slice value, bool *keep)
{
	bool is_format = slice_equal(key, SLICE(INDEX_META_FORMAT));

	if (slice_equal(key, SLICE(INDEX_META_LOG_WHOLE)))
		s->log_is_whole = value.len > 0;
	*keep = !is_format && !slice_equal(key, SLICE("log")) &&
		!slice_equal(key, SLICE(INDEX_META_UPGRADE));
	if (!is_format || value.len != 8 || get_u64(value.data) <= STORE_FORMAT)
		return FAULT_OK;
	log_error("salvage: the log is of format %llu, this program knows %d",
		(unsigned long long)get_u64(value.data), STORE_FORMAT);
	return FAULT_UNSUPPORTED;
}

static enum fault
change_look(struct salvage *s, const struct kv_change *c, bool *keep)
{
	*keep = c->table != INDEX_CHANGES;
	if (c->table == INDEX_META)
		return meta_check(s, c->key, c->value, keep);
	if ((c->table == INDEX_EMAILS || c->table == INDEX_BODIES) && c->key.len == 8)
		id_pass(s, get_u64(c->key.data));
	if (c->table == INDEX_EMAILS && c->key.len == 8)
		return id_set_add(&s->emails, get_u64(c->key.data));
	return FAULT_OK;
}

static enum fault
change_apply(void *arg, const struct journal_logged *l)
{
	struct salvage *s = arg;
	struct kv_txn *txn = &s->writer->txn;
	const struct kv_change *c = &l->change;
	struct slice value = c->value;
	bool keep;
	enum fault fault = change_look(s, c, &keep);

	if (fault != FAULT_OK || !keep)
		return fault;
	s->applied += c->key.len + l->value_len;
	if (l->is_stored)
		fault = journal_value_read(s->files, l, &value);
	/* Its bytes are gone with a record: that one is found when bodies are looked at. */
	if (c->is_delete || (fault != FAULT_OK && fault != FAULT_NOMEM)) {
		(void)kv_delete(txn, c->table, c->key);
		return txn->fault;
	}
	if (fault == FAULT_OK)
		kv_put(txn, c->table, c->key, value);
	if (l->is_stored)
		free((void *)(uintptr_t)value.data);
	return fault != FAULT_OK ? fault : txn->fault;
}

/* The checksum that a record of changes has of the commit before it, and the digest since then. */
static bool
prefix_read(struct salvage *s, uint8_t prefix[static PREFIX_SIZE])
{
	const struct segment_place *place = &s->log.scan.place;
	const struct segment_record *r = &s->log.scan.record;
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];

	if (r->prefix.len != PREFIX_SIZE || r->structure.len != 0 ||
		segment_files_read(s->files, place->segment, place->offset + SEGMENT_HEADER_SIZE,
			prefix, PREFIX_SIZE) != FAULT_OK)
		return false;
	segment_parts_checksum(slice_make(prefix, PREFIX_SIZE), SLICE(""), checksum);
	return memcmp(checksum, r->parts_checksum, sizeof(checksum)) == 0;
}

static bool
follows(const struct journal_point *point, const struct segment_record *r, const uint8_t *chain)
{
	return r->email_id == point->sequence + 1 &&
		memcmp(point->chain, chain, JOURNAL_CHAIN_SIZE) == 0;
}

static void
point_pass(struct journal_point *point, const struct segment_record *r)
{
	point->sequence = r->email_id;
	memcpy(point->chain, r->header_checksum, JOURNAL_CHAIN_SIZE);
}

/* A commit that does not follow the last one. */
static void
gap_pass(struct salvage *s, const struct segment_place *place)
{
	struct salvage_log *l = &s->log;

	/* A segment was removed, or the damage is known, and how long it is. */
	if (l->removed || (l->damage && !l->border))
		return;
	struct segment_place gap = {place->segment, place->offset, 0};
	damage_note(s, &gap, "commits are missing before this place");
	salvage_doubt_unbounded(s);
}

static enum fault
pending_settle(struct salvage *s)
{
	enum fault fault = FAULT_OK;

	for (size_t i = 0; i < s->log.pending && fault == FAULT_OK; i++) {
		if (id_set_has(&s->emails, s->pending[i].email_id))
			continue;
		s->candidates.count = s->log.candidates++;
		fault = id_list_add(&s->candidates, s->pending[i].place);
	}
	s->log.pending = 0;
	return fault;
}

/* The last record of a commit. */
static enum fault
commit_end(struct salvage *s)
{
	struct salvage_log *l = &s->log;

	point_pass(&l->point, &l->scan.record);
	l->point.tail = l->scan.at;
	l->damage = l->suspect = l->border = l->removed = false;
	l->hidden = 0;
	memset(l->digest, 0, sizeof(l->digest));
	enum fault fault = pending_settle(s);
	/* Before the first commit stands what format 1 has left. */
	if (l->report.commits++ == 0)
		s->unlogged = l->candidates;
	return fault;
}

/* A last record of a commit that follows: are those before it all there? */
static void
digest_check(struct salvage *s, const uint8_t *digest)
{
	struct salvage_log *l = &s->log;
	struct segment_place gap = {l->scan.place.segment, l->scan.place.offset, 0};

	/* Before the first commit stands what format 1 has left. */
	if (l->scan.record.mailbox == 1 && l->report.commits > 0 && !l->damage && !l->removed &&
		memcmp(digest, l->digest, JOURNAL_CHAIN_SIZE) != 0)
		damage_note(s, &gap, "records of mail are missing before this place");
}

/* Sequence and chain of a record of changes against what came before it. */
static void
changes_place(struct salvage *s)
{
	struct salvage_log *l = &s->log;
	const struct segment_record *r = &l->scan.record;
	uint8_t prefix[PREFIX_SIZE];
	bool is_whole = prefix_read(s, prefix);

	/* Its number is in the header, and the changes may be whole. */
	if (!is_whole) {
		damage_note(s, &l->scan.place, "a record of changes is damaged in its prefix");
		memcpy(prefix, l->point.chain, JOURNAL_CHAIN_SIZE);
	}
	if (is_whole && follows(&l->point, r, prefix))
		digest_check(s, prefix + JOURNAL_CHAIN_SIZE);
	if (follows(&l->point, r, prefix) && l->hidden < HIDDEN_MAX)
		return;
	l->lost_bytes += l->hidden;
	l->hidden = 0;
	if (follows(&l->point, r, prefix))
		return;
	gap_pass(s, &l->scan.place);
	l->point.sequence = r->email_id - 1;
	memcpy(l->point.chain, prefix, JOURNAL_CHAIN_SIZE);
}

static enum fault
changes_do(struct salvage *s)
{
	struct salvage_log *l = &s->log;
	struct segment_record *r = &l->scan.record;
	struct slice changes;

	changes_place(s);
	enum fault fault = journal_changes_read(&s->walk, &l->scan.place, r, &changes);
	if (fault == FAULT_OK) {
		fault = journal_changes_each(changes, INDEX_TABLE_COUNT, change_apply, s);
		free((void *)(uintptr_t)changes.data);
	}
	if (fault == FAULT_DAMAGED || fault == FAULT_IO || fault == FAULT_NOT_FOUND) {
		damage_note(s, &l->scan.place, "a record of changes is damaged");
		l->lost_bytes += l->scan.place.length;
		l->damage = true;
		fault = s->writer->txn.fault;
	}
	if (fault == FAULT_OK && r->mailbox == 1)
		fault = commit_end(s);
	return fault;
}

/*
 * One that repeats what is done is none of the log.  In a file of format 1, whose checksums have no
 * key, a search may have found what somebody sent as mail: it must continue the log exactly.
 */
static bool
changes_are_true(struct salvage *s)
{
	struct salvage_log *l = &s->log;
	uint8_t prefix[PREFIX_SIZE];

	if (l->scan.record.email_id <= l->point.sequence)
		return false;
	return !l->suspect ||
		(prefix_read(s, prefix) && follows(&l->point, &l->scan.record, prefix));
}

static enum fault
on_changes(struct salvage *s)
{
	if (changes_are_true(s))
		return changes_do(s);
	damage_note(s, &s->log.scan.place, "a record of changes that does not belong to the log");
	s->log.report.skipped += s->log.scan.place.length;
	return FAULT_OK;
}

/* The log may not know it: then it is filed by what it says of itself. */
static enum fault
on_mail(struct salvage *s)
{
	struct salvage_log *l = &s->log;
	const struct segment_record *r = &l->scan.record;
	enum fault fault = FAULT_OK;

	if (r->kind != SEGMENT_MAIL && r->kind != SEGMENT_TARGET)
		return FAULT_OK;
	/* What somebody sent as mail could give him the body of another's. */
	if (l->suspect && r->kind == SEGMENT_TARGET)
		return FAULT_OK;
	if (!l->suspect) {
		id_pass(s, r->email_id);
		id_pass(s, r->body_id);
	}
	if (l->pending == SALVAGE_PENDING)
		fault = pending_settle(s);
	s->pending[l->pending].place = salvage_place_pack(&l->scan.place);
	s->pending[l->pending++].email_id = r->email_id;
	return fault;
}

static enum fault
on_record(struct salvage *s)
{
	struct salvage_log *l = &s->log;
	const struct segment_record *r = &l->scan.record;

	if (r->kind == SEGMENT_CHANGES && r->mailbox == 1)
		return on_changes(s);
	enum fault fault = r->kind == SEGMENT_CHANGES ? on_changes(s) : on_mail(s);
	if (r->kind != SEGMENT_HEAD)
		journal_digest_add(l->digest, r->header_checksum);
	return fault;
}

static void
on_damage(struct salvage *s)
{
	struct salvage_log *l = &s->log;

	/* Blocks taken ahead, of a store that was not closed; a full segment has none. */
	if (l->scan.zeros && l->scan.to_end && l->scan.place.segment == l->scan.end.segment) {
		damage_add(&l->damages, &l->scan.place);
		return;
	}
	damage_note(s, &l->scan.place, "bytes that are no record");
	l->report.skipped += l->scan.place.length;
	l->hidden += l->scan.place.length;
	l->damage = true;
	l->suspect = l->no_key && !l->scan.to_end;
}

static void
on_missing(struct salvage *s)
{
	struct salvage_log *l = &s->log;

	if (id_set_has(&s->removed, l->scan.place.segment)) {
		l->removed = true;
		return;
	}
	damage_note(s, &l->scan.place, "the segment is missing");
	salvage_doubt_unbounded(s);
	l->removed = true;
}

static void
on_entered(struct salvage *s)
{
	salvage_doubt_bounded(s);
	s->log.border = true;
	s->log.suspect = s->log.no_key = false;
}

static enum fault
found_pass(struct salvage *s, enum log_found found)
{
	switch (found) {
	case LOG_RECORD:
		if (s->log.scan.place.offset == 0)
			s->log.no_key = s->log.scan.record.kind != SEGMENT_HEAD;
		return on_record(s);
	case LOG_DAMAGE:
		on_damage(s);
		break;
	case LOG_MISSING:
		on_missing(s);
		break;
	case LOG_ENTERED:
		on_entered(s);
		break;
	case LOG_MORE:
	case LOG_END:
		break;
	}
	return FAULT_OK;
}

/* The end of the log: did it once go further? */
static void
end_pass(struct salvage *s)
{
	struct checkpoint before;
	struct segment_place end = {s->log.scan.end.segment, s->log.scan.end.length, 0};

	s->log.lost_bytes += s->log.hidden;
	salvage_doubt_bounded(s);
	if (salvage_mark_read(s->writer->dir, &before) != FAULT_OK ||
		before.point.sequence <= s->log.point.sequence)
		return;
	damage_note(s, &end, "the end of the log is missing");
	salvage_doubt_unbounded(s);
	/* What is logged from now on is no continuation. */
	s->log.point.sequence = before.point.sequence + 1;
}

/* As much as one transaction takes. */
static enum fault
batch_read(struct salvage *s, bool *more)
{
	enum fault fault = journal_begin(s->writer->journal, &s->writer->txn);
	enum log_found found = LOG_MORE;

	if (fault != FAULT_OK)
		return fault;
	s->applied = 0;
	while (fault == FAULT_OK && found != LOG_END &&
		(s->applied < BATCH_BYTES || s->log.pending > 0)) {
		fault = log_scan_next(&s->log.scan, &found);
		s->applied += STEP_BYTES;
		if (fault == FAULT_OK)
			fault = found_pass(s, found);
		if (s->log.pending == SALVAGE_PENDING && fault == FAULT_OK)
			fault = pending_settle(s);
	}
	*more = found != LOG_END;
	if (fault == FAULT_OK && !*more) {
		fault = pending_settle(s);
		end_pass(s);
	}
	if (fault == FAULT_OK)
		return journal_commit(s->writer->journal, &s->writer->txn);
	if (s->writer->txn.fault == FAULT_BUSY)
		fault = FAULT_BUSY;
	journal_abort(s->writer->journal, &s->writer->txn);
	return fault;
}

static void
progress_tell(struct salvage *s, uint64_t *bytes)
{
	const struct segment_tail *at = &s->log.scan.at, *was = &s->saved.scan.at;

	*bytes += at->segment == was->segment ? at->length - was->length : at->length;
	if (s->options.progress != NULL)
		s->options.progress(s->options.arg, *bytes);
}

enum fault
salvage_log_read(struct salvage *s)
{
	uint64_t bytes = 0;
	bool more = true;

	log_scan_init(&s->log.scan, s->files, journal_point(s->writer->journal)->tail);
	enum fault fault = salvage_removals_find(s);
	while (fault == FAULT_OK && more) {
		s->saved = s->log;
		fault = batch_read(s, &more);
		if (fault == FAULT_BUSY) {
			s->log = s->saved;
			more = true;
			fault = FAULT_OK;
			continue;
		}
		progress_tell(s, &bytes);
	}
	return fault;
}
