/* SPDX-License-Identifier: ISC */
/* Requests about messages that are there: flags, copies, moves, expunges, \Recent. */
#include "mailboxd/mailboxd.h"

void
on_flags_store(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_flags_store *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);
	struct writer_flags flags = {
		.verb = (enum writer_flags_verb)request->operation,
		.flags = (uint8_t)(request->flags & STORE_FLAGS_ALL),
		.conditional = request->unchanged_since != UINT64_MAX,
		.unchanged_since = request->unchanged_since,
	};
	struct batch_uids uids;
	struct slice *names = NULL;

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_flags_stored *stored = answer->payload;
	enum fault fault =
		request->operation <= WRITER_FLAGS_REMOVE ? FAULT_OK : FAULT_PEER_PROTOCOL;
	if (fault == FAULT_OK)
		fault = batch_uids_read(m, message, request->uids, &uids);
	if (fault == FAULT_OK)
		fault = batch_keywords_read(m, request->keywords, &names, &flags.keyword_count);
	if (fault == FAULT_OK) {
		flags.keywords = names;
		flags.uids = (struct writer_uids){
			request->account, request->mailbox, uids.ranges, uids.count};
		fault = writer_flags_store(m->writer, &flags);
	}
	if (fault == FAULT_OK)
		fault = batch_uids_write(m, answer, &flags.failed, &stored->failed);
	stored->fault = (uint32_t)fault;
	stored->modseq = flags.modseq;
	uid_set_clear(&flags.changed);
	uid_set_clear(&flags.failed);
	batch_leave(m, 0);
}

void
on_copy(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_copy *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);
	struct writer_copy copy = {.to = request->to};
	struct batch_uids uids;

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_copied *copied = answer->payload;
	enum fault fault = batch_uids_read(m, message, request->uids, &uids);
	if (fault == FAULT_OK) {
		copy.uids = (struct writer_uids){
			request->account, request->mailbox, uids.ranges, uids.count};
		fault = request->move ? writer_move(m->writer, &copy)
				      : writer_copy(m->writer, &copy);
	}
	if (fault == FAULT_OK)
		fault = batch_uids_write(m, answer, &copy.copied, &copied->uids);
	copied->fault = (uint32_t)fault;
	copied->uidvalidity = copy.uidvalidity;
	copied->first_uid = copy.uid_first;
	copied->modseq = copy.modseq;
	uid_set_clear(&copy.copied);
	batch_leave(m, 0);
}

void
on_expunge(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_expunge *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);
	struct writer_expunge expunge = {.only_deleted = request->only_deleted};
	struct batch_uids uids;

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_expunged *expunged = answer->payload;
	enum fault fault = batch_uids_read(m, message, request->uids, &uids);
	if (fault == FAULT_OK) {
		expunge.uids = (struct writer_uids){
			request->account, request->mailbox, uids.ranges, uids.count};
		fault = writer_expunge(m->writer, &expunge);
	}
	expunged->fault = (uint32_t)fault;
	expunged->count = (uint32_t)uid_set_total(&expunge.expunged);
	expunged->modseq = expunge.modseq;
	uid_set_clear(&expunge.expunged);
	batch_leave(m, 0);
}

void
on_recent_claim(struct daemon *d, void *state, struct ipc_link *link, struct ipc_message *message)
{
	struct mailboxd *m = state;
	const struct ipc_recent_claim *request = message->payload;
	struct batch_answer *answer = batch_enter(m, link, message);
	struct uid_range recent = {0};

	(void)d;
	if (answer == NULL)
		return;
	struct ipc_recent_claimed *claimed = answer->payload;
	claimed->fault = (uint32_t)writer_recent_claim(
		m->writer, request->account, request->mailbox, &recent);
	claimed->first_recent = recent.first;
	batch_leave(m, 0);
}
