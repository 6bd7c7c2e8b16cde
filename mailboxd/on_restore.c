/* SPDX-License-Identifier: ISC */
/*
 * RESTORE: mailctl has read a message of a backup.  The memfd holds the stored structure and body,
 * as they were; mailboxd looks into neither.  Whoever may use the control socket is trusted to
 * restore, but not to send lengths that fit.
 */
#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "mailboxd/mailboxd.h"

static enum fault
targets_fill(
	struct mailboxd *m, const struct ipc_restore *from, struct writer_restore_target **targets)
{
	struct writer_restore_target *to =
		arena_array(&m->batch.arena, from->target_count + 1u, sizeof(*to));

	if (to == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < from->target_count; i++) {
		struct slice *names;
		enum fault fault = batch_keywords_read(
			m, from->targets[i].keywords, &names, &to[i].keyword_count);
		if (fault != FAULT_OK)
			return fault;
		to[i].keywords = names;
		to[i].mailbox = from->targets[i].mailbox;
		to[i].flags = (uint8_t)(from->targets[i].flags & STORE_FLAGS_ALL);
		to[i].received_at = from->targets[i].internal_s;
		to[i].zone = (int16_t)from->targets[i].zone_min;
	}
	*targets = to;
	return FAULT_OK;
}

static enum fault
hashes_fill(struct mailboxd *m, struct slice references, struct writer_threads *threads)
{
	size_t count = references.len / 8;
	uint64_t *hashes = arena_array(&m->batch.arena, count + 1, sizeof(*hashes));

	if (hashes == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < count; i++)
		hashes[i] = get_u64(references.data + i * 8);
	*threads = (struct writer_threads){hashes, count};
	return FAULT_OK;
}

/* What the request says of the memfd must be what the memfd is. */
static enum fault
content_fill(const struct ipc_restore *from, struct slice bytes, struct writer_restore *to)
{
	if (from->codec > UINT8_MAX || from->checksum.len != SEGMENT_CHECKSUM_SIZE ||
		from->structure_len > bytes.len ||
		from->stored_len != bytes.len - from->structure_len)
		return FAULT_PEER_PROTOCOL;
	to->structure = slice_first(bytes, from->structure_len);
	to->body = slice_after(bytes, from->structure_len);
	to->info.codec = (uint8_t)from->codec;
	to->info.plain_len = from->plain_len;
	to->info.stored_len = from->stored_len;
	memcpy(to->info.checksum, from->checksum.data, SEGMENT_CHECKSUM_SIZE);
	return FAULT_OK;
}

void
on_restore(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_restore *from = message->payload;
	struct writer_restore to = {
		.store = from->store,
		.account = from->account,
		.email_id = from->email,
		.thread_id = from->thread,
		.body_id = from->body,
		.expunged_at = from->expunged_s,
		.prefix = from->prefix,
		.target_count = from->target_count,
	};
	struct writer_restore_target *targets = NULL;
	struct slice bytes = {0};
	struct batch_answer *answer = batch_enter(m, link, message);

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_restored *restored = answer->payload;
	enum fault fault = memfd_map(message->fd, SIZE_MAX, &bytes);
	if (fault == FAULT_OK)
		fault = content_fill(from, bytes, &to);
	if (fault == FAULT_OK)
		fault = hashes_fill(m, from->references, &to.threads);
	if (fault == FAULT_OK)
		fault = targets_fill(m, from, &targets);
	to.targets = targets;
	if (fault == FAULT_OK)
		fault = writer_restore(m->writer, &to);
	restored->fault = (uint32_t)fault;
	restored->count = to.restored;
	m->counters.appended += to.restored;
	memfd_unmap(&bytes);
	batch_leave(m, to.body.len);
}
