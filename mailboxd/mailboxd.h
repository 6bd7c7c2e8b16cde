/* SPDX-License-Identifier: ISC */
/* The private state of mailboxd. */
#ifndef MAILBOXD_MAILBOXD_H
#define MAILBOXD_MAILBOXD_H

#include "common/base/arena.h"
#include "common/ipc/daemon.h"
#include "common/store/checkpointer.h"
#include "common/store/compact.h"
#include "common/store/verify.h"
#include "common/store/writer.h"
#include "mailboxd/batch.h"

struct verify_run;
struct compact_run;
struct removal;

/* Since the start, for "status". */
struct mailboxd_counters {
	uint64_t requests;
	uint64_t batches; /* commits that changed something, or tried to */
	uint64_t failed_batches;
	uint64_t appended; /* messages */
	uint64_t events;
};

struct mailboxd {
	struct daemon *daemon;
	struct store_writer *writer;
	struct batch batch;
	struct checkpointer *checkpointer;
	struct event *housekeeping;
	struct verify_run *verify; /* NULL: none is running */
	struct compact_run *compaction;
	struct removal *removal; /* of an account; NULL: none is running */
	struct mailboxd_counters counters;
	bool stopping;
};

enum fault mailboxd_sandbox(struct daemon *, void *state);
/* Writes the path of the store's directory; false when it is too long. */
bool mailboxd_directory(struct daemon *, char *path, size_t size);

/* After every commit: takes a checkpoint when one is due; ends the process when none can be. */
void mailboxd_committed(struct mailboxd *);

/* on_append.c */
daemon_handler on_append;
/* on_restore.c */
daemon_handler on_restore;
/* on_messages.c */
daemon_handler on_flags_store, on_copy, on_expunge, on_recent_claim;
/* on_mailboxes.c */
daemon_handler on_account_ensure, on_mailbox_create, on_mailbox_delete, on_mailbox_rename,
	on_mailbox_subscribe;

/* housekeep.c: forgets, purges and punches, a slice at a time. */
MUST_USE enum fault housekeep_start(struct mailboxd *);
void housekeep_stop(struct mailboxd *);

/* compact.c: gives space back; compact_ask() answers when nothing is left to do. */
MUST_USE enum fault compact_start(struct mailboxd *);
void compact_stop(struct mailboxd *);
void compact_ask(struct mailboxd *, const struct daemon_control *);
void compact_cancel(struct mailboxd *, struct ipc_origin);
bool compact_is_asked(const struct mailboxd *);

/* control.c */
void mailboxd_control(struct daemon *, void *state, const struct daemon_control *);
void mailboxd_control_cancel(struct daemon *, void *state, struct ipc_origin);
/* An account's id as the directory shows it, or as a number. */
bool control_account_parse(struct slice word, uint64_t *id);
/* control_verify.c; answers when it is done. */
void verify_start(struct mailboxd *, const struct daemon_control *);
/* Nobody waits for it any more. */
void verify_cancel(struct mailboxd *, struct ipc_origin);
void verify_stop(struct mailboxd *);
/* control_space.c */
void space_show(struct mailboxd *, struct ipc_origin);
/* control_undelete.c */
void expunged_show(struct mailboxd *, const struct daemon_control *, uint64_t account);
void expunged_undelete(struct mailboxd *, const struct daemon_control *, uint64_t account);
/* control_mailbox.c: the mailbox that messages of a backup go to. */
void mailbox_ensure(struct mailboxd *, const struct daemon_control *, uint64_t account);
/* control_remove.c; answers when it is done. */
void removal_start(struct mailboxd *, const struct daemon_control *, uint64_t account);
void removal_stop(struct mailboxd *);

#endif
