/* SPDX-License-Identifier: ISC */
/*
 * The one table of IMAP commands: name, argument parser, handler, the states it is allowed in and
 * what it needs; and the one table of capabilities.  Nothing else lists either.
 */
#ifndef IMAPD_COMMANDS_H
#define IMAPD_COMMANDS_H

#include "common/base/buffer.h"
#include "common/mail/date.h"
#include "imapd/fetch_att.h"
#include "imapd/grammar.h"
#include "imapd/list_options.h"
#include "imapd/search_key.h"

struct imap_session;
struct imap_row;

/* What the parsers make; one member per family. */
union imap_arguments {
	struct {
		struct slice user, password;
	} login;
	struct {
		struct slice mechanism, initial;
		bool has_initial;
	} authenticate;
	struct {
		struct slice name, to; /* as written */
		struct slice use; /* CREATE: special-use attribute, without backslash */
		bool has_use;
	} mailbox;
	struct {
		struct slice mailbox;
		struct flag_list flags;
		struct date date;
		bool has_date;
		uint64_t size;
	} append;
	struct {
		struct sequence_set set;
		struct slice mailbox; /* COPY, MOVE */
	} messages;
	struct {
		struct sequence_set set;
		struct flag_list flags;
		uint32_t operation; /* enum ipc_flags_operation */
		bool silent;
		uint32_t expected, told; /* messages */
	} store;
	struct {
		struct sequence_set set;
		struct fetch_att *atts;
	} fetch;
	struct {
		struct slice mailbox;
		uint32_t items; /* enum status_item bits */
	} status;
	struct list_arguments list;
	struct search_arguments search;
};

struct imap_command {
	const struct imap_row *row; /* NULL: none is running */
	bool by_uid;
	struct slice tag;
	struct arena arena; /* everything of this command */
	union imap_arguments arguments;
};

/* Which changes of the mailbox are told before the tagged reply (RFC 3501 7.4.1). */
enum imap_sync {
	IMAP_SYNC_NOTHING,
	IMAP_SYNC_NO_EXPUNGE, /* not even with UID in front: it would not be there */
	IMAP_SYNC_UID_EXPUNGE, /* expunges only in the UID form */
	IMAP_SYNC_ALL,
};

enum imap_need {
	IMAP_NEED_WRITE = 1, /* a mailbox that is not selected read-only */
	IMAP_HAS_UID = 2, /* there is a UID form */
};

struct imap_row {
	const char *name;
	/* SP and the arguments, up to the end; NULL: there are none */
	bool (*parse)(struct imap_command *, struct cursor *);
	void (*perform)(struct imap_session *);
	unsigned states; /* enum imap_state bits */
	unsigned needs; /* enum imap_need bits */
	enum imap_sync sync;
};

/* NULL when there is no such command. */
const struct imap_row *commands_find(struct slice name);
/* "IMAP4rev1 ..." as it is for this session now. */
void capabilities_format(const struct imap_session *, struct buffer *);

/* Parsers, each in the file of its family. */
bool parse_login(struct imap_command *, struct cursor *);
bool parse_authenticate(struct imap_command *, struct cursor *);
bool parse_id(struct imap_command *, struct cursor *);
bool parse_enable(struct imap_command *, struct cursor *);
bool parse_mailbox(struct imap_command *, struct cursor *);
bool parse_create(struct imap_command *, struct cursor *);
bool parse_rename(struct imap_command *, struct cursor *);
bool parse_list(struct imap_command *, struct cursor *);
bool parse_lsub(struct imap_command *, struct cursor *);
bool parse_status(struct imap_command *, struct cursor *);
bool parse_append(struct imap_command *, struct cursor *);
bool parse_expunge(struct imap_command *, struct cursor *);
bool parse_copy(struct imap_command *, struct cursor *);
bool parse_store(struct imap_command *, struct cursor *);
bool parse_fetch(struct imap_command *, struct cursor *);
bool parse_search(struct imap_command *, struct cursor *);

/* Handlers. */
void cmd_capability(struct imap_session *);
void cmd_noop(struct imap_session *);
void cmd_logout(struct imap_session *);
void cmd_id(struct imap_session *);
void cmd_enable(struct imap_session *);
void cmd_namespace(struct imap_session *);
void cmd_starttls(struct imap_session *);
void cmd_login(struct imap_session *);
void cmd_authenticate(struct imap_session *);
void cmd_select(struct imap_session *);
void cmd_examine(struct imap_session *);
void cmd_close(struct imap_session *);
void cmd_unselect(struct imap_session *);
void cmd_create(struct imap_session *);
void cmd_delete(struct imap_session *);
void cmd_rename(struct imap_session *);
void cmd_subscribe(struct imap_session *);
void cmd_unsubscribe(struct imap_session *);
void cmd_list(struct imap_session *);
void cmd_lsub(struct imap_session *);
void cmd_status(struct imap_session *);
void cmd_append(struct imap_session *);
void cmd_idle(struct imap_session *);
void cmd_expunge(struct imap_session *);
void cmd_copy(struct imap_session *);
void cmd_move(struct imap_session *);
void cmd_store(struct imap_session *);
void cmd_fetch(struct imap_session *);
void cmd_search(struct imap_session *);

#endif
