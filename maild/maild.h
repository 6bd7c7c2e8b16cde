/* SPDX-License-Identifier: ISC */
/*
 * maild's private state.  It runs as root and takes no input from the network: a config file that
 * root wrote, signals, frames of its own children, and commands of mailctl over a socket that
 * only root (or its group) can open.
 */
#ifndef MAILD_MAILD_H
#define MAILD_MAILD_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>

#include "common/ipc/link.h"
#include "maild/config.h"
#include "maild/processes.h"

enum {
	CHILDREN_MAX = 160, /* 2 kinds of workers, 64 at most each, and the rest */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_LAST_MS = 30000,
	BACKOFF_RESET_MS = 10000, /* a process that lived so long starts again at once */
	STOP_STAGE_MS = 25000, /* more than FRONT_SHUTDOWN_MS; then SIGKILL */
	LINK_LOST_MS = 5000, /* a process without its link has so long to end by itself */
};

struct maild;

enum child_state {
	CHILD_DOWN, /* not running; its timer may start it again */
	CHILD_STARTING, /* READY is awaited */
	CHILD_RUNNING,
	CHILD_STOPPING, /* asked to end */
};

/* Who a process becomes; all 0: it stays who we are. */
struct process_user {
	uid_t uid;
	gid_t gid;
};

struct child {
	struct maild *maild;
	const struct process_row *row;
	uint32_t instance;
	enum child_state state;
	bool configured; /* was told to open its files */
	bool wired; /* has its sockets to the others */
	pid_t pid; /* 0: none */
	struct ipc_link *link; /* NULL: none */
	struct event timer; /* of the restart, or of the kill */
	int64_t started_at; /* monotonic, ms */
	int64_t backoff_ms;
	unsigned restarts;
};

struct listener {
	enum ipc_service service;
	struct peer_address address; /* as in the config */
	int fd;
};

enum maild_state { MAILD_STARTING, MAILD_RUNNING, MAILD_STOPPING };

struct maild {
	struct event_base *base;
	const char *config_path;
	struct config config;
	enum maild_state state;
	int exit_status;
	char program_directory[PATH_MAX]; /* where the daemons are */
	struct process_user users[PROCESS_COUNT];
	struct child children[CHILDREN_MAX];
	size_t child_count;
	struct listener listeners[CONFIG_LISTENS_MAX];
	size_t listener_count;
	unsigned stage; /* of starting (counts down) or stopping (counts up) */
	struct event child_died, terminate, interrupt, hangup; /* signals */
	int directory_fd; /* holds the lock of data-directory */
	struct control *control;
};

/* sandbox.c: gives up what root does not need here. */
MUST_USE enum fault maild_sandbox(void);

/* users.c: who the processes run as.  Logs what is missing. */
MUST_USE enum fault users_resolve(struct maild *);

/* directories.c: makes data-directory and what is in it, checks owners, takes the lock. */
MUST_USE enum fault directories_prepare(struct maild *);

/* listeners.c */
/* Binds what the config lists and is not bound yet; on a fault everything is as before. */
MUST_USE enum fault listeners_open(struct maild *, const struct config *);
/* Closes what the config no longer lists; its process forgets it with the next round. */
void listeners_close_unlisted(struct maild *, const struct config *);
void listeners_close(struct maild *);

/* children.c: one process: fork, messages, death, restart. */
/* An entry for every process and worker, none of them running. */
void children_init(struct maild *);
/* Forks and sends all but CONFIGURED. */
MUST_USE enum fault child_start(struct child *);
/* The last word of a configuration; READY is awaited after the first. */
void child_send_configured(struct child *);
/* Asks for the end, and kills when it takes too long. */
void child_stop(struct child *);
/* SIGCHLD: forgets the dead, starts them again. */
void children_reap(struct maild *);
/* The next child of a process after one (NULL first), or NULL. */
struct child *child_next(struct maild *, enum process, const struct child *after);
const char *child_state_name(enum child_state);
void children_free(struct maild *);

/* stages.c: all processes, in the order of the table. */
/* Starts all; READY of the last makes MAILD_RUNNING. */
MUST_USE enum fault stages_start(struct maild *);
/* Ends all in order, then leaves the event loop with this exit status. */
void stages_stop(struct maild *, int exit_status);
/* A child has become ready, or has died. */
void stages_child_ready(struct child *);
void stages_child_gone(struct child *);

/* wiring.c */
/* Sends its settings, routes, key files and listeners, without CONFIGURED. */
MUST_USE enum fault wiring_configure(struct child *);
/* Makes the socketpairs to all wired peers. */
MUST_USE enum fault wiring_connect(struct child *);

/* reload.c: reads the config again.  On a fault the old one stays and error says why. */
MUST_USE enum fault maild_reload(struct maild *, char error[static CONFIG_ERROR_MAX]);

/* control.c */
MUST_USE enum fault control_open(struct maild *);
void control_close(struct maild *);
/* A child said something to a command that mailctl gave. */
void control_child_text(const struct child *, struct ipc_message *);
/* control_restore.c: hands a message of a backup on to mailboxd, and its answer back. */
void control_restore(struct maild *, struct ipc_link *, struct ipc_message *);

/* notify.c: tells systemd, when it listens (sd_notify(3)). */
void notify_systemd(const char *state);

#endif
