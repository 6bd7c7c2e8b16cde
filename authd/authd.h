/* SPDX-License-Identifier: ISC */
/*
 * authd's private state.  It alone reads the directory, password verifiers and TLS keys; it has
 * no network and sees no mail.
 *
 *	smtpd imapd pop3d ─► on_front.c ─► login, scram_login, keys
 *	smtpd             ─► on_smtpd.c ─┐
 *	deliverd          ─► on_deliverd.c ─► directory
 *	mailctl, by maild ─► control.c ──┘
 */
#ifndef AUTHD_AUTHD_H
#define AUTHD_AUTHD_H

#include "authd/directory.h"
#include "authd/guard.h"
#include "authd/keys.h"
#include "authd/login.h"
#include "authd/login_memory.h"
#include "authd/password.h"
#include "authd/scram_login.h"
#include "common/ipc/daemon.h"

struct authd {
	struct daemon *daemon;
	struct directory *directory;
	struct guard *guard;
	struct login_memory *memory;
	struct password_pool *pool;
	struct logins *logins;
	struct scram_logins *scram;
	struct keys *keys;
	struct event *keys_timer;
	struct event *sweep_timer; /* of the memory of logins */
	bool keys_listed; /* a KEY_FILE has come in the round that runs */
	uint64_t signatures;
	uint64_t look_ups;
};

/* sandbox.c; also reads the key files, which may be root's. */
enum fault authd_sandbox(struct daemon *, void *state);

/* keys_out.c: certificates to the processes that serve clients. */
daemon_handler on_key_file;
/* The round of configuration is complete: the list of files is, too. */
void keys_out_finish_round(struct authd *);
/* Looks for changed files every KEYS_POLL_MS. */
MUST_USE enum fault keys_out_watch(struct authd *);
/* Loads what was read, and tells everybody if it changed the set. */
void keys_out_load(struct authd *);
void keys_out_send(struct authd *, struct ipc_link *);

/* on_front.c, on_smtpd.c, on_deliverd.c */
daemon_handler on_auth_plain, on_scram_start, on_scram_finish, on_sign;
daemon_handler on_recipient_check, on_sender_check;
daemon_handler on_expand;

/* control.c: the table of commands. */
void authd_control(struct daemon *, void *state, const struct daemon_control *);

/* One command: its arguments, after the words that name it. */
struct control_request {
	struct authd *authd;
	struct ipc_origin origin;
	const struct slice *arguments;
	uint32_t count;
};
typedef void control_run(const struct control_request *);
control_run control_domain_add, control_domain_list, control_domain_show, control_domain_remove,
	control_domain_catchall;
control_run control_account_add, control_account_list, control_account_show, control_account_passwd,
	control_account_disable, control_account_enable, control_account_remove,
	control_account_encrypt, control_account_recovery, control_account_decrypt;
control_run control_alias_add, control_alias_list, control_alias_remove;
control_run control_auth_blocks, control_auth_unblock;
control_run control_status;

/* Ends a command with the directory's word on it. */
void control_finish(const struct control_request *, enum fault);
/* The same for a look-up of the account in argument 0. */
void control_finish_account(const struct control_request *, enum fault);
/* Answers with the account in argument 0 as it is now; a recovery key that is to be shown, or NULL.
 */
void control_account_reply(const struct control_request *, const char *recovery_key);

#endif
