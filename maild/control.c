/* SPDX-License-Identifier: ISC */
/*
 * The control socket: commands of mailctl go to the process that they name, its answers go back.
 * maild answers for itself only what concerns all: status, reload, stop.  Whoever can open the
 * socket (root and its group) is trusted to give any command, but not to send broken frames.
 */
#include "maild/maild.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ipc/daemon.h"

enum {
	CLIENTS_MAX = 64,
	WORDS_BUDGET = 256 * 1024,
	COMMAND_MS = 24 * 3600 * 1000, /* the longest command; its client may give up earlier */
};

struct client {
	struct client *next;
	struct control *control;
	struct ipc_link *link;
};

/* A command on its way through a child. */
struct command {
	struct command *next;
	struct control *control;
	struct ipc_origin origin; /* the client's */
	uint64_t call;
	uint32_t target;
	struct child *child; /* who works on it now */
	bool to_all; /* its process has workers, and all are asked */
	struct arena arena; /* holds words, for the next worker */
	struct ipc_control_word *words;
	uint32_t word_count;
};

struct control {
	struct maild *maild;
	struct event accept;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client *clients;
	unsigned client_count;
	struct command *commands;
};

static struct control *the_control; /* for texts of children, which know their request only */

/* Copies the words: several workers are asked one after the other. */
static bool
copy_words(struct command *command, const struct ipc_control *from)
{
	command->words = arena_array(&command->arena, from->word_count, sizeof *command->words);
	if (command->words == NULL && from->word_count > 0)
		return false;
	for (uint32_t i = 0; i < from->word_count; i++) {
		if (!arena_copy(&command->arena, from->words[i].text, &command->words[i].text))
			return false;
	}
	command->word_count = from->word_count;
	return true;
}

static void
command_free(struct command *command)
{
	struct command **slot = &command->control->commands;

	while (*slot != command)
		slot = &(*slot)->next;
	*slot = command->next;
	ipc_cancel(command->call);
	arena_clear(&command->arena);
	free(command);
}

static void command_ask(struct command *);

/* The answers of several workers become one JSON array. */
static void
on_done(void *arg, const struct ipc_answer *answer)
{
	struct command *command = arg;
	const struct ipc_done *done = answer->payload;
	struct child *next =
		child_next(command->control->maild, (enum process)command->target, command->child);
	char text[512] = "";

	command->call = 0;
	if (command->to_all && answer->fault == FAULT_OK) {
		daemon_control_text(command->origin, next != NULL ? SLICE(",") : SLICE("]"));
		if (next != NULL) {
			command->child = next;
			command_ask(command);
			return;
		}
	}
	if (done != NULL)
		snprintf(text, sizeof text, "%" SLICE_FMT, SLICE_ARG(done->text));
	else
		snprintf(text, sizeof text, "%s is not running",
			process_name((enum process)command->target));
	daemon_control_done(command->origin, done != NULL ? answer->fault : FAULT_PEER_LOST, text);
	command_free(command);
}

static void
command_ask(struct command *command)
{
	struct ipc_control control = {command->target, command->words, command->word_count};

	command->call = ipc_call(command->control->maild->base, command->child->link, IPC_CONTROL,
		&control, -1, COMMAND_MS, on_done, command);
}

/* "worker N ...": the rest of the words is for that one alone, and goes without the first two. */
static struct child *
choose_child(struct maild *m, struct ipc_control *request, bool *to_all)
{
	struct child *child = child_next(m, (enum process)request->target, NULL);
	uint64_t number;

	*to_all = child != NULL && child->row->is_worker;
	if (request->word_count < 2 || !slice_equal(request->words[0].text, SLICE("worker")))
		return child;
	*to_all = false;
	if (!slice_parse_u64(request->words[1].text, CHILDREN_MAX, &number))
		return NULL;
	request->words += 2;
	request->word_count -= 2;
	while (child != NULL && child->instance != number)
		child = child_next(m, (enum process)request->target, child);
	return child;
}

