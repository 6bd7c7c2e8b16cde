/* SPDX-License-Identifier: ISC */
/* mailboxd: the only writer of the store; group commit and change events.  Parses no mail. */
#include <limits.h>

#include "common/base/log.h"
#include "mailboxd/mailboxd.h"

enum { DELIVERED_SPARE_S = 2 * 86400, DELIVERED_LEAST_S = 7 * 86400 };

static uint32_t
seconds_of(int64_t ms)
{
	/* The store takes 0 for its default; here it means "at once". */
	return ms < 1000 ? 1 : (uint32_t)(ms / 1000);
}

/* As long as the queue may bring a message again, and a bit: of what was delivered in part. */
static uint32_t
delivered_seconds(const struct settings *s)
{
	uint32_t queue = seconds_of(s->queue_lifetime) + DELIVERED_SPARE_S;

	return queue > DELIVERED_LEAST_S ? queue : DELIVERED_LEAST_S;
}

static enum fault
open_mailboxd(struct daemon *daemon, void *state)
{
	struct mailboxd *m = state;
	const struct settings *s = daemon_settings(daemon);
	char directory[PATH_MAX];
	struct store_options options = {
		.group_reads = true,
		.delivered_seconds = delivered_seconds(s),
		.segment_size_max = (uint64_t)s->segment_size,
		.undelete_seconds = seconds_of(s->undelete_time),
		.account_quota = (uint64_t)s->account_quota,
		.checkpoints_apart = true,
	};

	m->daemon = daemon;
	if (!mailboxd_directory(daemon, directory, sizeof(directory)))
		return FAULT_TOO_LONG;
	enum fault fault = writer_open(directory, &options, &m->writer);
	if (fault != FAULT_OK) {
		log_error("store %s: %s", directory, fault_text(fault));
		return fault;
	}
	fault = batch_init(m);
	if (fault == FAULT_OK)
		fault = checkpointer_new(
			daemon_base(daemon), writer_journal(m->writer), &m->checkpointer);
	if (fault == FAULT_OK)
		fault = housekeep_start(m);
	return fault != FAULT_OK ? fault : compact_start(m);
}

void
mailboxd_committed(struct mailboxd *m)
{
	/* The next start recovers what this process no longer can. */
	if (writer_is_broken(m->writer)) {
		log_error("ending, as the store cannot be changed any more");
		daemon_stop(m->daemon);
	} else if (m->checkpointer != NULL)
		checkpointer_committed(m->checkpointer);
}

static void
shutdown_mailboxd(struct daemon *daemon, void *state)
{
	struct mailboxd *m = state;

	/* What has come is committed and answered; the rest never happened. */
	batch_commit(m);
	daemon_stop(daemon);
}

static void
close_mailboxd(struct daemon *daemon, void *state)
{
	struct mailboxd *m = state;

	(void)daemon;
	verify_stop(m);
	removal_stop(m);
	housekeep_stop(m);
	compact_stop(m);
	if (m->writer != NULL)
		batch_clear(m);
	checkpointer_free(m->checkpointer);
	m->checkpointer = NULL;
	writer_close(m->writer);
	m->writer = NULL;
}

int
main(int argc, char **argv)
{
	static const struct daemon_handlers handlers[] = {
		{IPC_APPEND, on_append},
		{IPC_RESTORE, on_restore},
		{IPC_FLAGS_STORE, on_flags_store},
		{IPC_COPY, on_copy},
		{IPC_EXPUNGE, on_expunge},
		{IPC_RECENT_CLAIM, on_recent_claim},
		{IPC_ACCOUNT_ENSURE, on_account_ensure},
		{IPC_MAILBOX_CREATE, on_mailbox_create},
		{IPC_MAILBOX_DELETE, on_mailbox_delete},
		{IPC_MAILBOX_RENAME, on_mailbox_rename},
		{IPC_MAILBOX_SUBSCRIBE, on_mailbox_subscribe},
		{IPC_NONE, NULL},
	};
	static struct mailboxd mailboxd;
	static const struct daemon_spec spec = {
		.process = PROCESS_MAILBOXD,
		.state = &mailboxd,
		.handlers = handlers,
		.sandbox = mailboxd_sandbox,
		.open = open_mailboxd,
		.control = mailboxd_control,
		.control_cancel = mailboxd_control_cancel,
		.shutdown = shutdown_mailboxd,
		.close = close_mailboxd,
	};

	return daemon_main(&spec, argc, argv);
}
