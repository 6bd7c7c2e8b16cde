/* SPDX-License-Identifier: ISC */
/*
 * The pure core of an IMAP session (RFC 3501): bytes and events of one client in, reply bytes out,
 * effects through a struct of functions.  It does no network I/O and never waits; it reads the
 * store directly, but no read transaction outlives a call.
 *
 *	bytes ──► session_input ──► command ──► perform ──┬──► reply          (done at once)
 *	          session_turn  ◄── await a turn ─────────┤                   (a slice of a long
 *job) session_answer ◄─ await an answer ──────┘                   (authd, mailboxd)
 *
 * Commands run one after another: while one awaits something, input stays unread.
 */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include "common/base/clock.h"
#include "common/ipc/link.h"
#include "common/ipc/process.h"
#include "common/mail/sasl.h"
#include "common/store/reader.h"
#include "imapd/commands.h"
#include "imapd/reply.h"
#include "imapd/view.h"

enum {
	SESSION_LINE_MAX = 64 * 1024, /* of a command, without its literals */
	SESSION_COMMAND_MAX = 512 * 1024, /* with them; APPEND's message does not count */
	SESSION_LITERAL_MAX = 64 * 1024,
	SESSION_LOGIN_COMMAND_MAX = 16 * 1024, /* before login */
	SESSION_ARENA_MAX = 8 * 1024 * 1024, /* of one command */
	SESSION_SCRATCH_MAX = 64 * 1024 * 1024, /* of one turn, shared by all sessions */
	SESSION_OUT_MAX = 64 * 1024 * 1024, /* never reached: jobs yield at SESSION_OUT_SLICE */
	SESSION_OUT_SLICE = 128 * 1024, /* output of one turn after which a job yields */
	SESSION_TURN_MS = 5, /* work of one turn after which a job yields */
	SESSION_BAD_MAX = 20, /* BAD replies in a row, then BYE */
	SESSION_BAD_LOGIN_MAX = 5, /* the same before login */
};

/* What all sessions of a process share. */
struct imap_core {
	struct store_reader *reader;
	const struct clock *clock;
	struct body_packer *packer;
	struct arena scratch; /* belongs to the running turn; cleared by its user */
	struct arena piece; /* the same for one message of a walk */
	uint64_t message_size_max; /* bytes of one message */
	uint64_t message_memory_max; /* bytes of all messages in APPENDs under way */
	uint64_t message_memory_used;
	unsigned login_failures_max; /* per connection */
	bool plaintext_login; /* over loopback, without TLS */
	/* The last RECENT_CLAIM: many sessions may learn of the same message at once. */
	uint64_t claimed_account;
	uint32_t claimed_mailbox, claimed_uid;
	uint64_t commands, dropped_answers; /* counters */
};

/* What a session asks of its shell.  None calls back into the session. */
struct imap_effects {
	/* The answer comes by session_answer(), unless cancelled.  fd stays the caller's. */
	uint64_t (*call)(void *shell, enum process, enum ipc_type, const void *payload, int fd);
	void (*cancel)(void *shell, uint64_t call);
	/* The same without interest in the answer. */
	void (*tell)(void *shell, enum process, enum ipc_type, const void *payload);
	void (*start_tls)(void *shell); /* after the output so far; then session_tls_started() */
	void (*logged_in)(void *shell, uint64_t account, struct slice who);
	void (*idling)(void *shell, bool on); /* IDLE has begun or ended */
	void (*finish)(void *shell); /* close once the output is sent */
};

enum imap_state {
	IMAP_NOT_AUTHENTICATED = 1,
	IMAP_AUTHENTICATED = 2,
	IMAP_SELECTED = 4,
};

enum imap_await {
	IMAP_AWAIT_COMMAND, /* a line of a command, or the octets of a literal in it */
	IMAP_AWAIT_MESSAGE, /* the octets of APPEND's literal */
	IMAP_AWAIT_SASL, /* a line of AUTHENTICATE */
	IMAP_AWAIT_END_OF_IDLE, /* DONE */
	IMAP_AWAIT_ANSWER, /* of another process */
	IMAP_AWAIT_TURN, /* a long job goes on in session_turn() */
	IMAP_AWAIT_TLS,
	IMAP_AWAIT_NOTHING, /* the connection is being closed */
};

struct imap_session;

