/* SPDX-License-Identifier: ISC */
/* Gives one command to a process, over maild's control socket, and waits for its end. */
#ifndef MAILCTL_CLIENT_H
#define MAILCTL_CLIENT_H

#include "common/base/buffer.h"
#include "common/ipc/process.h"
#include "mailctl/mailctl.h"

enum { CLIENT_WORDS_MAX = 256 };

struct client_reply {
	bool connected; /* false: nobody answers at the socket */
	enum fault fault;
	char message[512]; /* for people; may be empty */
	struct buffer text; /* JSON, or empty */
};

/* A command whose answer may take long. */
struct client_question {
	const char *socket_path;
	enum process target;
	const char *const *words;
	size_t count;
	/* Gets each text that ends in a newline, and is no part of the reply; may be NULL. */
	void (*progress)(void *arg, struct slice line);
	void *arg;
};

/* The reply is to be cleared in any case. */
void client_ask_watched(const struct client_question *, struct client_reply *);
/* The same without progress.  words: count of them. */
void client_ask(const char *socket_path, enum process target, const char *const *words,
	size_t count, struct client_reply *);
void client_reply_clear(struct client_reply *);
/* The text as JSON, NULL when it is none.  The caller's reference. */
json_t *client_reply_json(const struct client_reply *);
/* The exit status that the reply means; complains when it is not STATUS_OK. */
enum status client_reply_status(const struct client_reply *, const char *socket_path);
/* A pidfd of the maild that listens there, or -1. */
int client_open_maild(const char *socket_path);
/* Waits until that process has ended, and closes the pidfd.  FAULT_TIMEOUT; -1 is fine. */
MUST_USE enum fault client_wait_end(int pidfd, int timeout_ms);
/* Returns an AF_UNIX connection or -1. */
int client_connect(const char *socket_path);

#endif
