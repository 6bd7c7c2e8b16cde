/* SPDX-License-Identifier: ISC */
/*
 * The skeleton of every process that maild starts: link to maild on descriptor 3, settings,
 * sandbox, peers, control commands, shutdown.  A daemon's main.c fills a struct daemon_spec and
 * calls daemon_main.
 *
 * Start: fork and exec by maild (arguments: -i INSTANCE [-u UID:GID[:GROUP]]) -> SETTING*, ROUTE*,
 * KEY_FILE*, LISTENER*, PEER*, CONFIGURED -> sandbox() -> open() -> READY -> event loop.
 *
 * Configuration comes in rounds that end with CONFIGURED; a later one (SIGHUP) ends in
 * reconfigure().  Each round carries everything again: settings not sent have their defaults, and
 * the first ROUTE, KEY_FILE or LISTENER of a round begins a new list (compare daemon_round).
 * Their handlers run as they arrive, in the first round before sandbox() and open().
 * PEER alone may also come at any time between rounds.
 */
#ifndef IPC_DAEMON_H
#define IPC_DAEMON_H

#include "common/base/sandbox.h"
#include "common/ipc/link.h"
#include "common/ipc/settings.h"

struct daemon;

/* Handles one message type from a peer (or from maild: ROUTE, KEY_FILE, LISTENER). */
typedef void daemon_handler(struct daemon *, void *state, struct ipc_link *, struct ipc_message *);

struct daemon_handlers {
	enum ipc_type type;
	daemon_handler *handle;
};

/* A command of mailctl for this process.  Answer with any number of daemon_control_text, then one
 * daemon_control_done, in this turn or later. */
struct daemon_control {
	struct ipc_origin origin;
	const struct ipc_control_word *words; /* gone when the handler returns */
	uint32_t word_count;
};

struct daemon_spec {
	enum process process;
	void *state; /* handed to every function below */
	const struct daemon_handlers *handlers; /* ends with type IPC_NONE */
	/* Gives up rights; settings are there, nothing is open yet. */
	enum fault (*sandbox)(struct daemon *, void *state);
	/* Opens files and tables.  A fault ends the process with one log line, status 1. */
	enum fault (*open)(struct daemon *, void *state);
	/* Settings have changed (SIGHUP).  May be NULL. */
	void (*reconfigure)(struct daemon *, void *state);
	/* A peer has come (after HELLO) or gone; calls to it have ended already.  May be NULL. */
	void (*peer_up)(struct daemon *, void *state, struct ipc_link *);
	void (*peer_down)(struct daemon *, void *state, struct ipc_link *);
	void (*control)(struct daemon *, void *state, const struct daemon_control *);
	/* Nobody waits for the answer of this command any more: stop what only answers.  It is
	 * answered all the same, or has been already.  May be NULL. */
	void (*control_cancel)(struct daemon *, void *state, struct ipc_origin);
	/* Stop taking work, finish what is in flight, then call daemon_stop.  NULL: at once. */
	void (*shutdown)(struct daemon *, void *state);
	/* Frees all, for leak checkers.  May be NULL. */
	void (*close)(struct daemon *, void *state);
};

/* Returns the exit status. */
int daemon_main(const struct daemon_spec *, int argc, char **argv);

/* Fills in whom to become (nobody else when maild gave no user). */
void daemon_sandbox_user(const struct daemon *, struct sandbox *);
/* Counts the rounds of configuration that have ended. */
uint32_t daemon_round(const struct daemon *);
struct event_base *daemon_base(struct daemon *);
/* Texts in it change at reconfigure(): do not keep them. */
const struct settings *daemon_settings(const struct daemon *);
uint32_t daemon_instance(const struct daemon *); /* 0, 1, ... of the workers */
/* The link to a process (instance 0), or NULL while it is down. */
struct ipc_link *daemon_peer(struct daemon *, enum process);
/* All links to the instances of a process: the next after one (NULL first), or NULL. */
struct ipc_link *daemon_peer_next(struct daemon *, enum process, struct ipc_link *after);
/* ipc_call to instance 0 of a process, with the default deadline. */
uint64_t daemon_call(struct daemon *, enum process, enum ipc_type, const void *payload, int fd,
	ipc_done_fn *done, void *arg);
/* JSON text of any length, in order. */
void daemon_control_text(struct ipc_origin, struct slice text);
/* The end; message is for people and may be NULL. */
void daemon_control_done(struct ipc_origin, enum fault, const char *message);
/* Leaves the event loop: the process ends with status 0. */
void daemon_stop(struct daemon *);

#endif