/* Does a slice of work.  It goes on in another slice unless it has changed what is awaited. */
typedef void imap_job(struct imap_session *);
typedef void imap_on_answer(struct imap_session *, const struct ipc_answer *);

struct imap_append;
struct imap_keys;
struct imap_login;
struct imap_fetch;
struct imap_search;
struct walk;

struct imap_session {
	struct imap_core *core;
	const struct imap_effects *effects;
	void *shell;
	enum imap_state state;
	enum imap_await await;
	bool is_tls, has_tls, is_loopback;
	bool has_hint; /* the selected mailbox may have changed */
	bool is_closing; /* say BYE when the command is done */
	enum ipc_service service;
	char remote[48]; /* the client's address */
	unsigned bad_count, login_failures;
	uint64_t account; /* 0 before login */
	struct imap_keys *keys; /* of encrypted mail; NULL: the account has none */
	struct buffer out;
	/* input */
	struct buffer text; /* the command so far */
	struct buffer line; /* a line that is no command: SASL, DONE */
	size_t line_start; /* of the current line in text */
	uint64_t literal_left; /* octets still to come */
	/* the command that runs */
	struct imap_command command;
	imap_job *job;
	imap_on_answer *on_answer;
	uint64_t call; /* id of the awaited answer; 0: none */
	enum imap_reply reply;
	bool synced; /* what is new in the store has been learned for this command */
	struct buffer code; /* response code of its own for the tagged reply */
	/* work of commands, on the heap while it lasts */
	struct imap_append *append;
	struct imap_login *login;
	struct imap_fetch *fetch;
	struct imap_search *search;
	struct walk *walk; /* of STORE; in the command's arena */
	int64_t turn_ends; /* mono ms */
	unsigned turn_work; /* units since the clock was looked at */
	bool turn_is_over; /* the clock has said so */
	struct view view;
};

struct imap_setup {
	struct imap_core *core;
	const struct imap_effects *effects;
	void *shell;
	enum ipc_service service;
	bool is_tls; /* from the first byte */
	bool has_tls; /* STARTTLS can be offered */
	bool is_loopback;
	const char *remote;
};

/* The shell's side.  After each call: send session_output(), look at session_wants_turn(). */
void session_init(struct imap_session *, const struct imap_setup *);
void session_clear(struct imap_session *);
void session_greet(struct imap_session *);
/*
 * Takes from the front of all unread input; returns how many bytes are used.  At most one command
 * is done per call: call it again with the rest while it returns more than 0.
 */
size_t session_input(struct imap_session *, struct slice input);
void session_turn(struct imap_session *);
bool session_wants_turn(const struct imap_session *);
/* The client has sent a part of a command: the rest is on its way. */
bool session_has_partial_command(const struct imap_session *);
void session_answer(struct imap_session *, uint64_t call, const struct ipc_answer *);
/* Something in the account has changed; mailbox 0: in any.  An idling session wants a turn. */
void session_changed(struct imap_session *, uint32_t mailbox);
void session_tls_started(struct imap_session *);
/* Nothing was heard for long. */
void session_timed_out(struct imap_session *);
void session_shutdown(struct imap_session *);

/* The commands' side. */

/* Ends the command: changes of the mailbox are told, then the tagged reply is written. */
void session_finish(struct imap_session *, enum imap_reply);
void session_finish_fault(struct imap_session *, enum fault);
/* Goes on with the job in this turn, and in further ones. */
void session_continue(struct imap_session *, imap_job *);
/* Asks mailboxd or authd, and goes on with its answer. */
struct imap_request {
	enum process to;
	enum ipc_type type;
	const void *payload;
	int fd; /* -1: none */
};
void session_ask(struct imap_session *, const struct imap_request *, imap_on_answer *);
/* True when a job should let others have their turn; counts one unit of work. */
bool session_must_yield(struct imap_session *);
/* "* BYE text", and the end. */
void session_bye(struct imap_session *, const char *text);
/* The response code of the tagged reply, to be filled; empty: the table's. */
struct buffer *session_code(struct imap_session *);
/* Writes the tagged reply and ends the command at once. */
void session_reply(struct imap_session *, enum imap_reply);
/* Leaves the selected mailbox without a word. */
void session_unselect(struct imap_session *);
/* Is a password acceptable here (RFC 3501 6.2.3, 11.1)? */
bool session_may_login(const struct imap_session *);

#endif