static void
forward(struct control *control, struct ipc_origin origin, struct ipc_control request)
{
	struct command *command = calloc(1, sizeof *command);
	bool to_all;
	struct child *child = choose_child(control->maild, &request, &to_all);

	if (command == NULL || child == NULL) {
		free(command);
		daemon_control_done(origin, FAULT_NOT_FOUND, "no such process");
		return;
	}
	command->control = control;
	command->origin = origin;
	command->target = request.target;
	command->child = child;
	command->to_all = to_all;
	arena_init(&command->arena, WORDS_BUDGET);
	command->next = control->commands;
	control->commands = command;
	if (!copy_words(command, &request)) {
		daemon_control_done(origin, FAULT_NOMEM, fault_text(FAULT_NOMEM));
		command_free(command);
		return;
	}
	if (command->to_all)
		daemon_control_text(origin, SLICE("["));
	command_ask(command);
}

void
control_child_text(const struct child *child, struct ipc_message *message)
{
	const struct ipc_control_text *text = message->payload;
	struct command *command = the_control != NULL ? the_control->commands : NULL;

	/* Request ids are easily guessed: only the child that was asked may answer. */
	while (command != NULL && (command->call != message->request || command->child != child))
		command = command->next;
	if (command != NULL)
		daemon_control_text(command->origin, text->text);
}

static json_t *
describe_child(const struct child *child)
{
	int64_t now = clock_mono_ms(&clock_system);
	json_int_t uptime_s = child->pid != 0 ? (now - child->started_at) / 1000 : 0;

	return json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "name",
		process_name(child->row->process), "instance", (json_int_t)child->instance, "state",
		child_state_name(child->state), "pid", (json_int_t)child->pid, "uptime_s", uptime_s,
		"restarts", (json_int_t)child->restarts);
}

static json_t *
describe_all(const struct maild *m)
{
	static const char *const states[] = {
		[MAILD_STARTING] = "starting",
		[MAILD_RUNNING] = "running",
		[MAILD_STOPPING] = "stopping",
	};
	json_t *processes = json_array(), *listeners = json_array();

	for (size_t i = 0; i < m->child_count; i++)
		json_array_append_new(processes, describe_child(&m->children[i]));
	for (size_t i = 0; i < m->listener_count; i++) {
		char text[CONFIG_ADDRESS_TEXT_MAX];

		json_array_append_new(listeners,
			json_pack("{s:s, s:s}", "service",
				service_row(m->listeners[i].service)->name, "address",
				config_address_format(&m->listeners[i].address, text)));
	}
	return json_pack("{s:s, s:s, s:I, s:s, s:o, s:o}", "state", states[m->state], "hostname",
		m->config.settings.hostname, "pid", (json_int_t)getpid(), "config", m->config_path,
		"processes", processes, "listeners", listeners);
}

static void
cmd_status(struct maild *m, struct ipc_origin origin)
{
	json_t *status = describe_all(m);
	char *text = status != NULL ? json_dumps(status, JSON_COMPACT) : NULL;

	daemon_control_text(origin, slice_text(text));
	daemon_control_done(origin, text != NULL ? FAULT_OK : FAULT_NOMEM, NULL);
	free(text);
	json_decref(status);
}

static void
cmd_reload(struct maild *m, struct ipc_origin origin)
{
	char error[CONFIG_ERROR_MAX] = "";
	enum fault fault = maild_reload(m, error);

	daemon_control_done(origin, fault, error);
}

static void
cmd_stop(struct maild *m, struct ipc_origin origin)
{
	daemon_control_done(origin, FAULT_OK, NULL);
	stages_stop(m, 0);
}

static void
cmd_ping(struct maild *m, struct ipc_origin origin)
{
	(void)m;
	daemon_control_done(origin, FAULT_OK, NULL);
}

static const struct {
	const char *word;
	void (*perform)(struct maild *, struct ipc_origin);
} own_commands[] = {
	{"status", cmd_status},
	{"reload", cmd_reload},
	{"stop", cmd_stop},
	{"ping", cmd_ping},
};

static void
perform_own(struct maild *m, struct ipc_origin origin, const struct ipc_control *request)
{
	for (size_t i = 0; i < sizeof own_commands / sizeof own_commands[0]; i++) {
		if (request->word_count == 1 &&
			slice_equal(request->words[0].text, slice_text(own_commands[i].word))) {
			own_commands[i].perform(m, origin);
			return;
		}
	}
	daemon_control_done(origin, FAULT_UNSUPPORTED, "no such command");
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct client *client = arg;
	struct ipc_origin origin = ipc_origin_of(link, message);
	const struct ipc_control *request = message->payload;

	if (message->type == IPC_RESTORE)
		control_restore(client->control->maild, link, message);
	if (message->type != IPC_CONTROL)
		return;
	if (request->target == PROCESS_MAILD)
		perform_own(client->control->maild, origin, request);
	else
		forward(client->control, origin, *request);
}

