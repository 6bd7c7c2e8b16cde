/* SPDX-License-Identifier: ISC */
/*
 * Verifying the log: every record in the segments has a whole header, those of changes are whole
 * and follow each other without a gap, up to the state of the index that was read first; and
 * nothing else lies beside the segments.  Nobody misses a damaged record of changes while the
 * index is there: this is how it is found in time.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/damage.h"
#include "common/store/journal_private.h"
#include "common/store/journal_walk.h"
#include "common/store/log_scan.h"
#include "common/store/segment_format.h"
#include "common/store/verify_private.h"

enum { SLICE_RECORDS = 2000, PREFIX_SIZE = 2 * JOURNAL_CHAIN_SIZE };
#define SLICE_BYTES (UINT64_C(4) << 20)
#define LOST " (salvage and a restore to a time lose what it says)"

struct verify_log {
	struct log_scan scan;
	struct journal_walk walk; /* only for its files */
	struct journal_point end; /* what the index says */
	struct journal_point point; /* of the last commit found */
	bool has_point;
	bool gap; /* a segment is missing, or damage was found, since then */
	uint8_t digest[JOURNAL_CHAIN_SIZE];
	struct damage_list damages;
};

static unsigned long long
number(uint64_t n)
{
	return n;
}

/* Whatever does not belong to the segments. */
static enum fault
names_check(struct store_verify *v, const char *path)
{
	DIR *list = opendir(path);
	struct dirent *entry;

	if (list == NULL)
		return fault_from_errno(errno);
	while ((entry = readdir(list)) != NULL) {
		struct slice name = slice_text(entry->d_name);
		char known[SEGMENT_NAME_SIZE];
		uint32_t segment;
		if (!segment_name_parse(name, &segment) && !slice_equal(name, SLICE(".")) &&
			!slice_equal(name, SLICE("..")) &&
			!slice_equal(name, slice_text(segment_name(SEGMENT_KEY_COPY, known))))
			verify_found(v, 0, 0, "unknown file segments/%s", entry->d_name);
	}
	closedir(list);
	return FAULT_OK;
}

static enum fault
log_start(struct store_verify *v)
{
	struct verify_log *l = calloc(1, sizeof(*l));
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/segments", v->reader->dir);

	v->account = 0;
	v->log = l;
	if (l == NULL)
		return FAULT_NOMEM;
	enum fault fault = journal_point_load(&v->reader->txn, INDEX_META, &l->end);
	if (fault == FAULT_OK)
		fault = damage_load(&v->reader->txn, &l->damages);
	if (fault == FAULT_DAMAGED || fault == FAULT_NOT_FOUND) {
		verify_found(v, 0, 0, "the index does not say where the log ends");
		v->stage = STAGE_DONE;
		return FAULT_OK;
	}
	if (fault != FAULT_OK)
		return fault;
	log_scan_init(&l->scan, v->reader->files, l->end.tail);
	journal_walk_init(&l->walk, v->reader->files, v->reader->bodies, &l->end);
	return n < 0 || (size_t)n >= sizeof(path) ? FAULT_TOO_LONG : names_check(v, path);
}

/* Housekeeping may have removed it while we read it. */
static bool
was_removed(struct store_verify *v, uint32_t segment)
{
	uint64_t size;

	segment_files_forget(v->reader->files, segment);
	return segment_files_size(v->reader->files, segment, &size) == FAULT_NOT_FOUND;
}

static void
segment_pass(struct verify_log *l, uint32_t segment)
{
	l->gap = true;
	if (l->scan.at.segment != segment)
		return;
	l->scan.at = (struct segment_tail){segment + 1, 0};
	l->scan.entered = false;
	l->scan.searched = 0;
}

static void
on_damage(struct store_verify *v)
{
	struct verify_log *l = v->log;
	const struct segment_place *p = &l->scan.place;

	if (was_removed(v, p->segment)) {
		segment_pass(l, p->segment);
		return;
	}
	l->gap = true;
	if (!damage_is_known(&l->damages, p))
		verify_found(v, 0, 0, "segment %u at %llu: %llu bytes are no record" LOST,
			p->segment, number(p->offset), number(p->length));
}

static void
on_missing(struct store_verify *v)
{
	struct verify_log *l = v->log;
	struct index_segment segment;
	uint32_t missing = l->scan.place.segment;

	l->gap = true;
	if (index_segment_load(&v->reader->txn, missing, &segment) == FAULT_OK &&
		segment.live_records > 0)
		verify_found(v, 0, 0, "segment %u is missing", missing);
}

static void
on_entered(struct store_verify *v)
{
	const struct verify_log *l = v->log;
	uint32_t segment = l->scan.place.segment;

	if (segment == l->end.tail.segment && l->scan.size < l->end.tail.length)
		verify_found(v, 0, 0, "segment %u has %llu bytes, not %llu", segment,
			number(l->scan.size), number(l->end.tail.length));
}

