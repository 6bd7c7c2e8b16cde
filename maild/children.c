/* SPDX-License-Identifier: ISC */
/*
 * One child process: fork and exec with the control link on descriptor 3, its death, and its next
 * start after a back-off.  A child may have been broken into: all that it can send here is checked
 * by the link, and the worst it can do is to be restarted.
 */
#include "maild/maild.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { CHILD_LINK_FD = 3, EXEC_FAILED = 127, ARGUMENT_SIZE = 48 };

static void
set_timer(struct child *child, int64_t ms)
{
	struct timeval after = {ms / 1000, ms % 1000 * 1000};

	event_add(&child->timer, &after);
}

const char *
child_state_name(enum child_state state)
{
	static const char *const names[] = {
		[CHILD_DOWN] = "down",
		[CHILD_STARTING] = "starting",
		[CHILD_RUNNING] = "running",
		[CHILD_STOPPING] = "stopping",
	};

	return names[state];
}

struct child *
child_next(struct maild *m, enum process process, const struct child *after)
{
	size_t first = after == NULL ? 0 : (size_t)(after - m->children) + 1;

	for (size_t i = first; i < m->child_count; i++) {
		if (m->children[i].row->process == process)
			return &m->children[i];
	}
	return NULL;
}

/* In the forked child: only descriptor 3 and the standard ones, and no signal blocked. */
static void
exec_program(const struct child *child, int link)
{
	const struct maild *m = child->maild;
	const struct process_user *user = &m->users[child->row->process];
	gid_t store_group = child->row->reads_store ? m->users[PROCESS_MAILBOXD].gid : 0;
	const char *name = process_name(child->row->process);
	char path[PATH_MAX + 16], instance[ARGUMENT_SIZE], ids[ARGUMENT_SIZE];
	char dash_i[] = "-i", dash_u[] = "-u";
	char *arguments[] = {(char *)(uintptr_t)name, dash_i, instance, NULL, NULL, NULL};
	sigset_t none;

	if (link == CHILD_LINK_FD ? fcntl(link, F_SETFD, 0) < 0 : dup2(link, CHILD_LINK_FD) < 0)
		_exit(EXEC_FAILED);
	close_range(CHILD_LINK_FD + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A Ctrl-C is for maild alone, which stops everybody in order. */
	setsid();
	snprintf(path, sizeof path, "%s/%s", m->program_directory, name);
	snprintf(instance, sizeof instance, "%u", child->instance);
	if (user->uid != 0) {
		snprintf(ids, sizeof ids, "%u:%u:%u", user->uid, user->gid, store_group);
		arguments[3] = dash_u;
		arguments[4] = ids;
	}
	execv(path, arguments);
	log_error("%s: %s", path, strerror(errno));
	_exit(EXEC_FAILED);
}

static bool
faces_network(const struct child *child)
{
	return (1u << child->row->process & (SET_FRONT | IN_SET(RELAYD))) != 0;
}

/*
 * A child says that another one broke the rules on their link.  One of the two must go, so that
 * they are wired anew.  A process that faces the network is not believed against one that does
 * not: or a smtpd that was broken into could keep authd from ever running.
 */
static void
take_peer_broken(struct child *from, const struct ipc_peer *peer)
{
	struct maild *m = from->maild;

	for (size_t i = 0; i < m->child_count; i++) {
		struct child *child = &m->children[i];

		if ((uint32_t)child->row->process != peer->process ||
			child->instance != peer->instance || child->pid == 0 || from->pid == 0 ||
			!process_is_linked(from->row->process, child->row->process))
			continue;
		log_error("%s/%u broke the rules, says %s/%u", process_name(child->row->process),
			child->instance, process_name(from->row->process), from->instance);
		kill(faces_network(from) && !faces_network(child) ? from->pid : child->pid,
			SIGKILL);
	}
}

static void
on_message(void *arg, struct ipc_link *link, struct ipc_message *message)
{
	struct child *child = arg;

	(void)link;
	switch (message->type) {
	case IPC_READY:
		if (child->state != CHILD_STARTING)
			return;
		child->state = CHILD_RUNNING;
		stages_child_ready(child);
		return;
	case IPC_CONTROL_TEXT:
		control_child_text(child, message);
		return;
	case IPC_PEER_BROKEN:
		take_peer_broken(child, message->payload);
		return;
	default:
		log_warning("unexpected %s", ipc_type_name(message->type));
	}
}

static void
on_link_lost(void *arg, struct ipc_link *link, enum fault fault)
{
	struct child *child = arg;

	ipc_link_free(link);
	child->link = NULL;
	child->wired = false;
	if (child->pid == 0)
		return;
	if (fault == FAULT_PEER_PROTOCOL) {
		log_error("%s broke the rules", process_name(child->row->process));
		kill(child->pid, SIGKILL);
	} else if (child->state != CHILD_STOPPING) {
		/* It is about to end; a hung one is helped. */
		set_timer(child, LINK_LOST_MS);
	}
}

static enum fault
fork_child(struct child *child, const int fds[2])
{
	struct ipc_link_events events = {.message = on_message, .lost = on_link_lost, .arg = child};

	child->pid = fork();
	if (child->pid == 0)
		exec_program(child, fds[1]);
	close(fds[1]);
	if (child->pid < 0) {
		log_error("fork: %s", strerror(errno));
		child->pid = 0;
		close(fds[0]);
		return FAULT_NOMEM;
	}
	child->state = CHILD_STARTING;
	child->configured = false;
	child->started_at = clock_mono_ms(&clock_system);
	child->link = ipc_link_new(
		child->maild->base, fds[0], PROCESS_MAILD, child->row->process, &events);
	if (child->link == NULL)
		return FAULT_NOMEM;
	ipc_link_expect(child->link, child->instance);
	return FAULT_OK;
}

enum fault
child_start(struct child *child)
{
	enum fault fault;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return fault_from_errno(errno);
	fault = fork_child(child, fds);
	if (fault == FAULT_OK)
		fault = wiring_configure(child);
	if (fault == FAULT_OK)
		fault = wiring_connect(child);
	if (fault != FAULT_OK && child->pid != 0)
		kill(child->pid, SIGKILL);
	return fault;
}

void
child_send_configured(struct child *child)
{
	struct ipc_empty empty = {0};

	child->configured = true;
	if (child->link != NULL && ipc_send_CONFIGURED(child->link, 0, &empty, -1) == FAULT_OK)
		return;
	if (child->pid != 0)
		kill(child->pid, SIGKILL);
}

void
child_stop(struct child *child)
{
	struct ipc_empty empty = {0};

	event_del(&child->timer);
	if (child->pid == 0) {
		child->state = CHILD_DOWN;
		return;
	}
	child->state = CHILD_STOPPING;
	if (!child->configured)
		kill(child->pid, SIGKILL); /* it holds nothing yet */
	else if (child->link == NULL || ipc_send_SHUTDOWN(child->link, 0, &empty, -1) != FAULT_OK)
		kill(child->pid, SIGTERM);
	set_timer(child, STOP_STAGE_MS);
}

static void
start_again(struct child *child)
{
	if (child->maild->state == MAILD_STOPPING)
		return;
	child->restarts++;
	if (child_start(child) == FAULT_OK) {
		child_send_configured(child);
		return;
	}
	/* Its death, if it was born at all, leads to the next try. */
	if (child->pid == 0)
		set_timer(child, BACKOFF_LAST_MS);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg;

	(void)fd;
	(void)what;
	if (child->pid == 0) {
		start_again(child);
		return;
	}
	log_error(
		"%s[%d] does not end: killed", process_name(child->row->process), (int)child->pid);
	kill(child->pid, SIGKILL);
}

/* 100 ms, doubling to 30 s; a process that lived for a while begins anew. */
static void
plan_restart(struct child *child)
{
	int64_t lived_ms = clock_mono_ms(&clock_system) - child->started_at;

	if (lived_ms >= BACKOFF_RESET_MS || child->backoff_ms == 0)
		child->backoff_ms = BACKOFF_FIRST_MS;
	set_timer(child, child->backoff_ms);
	child->backoff_ms *= 2;
	if (child->backoff_ms > BACKOFF_LAST_MS)
		child->backoff_ms = BACKOFF_LAST_MS;
}

/* LMDB believes its pages: one that rotted can end whoever reads it. */
static void
log_torn_index(const struct child *child, int sig)
{
	enum process p = child->row->process;

	if (sig != SIGSEGV && sig != SIGBUS && sig != SIGABRT)
		return;
	if (p == PROCESS_MAILBOXD || p == PROCESS_IMAPD || p == PROCESS_POP3D)
		log_error("if %s goes on ending so, the index of the store may be damaged: stop "
			  "the suite, move index/data.mdb away, run \"mailctl store salvage\"",
			process_name(p));
}

static void
log_death(const struct child *child, int status)
{
	const char *name = process_name(child->row->process);

	/* Killed on our way out: on_timer has said so. */
	if (child->state == CHILD_STOPPING && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	if (WIFSIGNALED(status)) {
		log_error("%s[%d] was ended by signal %d", name, (int)child->pid, WTERMSIG(status));
		log_torn_index(child, WTERMSIG(status));
	} else if (WEXITSTATUS(status) != 0) {
		log_error(
			"%s[%d] ended with status %d", name, (int)child->pid, WEXITSTATUS(status));
	} else if (child->state != CHILD_STOPPING) {
		log_warning("%s[%d] ended", name, (int)child->pid);
	}
}

static void
child_gone(struct child *child, int status)
{
	log_death(child, status);
	event_del(&child->timer);
	ipc_link_free(child->link);
	child->link = NULL;
	child->wired = false;
	child->pid = 0;
	if (child->maild->state == MAILD_RUNNING)
		plan_restart(child);
	child->state = CHILD_DOWN;
	if (child->maild->state != MAILD_RUNNING)
		stages_child_gone(child);
}

void
children_reap(struct maild *m)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		for (size_t i = 0; i < m->child_count; i++) {
			if (m->children[i].pid == pid)
				child_gone(&m->children[i], status);
		}
	}
}

static void
add_child(struct maild *m, const struct process_row *row, uint32_t instance)
{
	struct child *child = &m->children[m->child_count++];

	*child = (struct child){.maild = m, .row = row, .instance = instance};
	event_assign(&child->timer, m->base, -1, 0, on_timer, child);
}

void
children_init(struct maild *m)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t workers = (uint32_t)m->config.settings.workers;

	if (workers == 0)
		workers = cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
	for (size_t i = 0; i < process_row_count; i++) {
		for (uint32_t n = 0; n < (process_rows[i].is_worker ? workers : 1); n++)
			add_child(m, &process_rows[i], n);
	}
}

void
children_free(struct maild *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *child = &m->children[i];

		event_del(&child->timer);
		ipc_link_free(child->link);
		child->link = NULL;
	}
}