/* Its commands go on in the children as far as they do more than answer. */
static void
client_cancel(const struct client *client)
{
	uint64_t link = ipc_link_id(client->link);

	for (struct command *c = client->control->commands; c != NULL; c = c->next) {
		struct ipc_empty nothing = {0};
		/* The call's id is the request id of its frame. */
		if (c->origin.link != link || c->call == 0 || c->child->link == NULL)
			continue;
		if (ipc_send_CONTROL_CANCEL(c->child->link, c->call, &nothing, -1) != FAULT_OK)
			log_debug("a command works on for nobody");
	}
}

static void
client_free(struct client *client)
{
	struct client **slot = &client->control->clients;

	client_cancel(client);
	while (*slot != client)
		slot = &(*slot)->next;
	*slot = client->next;
	client->control->client_count--;
	ipc_link_free(client->link);
	free(client);
}

static void
on_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	(void)link;
	(void)fault;
	client_free(arg);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	struct client *client;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (connection < 0)
		return;
	client = control->client_count < CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
	if (client == NULL) {
		close(connection);
		return;
	}
	struct ipc_link_events events = {.message = on_message, .lost = on_lost, .arg = client};
	client->control = control;
	client->link = ipc_link_new(
		control->maild->base, connection, PROCESS_MAILD, PROCESS_MAILCTL, &events);
	if (client->link == NULL) {
		free(client);
		return;
	}
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
}

/* A socket file that nobody answers is left over from a crash. */
static bool
is_answered(const struct sockaddr_un *to)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answered =
		fd >= 0 && connect(fd, (const struct sockaddr *)to, (socklen_t)sizeof *to) == 0;

	if (fd >= 0)
		close(fd);
	return answered;
}

/* Makes the directory of the socket, as /run/pabal is gone after a boot. */
static void
make_parent(const char *path)
{
	char parent[PATH_MAX];
	char *slash;

	snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	if (slash == NULL || slash == parent)
		return;
	*slash = '\0';
	if (mkdir(parent, 0755) == 0 && chmod(parent, 0755) != 0)
		log_warning("%s: %s", parent, strerror(errno));
}

static enum fault
listen_at(struct control *control, const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof to.sun_path) {
		log_error(
			"control-socket: %s: longer than %zu bytes", path, sizeof to.sun_path - 1);
		return FAULT_CONFIG;
	}
	memcpy(to.sun_path, path, strlen(path));
	make_parent(path);
	if (is_answered(&to)) {
		log_error("%s: another maild answers there", path);
		return FAULT_CONFIG;
	}
	unlink(path);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0 ||
		bind(control->fd, (const struct sockaddr *)&to, (socklen_t)sizeof to) != 0 ||
		chmod(path, 0660) != 0 || listen(control->fd, CLIENTS_MAX) != 0) {
		log_error("control-socket: %s: %s", path, strerror(errno));
		return FAULT_CONFIG;
	}
	memcpy(control->path, path, strlen(path) + 1);
	return FAULT_OK;
}

enum fault
control_open(struct maild *m)
{
	struct control *control = calloc(1, sizeof *control);

	if (control == NULL)
		return FAULT_NOMEM;
	control->maild = m;
	control->fd = -1;
	m->control = the_control = control;
	if (listen_at(control, m->config.settings.control_socket) != FAULT_OK)
		return FAULT_CONFIG;
	event_assign(
		&control->accept, m->base, control->fd, EV_READ | EV_PERSIST, on_accept, control);
	return event_add(&control->accept, NULL) == 0 ? FAULT_OK : FAULT_INTERNAL;
}

void
control_close(struct maild *m)
{
	struct control *control = m->control;

	if (control == NULL)
		return;
	while (control->commands != NULL)
		command_free(control->commands);
	while (control->clients != NULL) {
		ipc_link_flush(control->clients->link, 100);
		client_free(control->clients);
	}
	if (control->path[0] != '\0') {
		event_del(&control->accept);
		unlink(control->path);
	}
	if (control->fd >= 0)
		close(control->fd);
	free(control);
	m->control = the_control = NULL;
}