/* What a record of changes says of those before it. */
static bool
prefix_read(struct store_verify *v, uint8_t prefix[static PREFIX_SIZE])
{
	const struct verify_log *l = v->log;
	const struct segment_place *p = &l->scan.place;
	uint8_t checksum[SEGMENT_CHECKSUM_SIZE];

	if (l->scan.record.prefix.len != PREFIX_SIZE || l->scan.record.structure.len != 0 ||
		segment_files_read(v->reader->files, p->segment, p->offset + SEGMENT_HEADER_SIZE,
			prefix, PREFIX_SIZE) != FAULT_OK)
		return false;
	segment_parts_checksum(slice_make(prefix, PREFIX_SIZE), SLICE(""), checksum);
	return memcmp(checksum, l->scan.record.parts_checksum, sizeof(checksum)) == 0;
}

static bool
is_whole(struct store_verify *v, uint8_t prefix[static PREFIX_SIZE])
{
	struct verify_log *l = v->log;
	struct slice changes;

	if (!prefix_read(v, prefix) ||
		journal_changes_read(&l->walk, &l->scan.place, &l->scan.record, &changes) !=
			FAULT_OK)
		return false;
	free((void *)(uintptr_t)changes.data);
	return true;
}

static void
chain_check(struct store_verify *v, const uint8_t prefix[static PREFIX_SIZE])
{
	struct verify_log *l = v->log;
	const struct segment_record *r = &l->scan.record;
	const struct segment_place *p = &l->scan.place;
	struct segment_tail here = {p->segment, p->offset};
	bool follows = r->email_id == l->point.sequence + 1 &&
		memcmp(prefix, l->point.chain, JOURNAL_CHAIN_SIZE) == 0;

	if (!l->has_point || l->gap)
		return;
	if (!follows && !damage_is_between(&l->damages, l->point.tail, here))
		verify_found(v, 0, 0,
			"segment %u at %llu: commit %llu follows %llu: the log has a gap" LOST,
			p->segment, number(p->offset), number(r->email_id),
			number(l->point.sequence));
	if (follows && r->mailbox == 1 && !damage_is_between(&l->damages, l->point.tail, here) &&
		memcmp(prefix + JOURNAL_CHAIN_SIZE, l->digest, JOURNAL_CHAIN_SIZE) != 0)
		verify_found(v, 0, 0, "segment %u at %llu: records of commit %llu are missing",
			p->segment, number(p->offset), number(r->email_id));
}

static void
on_changes(struct store_verify *v)
{
	struct verify_log *l = v->log;
	const struct segment_record *r = &l->scan.record;
	const struct segment_place *p = &l->scan.place;
	uint8_t prefix[PREFIX_SIZE];

	v->progress.bytes += p->length;
	if (is_whole(v, prefix))
		chain_check(v, prefix);
	else if (was_removed(v, p->segment))
		segment_pass(l, p->segment);
	else if (!damage_is_known(&l->damages, p))
		verify_found(v, 0, 0,
			"segment %u at %llu: the changes of commit %llu are damaged" LOST,
			p->segment, number(p->offset), number(r->email_id));
	/* The header is whole, and with it the chain. */
	l->point.sequence = r->mailbox == 1 ? r->email_id : r->email_id - 1;
	if (r->mailbox != 1)
		return;
	memcpy(l->point.chain, r->header_checksum, JOURNAL_CHAIN_SIZE);
	l->point.tail = l->scan.at;
	l->has_point = true;
	l->gap = false;
	memset(l->digest, 0, sizeof(l->digest));
}

static void
on_record(struct store_verify *v)
{
	struct verify_log *l = v->log;
	const struct segment_record *r = &l->scan.record;

	v->progress.bytes += SEGMENT_HEADER_SIZE;
	if (r->kind == SEGMENT_CHANGES)
		on_changes(v);
	if (r->kind != SEGMENT_HEAD && !(r->kind == SEGMENT_CHANGES && r->mailbox == 1))
		journal_digest_add(l->digest, r->header_checksum);
}

static void
on_end(struct store_verify *v)
{
	const struct verify_log *l = v->log;

	v->stage = STAGE_DONE;
	if (l->end.sequence != l->point.sequence ||
		memcmp(l->end.chain, l->point.chain, JOURNAL_CHAIN_SIZE) != 0)
		verify_found(v, 0, 0, "the log ends with commit %llu, the index with %llu",
			number(l->point.sequence), number(l->end.sequence));
}

enum fault
verify_step_log(struct store_verify *v)
{
	uint64_t end = v->progress.bytes + SLICE_BYTES;
	enum log_found found = LOG_RECORD;
	enum fault fault = v->log == NULL ? log_start(v) : FAULT_OK;

	for (unsigned i = 0; i < SLICE_RECORDS && v->progress.bytes < end && fault == FAULT_OK &&
		v->stage == STAGE_LOG && found != LOG_MORE;
		i++) {
		fault = log_scan_next(&v->log->scan, &found);
		if (fault != FAULT_OK)
			break;
		if (found == LOG_RECORD)
			on_record(v);
		else if (found == LOG_DAMAGE)
			on_damage(v);
		else if (found == LOG_MISSING)
			on_missing(v);
		else if (found == LOG_ENTERED)
			on_entered(v);
		else if (found == LOG_END)
			on_end(v);
	}
	return fault;
}
