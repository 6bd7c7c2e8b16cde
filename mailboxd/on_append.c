/* SPDX-License-Identifier: ISC */
/*
 * APPEND: deliverd delivers, imapd appends.  The memfd holds the stored structure and the packed
 * body; mailboxd looks into neither.  Lengths come from another process: they are checked.
 */
#include "common/base/bytes.h"
#include "common/base/memfd.h"
#include "mailboxd/mailboxd.h"

enum { CONTENT_SLACK = 1024 * 1024 }; /* the stored structure, on top of settings.message_size */

static enum fault
targets_fill(struct mailboxd *m, const struct ipc_append *request, bool is_delivery,
	struct writer_append *append)
{
	struct arena *arena = &m->batch.arena;

	append->target_count = request->target_count;
	append->targets =
		arena_array(arena, request->target_count + 1u, sizeof(append->targets[0]));
	if (append->targets == NULL)
		return FAULT_BUDGET;
	for (uint32_t i = 0; i < request->target_count; i++) {
		const struct ipc_append_target *from = &request->targets[i];
		struct writer_target *to = &append->targets[i];
		struct slice *names;
		enum fault fault =
			batch_keywords_read(m, from->keywords, &names, &to->keyword_count);
		if (fault != FAULT_OK)
			return fault;
		to->keywords = names;
		to->account = from->account;
		to->mailbox = from->mailbox;
		to->or_inbox = is_delivery;
		to->make_account = is_delivery;
		to->flags = (uint8_t)(from->flags & STORE_FLAGS_ALL);
		to->received_at = from->internal_s;
		to->zone = (int16_t)from->zone_min;
		to->prefix = from->prefix;
		if (from->delivery_id.len == STORE_DELIVERY_ID_SIZE)
			memcpy(to->delivery_id, from->delivery_id.data, STORE_DELIVERY_ID_SIZE);
		else if (from->delivery_id.len != 0)
			return FAULT_PEER_PROTOCOL;
	}
	return FAULT_OK;
}

static enum fault
hashes_fill(struct mailboxd *m, struct slice references, struct writer_append *append)
{
	size_t count = references.len / 8;
	uint64_t *hashes = arena_array(&m->batch.arena, count + 1, sizeof(*hashes));

	if (hashes == NULL)
		return FAULT_BUDGET;
	for (size_t i = 0; i < count; i++)
		hashes[i] = get_u64(references.data + i * 8);
	append->thread_hashes = hashes;
	append->thread_hash_count = count;
	return FAULT_OK;
}

/* What the request says of the memfd must be what the memfd is. */
static enum fault
content_fill(const struct ipc_append *request, struct slice bytes, struct writer_append *append)
{
	if (request->codec > UINT8_MAX || request->checksum.len != SEGMENT_CHECKSUM_SIZE ||
		request->structure_len > bytes.len ||
		request->stored_len != bytes.len - request->structure_len)
		return FAULT_PEER_PROTOCOL;
	append->structure = slice_first(bytes, request->structure_len);
	append->body = slice_after(bytes, request->structure_len);
	append->info.codec = (uint8_t)request->codec;
	append->info.plain_len = request->plain_len;
	append->info.stored_len = request->stored_len;
	memcpy(append->info.checksum, request->checksum.data, SEGMENT_CHECKSUM_SIZE);
	return FAULT_OK;
}

static void
results_fill(struct mailboxd *m, const struct writer_append *append, struct ipc_appended *answer)
{
	answer->result_count = (uint32_t)append->target_count;
	for (size_t i = 0; i < append->target_count; i++) {
		const struct writer_target *t = &append->targets[i];
		answer->results[i] = (struct ipc_append_result){
			.fault = (uint32_t)t->fault,
			.uidvalidity = t->uidvalidity,
			.uid = t->uid,
			.modseq = t->modseq,
			.email = t->email_id,
		};
		m->counters.appended += t->fault == FAULT_OK && !t->repeated;
	}
}

/*
 * What imapd may hand in; it has checked that itself, if it is still itself.  What deliverd brings
 * was taken into the queue by the limit of then.
 */
static size_t
content_max(struct mailboxd *m, const struct ipc_link *link)
{
	if (ipc_link_process(link) != PROCESS_IMAPD)
		return SIZE_MAX;
	return (size_t)daemon_settings(m->daemon)->message_size + CONTENT_SLACK;
}

/* Everything that the request says, checked; room for the results, so that they can be told. */
static enum fault
append_prepare(struct mailboxd *m, const struct ipc_append *request, struct writer_append *append,
	struct ipc_appended *answer)
{
	enum fault fault = hashes_fill(m, request->references, append);

	answer->results =
		arena_array(&m->batch.arena, append->target_count + 1, sizeof(answer->results[0]));
	return answer->results == NULL ? FAULT_BUDGET : fault;
}

void
on_append(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_append *request = message->payload;
	struct writer_append append = {0};
	struct slice bytes = {0};
	struct batch_answer *answer = batch_enter(m, link, message);

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_appended *appended = answer->payload;
	enum fault fault = memfd_map(message->fd, content_max(m, link), &bytes);
	if (fault == FAULT_OK)
		fault = content_fill(request, bytes, &append);
	if (fault == FAULT_OK)
		fault = targets_fill(
			m, request, ipc_link_process(link) == PROCESS_DELIVERD, &append);
	if (fault == FAULT_OK)
		fault = append_prepare(m, request, &append, appended);
	if (fault == FAULT_OK) {
		writer_append(m->writer, &append);
		results_fill(m, &append, appended);
	}
	appended->fault = (uint32_t)fault;
	memfd_unmap(&bytes);
	batch_leave(m, append.body.len);
}
