/* SPDX-License-Identifier: ISC */
/* The control socket from mailctl's side: one command, its texts, its end. */
#include "mailctl/client.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ipc/link.h"

enum {
	TEXT_MAX = 512 * 1024 * 1024, /* the longest list that we print */
	COMMAND_MS = 24 * 3600 * 1000
};

int
client_connect(const char *socket_path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(socket_path);
	int fd;

	if (len >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, socket_path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&to, (socklen_t)sizeof to) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

struct exchange {
	const struct client_question *question;
	struct event_base *base;
	struct client_reply *reply;
};

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct exchange *exchange = arg;
	const struct ipc_control_text *text = message->payload;

	(void)link;
	if (message->type != IPC_CONTROL_TEXT)
		return;
	size_t len = text->text.len;
	if (exchange->question->progress != NULL && len > 0 && text->text.data[len - 1] == '\n')
		exchange->question->progress(exchange->question->arg, text->text);
	else
		buffer_add_slice(&exchange->reply->text, text->text);
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	/* The call has ended already, and says so. */
	(void)arg;
	(void)link;
	(void)fault;
}

static void
on_done(void *arg, const struct ipc_answer *answer)
{
	struct exchange *exchange = arg;
	struct client_reply *reply = exchange->reply;
	const struct ipc_done *done = answer->payload;

	reply->fault = answer->fault;
	if (done != NULL)
		snprintf(reply->message, sizeof reply->message, "%" SLICE_FMT,
			SLICE_ARG(done->text));
	if (reply->fault == FAULT_OK)
		reply->fault = buffer_fault(&reply->text);
	event_base_loopbreak(exchange->base);
}

static void
exchange_run(struct exchange *exchange, int fd, const struct ipc_control *control)
{
	struct ipc_link_events events = {.message = on_message, .lost = on_lost, .arg = exchange};
	struct ipc_link *link =
		ipc_link_new(exchange->base, fd, PROCESS_MAILCTL, PROCESS_MAILD, &events);

	if (link == NULL)
		return;
	ipc_call(exchange->base, link, IPC_CONTROL, control, -1, COMMAND_MS, on_done, exchange);
	event_base_dispatch(exchange->base);
	ipc_link_free(link);
}

void
client_ask(const char *socket_path, enum process target, const char *const *words, size_t count,
	struct client_reply *reply)
{
	struct client_question question = {socket_path, target, words, count, NULL, NULL};

	client_ask_watched(&question, reply);
}

void
client_ask_watched(const struct client_question *question, struct client_reply *reply)
{
	struct ipc_control_word texts[CLIENT_WORDS_MAX];
	size_t count = question->count;
	struct ipc_control control = {(uint32_t)question->target, texts, (uint32_t)count};
	struct exchange exchange = {question, event_base_new(), reply};
	int fd;

	*reply = (struct client_reply){.fault = FAULT_NOMEM};
	buffer_init(&reply->text, TEXT_MAX);
	if (count > CLIENT_WORDS_MAX) {
		reply->fault = FAULT_TOO_MANY;
		count = 0;
	}
	for (size_t i = 0; i < count; i++)
		texts[i].text = slice_text(question->words[i]);
	fd = client_connect(question->socket_path);
	if (fd < 0) {
		reply->fault = FAULT_PEER_LOST;
		snprintf(reply->message, sizeof reply->message, "%s", strerror(errno));
	} else if (exchange.base == NULL || count == 0) {
		close(fd);
	} else {
		reply->connected = true;
		exchange_run(&exchange, fd, &control);
	}
	if (exchange.base != NULL)
		event_base_free(exchange.base);
}

void
client_reply_clear(struct client_reply *reply)
{
	buffer_clear(&reply->text);
}

json_t *
client_reply_json(const struct client_reply *reply)
{
	struct slice text = buffer_slice(&reply->text);

	return text.len > 0 ? json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL) : NULL;
}

enum status
client_reply_status(const struct client_reply *reply, const char *socket_path)
{
	if (!reply->connected) {
		complain("no maild answers at %s: %s", socket_path, reply->message);
		return STATUS_NOT_RUNNING;
	}
	if (reply->fault == FAULT_OK)
		return STATUS_OK;
	complain("%s", reply->message[0] != '\0' ? reply->message : fault_text(reply->fault));
	return reply->fault == FAULT_PEER_LOST ? STATUS_NOT_RUNNING : STATUS_FAILED;
}

int
client_open_maild(const char *socket_path)
{
	int fd = client_connect(socket_path);
	struct ucred listener = {0};
	socklen_t len = sizeof listener;
	int pidfd = -1;

	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) == 0)
		pidfd = (int)syscall(SYS_pidfd_open, listener.pid, 0);
	close(fd);
	return pidfd;
}

enum fault
client_wait_end(int pidfd, int timeout_ms)
{
	struct pollfd poller = {.fd = pidfd, .events = POLLIN};
	int ended;

	if (pidfd < 0)
		return FAULT_OK;
	ended = poll(&poller, 1, timeout_ms);
	close(pidfd);
	return ended > 0 ? FAULT_OK : FAULT_TIMEOUT;
}
