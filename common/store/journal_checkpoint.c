/* SPDX-License-Identifier: ISC */
/*
 * Checkpoints of the journal, and what may be given back before them.  See kv_pin.c for why a
 * state that was synced once stays whole.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/store/journal_private.h"

/* When a checkpoint is due: what a recovery replays, and pages that wait to be used again. */
enum { DUE_PAGES = 6144 /* 24 MiB */, DUE_MS = 5000 };
#define DUE_BYTES (UINT64_C(32) << 20)

bool
journal_checkpoint_is_due(const struct journal *j)
{
	return j->commits > 0 && !j->sync.running && !j->broken &&
		(j->pages >= DUE_PAGES || j->log_bytes >= DUE_BYTES ||
			clock_mono_ms(j->options.clock) - j->first_ms >= DUE_MS);
}

enum fault
journal_checkpoint_start(struct journal *j, struct journal_sync **sync)
{
	struct journal_sync *s = &j->sync;

	if (s->running || j->txn != NULL)
		return FAULT_BUSY;
	if (j->broken)
		return FAULT_IO;
	*s = (struct journal_sync){
		.data = kv_file(j->kv),
		.file = j->file,
		.checkpoint = {.serial = j->durable.serial + 1,
			.point = j->point,
			.weak_slot = j->durable.weak_slot},
	};
	memcpy(s->checkpoint.boot_id, j->boot_id, sizeof(j->boot_id));
	enum fault fault = kv_pin_next(j->kv);
	if (fault == FAULT_OK)
		fault = kv_metas_read(j->kv, &s->checkpoint.metas);
	if (fault != FAULT_OK) {
		kv_pin_stay(j->kv);
		return fault;
	}
	s->running = true;
	j->commits = 0;
	j->pages = 0;
	j->log_bytes = 0;
	*sync = s;
	return FAULT_OK;
}

void
journal_sync_run(struct journal_sync *s)
{
	s->fault = fdatasync(s->data) < 0 ? fault_from_errno(errno) : FAULT_OK;
	s->has_lost = s->fault != FAULT_OK;
	if (s->fault == FAULT_OK)
		s->fault = checkpoint_write(s->file, &s->checkpoint);
}

/*
 * The index has lost writes: what is durable of it is the last checkpoint.  The log has the rest,
 * so a new start can mend it, once nobody reads the index.
 */
static void
index_lost(struct journal *j)
{
	j->broken = true;
	j->durable.suspect = true;
	j->durable.serial += 2;
	enum fault fault = FAULT_NOT_FOUND;
	/* A first start has none to go back to, and has not changed anything. */
	if (j->durable.metas.page_size != 0)
		fault = checkpoint_write(j->file, &j->durable);
	log_error(
		"%s: the index cannot be written to the disk: no more changes.  Stop all and start "
		"again to recover from the log%s",
		j->dir, fault != FAULT_OK ? " (this could not be noted on the disk)" : "");
}

/*
 * The index is durable, but not the record that says so: what can be read is this checkpoint or the
 * one before.  The earlier pin keeps the pages of both, and the log is kept from the earlier one
 * on, so nothing is at risk; it is tried again in some seconds.
 */
static void
checkpoint_missed(struct journal *j)
{
	j->durable.serial = j->sync.checkpoint.serial;
	j->durable.weak_slot = j->sync.checkpoint.weak_slot;
	if (j->commits++ == 0)
		j->first_ms = clock_mono_ms(j->options.clock);
}

enum fault
journal_checkpoint_finish(struct journal *j)
{
	struct journal_sync *s = &j->sync;

	s->running = false;
	if (s->fault == FAULT_OK) {
		j->durable = s->checkpoint;
		j->durable_ms = clock_mono_ms(j->options.clock);
		kv_pin_move(j->kv);
		return FAULT_OK;
	}
	log_error("%s: checkpoint: %s", j->dir, fault_text(s->fault));
	kv_pin_stay(j->kv);
	if (s->has_lost)
		index_lost(j);
	else
		checkpoint_missed(j);
	return s->fault;
}

enum fault
journal_checkpoint(struct journal *j)
{
	struct journal_sync *sync;
	enum fault fault = journal_checkpoint_start(j, &sync);

	if (fault != FAULT_OK)
		return fault;
	journal_sync_run(sync);
	return journal_checkpoint_finish(j);
}

/* A recovery may need what lies behind the last checkpoint. */
static bool
is_settled(const struct journal *j, uint32_t segment, uint64_t end)
{
	const struct segment_tail *tail = &j->durable.point.tail;

	return segment < tail->segment || (segment == tail->segment && end <= tail->length);
}

enum fault
journal_punch(struct journal *j, const struct segment_place *place)
{
	if (!is_settled(j, place->segment, place->offset + place->length))
		return FAULT_BUSY;
	return segments_punch(j->segments, place);
}

enum fault
journal_remove(struct journal *j, uint32_t segment)
{
	if (segment >= j->durable.point.tail.segment)
		return FAULT_BUSY;
	return segments_remove(j->segments, segment);
}

const struct journal_point *
journal_settled(const struct journal *j)
{
	return &j->durable.point;
}

void
journal_turn(struct journal *j)
{
	segments_turn(j->segments);
}

int64_t
journal_checkpoint_age_ms(const struct journal *j, uint64_t *commits)
{
	*commits = j->point.sequence - j->durable.point.sequence;
	return clock_mono_ms(j->options.clock) - j->durable_ms;
}
